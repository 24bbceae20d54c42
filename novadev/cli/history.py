"""``novadev history``, ``undo``, ``resume`` and ``apply``."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import completion, help, options
from novadev.cli.actions import ACTIONS, IRREVERSIBLE, with_preview
from novadev.cli.choices import PLAN_FILE, Choices, choices, confirm
from novadev.cli.moments import EXAMPLES, MOMENT
from novadev.cli.mutating import carry_on, execute, stop_between_batches
from novadev.cli.one_of import OneOf
from novadev.cli.options import HOW_MUCH, Output
from novadev.cli.output import columns_of, print_records
from novadev.cli.past_run import print_run
from novadev.cli.session import Session, pass_session
from novadev.errors import BadInput, NotAsNeeded
from novadev.text import printable

if TYPE_CHECKING:
    from novadev.runs.file import Saved
    from novadev.runs.journal import Journal
    from novadev.runs.journal_rows import Journaled, Run
    from novadev.runs.plan import Draft, Plan


@help.command(short_help="List the runs of novadev, or the changes of one run.")
@click.argument("run", shell_complete=completion.runs, type=options.run_id, required=False)
@click.option(
    "--instance",
    shell_complete=completion.servers,
    metavar="INSTANCE",
    help="Show only runs with a plan for this UUID or name.",
)
@click.option(
    "--since",
    type=MOMENT,
    metavar="TIME",
    help=f"Show only runs started since this time: {EXAMPLES} (UTC).",
)
@click.option("--user", metavar="NAME", help="Show only runs of this user.")
@click.option(
    "--action",
    type=OneOf([*sorted(ACTIONS), "undo"]),
    metavar="ACTION",
    help="Show only runs of this action, such as 'image-property set'.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Show only the newest N runs."
)
@options.how_much
@options.output
@pass_session
def history(
    session: Session,
    run: int | None,
    instance: str | None,
    since: datetime | None,
    user: str | None,
    action: str | None,
    limit: int | None,
    summary: bool,
    details: bool,
    output: Output,
) -> None:
    """List the runs of novadev, newest first; with RUN, list the changes of that run.

    Example: novadev history --since 7d --action "image-property set"
    """
    from novadev.runs.history import RunFilter

    wanted = RunFilter(instance, since, user, action, limit)
    if run is not None and wanted != RunFilter():
        raise click.UsageError("give RUN or options that select runs, not both")
    if run is None and (summary or details):
        raise click.UsageError("--summary and --details show one run: give its number as RUN")
    if run is None:
        _list_runs(session, wanted, output)
    else:
        print_run(session, run, output, options.is_grouped(summary, details, sys.stdout))


def _list_runs(session: Session, wanted: Any, output: Output) -> None:
    from novadev.runs.history import RunFilter, RunSummary

    found = list(session.deployment.journal.iter_runs(wanted))
    if not found:
        text = (
            "There is no run yet: novadev has not changed anything."
            if wanted == RunFilter()
            else "No run matches these options."
        )
        session.say(f"{text}")
    unshown = tuple(name for name in columns_of(RunSummary) if name not in _SHOWN)
    print_records(session, output, RunSummary, found, unshown=unshown, spare=_SPARE)


_SHOWN = ("run", "started", "user", "action", "state", "plans", "applied", "failed", "message")
"""The columns of a table; the other formats have them all."""
_SPARE = (("applied", "failed"), ("user",), ("plans",))
"""Those of them that a narrow terminal can do without; the state says most of what they say."""


@help.command(short_help="Undo the changes of a run.")
@click.argument("run_id", shell_complete=completion.runs, metavar="RUN", type=options.run_id)
@choices(*PLAN_FILE, "take_over", *HOW_MUCH)
@pass_session
def undo(session: Session, run_id: int, choices: Choices) -> int:
    """Undo the changes of RUN, with the same checks as the command that made them.

    An instance that has changed since the run is left as it is and reported as stale (exit code 7).
    Plans that RUN had not started are abandoned for good.

    Example: novadev undo 12 --dry-run
    """
    from novadev.records.restore import with_pin_notes
    from novadev.runs.undo import drafts

    journal = session.deployment.journal
    run = journal.get(run_id)
    _check_undo(journal, run, choices)
    found = with_pin_notes(session.deployment, drafts(journal, run))
    found = with_preview(session.deployment, found)
    return execute(session, choices, f"undo {run.id}", found, undoes=run)


def _check_undo(journal: Journal, run: Run, choices: Choices) -> None:
    journal.check_free_to_undo(run, choices.take_over)
    if run.state == "planning":
        raise NotAsNeeded(f"run {run.id} was never started: there is nothing to undo")
    if run.action in IRREVERSIBLE:
        raise NotAsNeeded(f"run {run.id} is a {run.action}, which cannot be undone")


@help.command(short_help="Finish a run that was interrupted.")
@click.argument(
    "run_id", shell_complete=completion.runs, metavar="[RUN]", type=options.run_id, required=False
)
@choices("take_over", *HOW_MUCH)
@pass_session
def resume(session: Session, run_id: int | None, choices: Choices) -> int:
    """Finish a run that was interrupted; without RUN, finish the newest such run.

    A run that was undone cannot be resumed.

    Example: novadev resume --dry-run
    """
    from novadev.cli.report import Report

    journal = session.deployment.journal
    run = _resumable(session, journal, run_id, choices)
    report = Report(session, choices)
    if run is None:
        session.say("There is no run to resume.")
        return report.finish_nothing(is_said=True)
    return _resume(session, choices, journal, run, report)


def _resumable(
    session: Session, journal: Journal, run_id: int | None, choices: Choices
) -> Run | None:
    if run_id is None:
        return _newest_unfinished(session, journal, choices)
    run = journal.get(run_id)
    journal.check_may_go_on(run, choices.take_over)
    return run


def _newest_unfinished(session: Session, journal: Journal, choices: Choices) -> Run | None:
    """Return the newest run that can be carried on; say of the others why they cannot.

    Raises Left where --take-over would help.
    """
    from novadev.runs.lease import Left

    for run in journal.find_unfinished():
        try:
            journal.check_may_go_on(run, choices.take_over)
        except Left:
            raise
        except NotAsNeeded as error:
            session.say(f"left alone: {error}")
        else:
            return run
    return None


def _resume(session: Session, choices: Choices, journal: Journal, run: Run, report: Any) -> int:
    count, renewed = _show_pending(session, journal, run, report)
    if not choices.writes:
        return int(report.finish_preview(count, len(journal.list_unseen(run))))
    if count:
        confirm(choices, _question(run, report, count))
    elif not journal.count_left(run):
        session.say(f"Run {run.id} is finished.")
        return int(report.finish_nothing(is_said=True))
    run = journal.take_over(run, choices.take_over, choices.message)
    journal.renew(run, renewed)
    with stop_between_batches() as stop, journal.renewing(run) as fence:
        return carry_on(session, choices, journal, run, report, fence, stop)


def _show_pending(
    session: Session, journal: Journal, run: Run, report: Any
) -> tuple[int, dict[int, Plan]]:
    """Show what RUN has left; return how many plans, and by id those with other effects by now."""
    from novadev.runs.plan import Draft
    from novadev.runs.states import BEGUN, PENDING

    originals: deque[Journaled] = deque()
    count, renewed = 0, {}

    def drafts() -> Iterator[Draft]:
        for item in journal.iter_plans(run, PENDING):
            originals.append(item)
            yield Draft(item.plan, item.undoes, resumed=item.state in BEGUN)

    for draft in report.show_planned(with_preview(session.deployment, drafts())):
        item, effects = originals.popleft(), draft.plan.effects
        count += 1
        if effects != item.plan.effects:
            renewed[item.id] = replace(item.plan, effects=effects)
    return count, renewed


def _question(run: Run, report: Any, count: int) -> str:
    if report.refused == count:
        return f"No plan of run {run.id} can be carried out now. Try all the same?"
    return f"To finish run {run.id}, {report.sentence}?"


@help.command(short_help="Carry out exactly the plans of a saved file.")
@click.argument("plan_file", shell_complete=completion.files, metavar="PLAN-FILE")
@click.option("--sha256", metavar="SUM", help="Refuse the file unless its SHA-256 is SUM.")
@choices("take_over", *HOW_MUCH)
@pass_session
def apply(session: Session, plan_file: str, sha256: str | None, choices: Choices) -> int:
    """Carry out exactly the plans that --plan-out saved in PLAN-FILE.

    Example: novadev apply tonight.plan --sha256 SUM
    """
    from novadev.runs import file
    from novadev.runs.plan import NO_CELL

    saved = file.read(plan_file)
    if sha256 is not None and sha256.lower() != saved.sha256:
        raise BadInput(f"plan file {plan_file} does not have the SHA-256 {sha256:.64}")
    known = session.deployment.cells if session.deployment.has_databases else ()
    file.check_deployment(saved, {NO_CELL, *(cell.uuid for cell in known)})
    session.say(f"SHA-256: {saved.sha256}")
    if choices.message is None and saved.head.message:
        choices = replace(choices, message=saved.head.message)
    if saved.head.undoes is None:
        drafts = with_preview(session.deployment, saved.iter_drafts())
        action = saved.head.action
        return execute(session, choices, action, drafts, saved_by=saved.head.asked)
    return _apply_undo(session, choices, saved, saved.head.undoes)


def _apply_undo(session: Session, choices: Choices, saved: Saved, undoes: int) -> int:
    from novadev.records.restore import with_pin_notes
    from novadev.runs.undo import of_file

    journal = session.deployment.journal
    if saved.head.journal != journal.id:
        raise BadInput(
            f"plan file {saved.name} undoes run {undoes} of another journal (saved on "
            f"{printable(str(saved.head.host))}). Apply it there, or plan the undo here"
        )
    run = journal.get(undoes)
    _check_undo(journal, run, choices)
    drafts = with_pin_notes(session.deployment, of_file(journal, run, saved.iter_drafts()))
    drafts = with_preview(session.deployment, drafts)
    action, asked = saved.head.action, saved.head.asked
    return execute(session, choices, action, drafts, undoes=run, saved_by=asked)
