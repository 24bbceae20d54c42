"""The devices of one guest as a tree of its buses, in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from novadev.text import printable

if TYPE_CHECKING:
    from rich.tree import Tree

    from novadev.cli.session import Session
    from novadev.device.topology import Node


def print_tree(session: Session, heading: str, roots: Sequence[Node]) -> None:
    """Print ROOTS below HEADING, as wide as they are: a terminal folds long lines."""
    from rich.console import Console
    from rich.tree import Tree

    console = Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else 10_000,
        force_terminal=session.is_colored or None,
        color_system="auto" if session.is_colored else None,
        highlight=False,
        markup=False,
    )
    tree = Tree(heading, guide_style="dim" if session.is_colored else "")
    _grow(tree, roots)
    console.print(tree, soft_wrap=not sys.stdout.isatty())


def _grow(tree: Tree, nodes: Sequence[Node]) -> None:
    from rich.text import Text

    styles = {"place": "dim", "free": "green", "fault": "red", "owner": "cyan", "alias": "magenta"}
    for node in nodes:
        parts = [(text, styles.get(kind, "")) for kind, text in _parts(node)]
        _grow(tree.add(Text("  ").join(Text(*part) for part in parts)), node.children)


def _parts(node: Node) -> Iterator[tuple[str, str]]:
    """Yield what is said of NODE, each text with its kind."""
    if node.place:
        yield "place", printable(node.place)
    kind = "free" if node.is_free else "fault" if node.has_fault else "name"
    yield kind, ("! " if node.has_fault else "") + printable(node.name)
    if node.owner:
        yield "owner", printable(node.owner)
    if node.alias:
        yield "alias", printable(node.alias)
