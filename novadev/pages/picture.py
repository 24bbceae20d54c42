"""The devices of one guest as an SVG: the tree of ``device show --tree``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from novadev.device.topology import Node
from novadev.pages.environment import environment

_TEMPLATES = Path(__file__).parent / "templates"
_WIDTH, _LINE, _INDENT, _MARGIN = 8, 22, 24, 16
"""Pixels: a character, a line, a step to the right, the border."""


@dataclass(frozen=True)
class _Line:
    """A line of the picture: where its text begins, and the path from the line above it."""

    x: int
    y: int
    path: str
    node: Node


def picture(heading: str, roots: Sequence[Node]) -> str:
    """Return ROOTS below HEADING as an SVG."""
    placed = [*_numbered(roots)]
    longest = max(len(heading), *(3 * depth + _length(node) for depth, node, _ in placed), 1)
    lines = [
        _Line(_MARGIN + depth * _INDENT, _middle(number) + 4, _branch(depth, number, parent), node)
        for number, (depth, node, parent) in enumerate(placed, 1)
    ]
    return (
        environment(_TEMPLATES)
        .get_template("picture.svg")
        .render(
            heading=heading,
            lines=lines,
            margin=_MARGIN,
            top=_middle(0) + 4,
            gap=2 * _WIDTH,
            width=2 * _MARGIN + longest * _WIDTH,
            height=2 * _MARGIN + _LINE * (len(lines) + 1),
        )
    )


def _numbered(
    nodes: Sequence[Node], parent: int = 0, depth: int = 1
) -> Iterator[tuple[int, Node, int]]:
    """Yield NODES and what is below them, line by line: depth, node, the parent's line."""
    number = parent
    for node in nodes:
        number += 1
        yield depth, node, parent
        below = [*_numbered(node.children, number, depth + 1)]
        yield from below
        number += len(below)


def _length(node: Node) -> int:
    return sum(len(text) + 2 for text in (node.place, node.name, node.owner, node.alias) if text)


def _middle(line: int) -> int:
    return _MARGIN + line * _LINE + _LINE // 2


def _branch(depth: int, number: int, parent: int) -> str:
    """Return the path of SVG from the line of a PARENT down to one of its children."""
    x = _MARGIN + (depth - 1) * _INDENT + 6
    return f"M{x} {_middle(parent) + 8}V{_middle(number)}h{_INDENT - 10}"
