"""Shows the progress of a long run on stderr if stderr is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from novadev.cli.session import Session
from novadev.cli.talk import talking_above

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")


@contextmanager
def progress(session: Session, total: int) -> Iterator[Callable[[], object]]:
    """Show a progress bar on stderr when it is a terminal; give a function that counts one on."""
    if total < 2 or not _is_watched(session):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True) as bar, talking_above(_printer(console)):
        task = bar.add_task("applying", total=total)
        yield lambda: bar.advance(task)


def _printer(console: Console) -> Callable[[str], None]:
    """Return what prints a line on CONSOLE as it is, above a line that is redrawn there."""

    def print_above(text: str) -> None:
        console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    return print_above


def counted(
    session: Session, items: Iterable[T], more: Callable[[], str] = lambda: ""
) -> Iterator[T]:
    """Yield ITEMS, of which nobody knows how many there are, showing how many have come.

    What MORE returns is shown beside it, and asked for again and again.
    """
    if not _is_watched(session):
        yield from items
        return
    from rich.console import Console
    from rich.progress import (
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class MoreColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(more())

    done = TextColumn("{task.completed} done")
    columns = (SpinnerColumn(), done, TimeElapsedColumn(), MoreColumn())
    console = Console(stderr=True, no_color=True if session.color == "never" else None)
    prints = sys.stdout.isatty()
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=prints)
    with bar, talking_above(_printer(console)):
        task = bar.add_task("", total=None)
        for item in items:
            yield item
            bar.advance(task)


def _is_watched(session: Session) -> bool:
    return sys.stderr.isatty() and not session.quiet
