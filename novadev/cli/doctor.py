"""``novadev doctor``."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import help, options
from novadev.cli.options import Output
from novadev.cli.output import print_records
from novadev.cli.progress import counted
from novadev.cli.session import Session, pass_session
from novadev.cli.table import print_table
from novadev.text import many, natural, printable

if TYPE_CHECKING:
    from novadev.doctor.result import Result

COLUMNS = ("status", "subject", "details")
"""What a table has of a result, below its check."""
_NAMED = 3


def _in_spite_of_values(function: Callable[..., int]) -> Callable[..., int]:
    """Let the command go on with the defaults of options that have wrong values."""

    @functools.wraps(function)
    def command(session: Session, **values: Any) -> int:
        session.wrong_values = []
        return function(session, **values)

    return command


@help.command(short_help="Check whether novadev can work on this machine.")
@options.compute_hosts("Contact only this compute host, such as cmp1 or 'cmp*'; may be repeated.")
@options.output
@pass_session
@_in_spite_of_values
@options.host_workers
def doctor(session: Session, hosts: tuple[str, ...], output: Output) -> int:
    """Check configuration, databases, rights, hosts, state, capability files and units.

    It changes nothing. For a right that the database account lacks, it prints the GRANT statement.
    It exits with the code of the worst failure; a warning is no failure.

    Example: novadev doctor --host cmp1
    """
    from novadev.doctor.examining import examine
    from novadev.doctor.result import Result
    from novadev.errors import worst

    tally = Tally()
    found = examine(
        lambda: (session.deployment, session.wrong_values or ()),
        *(session.config_files, session.config_dirs, hosts),
    )
    results = tally.counted(_in_order(counted(session, found)))
    if output.format != "table" or output.columns:
        print_records(session, output, Result, results)
    else:
        print_table(session, ("check", *COLUMNS), _rows(results), ("check",))
        tally.print_remedies()
    session.say(f"{many(tally.failures, 'failure')}, {many(tally.warnings, 'warning')}.")
    return worst(tally.codes)


def _rows(results: Iterable[Result]) -> Iterator[dict[str, str]]:
    """Yield the rows of a table; hosts that fail for the same reason share one."""
    for (check, status, details), members in _together(results):
        names = [item.subject for item in members]
        subject, text = members[0].subject, members[0].details
        if len(names) > 1:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            subject = f"{len(names)} hosts: {', '.join(names[:_NAMED])}{more}"
            text = details
        yield {"check": check, "status": status, "subject": subject, "details": text}


def _together(results: Iterable[Result]) -> Iterator[tuple[tuple[str, str, str], list[Result]]]:
    """Yield those of each check that share a row, with what they have in common."""
    for _, of_check in groupby(results, lambda item: item.check):
        found: dict[tuple[str, str, str], list[Result]] = {}
        for item in of_check:
            found.setdefault(_common(item), []).append(item)
        yield from found.items()


def _in_order(results: Iterable[Result]) -> Iterator[Result]:
    """Yield RESULTS with the hosts by their names, in whatever order they have answered."""
    for is_host, group in groupby(results, lambda item: item.check == "host"):
        members = list(group)
        if is_host:
            members.sort(key=lambda item: natural(item.subject))
        yield from members


def _common(item: Result) -> tuple[str, str, str]:
    """Return what results that share a row have in common."""
    name = rf"(?<![\w.-]){re.escape(item.subject)}(?![\w-]|\.\w)"
    if item.check == "host" and item.status == "failure":
        return item.check, item.status, re.sub(name, "<host>", item.details)
    return item.check, item.status, f"{item.subject} {item.details}"


class Tally:
    """Counts what is wrong."""

    def __init__(self) -> None:
        self.failures, self.warnings = 0, 0
        self.codes: set[int] = set()
        self._with_remedies: list[Result] = []

    def counted(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield RESULTS."""
        for item in results:
            self.failures += item.status == "failure"
            self.warnings += item.status == "warning"
            self.codes.add(item.exit_code)
            self._with_remedies += [item] if item.remedies else []
            yield item

    def print_remedies(self) -> None:
        """Print the remedies, each line ready to be pasted."""
        for item in self._with_remedies:
            click.echo(f"\n{item.check}, {printable(item.subject)}:")
            for line in item.remedies:
                click.echo(f"  {printable(line)}")
