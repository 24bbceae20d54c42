"""The output of an audit: findings, those counted separately, commands and numbers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import click

from novadev.audit.commands import lines_of
from novadev.audit.coverage import Coverage
from novadev.audit.finding import Comparison, Finding
from novadev.audit.finding_store import Collected
from novadev.cli.finding_list import FindingGroups, is_many, place_of
from novadev.cli.options import COMMANDS, FORMATS, Output, screen_width
from novadev.cli.output import print_records
from novadev.cli.session import Session
from novadev.cli.table import print_table
from novadev.text import printable

if TYPE_CHECKING:
    from novadev.audit.auditing import Audit
    from novadev.runs.plan import Skip

COLUMNS = ("severity", "check", "details")
"""What a table has of a finding, below its instance and host."""
_MAX_APART = 20
_MAX_SERVERS = 50
"""So many servers have their commands below groups: more lines would push these away."""


class Totals:
    """Counts findings by severity; counts acknowledged and known ones separately."""

    def __init__(self, fail_on: str) -> None:
        self._fail_on = fail_on
        self.failures, self.warnings, self.acknowledged = 0, 0, 0
        self.decisions, self.unreached = 0, 0
        self._compared: Counter[str] = Counter()

    @property
    def fails(self) -> bool:
        """Whether what was found fails the audit."""
        return bool(self.failures or (self.warnings and self._fail_on == "warning"))

    @property
    def apart(self) -> str:
        """What was counted apart, in words that follow the others; empty for nothing."""
        parts = [f"{self.acknowledged} acknowledged"] if self.acknowledged else []
        parts += [
            f"{self._compared[kind]} {kind}"
            for kind in ("new", "still there", "mended", "not checked")
            if self._compared[kind] or (self._compared and kind != "not checked")
        ]
        return "; ".join(("", *parts))

    def counted(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield FINDINGS."""
        for item in findings:
            if item.comparison:
                self._compared[item.comparison] += 1
            self.acknowledged += item.acknowledged is not None
            if item.counts:
                self.failures += item.severity == "failure"
                self.warnings += item.severity == "warning"
                self.unreached += item.check == "unreachable" and item.severity == "failure"
                is_open = item.remedy is None and item.needs == "decision"
                self.decisions += is_open and item.check != "unreachable"
            yield item


class Beside:
    """The files that an audit is held against: acknowledgements, and an earlier audit."""

    def __init__(self, acknowledgements: str | None, earlier: str | None, run: Audit) -> None:
        """Read the files; raises BadInput for one that is not of its kind."""
        from novadev.audit.acknowledgements import read_acknowledgements
        from novadev.audit.comparison import read_comparison

        self._run = run
        self._accepted = read_acknowledgements(acknowledgements) if acknowledgements else None
        self._earlier = read_comparison(earlier) if earlier else None
        self._name = printable(earlier or "")

    def marked(self, findings: Iterator[Finding | Skip]) -> Iterator[Finding | Skip]:
        """Yield FINDINGS with their acknowledgement and comparison, then those of earlier alone."""
        if self._accepted is not None:
            findings = self._accepted.marked(findings)
        if self._earlier is not None:
            self._run.coverage = Coverage()
            findings = self._earlier.compared(findings, self._run.coverage)
        return findings

    @property
    def counts_again(self) -> bool:
        """Whether a finding counts because its acknowledgement is past its date."""
        return self._accepted is not None and self._accepted.counts_again

    def remarks(self) -> Iterator[str]:
        """Yield what is to be said of the files."""
        if self._accepted is not None:
            is_whole = self._run.selection.is_whole and not self._run.codes
            yield from self._accepted.remarks([one.name for one in self._run.checks if is_whole])
        if self._earlier is not None:
            yield from self._earlier.remarks(self._name)


def print_findings(
    session: Session,
    output: Output,
    findings: Iterator[Finding],
    is_grouped: bool | None,
    collected: Collected,
    keeps: bool,
) -> None:
    """Print FINDINGS in the format of OUTPUT.

    They are COLLECTED where that prints what comes after all of them, or KEEPS says so.
    """
    is_plain = output.format in FORMATS and (output.format != "table" or output.columns)
    if is_plain and not keeps:
        print_records(session, output, Finding, findings)
        return
    kept = collected.passing(findings)
    if is_plain:
        print_records(session, output, Finding, kept)
    elif output.format == "table":
        _print_for_people(session, kept, is_grouped, collected)
    else:
        for _ in kept:
            pass  # they are counted on their way
    if output.format == COMMANDS:
        _print_commands(collected)


def _print_commands(collected: Collected) -> None:
    for command in collected.commands():
        for line in lines_of(command, collected.servers(command)):
            click.echo(line)


def _print_for_people(
    session: Session, findings: Iterator[Finding], is_grouped: bool | None, collected: Collected
) -> None:
    """Print FINDINGS: those of few servers below each, those of many in groups; then the rest."""
    counting = (item for item in findings if item.counts)
    held: list[Finding] = []
    while is_grouped is None and (item := next(counting, None)) is not None:
        held.append(item)
        is_grouped = True if is_many(held) else None
    if is_grouped:
        groups = FindingGroups()
        for item in chain(held, counting):
            groups.add(item)
        for line in groups.lines(screen_width(sys.stdout)):
            click.echo(line)
    else:
        _print_each(session, chain(held, counting))
    _print_apart(session, collected, "mended", "Mended")
    _print_apart(session, collected, None, "Acknowledged")
    _print_what_to_run(collected, bool(is_grouped))


def _print_each(session: Session, findings: Iterator[Finding]) -> None:
    first = next(findings, None)
    if first is None:
        return
    columns = (*COLUMNS[:1], *("comparison",) * (first.comparison is not None), *COLUMNS[1:])
    rows = (
        {"guest": place_of(item), **{name: getattr(item, name) for name in columns}}
        for item in chain((first,), findings)
    )
    print_table(session, ("guest", *columns), rows, ("guest",))


def _print_apart(
    session: Session, collected: Collected, comparison: Comparison | None, title: str
) -> None:
    counts = collected.count_apart(comparison)
    if not counts:
        return
    total = sum(counts.values())
    click.echo(f"\n{title}: {total} ({', '.join(f'{name} {n}' for name, n in counts.items())})")
    found = collected.apart(comparison, _MAX_APART)
    own = () if comparison else ("acknowledged",)
    rows = (
        {"check": item.check, "guest": place_of(item), "details": item.details}
        | {name: getattr(item, name) for name in own}
        for item in found
    )
    print_table(session, ("check", "guest", "details", *own), rows)
    if total > _MAX_APART:
        click.echo(f"{total - _MAX_APART} more; see --format json")


def _print_what_to_run(collected: Collected, is_grouped: bool) -> None:
    """Print the commands; of many servers, where a terminal has groups, how to get them."""
    commands = collected.commands()
    if not commands:
        return
    servers = sum(command.servers for command in commands)
    if is_grouped and servers > _MAX_SERVERS:
        click.echo("\nFor the commands that fix them, run the same audit with --format commands.")
        return
    click.echo("\n# What to run:")
    _print_commands(collected)
