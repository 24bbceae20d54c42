"""``novadev audit``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import audit_rehearsal, help, options
from novadev.cli.audit_rehearsal import Wanted
from novadev.cli.options import Output
from novadev.cli.output import print_records, print_table
from novadev.cli.progress import counted
from novadev.cli.session import Session, pass_session
from novadev.cli.skips import Skips
from novadev.text import many

if TYPE_CHECKING:
    from novadev.audit.collected import Collected
    from novadev.audit.finding import Finding

COLUMNS = ("severity", "check", "details")
"""What a table has of a finding, below its instance and host."""
PROMETHEUS = "prometheus"


@help.command(short_help="Tell before an upgrade which guests will break.")
@options.selection
@click.option(
    "--check",
    "checks",
    multiple=True,
    type=options.TEXT,
    metavar="NAME",
    help="Only this check; may be repeated. A check that needs no host asks none.",
)
@click.option(
    "--capabilities",
    "capability_files",
    multiple=True,
    type=options.TEXT,
    metavar="FILE",
    help="Check every guest against the host of this capability file too; may be repeated.",
)
@click.option(
    "--move",
    type=click.Choice(["power-on", "live-migration"]),
    default="power-on",
    show_default=True,
    help="How guests get to the host of --capabilities: Nova builds them there, or libvirt carries "
    "running ones. Those that do not run are built in any case.",
)
@click.option(
    "--report",
    "report_name",
    type=options.TEXT,
    metavar="FILE.html",
    help="Write a page with charts, a table and the remedies as a runbook.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["warning", "failure"]),
    default="failure",
    show_default=True,
    help="Exit with 3 when there is such a finding, or a worse one.",
)
@audit_rehearsal.rehearsal
@options.how_much
@options.fail_on_skip
@options.output_as(*options.FORMATS, PROMETHEUS)
@pass_session
@options.host_workers
def audit(
    session: Session,
    selection: Any,
    checks: tuple[str, ...],
    capability_files: tuple[str, ...],
    move: Any,
    report_name: str | None,
    fail_on: str,
    summary: bool,
    details: bool,
    fail_on_skip: bool,
    output: Output,
    wanted: Wanted | None,
) -> int:
    """Tell what will break at the next power-on of INSTANCEs, or change, and what to run.

    It reads only, except for a rehearsal. A finding is a failure where a guest would not start, or
    has lost something; a warning where it would change. Each comes with the command that mends it,
    if one can.

    Before hosts are upgraded: save the capability file of one that is (novadev capabilities save),
    and audit against it. For the truth from such a host itself, rehearse there (--rehearse HOST).

    Example: novadev audit --all --capabilities new-host.json --report audit.html
    """
    is_grouped = options.is_grouped(summary, details, sys.stdout)
    session.deployment.hosts.warm()
    from novadev.audit import report
    from novadev.audit.auditing import Audit
    from novadev.audit.checks import choose
    from novadev.audit.collected import Collected
    from novadev.audit.target import read_targets

    if move == "live-migration" and not capability_files:
        raise click.UsageError("--move is for the host of --capabilities FILE: give that too")
    targets = read_targets(capability_files)
    rehearsals = audit_rehearsal.rehearsals_of(session, wanted)
    chosen = choose(checks, bool(targets), rehearsals is not None)
    run = Audit(session.deployment, selection, chosen, targets, rehearsals, move)
    skips, totals = Skips(session, fail_on_skip), Totals(fail_on)
    with ExitStack() as stack:
        page = stack.enter_context(report.opened(report_name)) if report_name else None
        found = totals.counted(skips.sift(counted(session, run.findings(), run.progress)))
        if page is None and output.format != PROMETHEUS:
            _print(session, output, found, is_grouped)
        else:
            collected = stack.enter_context(Collected())
            _print(session, output, collected.passing(found), is_grouped)
            _print_or_write(run.about(), collected, page, output)
    if wanted is not None and rehearsals is not None:
        audit_rehearsal.report(session, wanted, rehearsals)
    return _end(session, run, skips, totals)


class Totals:
    """Counts findings by their severity."""

    def __init__(self, fail_on: str) -> None:
        self._fail_on = fail_on
        self.failures, self.warnings = 0, 0

    @property
    def fails(self) -> bool:
        """Whether what was found fails the audit."""
        return bool(self.failures or (self.warnings and self._fail_on == "warning"))

    def counted(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield FINDINGS."""
        for item in findings:
            self.failures += item.severity == "failure"
            self.warnings += item.severity == "warning"
            yield item


def _print(
    session: Session, output: Output, findings: Iterator[Finding], is_grouped: bool | None
) -> None:
    """Print FINDINGS; as a table below each guest, the remedy in a line of its own."""
    from novadev.audit.finding import Finding

    if output.format == PROMETHEUS:
        for _ in findings:
            pass  # they are counted on their way
    elif output.format != "table" or output.columns:
        print_records(session, output, Finding, findings)
    else:
        _print_for_people(session, findings, is_grouped)


def _print_for_people(
    session: Session, findings: Iterator[Finding], is_grouped: bool | None
) -> None:
    """Print FINDINGS: those of few servers below each, those of many in groups."""
    from novadev.cli.finding_list import FindingGroups, is_many

    held: list[Finding] = []
    while is_grouped is None and (item := next(findings, None)) is not None:
        held.append(item)
        is_grouped = True if is_many(held) else None
    if not is_grouped:
        rows = (row for item in chain(held, findings) for row in _rows(item))
        print_table(session, ("guest", *COLUMNS), rows, ("guest",))
        return
    groups = FindingGroups()
    for item in chain(held, findings):
        groups.add(item)
    for line in groups.lines(options.screen_width(sys.stdout)):
        click.echo(line)


def _rows(item: Finding) -> Iterator[dict[str, str]]:
    from novadev.cli.finding_list import place_of

    guest = place_of(item)
    yield {"guest": guest, "severity": item.severity, "check": item.check, "details": item.details}
    if item.remedy:
        yield {"guest": guest, "severity": "", "check": "", "details": f"> {item.remedy}"}


def _print_or_write(about: Any, collected: Collected, page: Any, output: Output) -> None:
    from novadev.audit.prometheus import metrics

    if page is not None:
        page.write(about, collected)
    if output.format == PROMETHEUS:
        click.echo(metrics(about, collected), nl=False)


def _end(session: Session, run: Any, skips: Skips, totals: Totals) -> int:
    """Say what was found, and return the exit code."""
    from novadev.errors import NotAsNeeded, worst

    skips.tell_groups()
    found = f"{many(totals.failures, 'failure')}, {many(totals.warnings, 'warning')}"
    session.say(f"{many(run.guests, 'guest')}: {found}.")
    return worst({skips.exit_code, NotAsNeeded.exit_code * totals.fails, *run.codes})
