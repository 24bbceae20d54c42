"""Records as table, JSON, YAML, CSV or bare values, written as they come."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import click

from novadev.cli.options import Output
from novadev.cli.session import Session
from novadev.cli.text import printable

Row = dict[str, Any]
_WIDTH_SAMPLE = 500


def print_records(
    session: Session,
    output: Output,
    kind: type[Any],
    records: Iterable[Any],
    group_by: str | None = None,
) -> None:
    """Print RECORDS, instances of the dataclass KIND, whose fields are columns and JSON keys.

    GROUP_BY names a column that a table on a terminal shows as a heading instead.
    Raises click.BadParameter for a column that KIND does not have.
    """
    known = [field.name for field in dataclasses.fields(kind)]
    columns = _chosen(known, output.columns)
    rows = ({name: getattr(record, name) for name in known} for record in records)
    if output.format == "table":
        grouped = group_by if not output.columns else None
        print_table(session, columns, rows, grouped)
    else:
        WRITERS[output.format](columns, ({name: row[name] for name in columns} for row in rows))


def _chosen(known: Sequence[str], wanted: tuple[str, ...]) -> list[str]:
    for name in wanted:
        if name not in known:
            raise click.BadParameter(f"no column {name!r}: there are {', '.join(known)}")
    return list(wanted or known)


def _write_json(_columns: Sequence[str], rows: Iterator[Row]) -> None:
    separator = "[\n  "
    for row in rows:
        click.echo(separator + json.dumps(row), nl=False)
        separator = ",\n  "
    click.echo("[]" if separator.startswith("[") else "\n]")


def _write_yaml(_columns: Sequence[str], rows: Iterator[Row]) -> None:
    import yaml

    first = next(rows, None)
    if first is None:
        click.echo("[]")
        return
    for row in chain([first], rows):
        click.echo(yaml.safe_dump([row], sort_keys=False), nl=False)


def _write_csv(columns: Sequence[str], rows: Iterator[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_plain(row[name]) for name in columns])


def _write_value(columns: Sequence[str], rows: Iterator[Row]) -> None:
    for row in rows:
        click.echo(" ".join(_plain(row[name]) for name in columns))


WRITERS: dict[str, Callable[[Sequence[str], Iterator[Row]], None]] = {
    "json": _write_json,
    "yaml": _write_yaml,
    "csv": _write_csv,
    "value": _write_value,
}


def _plain(value: Any) -> str:
    return "" if value is None else printable(str(value))


def print_table(
    session: Session, columns: Sequence[str], rows: Iterator[Row], group_by: str | None = None
) -> None:
    """Print ROWS as a table, a few hundred at a time in columns of one width."""
    widths: dict[str, int] = {}
    heading: object = None
    shown = [name for name in columns if name != group_by]
    while page := list(islice(rows, _WIDTH_SAMPLE)):
        _widen(widths, shown, page)
        for group, members in _groups(page, group_by):
            if group is not None and group != heading:
                click.echo(("" if heading is None else "\n") + _heading(session, group))
            _print_page(session, shown, members, widths, group != heading or heading is None)
            heading = group if group is not None else True


def _heading(session: Session, text: object) -> str:
    return click.style(_plain(text), bold=True) if session.is_colored else _plain(text)


def _widen(widths: dict[str, int], columns: Sequence[str], page: list[Row]) -> None:
    for name in columns:
        longest = max(len(_cell(row[name])) for row in page)
        widths[name] = max(widths.get(name, 0), longest, *(len(w) for w in name.split("_")))


def _groups(page: list[Row], group_by: str | None) -> Iterator[tuple[object, list[Row]]]:
    members: list[Row] = []
    for row in page:
        if group_by and members and row[group_by] != members[0][group_by]:
            yield members[0][group_by], members
            members = []
        members.append(row)
    yield members[0][group_by] if group_by else None, members


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return "-" if value is None else printable(str(value))


def _print_page(
    session: Session,
    columns: Sequence[str],
    rows: list[Row],
    widths: dict[str, int],
    with_header: bool,
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=with_header, pad_edge=False)
    for name in columns:
        table.add_column(name.replace("_", " "), min_width=widths[name], overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row[name]), _style(row[name])) for name in columns))
    console = Console(
        file=sys.stdout,
        width=None if terminal else 10_000,
        force_terminal=session.is_colored or None,
        no_color=not session.is_colored,
        highlight=False,
        legacy_windows=False,
    )
    console.print(table, crop=False, soft_wrap=not terminal)


def _style(value: Any) -> str:
    return "bold red" if value is False or value in ("failed", "stale") else ""
