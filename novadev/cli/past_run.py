"""One run of the journal: each of its changes or, of many servers, in groups."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import click

from novadev.cli.grouping import MANY, Groups, common, without_own, wrapped
from novadev.cli.options import DOCUMENTS, Output, screen_width
from novadev.cli.output import print_records
from novadev.cli.session import Session
from novadev.text import many, printable
from novadev.value import JsonValue

if TYPE_CHECKING:
    from novadev.cli.plan_summary import Line
    from novadev.runs.history import RunSummary
    from novadev.runs.journal_rows import Journaled

_GROUPS = 200


@dataclass(frozen=True)
class ChangeRecord:
    """One change of a run, as the journal has it."""

    instance: str
    state: str
    what: str
    before: JsonValue
    after: JsonValue
    error: str | None


def print_run(session: Session, run_id: int, output: Output, is_grouped: bool | None) -> None:
    """Print the changes of the run RUN_ID; raises NotFound.

    A table is in groups where IS_GROUPED, or, where that is None, from `MANY` servers on.
    """
    from novadev.runs.history import RunFilter

    journal = session.deployment.journal
    run = journal.get(run_id)
    plans = _named(session, journal.iter_plans(run))
    if output.format != "table" or output.columns:
        is_grouped = False
    if output.format == "table":
        for found in journal.iter_runs(RunFilter(run=run.id)):
            undos = journal.list_undone_by(run)
            _tell_run(session, found, undos, journal.list_vain_undos(run))
    held = [] if is_grouped is not None else list(islice(plans, MANY))
    if is_grouped or len(held) == MANY:
        _print_groups(session, chain(held, plans))
    else:
        records = _changes(chain(held, plans), output.format)
        print_records(session, output, ChangeRecord, records, ("instance",))


def _tell_run(
    session: Session,
    run: RunSummary,
    undos: Sequence[tuple[int, int]],
    others: Sequence[tuple[int, bool]],
) -> None:
    """Say of one run who did what, and what became of it.

    UNDOS are those that have taken plans of it back, and how many. OTHERS are those of which
    nothing is in effect, and whether each was refused.
    """
    until = f" to {run.finished}" if run.finished else ""
    session.say(f"Run {run.run}: {run.action}, {run.state}")
    session.say(f"  {run.started}{until}, {printable(run.user)} on {printable(run.host)}")
    told = {"asked": run.asked, "message": run.message}
    for name, text in told.items():
        if text:
            session.say(f"  {name}: {printable(text)}")
    if run.undoes:
        session.say(f"  undoes run {run.undoes}")
    for undo, number in undos:
        part = "" if number == run.applied + run.half else f"{many(number, 'server')} of it: "
        session.say(f"  {part}undone by run {undo}")
    for undo, is_refused in others:
        nothing = f"nothing of run {undo} is in effect now"
        had = "it was refused, and undid nothing" if is_refused else nothing
        session.say(f"  run {undo} was an undo of it: {had}")


def _named(session: Session, plans: Iterable[Journaled]) -> Iterator[Journaled]:
    """Yield PLANS; the session remembers the names of their servers."""
    for item in plans:
        session.deployment.remember_names({item.plan.instance: item.plan.name})
        yield item


def _changes(plans: Iterable[Journaled], format_: str) -> Iterator[ChangeRecord]:
    from novadev.cli.plan_summary import value_text
    from novadev.value import to_json

    shown = to_json if format_ in DOCUMENTS else value_text
    for item in plans:
        for change in item.plan.changes:
            yield ChangeRecord(
                item.plan.instance,
                str(item.state),
                change.what,
                shown(change.before),
                shown(change.after),
                item.error,
            )


def _print_groups(session: Session, plans: Iterable[Journaled]) -> None:
    """Print PLANS in groups of servers with the same changes and the same outcome."""
    from novadev.cli.plan_summary import summary
    from novadev.cli.plan_text import group_lines

    groups: Groups[tuple[str, str, tuple[Line, ...]], None] = Groups(_GROUPS)
    for item in plans:
        plan = item.plan
        error = common(item.error or "", plan.instance, plan.name)
        key = (str(item.state), without_own(error, plan.host), summary(plan))
        groups.add(key, plan.name or plan.instance, None, plan.host, error)
    width = screen_width(sys.stdout)
    for group in groups:
        state, error, lines = group.key
        error = group.text or error
        for line in group_lines(group, lines, width, session.is_colored, state):
            click.echo(line)
        for line in wrapped(f"  {printable(error)}", width, "    ") if error else ():
            click.echo(line)
    if groups.others:
        click.echo(f"{many(groups.others, 'other server')}, each with different changes")
    if groups.count:
        click.echo("Add --details to see each server.")
