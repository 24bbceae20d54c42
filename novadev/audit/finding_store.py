"""The findings of one audit, kept in a temporary file: counted, and read again in order."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import takewhile
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from novadev.audit.commands import Command, rank
from novadev.audit.finding import Comparison, Finding
from novadev.audit.remedies import for_many
from novadev.errors import NovadevError
from novadev.text import natural, printable

if TYPE_CHECKING:
    from typing_extensions import Self


Group = Literal["check", "host", "project", "machine_type"]
_OF_GUESTS = ("project", "machine_type")
_NAMES = tuple(field.name for field in fields(Finding))
_VALUES = attrgetter(*_NAMES)
_COLUMNS = ", ".join(f'"{name}"' for name in _NAMES)
_OWN = ("command", "place")
"""Of a remedy: the command without the server if it takes many, and where it has to stand."""
_INSERT = "INSERT INTO {table} VALUES (?" + ", ?" * (len(_NAMES) + len(_OWN) - 1) + ")"
_TABLE = f"({_COLUMNS}, {', '.join(_OWN)})"
_IS_APART = "CASE WHEN comparison IN ('mended', 'not checked') THEN comparison END IS"
"""What the earlier audit alone has found has a word for it; the others are acknowledged."""
_CACHE_KIB = 8192
_WORD = re.compile(r"[a-z][a-z_-]*")


@dataclass(frozen=True)
class Tally:
    """How many findings have one value: those of each severity, and the guests they are of."""

    value: str
    failures: int = 0
    warnings: int = 0
    guests: int = 0

    @property
    def findings(self) -> int:
        """All of them."""
        return self.failures + self.warnings


@dataclass(frozen=True)
class Kind:
    """The commands that are one with other arguments."""

    command: str
    commands: tuple[Command, ...]

    @property
    def servers(self) -> int:
        """How many servers they are for, each counted with every command."""
        return sum(command.servers for command in self.commands)

    @property
    def checks(self) -> str:
        """The checks that ask for them."""
        names = ", ".join(command.checks for command in self.commands).split(", ")
        return ", ".join(dict.fromkeys(names))


def _finding(row: Sequence[Any]) -> Finding:
    """Return the finding of a ROW: SQLite has a number for whether it is told once."""
    found = Finding(*row)
    return replace(found, once=bool(found.once))


class Collected:
    """Findings on disk, in a temporary file that has no name.

    Text is kept as it is shown, without control characters: a value that Nova has as JSON may
    hold half a character, which no file takes.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.create_collation("by_number", _compare)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for table in ("finding", "apart"):
            self._database.execute(f"CREATE TABLE {table} {_TABLE}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, finding: Finding) -> None:
        """Keep FINDING; raises NovadevError where there is no room for it.

        What somebody lives with, is mended or was not checked is kept apart, and in no number.
        """
        values = [printable(item) if isinstance(item, str) else item for item in _VALUES(finding)]
        remedy = finding.remedy
        own: tuple[str | int | None, ...] = (None, None)
        if remedy is not None:
            own = for_many(remedy, finding.instance), rank(remedy)
        insert = _INSERT.format(table="finding" if finding.counts else "apart")
        try:
            self._database.execute(insert, (*values, *own))
        except sqlite3.OperationalError as error:
            raise NovadevError(
                f"the findings cannot be written to a temporary file: {error}"
            ) from None

    def passing(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield FINDINGS as they come, and keep each."""
        for finding in findings:
            self.add(finding)
            yield finding

    def by(self, group: Group) -> list[Tally]:
        """Return a tally for each value of GROUP (empty if unknown), failures first.

        A finding that is of no guest has no project and no machine type, known or not.
        """
        of = "instance IS NOT NULL" if group in _OF_GUESTS else "1"
        rows = self._database.execute(
            f"""SELECT coalesce("{group}", '') AS value, sum(severity = 'failure') AS failures,
                       sum(severity = 'warning') AS warnings, count(DISTINCT instance)
                FROM finding WHERE {of} GROUP BY 1
                ORDER BY failures DESC, warnings DESC, value COLLATE by_number"""  # noqa: S608 - one of four
        )
        return [Tally(*row) for row in rows]

    def total(self) -> Tally:
        """Return the tally of everything."""
        row = self._database.execute(
            """SELECT '', count(*) FILTER (WHERE severity = 'failure'),
                      count(*) FILTER (WHERE severity = 'warning'), count(DISTINCT instance)
               FROM finding"""
        ).fetchone()
        return Tally(*row)

    def failures_elsewhere(self) -> int:
        """Return how many failures are of no guest: of a host, a cell or a foreign domain."""
        row = self._database.execute(
            "SELECT count(*) FROM finding WHERE severity = 'failure' AND instance IS NULL"
        ).fetchone()
        return int(row[0])

    def guests_at_risk(self) -> tuple[int, int]:
        """Return how many guests have a failure, and how many more have nothing but warnings."""
        row = self._database.execute(
            """SELECT count(*) FILTER (WHERE worst = 'failure'),
                      count(*) FILTER (WHERE worst = 'warning')
               FROM (SELECT min(severity) AS worst FROM finding
                     WHERE instance IS NOT NULL GROUP BY instance)"""
        ).fetchone()
        return (row[0], row[1])

    def worst(self, limit: int) -> Iterator[Finding]:
        """Yield at most LIMIT findings by severity, check and host.

        Where there are more, failures go before warnings, and the checks of one severity take
        turns, so that one which found a hundred thousand leaves room for the others.
        """
        rows = self._database.execute(
            f"""WITH taken AS (
                  SELECT rowid AS id, severity, row_number() OVER (
                    PARTITION BY severity, "check" ORDER BY rowid) AS turn
                  FROM finding ORDER BY severity, turn LIMIT ?)
                SELECT {_COLUMNS} FROM finding WHERE rowid IN (SELECT id FROM taken)
                ORDER BY severity, "check", host COLLATE by_number, name COLLATE by_number,
                         rowid""",  # noqa: S608 - names of our own
            (limit,),
        )
        return map(_finding, rows)

    def kinds(self) -> list[Kind]:
        """Return the kinds of commands, in the order in which they work."""
        found: dict[str, list[Command]] = {}
        for command in self.commands():
            found.setdefault(kind_of(command.text), []).append(command)
        return [Kind(kind, tuple(commands)) for kind, commands in found.items()]

    def commands(self) -> list[Command]:
        """Return the commands in the order in which they work: those that have to wait last."""
        rows = self._database.execute(
            """SELECT coalesce(command, remedy), group_concat(DISTINCT "check"),
                      replace(needs, 'decision', 'command') AS due, command IS NOT NULL,
                      count(DISTINCT instance)
               FROM finding WHERE remedy IS NOT NULL
               GROUP BY due, coalesce(command, remedy)
               ORDER BY due, min(place), min(severity), min(rowid)"""
        )
        return [
            Command(text, checks.replace(",", ", "), needs, bool(takes_many), servers)
            for text, checks, needs, takes_many, servers in rows
        ]

    def servers(self, command: Command, limit: int | None = None) -> Iterator[str]:
        """Yield the UUIDs of the servers that COMMAND is for, at most LIMIT, as they were found."""
        rows = self._database.execute(
            """SELECT instance FROM finding
               WHERE coalesce(command, remedy) = ? AND replace(needs, 'decision', 'command') = ?
               GROUP BY instance ORDER BY min(severity), min(rowid) LIMIT ?""",
            (command.text, command.needs, -1 if limit is None else limit),
        )
        return (row[0] for row in rows)

    def apart(self, comparison: Comparison | None, limit: int) -> Iterator[Finding]:
        """Yield at most LIMIT findings with this COMPARISON or, for None, acknowledged ones."""
        rows = self._database.execute(
            f"""SELECT {_COLUMNS} FROM apart WHERE {_IS_APART} ?
                ORDER BY severity, "check", rowid LIMIT ?""",  # noqa: S608 - names of our own
            (comparison, limit),
        )
        return map(_finding, rows)

    def count_apart(self, comparison: Comparison | None) -> Mapping[str, int]:
        """Return how many findings of each check `apart` has."""
        rows = self._database.execute(
            f"""SELECT "check", count(*) FROM apart WHERE {_IS_APART} ?
                GROUP BY 1 ORDER BY 1""",  # noqa: S608 - names of our own
            (comparison,),
        )
        return dict(rows.fetchall())

    def count_compared(self) -> Mapping[str, int]:
        """Return how many findings are new and how many are still there, by these words."""
        rows = self._database.execute(
            "SELECT comparison, count(*) FROM finding WHERE comparison IS NOT NULL GROUP BY 1"
        )
        return dict(rows.fetchall())

    def without_remedy(self) -> int:
        """Return how many findings have no command that fixes them."""
        row = self._database.execute("SELECT count(*) FROM finding WHERE remedy IS NULL").fetchone()
        return int(row[0])


def _compare(one: str, other: str) -> int:
    """Return -1, 0 or 1 as ONE comes before OTHER in natural order, which has cmp2 before cmp10."""
    first, second = natural(one), natural(other)
    return (first > second) - (first < second)


def kind_of(remedy: str) -> str:
    """Return the command without its arguments: ``novadev image-property set``."""
    program, *words = printable(remedy).split(" ")[:3]
    return " ".join([program, *takewhile(_WORD.fullmatch, words)])
