"""Records as table, JSON, JSON lines, YAML, CSV or bare values, written as they come."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import click

from novadev.cli.grouping import server_label
from novadev.cli.options import Output
from novadev.cli.session import Session
from novadev.cli.table import Row, Spare, plain, print_table
from novadev.errors import NovadevError
from novadev.text import nearest

NAME = "name"
"""The column with the name of a server."""


def print_records(
    session: Session,
    output: Output,
    kind: type[Any],
    records: Iterable[Any],
    group_by: tuple[str, ...] = (),
    for_people: Callable[[Row], Row] = dict,
    empty: Callable[[], str] | None = None,
    unshown: tuple[str, ...] = (),
    spare: Spare = (),
) -> None:
    """Print RECORDS, instances of the dataclass KIND, whose fields are columns and JSON keys.

    A record of a server that has no field for its name gets the name as the last key.
    GROUP_BY names columns that a table shows as a heading instead: an identity, and its name.
    A table leaves out the columns that are UNSHOWN, and on a narrow terminal those to SPARE,
    unless they are asked for.
    FOR_PEOPLE returns a row as a table shows it; what EMPTY returns is said where it has none.
    Raises click.BadParameter for a column that KIND does not have.
    """
    columns = _chosen(columns_of(kind), output.columns)
    rows = _rows(session, kind, records)
    session.owed = None
    if output.format != "table":
        _write(output.format, columns, rows)
        return
    rows = map(for_people, rows)
    if not output.columns:
        columns = [name for name in columns if name not in unshown and has_field(kind, name)]
        label = labelled_row if lacks_name(kind) else _as_it_is
        rows = (label(session, row) for row in rows)
    shape: tuple[tuple[str, ...], Spare] = ((), ()) if output.columns else (group_by, spare)
    if not print_table(session, columns, rows, *shape) and empty is not None and (text := empty()):
        session.say(text)


def _write(format_: str, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Print the COLUMNS of ROWS; an error among them is raised when their document is whole."""
    errors: list[NovadevError] = []

    def until_error() -> Iterator[Row]:
        try:
            for row in rows:
                yield {name: row[name] for name in columns}
        except NovadevError as error:
            errors.append(error)

    WRITERS[format_](columns, until_error())
    if errors:
        raise errors[0]


def columns_of(kind: type[Any]) -> list[str]:
    """Return the columns of records of KIND, which are their JSON keys too."""
    names = [field.name for field in dataclasses.fields(kind)]
    return [*names, NAME] if lacks_name(kind) else names


def lacks_name(kind: type[Any]) -> bool:
    """Whether records of KIND are about a server and have no field for its name.

    The name comes last then: it may have blanks, and columns of "-f value" keep their places.
    """
    return has_field(kind, "instance") and not has_field(kind, NAME)


def has_field(kind: type[Any], name: str) -> bool:
    """Whether the dataclass KIND has a field of this NAME."""
    return any(field.name == name for field in dataclasses.fields(kind))


def _rows(session: Session, kind: type[Any], records: Iterable[Any]) -> Iterator[Row]:
    """Yield RECORDS by their columns."""
    fields, is_unnamed = [item.name for item in dataclasses.fields(kind)], lacks_name(kind)
    for record in records:
        row = {name: getattr(record, name) for name in fields}
        yield row | {NAME: session.names.get(row["instance"] or "") or None} if is_unnamed else row


def labelled_row(session: Session, row: Row) -> Row:
    """Return ROW with its server as ``name (UUID)``."""
    uuid = row["instance"]
    if uuid is None:
        return row
    return row | {"instance": server_label(uuid, session.names.get(uuid))}


def _as_it_is(_session: Session, row: Row) -> Row:
    return row


def _chosen(known: Sequence[str], wanted: tuple[str, ...]) -> list[str]:
    for name in wanted:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean {near}?" if near else f"The columns are {', '.join(known)}"
            raise click.BadParameter(f"no column {name!r}. {hint}")
    return list(wanted or known)


def _write_json(_columns: Sequence[str], rows: Iterator[Row]) -> None:
    separator = "[\n  "
    for row in rows:
        sys.stdout.write(separator + json.dumps(row))  # click would flush each of 100,000
        separator = ",\n  "
    click.echo("[]" if separator.startswith("[") else "\n]")


def _write_jsonl(_columns: Sequence[str], rows: Iterator[Row]) -> None:
    for row in rows:
        click.echo(json.dumps(row))  # flushed each: who reads them need not wait for the last


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
        writer.writerow([_no_formula(plain(row[name])) for name in columns])


_FORMULA = re.compile(r"[=+\-@](?![0-9.]+$)")
_QUOTE = "'"


def _no_formula(text: str) -> str:
    """Return TEXT with a quote before what a spreadsheet would take for a formula.

    A user of the cloud chooses names, and the quote is how spreadsheets mark a text. A tab or a
    line break, which they skip, is an escape by now. A number stays one.
    """
    return _QUOTE + text if _FORMULA.match(text) else text


def _write_value(columns: Sequence[str], rows: Iterator[Row]) -> None:
    for row in rows:
        click.echo(" ".join(_word(row[name]) for name in columns))


def _word(value: Any) -> str:
    """Return VALUE as the OpenStack clients do: a null is None, so columns keep their places."""
    return str(value) if value is None else plain(value)


WRITERS: dict[str, Callable[[Sequence[str], Iterator[Row]], None]] = {
    "json": _write_json,
    "jsonl": _write_jsonl,
    "yaml": _write_yaml,
    "csv": _write_csv,
    "value": _write_value,
}


def presence(before: str, after: str, words: tuple[str, str]) -> Callable[[Row], Row]:
    """Return what shows a row of a device that comes or goes: WORDS for the one and the other.

    BEFORE and AFTER are the columns with the device, in one of which there is none.
    """

    def for_people(row: Row) -> Row:
        if row["field"] != "device" or (row[before] is None) == (row[after] is None):
            return row
        came, went = words
        return row | {after: came if row[before] is None else went}

    return for_people
