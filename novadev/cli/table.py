"""Tables: as wide as their values in a pipe, and fitted to a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from novadev.cli.grouping import server_label
from novadev.cli.options import screen_width
from novadev.cli.session import Session
from novadev.text import printable

if TYPE_CHECKING:
    from rich.console import Console

Row = dict[str, Any]
Spare = Sequence[tuple[str, ...]]
"""Columns that a narrow table may leave out: those of the first tuple first."""
FAULTS = frozenset(("agrees",))
"""Columns in which "no" is a fault, and so is written large."""
NAMES = frozenset(("server", "name", "instance", "guest"))
"""Columns with names of servers: any user may choose one of 255 letters."""
TEXTS = frozenset(("message",))
"""Columns with text of an operator, which a list need not have in full."""
_WIDTH_SAMPLE = 500
_USUAL = 80
"""A longer value is whole in a pipe, but pads no other line."""
_LONG = 40
"""What is longer is cut before a column is left out."""
_SHORT = {"message": 12}
"""To how many characters of these columns a line is worth a cut, where nothing can be spared."""
_SHORT_NAME = 24
_WHOLE = 38
"""Characters of a UUID in parentheses: a word of so many is not broken, a longer path may be."""


def print_table(
    session: Session,
    columns: Sequence[str],
    rows: Iterator[Row],
    group_by: tuple[str, ...] = (),
    spare: Spare = (),
) -> int:
    """Print ROWS as a table, a few hundred at a time in columns of one width; return how many.

    A terminal that has no room for all the columns is not given those that it can SPARE, and long
    names of servers and texts only in part.
    """
    count = 0
    widths: dict[str, Width] = {}
    shown = [name for name in columns if name not in group_by]
    previous: str | None = None
    while page := list(islice(rows, _WIDTH_SAMPLE)):
        count += len(page)
        page = _cut(shown, spare, page)
        _widen(widths, shown, page)
        shown = _without_spare(shown, spare, widths)
        for heading, group in groupby(page, lambda row: _heading(row, group_by)):
            members = list(group)
            if heading and heading != previous:
                text = _heading(_cut_to_line(members[0], group_by), group_by)
                click.echo(("\n" if previous else "") + _bold(session, text))
            print_page = _print_rich if _folds(session) else _print_plain
            print_page(session, shown, members, widths, heading != previous)
            previous = heading
    return count


def _heading(row: Row, group_by: tuple[str, ...]) -> str:
    """Return what stands above the rows that share it: ``name (UUID)``, ``name (UUID) on host``."""
    texts = [_cell(row[name]) for name in group_by]
    if group_by == ("instance", "name"):
        return server_label(*texts)
    return " on ".join(texts)


def _cut_to_line(row: Row, group_by: tuple[str, ...]) -> Row:
    """Return ROW with its name cut as far as a line of the terminal asks for as a heading."""
    room, length = screen_width(sys.stdout), len(_heading(row, group_by))
    if room is None or length <= room:
        return row
    texts = {name: _parted(plain(row[name]))[0] for name in NAMES.intersection(group_by)}
    limits = {name: max(_SHORT_NAME, len(text) - length + room) for name, text in texts.items()}
    return row | {name: _shortened(row[name], limit) for name, limit in limits.items()}


def _without_spare(columns: list[str], spare: Spare, widths: dict[str, Width]) -> list[str]:
    """Return COLUMNS without as many of those to SPARE as a line of the terminal asks for."""
    for group in spare:
        if _one_line_holds(columns, widths):
            break
        columns = [name for name in columns if name not in group]
    return columns


def _cut(columns: Sequence[str], spare: Spare, page: list[Row]) -> list[Row]:
    """Return PAGE with names and texts cut as far as a line of the terminal asks for.

    Where no line holds a row even so, only what would take lines of its own is cut.
    """
    if screen_width(sys.stdout) is None:
        return page
    left = list(columns)
    for group in ((), *spare):
        left = [name for name in left if name not in group]
        if (found := _cut_to_fit(left, page, dict.fromkeys(left, _LONG))) is not None:
            return found
    if (found := _cut_to_fit(left, page, _SHORT)) is not None:
        return found
    for name in NAMES.intersection(columns):
        page = [row | {name: _shortened(row[name], _WHOLE)} for row in page]
    return page


def _cut_to_fit(
    columns: Sequence[str], page: list[Row], least: Mapping[str, int]
) -> list[Row] | None:
    """Return PAGE with names and texts cut, to no less than LEAST, so that each row is one line.

    None where that is not enough.
    """
    lacking = 0
    for name in ("", *filter(TEXTS.__contains__, columns), *filter(NAMES.__contains__, columns)):
        widths: dict[str, Width] = {}
        if name:
            longest = max(len(_parted(plain(row[name]))[0]) for row in page)
            limit = max(least.get(name, _SHORT_NAME), longest - lacking)
            page = [row | {name: _shortened(row[name], limit, name in TEXTS)} for row in page]
        _widen(widths, columns, page)
        if (lacking := _lacking(columns, widths)) <= 0:
            return page
    return None


_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IDENTITY = re.compile(rf"(?:{_UUID}| ?\({_UUID}\))$")


def _parted(text: str) -> tuple[str, str]:
    """Return what of TEXT may be cut, and the UUID after it."""
    found = _IDENTITY.search(text)
    place = found.start() if found else len(text)
    return text[:place], text[place:]


def _shortened(value: Any, limit: int, at_end: bool = False) -> Any:
    """Return VALUE with LIMIT characters of its text, without the middle of it or AT_END."""
    if not isinstance(value, str):
        return value
    text, identity = _parted(printable(value))
    if len(text) <= limit:
        return value
    end = 0 if at_end else limit // 3
    return f"{text[: limit - 1 - end]}…{text[len(text) - end :]}{identity}"


def short_name(name: str) -> str:
    """Return NAME as a narrow table may have it."""
    return str(_shortened(name, _SHORT_NAME))


def _one_line_holds(columns: Sequence[str], widths: dict[str, Width]) -> bool:
    """Whether the longest values have room beside each other; they always have in a pipe."""
    return _lacking(columns, widths) <= 0


def _lacking(columns: Sequence[str], widths: dict[str, Width]) -> int:
    """Return how many columns the terminal lacks for the longest values beside each other."""
    room = screen_width(sys.stdout)
    needed = sum(widths[name].value + 2 for name in columns) - 2
    return 0 if room is None else needed - room


def _bold(session: Session, text: str) -> str:
    return click.style(text, bold=True) if session.is_colored else text


class Width(NamedTuple):
    """How wide a column is: for its longest value, and for the longest word that stays whole.

    ``usual`` is for the longest value of at most `_USUAL` characters.
    """

    value: int
    word: int
    usual: int


def _widen(widths: dict[str, Width], columns: Sequence[str], page: list[Row]) -> None:
    for name in columns:
        cells = [_cell(row[name], name) for row in page]
        words = [*name.split("_"), *(word for cell in cells for word in cell.split())]
        longest = min(_WHOLE, max(map(len, words)))
        lengths = [*map(len, cells), *map(len, name.split("_"))]
        usual = max(length for length in lengths if length <= _USUAL)
        found = Width(max(lengths), longest, usual)
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
    wide = {name: max(widths[name].usual, len(name)) for name in columns}
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
    from rich.table import Table

    console = _console(session)
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
    console.print(table, crop=False, soft_wrap=not sys.stdout.isatty())


def _console(session: Session) -> Console:
    from rich.console import Console

    return Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else 10_000,
        force_terminal=session.is_colored or None,
        color_system="auto" if session.is_colored else None,
        highlight=False,
        legacy_windows=False,
    )


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
    """Whether each of ROWS has a line for itself, its name cut if need be.

    It always has where there is no terminal.
    """
    return _cut_to_fit(columns, list(rows), _SHORT) is not None


def print_fields(session: Session, record: Mapping[str, Any]) -> None:
    """Print RECORD with a line for each field; the value is folded beside the name."""
    rows: list[Row] = [{"field": name, "value": value} for name, value in record.items()]
    columns, widths = ("field", "value"), dict[str, Width]()
    _widen(widths, columns, rows)
    room = screen_width(sys.stdout)
    if room is None or _widths_that_fit(columns, widths, room) is not None:
        print_table(session, columns, iter(rows))
    else:
        _console(session).print(_pairs((row["field"], _styled(row, "value")) for row in rows))


def _expanded(columns: Sequence[str], row: Row) -> Any:
    """Return ROW with a line for each column: a UUID or an address is not broken to fit a table."""
    lines = _pairs((name.replace("_", " "), _styled(row, name)) for name in columns)
    lines.add_row("", "")
    return lines


def _pairs(pairs: Iterable[tuple[str, Any]]) -> Any:
    from rich.table import Table

    lines = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for pair in pairs:
        lines.add_row(*pair)
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
