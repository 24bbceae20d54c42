"""``novadev history``, ``undo``, ``resume`` and ``apply``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import options
from novadev.cli.actions import IRREVERSIBLE
from novadev.cli.choices import Choices, check, choices, choices_but_a_file, confirm
from novadev.cli.mutating import carry_on, execute
from novadev.cli.options import Output
from novadev.cli.output import print_records
from novadev.cli.session import Session, pass_session
from novadev.errors import NotAsNeeded
from novadev.text import many

if TYPE_CHECKING:
    from novadev.runs.journal import Journal, Run
    from novadev.runs.plan import Draft


@dataclass(frozen=True)
class ChangeRecord:
    """One change of a run, as the journal has it."""

    instance: str
    state: str
    what: str
    before: Any
    after: Any
    error: str | None


@click.command()
@click.argument("run", type=options.run_id, required=False)
@options.output
@pass_session
def history(session: Session, run: int | None, output: Output) -> None:
    """List what was done, newest first; with RUN, every change of that run."""
    from novadev.runs.journal import RunSummary

    journal = session.deployment.journal
    if run is None:
        print_records(session, output, RunSummary, journal.list_runs())
    else:
        records = _changes(journal, journal.get(run), output.format)
        print_records(session, output, ChangeRecord, records, ("instance",))


def _changes(journal: Journal, run: Run, format_: str) -> Iterator[ChangeRecord]:
    from novadev.cli.report import value_text
    from novadev.value import to_json

    shown = to_json if format_ in ("json", "yaml") else value_text
    for item in journal.iter_plans(run):
        for change in item.plan.changes:
            yield ChangeRecord(
                item.plan.instance,
                item.state,
                change.what,
                shown(change.before),
                shown(change.after),
                item.error,
            )


@click.command()
@click.argument("run_id", metavar="RUN", type=options.run_id)
@choices
@pass_session
def undo(session: Session, run_id: int, choices: Choices) -> int:
    """Put back what RUN changed, under the guards of its command.

    An instance that has changed since is left alone and reported as stale (exit code 7).
    """
    check(choices)
    journal = session.deployment.journal
    run = journal.get(run_id)
    journal.check_not_alive(run)
    if run.action in IRREVERSIBLE:
        raise NotAsNeeded(f"run {run.id} is a {run.action}: that cannot be undone")
    return execute(session, choices, f"undo {run.id}", _drafts(journal, run), undoes=run)


def _drafts(journal: Journal, run: Run) -> Iterator[Draft]:
    """Yield what takes back the plans of RUN that landed, or may have, newest first."""
    from novadev.runs.plan import Draft

    for item in journal.iter_plans(run, ("applied", "started"), newest_first=True):
        yield Draft(item.plan.inverse, undoes=item.id, started=item.state == "started")


@click.command()
@click.argument("run_id", metavar="[RUN]", type=options.run_id, required=False)
@choices_but_a_file
@pass_session
def resume(session: Session, run_id: int | None, choices: Choices) -> int:
    """Finish a run that was stopped; the newest such run if no RUN is named."""
    from novadev.cli.report import Report

    check(choices)
    journal = session.deployment.journal
    run = _resumable(journal, run_id)
    report = Report(session, choices)
    if run is None:
        return report.finish_nothing()
    return _resume(session, choices, journal, run, report)


def _resumable(journal: Journal, run_id: int | None) -> Run | None:
    if run_id is None:
        return next(iter(journal.find_unfinished()), None)
    run = journal.get(run_id)
    journal.check_not_alive(run)
    if run.state == "planning":
        raise NotAsNeeded(f"run {run.id} was never confirmed: there is nothing to finish")
    return run


def _resume(session: Session, choices: Choices, journal: Journal, run: Run, report: Any) -> int:
    from novadev.runs.journal import PENDING
    from novadev.runs.plan import Draft

    pending = (Draft(item.plan) for item in journal.iter_plans(run, PENDING))
    count = sum(1 for _ in report.show_planned(pending))
    if not choices.writes:
        return int(report.finish_preview(count))
    if not count:
        return int(report.finish_nothing())
    confirm(choices, f"Finish {many(count, 'plan')} of run {run.id}?")
    journal.take_over(run)
    return carry_on(session, choices, journal, run, report)


@click.command()
@click.argument("plan_file", metavar="PLAN-FILE")
@choices_but_a_file
@pass_session
def apply(session: Session, plan_file: str, choices: Choices) -> int:
    """Carry out exactly the plans in PLAN-FILE, which --plan-out saved."""
    from novadev.runs import file as saved
    from novadev.runs.plan import NO_CELL

    check(choices)
    known = session.deployment.cells if session.deployment.has_databases else ()
    cells = {NO_CELL, *(cell.uuid for cell in known)}
    head, drafts = saved.read(plan_file, cells)
    undone = None if head.undoes is None else session.deployment.journal.get(head.undoes)
    return execute(session, choices, head.action, drafts, undone)
