"""``novadev audit``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import audit_rehearsal, completion, help, options
from novadev.cli.audit_rehearsal import Wanted
from novadev.cli.one_of import OneOf
from novadev.cli.options import Output
from novadev.cli.progress import counted
from novadev.cli.session import Session, pass_session
from novadev.cli.skips import Skips
from novadev.text import many, printable

if TYPE_CHECKING:
    from novadev.audit.target import TargetHost


@help.command(short_help="Report before an upgrade which guests will break.")
@options.selection
@click.option(
    "--check",
    "checks",
    shell_complete=completion.checks,
    multiple=True,
    type=options.TEXT,
    metavar="NAME",
    help="Run only this check; may be repeated. Hosts are contacted only for the checks that "
    "need them.",
)
@click.option(
    "--capabilities",
    "capability_files",
    shell_complete=completion.files,
    multiple=True,
    type=options.TEXT,
    metavar="FILE",
    help="Also check every guest against the host in this capability file; may be repeated.",
)
@click.option(
    "--move",
    type=OneOf(["power-on", "live-migration"]),
    default="power-on",
    show_default=True,
    help="How guests get to the host of --capabilities: Nova powers them on there (power-on), or "
    "running guests are live-migrated. Guests that do not run are always checked for a "
    "power-on.",
)
@click.option(
    "--report",
    "report_name",
    shell_complete=completion.files,
    type=options.TEXT,
    metavar="FILE.html",
    help="Write an HTML page with charts, a table and a runbook of the remedies.",
)
@click.option(
    "--title",
    type=options.TEXT,
    metavar="TEXT",
    help="The deployment's name in the page of --report.  [default: [novadev] cloud_name]",
)
@click.option(
    "--acknowledge",
    "acknowledgements",
    shell_complete=completion.files,
    type=options.TEXT,
    metavar="FILE",
    help="Count the findings separately that this file lists as acknowledged until a given date.",
)
@click.option(
    "--compare-with",
    shell_complete=completion.files,
    type=options.TEXT,
    metavar="LAST.json",
    help="Report what is new, still there or mended since an earlier audit, whose JSON output (-f "
    "json) is in this file.",
)
@click.option(
    "--fail-on",
    type=OneOf(["warning", "failure"]),
    default="failure",
    show_default=True,
    help="Exit with 3 if there is a finding of this severity or worse.",
)
@audit_rehearsal.rehearsal
@options.how_much
@options.fail_on_skip
@options.output_as(*options.FORMATS, options.COMMANDS, options.PROMETHEUS)
@pass_session
@options.host_workers
def audit(
    session: Session,
    selection: Any,
    checks: tuple[str, ...],
    capability_files: tuple[str, ...],
    move: Any,
    report_name: str | None,
    title: str | None,
    acknowledgements: str | None,
    compare_with: str | None,
    fail_on: str,
    summary: bool,
    details: bool,
    fail_on_skip: bool,
    output: Output,
    wanted: Wanted | None,
) -> int:
    """Report what will break or change at the next power-on, and the commands to prevent it.

    An audit changes nothing, except that a rehearsal starts guests of its own. A finding is a
    failure if the guest would not start or has lost something, and a warning if the guest would
    change. The commands that fix the findings come last, ready to be pasted into a shell; each
    command covers all servers that need it. -f commands prints only these commands.

    Before you upgrade hosts, save the capability file of one upgraded host (novadev capabilities
    save) and audit against it. To test on such a host itself, use --rehearse HOST.

    Example: novadev audit --all --capabilities new-host.json --report audit.html
    """
    is_grouped = options.is_grouped(summary, details, sys.stdout)
    session.deployment.hosts.warm()
    from novadev.audit import report
    from novadev.audit.auditing import Audit
    from novadev.audit.checks import choose
    from novadev.audit.finding_store import Collected
    from novadev.audit.target import read_targets
    from novadev.cli.finding_output import Beside, Totals, print_findings

    _check_needed(move, capability_files, title, report_name)
    targets = read_targets(capability_files)
    _tell_ages(session, targets)
    rehearsals = audit_rehearsal.rehearsals_of(session, wanted)
    chosen = choose(checks, bool(targets), rehearsals is not None)
    run = Audit(session.deployment, selection, chosen, targets, rehearsals, move)
    beside = Beside(acknowledgements, compare_with, run)
    skips, totals = Skips(session, fail_on_skip), Totals(fail_on)
    with ExitStack() as stack:
        stack.enter_context(audit_rehearsal.cleaning_up(rehearsals))
        page = stack.enter_context(report.opened(report_name)) if report_name else None
        collected = stack.enter_context(Collected())
        marked = counted(session, beside.marked(run.findings()), run.progress)
        found = totals.counted(skips.sift(marked))
        print_findings(session, output, found, is_grouped, collected, keeps=page is not None)
        _write_whole(run, collected, page, title, output)
    if wanted is not None and rehearsals is not None:
        audit_rehearsal.report(session, wanted, rehearsals)
    return _end(session, run, skips, totals, beside)


def _check_needed(
    move: Any, capability_files: Sequence[str], title: str | None, report_name: str | None
) -> None:
    """Raise UsageError for an option that means nothing without another one."""
    if move == "live-migration" and not capability_files:
        raise click.UsageError("--move needs --capabilities FILE")
    if title is not None and report_name is None:
        raise click.UsageError("--title needs --report FILE")


def _write_whole(run: Any, collected: Any, page: Any, title: str | None, output: Output) -> None:
    """Write what can only be written when all findings are COLLECTED: the page, the metrics."""
    from novadev.audit.prometheus import metrics

    if page is not None:
        about = run.about()
        page.write(replace(about, deployment=title or about.deployment), collected)
    if output.format == options.PROMETHEUS:
        click.echo(metrics(run.about(), collected), nl=False)


def _tell_ages(session: Session, targets: Sequence[TargetHost]) -> None:
    """Say of each capability file how old it is."""
    now = datetime.now(timezone.utc)
    for target in targets:
        host = target.capabilities.host
        session.say(printable(f"Capability file {target.name} of {host}: {target.age(now)}."))


def _end(session: Session, run: Any, skips: Skips, totals: Any, beside: Any) -> int:
    """Say what was found, and return the exit code."""
    from novadev.errors import NotAsNeeded, worst

    skips.tell_groups()
    for text in beside.remarks():
        session.say(text)
    found = f"{many(totals.failures, 'failure')}, {many(totals.warnings, 'warning')}"
    session.say(f"{many(run.guests, 'guest')}: {found}{totals.apart}.")
    if run.unseen:
        session.say(
            f"{many(run.unseen, 'guest')} could not be looked at on the host: only what the "
            "databases say was checked."
        )
    if totals.decisions:
        session.say(
            f"{many(totals.decisions, 'finding')} cannot be fixed by a command alone: a person has "
            "to decide."
        )
    if totals.unreached:
        session.say(
            f"{many(totals.unreached, 'finding')} of unreachable: what could not be reached was "
            'not checked. "novadev doctor" helps to find the cause.'
        )
    fails = totals.fails or beside.counts_again
    return worst({skips.exit_code, NotAsNeeded.exit_code * fails, *run.codes})
