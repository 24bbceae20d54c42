"""The findings of one audit, kept where they need no memory: counted, and read again in order."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import takewhile
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from novadev.audit.finding import Finding
from novadev.errors import NovadevError
from novadev.text import printable

if TYPE_CHECKING:
    from typing_extensions import Self


Group = Literal["check", "host", "project", "machine_type"]
_NAMES = tuple(field.name for field in fields(Finding))
_VALUES = attrgetter(*_NAMES)
_COLUMNS = ", ".join(f'"{name}"' for name in _NAMES)
_INSERT = f"INSERT INTO finding ({_COLUMNS}, kind) VALUES (?{', ?' * len(_NAMES)})"  # noqa: S608 - names of our own
_TABLE = f"CREATE TABLE finding ({_COLUMNS}, kind)"
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
    """The remedies that are one command with other arguments, and the checks that ask for them."""

    command: str
    remedies: int
    checks: str


class Collected:
    """Findings on disk, in a temporary file that has no name.

    Text is kept as it is shown, without control characters: a value that Nova has as JSON may
    hold half a character, which no file takes.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.execute(_TABLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, finding: Finding) -> None:
        """Keep FINDING; raises NovadevError where there is no room for it."""
        values = [None if value is None else printable(value) for value in _VALUES(finding)]
        kind = None if finding.remedy is None else kind_of(finding.remedy)
        try:
            self._database.execute(_INSERT, (*values, kind))
        except sqlite3.OperationalError as error:
            raise NovadevError(f"no temporary file takes the findings: {error}") from None

    def passing(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield FINDINGS as they come, and keep each."""
        for finding in findings:
            self.add(finding)
            yield finding

    def by(self, group: Group) -> list[Tally]:
        """Return a tally for each value of GROUP, empty where it is not known; failures first."""
        rows = self._database.execute(
            f"""SELECT coalesce("{group}", ''), sum(severity = 'failure') AS failures,
                       sum(severity = 'warning') AS warnings, count(DISTINCT instance)
                FROM finding GROUP BY 1 ORDER BY failures DESC, warnings DESC, 1"""  # noqa: S608 - one of four
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
                ORDER BY severity, "check", host, name, rowid""",  # noqa: S608 - names of our own
            (limit,),
        )
        return (Finding(*row) for row in rows)

    def kinds(self) -> list[Kind]:
        """Return the kinds of remedies, those of failures first."""
        rows = self._database.execute(
            """SELECT kind, count(DISTINCT remedy), group_concat(DISTINCT "check") FROM finding
               WHERE kind IS NOT NULL GROUP BY kind ORDER BY min(severity), 2 DESC, kind"""
        )
        return [Kind(kind, count, checks.replace(",", ", ")) for kind, count, checks in rows]

    def remedies(self, kind: Kind, limit: int) -> Iterator[str]:
        """Yield at most LIMIT remedies of KIND, each once, those of failures first."""
        rows = self._database.execute(
            """SELECT remedy FROM finding WHERE kind = ?
               GROUP BY remedy ORDER BY min(severity), min(rowid) LIMIT ?""",
            (kind.command, limit),
        )
        return (row[0] for row in rows)

    def without_remedy(self) -> int:
        """Return how many findings have no command that mends them."""
        row = self._database.execute("SELECT count(*) FROM finding WHERE remedy IS NULL").fetchone()
        return int(row[0])


def kind_of(remedy: str) -> str:
    """Return the command without its arguments: ``novadev image-property set``."""
    program, *words = printable(remedy).split(" ")[:3]
    return " ".join([program, *takewhile(_WORD.fullmatch, words)])
