"""Plan, show, ask, journal, apply, report: the one path of every command that writes."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from novadev.cli.actions import IRREVERSIBLE
from novadev.cli.choices import Choices, check, choices, confirm
from novadev.cli.session import Session, pass_session
from novadev.errors import Interrupted, worst
from novadev.text import many

if TYPE_CHECKING:
    from novadev.cli.report import Report
    from novadev.runs.journal import Journal, Run
    from novadev.runs.plan import Draft, Planned


def mutating(action: str) -> Callable[[Callable[..., Iterator[Planned]]], Callable[..., Any]]:
    """Make a command of a function that returns plans; it is given nothing to write with."""

    def decorate(plan: Callable[..., Iterator[Planned]]) -> Callable[..., Any]:
        @functools.wraps(plan)
        def command(session: Session, choices: Choices, **values: Any) -> int:
            check(choices)
            return execute(session, choices, action, plan(session.deployment, **values))

        return choices(pass_session(command))  # type: ignore[arg-type]

    return decorate


def execute(
    session: Session,
    chosen: Choices,
    action: str,
    planned: Iterable[Planned | Draft],
    undoes: Run | None = None,
) -> int:
    """Show the plans and, unless only that is wanted, ask and carry them out; return the code."""
    from novadev.cli.report import Report

    report = Report(session, chosen)
    if not chosen.writes:
        return _preview(session, chosen, action, report, planned, undoes)
    journal = session.deployment.journal
    run = journal.start(action, undoes.id if undoes else None)
    try:
        count = _write_plans(journal, run, report.show_planned(planned))
        if count:
            skipped = f" ({report.skips.count} skipped)" if report.skips.count else ""
            warning = " It cannot be undone." if action in IRREVERSIBLE else ""
            confirm(chosen, f"Apply {many(count, 'plan')}{skipped}?{warning}")
    except BaseException:
        journal.discard(run)
        raise
    if undoes is not None:
        journal.abandon(undoes)
    if not count:
        journal.discard(run)
        return report.finish_nothing()
    journal.begin(run)
    return carry_on(session, chosen, journal, run, report)


def _preview(
    session: Session,
    chosen: Choices,
    action: str,
    report: Report,
    planned: Iterable[Planned | Draft],
    undoes: Run | None,
) -> int:
    from novadev.runs import file as plan_file

    drafts = report.show_planned(planned)
    if chosen.plan_out is None:
        count = sum(1 for _ in drafts)
    else:
        head = plan_file.Head(action, undoes.id if undoes else None)
        count = plan_file.write(chosen.plan_out, head, drafts)
        session.say(f"{many(count, 'plan')} saved: novadev apply {chosen.plan_out}")
    return report.finish_preview(count)


def _write_plans(journal: Journal, run: Run, drafts: Iterator[Draft]) -> int:
    """Put all plans into the journal, a batch in memory at a time, and return their number."""
    count = 0
    while batch := list(islice(drafts, 500)):
        journal.add(run, batch)
        count += len(batch)
    return count


def carry_on(session: Session, chosen: Choices, journal: Journal, run: Run, report: Report) -> int:
    """Carry out what RUN has left, report it, and return the exit code."""
    from novadev.cli.actions import applier
    from novadev.runs.carry_out import carry_out

    with stop_between_batches() as stop:
        apply = applier(session.deployment)
        results = carry_out(journal, run, apply, stop, chosen.max_failures)
        try:
            codes = report.show_results(run, journal, results)
        except OSError:
            report.finish_run(journal.finish(run), run, journal.count(run))
            raise
    report.finish_run(journal.finish(run), run, journal.count(run))
    stopped = stop() and journal.count_left(run) > 0
    return Interrupted.exit_code if stopped else worst({*codes, report.skips.exit_code})


@contextmanager
def stop_between_batches() -> Iterator[Callable[[], bool]]:
    """Take Ctrl-C as a wish to stop at the next batch's end; give a function that tells it."""
    wished = False

    def note(_signal: int, _frame: object) -> None:
        nonlocal wished
        wished = True
        click.echo("\nStopping after this batch …", err=True)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: wished
    finally:
        signal.signal(signal.SIGINT, previous)
