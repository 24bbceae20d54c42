"""Tables: as wide as their values in a pipe, and fitted to a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

import click

from novadev.cli.grouping import server_label
from novadev.cli.options import screen_width
from novadev.cli.session import Session
from novadev.text import printable

Row = dict[str, Any]
FAULTS = frozenset(("agrees",))
"""Columns in which "no" is a fault, and so is written large."""
_WIDTH_SAMPLE = 500
_WHOLE = 38
"""Characters of a UUID in parentheses: a word of so many is not broken, a longer path may be."""


def print_table(
    session: Session,
    columns: Sequence[str],
    rows: Iterator[Row],
    group_by: tuple[str, ...] = (),
    spare: Sequence[str] = (),
) -> int:
    """Print ROWS as a table, a few hundred at a time in columns of one width; return how many.

    A terminal that has no room for all the columns is not given those that it can SPARE.
    """
    count = 0
    widths: dict[str, Width] = {}
    shown = [name for name in columns if name not in group_by]
    previous: str | None = None
    while page := list(islice(rows, _WIDTH_SAMPLE)):
        count += len(page)
        _widen(widths, shown, page)
        shown = _without_spare(shown, spare, widths)
        for heading, members in groupby(page, lambda row: _heading(row, group_by)):
            if heading and heading != previous:
                click.echo(("\n" if previous else "") + _bold(session, heading))
            print_page = _print_rich if _folds(session) else _print_plain
            print_page(session, shown, list(members), widths, heading != previous)
            previous = heading
    return count


def _heading(row: Row, group_by: tuple[str, ...]) -> str:
    """Return what stands above the rows that share it: ``name (UUID)``, ``name (UUID) on host``."""
    texts = [_cell(row[name]) for name in group_by]
    if group_by == ("instance", "name"):
        return server_label(*texts)
    return " on ".join(texts)


def _without_spare(columns: list[str], spare: Sequence[str], widths: dict[str, Width]) -> list[str]:
    """Return COLUMNS without those to SPARE, unless a line of the terminal holds them all."""
    if _one_line_holds(columns, widths):
        return columns
    return [name for name in columns if name not in spare]


def _one_line_holds(columns: Sequence[str], widths: dict[str, Width]) -> bool:
    """Whether the longest values have room beside each other; they always have in a pipe."""
    room = screen_width(sys.stdout)
    return room is None or sum(widths[name].value + 2 for name in columns) - 2 <= room


def _bold(session: Session, text: str) -> str:
    return click.style(text, bold=True) if session.is_colored else text


class Width(NamedTuple):
    """How wide a column is: for its longest value, and for the longest word that stays whole."""

    value: int
    word: int


def _widen(widths: dict[str, Width], columns: Sequence[str], page: list[Row]) -> None:
    for name in columns:
        cells = [_cell(row[name], name) for row in page]
        words = [*name.split("_"), *(word for cell in cells for word in cell.split())]
        longest = min(_WHOLE, max(map(len, words)))
        found = Width(max(*map(len, cells), *map(len, name.split("_"))), longest)
        widths[name] = Width(*map(max, widths.get(name, found), found))


def _cell(value: Any, column: str = "") -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO" if column in FAULTS else "no"
    return "-" if value in (None, ()) else plain(value)


def _folds(session: Session) -> bool:
    """Whether a table is fitted to a terminal or coloured; only that is worth loading rich."""
    return sys.stdout.isatty() or session.is_colored


def _print_plain(
    _session: Session,
    columns: Sequence[str],
    rows: list[Row],
    widths: dict[str, Width],
    with_header: bool,
) -> None:
    wide = {name: max(widths[name].value, len(name)) for name in columns}
    lines = [[_cell(row[name], name) for name in columns] for row in rows]
    if with_header:
        lines.insert(0, [name.replace("_", " ") for name in columns])
    for line in lines:
        cells = (f"{cell:<{wide[name]}}" for name, cell in zip(columns, line, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_rich(
    session: Session,
    columns: Sequence[str],
    rows: list[Row],
    widths: dict[str, Width],
    with_header: bool,
) -> None:
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout,
        width=None if terminal else 10_000,
        force_terminal=session.is_colored or None,
        color_system="auto" if session.is_colored else None,
        highlight=False,
        legacy_windows=False,
    )
    exact = _widths_that_fit(columns, widths, console.width)
    if exact is None:
        for row in rows:
            console.print(_expanded(columns, row), crop=False)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=with_header, pad_edge=False)
    for name in columns:
        table.add_column(name.replace("_", " "), width=exact[name], overflow="fold")
    for row in rows:
        table.add_row(*(_styled(row, name) for name in columns))
    console.print(table, crop=False, soft_wrap=not terminal)


def _widths_that_fit(
    columns: Sequence[str], widths: dict[str, Width], room: int
) -> dict[str, int] | None:
    """Return the width of each column, with its header on one line if there is ROOM for that.

    Where the longest values have no room beside each other, they are folded between words. None
    where not even the longest words have.
    """
    room -= 2 * (len(columns) - 1)
    roomy = {name: max(widths[name].value, len(name)) for name in columns}
    for wanted in (roomy, {name: widths[name].value for name in columns}):
        if sum(wanted.values()) <= room:
            return wanted
    found = {name: widths[name].word for name in columns}
    left = room - sum(found.values())
    if left < 0:
        return None
    lacking = sorted(columns, key=lambda name: widths[name].value - widths[name].word)
    for number, name in enumerate(lacking):
        more = min(widths[name].value - found[name], left // (len(lacking) - number))
        found[name], left = found[name] + more, left - more
    return found


def fits(columns: Sequence[str], rows: Sequence[Row]) -> bool:
    """Whether each of ROWS has a line for itself; it always has where there is no terminal."""
    widths: dict[str, Width] = {}
    _widen(widths, columns, list(rows))
    return _one_line_holds(columns, widths)


def _expanded(columns: Sequence[str], row: Row) -> Any:
    """Return ROW with a line for each column: a UUID or an address is not broken to fit a table."""
    from rich.table import Table

    lines = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for name in columns:
        lines.add_row(name.replace("_", " "), _styled(row, name))
    lines.add_row("", "")
    return lines


def _styled(row: Row, column: str) -> Any:
    from rich.text import Text

    return Text(_cell(row[column], column), _style(row[column], column))


def _style(value: Any, column: str) -> str:
    is_wrong = (value is False and column in FAULTS) or value in ("failed", "stale")
    return "bold red" if is_wrong else ""


def plain(value: Any) -> str:
    """Return VALUE as one text without control characters; an empty one of None."""
    if isinstance(value, tuple):
        return "; ".join(map(plain, value))
    return "" if value is None else printable(str(value))
