"""Plan, show, ask, journal, apply, report: the one path of every command that writes."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from novadev.cli.actions import IRREVERSIBLE
from novadev.cli.session import Session, pass_session
from novadev.errors import BadInput, Declined, Interrupted, worst
from novadev.text import many

if TYPE_CHECKING:
    from novadev.cli.report import Report
    from novadev.plan import Planned
    from novadev.state.journal import Draft, Journal, Run

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--dry-run", is_flag=True, help="Show the plan and write nothing."),
    click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    click.option(
        "--max-failures",
        type=click.IntRange(min=0),
        metavar="N",
        help="End the run when more than N instances have failed.",
    ),
    click.option(
        "--fail-on-skip",
        is_flag=True,
        help="Exit with 3 when an instance the filters chose is skipped.",
    ),
    click.option(
        "-f",
        "--format",
        "format_",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="How the plan and its outcome are printed.",
    ),
)
_PLAN_OUT = click.option(
    "--plan-out",
    metavar="FILE",
    help="Save the plan and write nothing else; novadev apply FILE carries it out.",
)


@dataclass(frozen=True)
class Choices:
    """How a mutating command goes about it."""

    dry_run: bool
    yes: bool
    max_failures: int | None
    fail_on_skip: bool
    format_: str
    plan_out: str | None = None

    @property
    def writes(self) -> bool:
        """Whether anything but a plan is to be written."""
        return not self.dry_run and self.plan_out is None


def choices(function: F) -> Callable[..., Any]:
    """Give the command the options of every mutating command as one ``choices``."""
    return _PLAN_OUT(choices_but_a_file(function))


def choices_but_a_file(function: F) -> Callable[..., Any]:
    """Give the command those options without ``--plan-out``: its plans are kept already."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        names = {field.name for field in fields(Choices)} & set(values)
        chosen = Choices(**{name: values.pop(name) for name in names})
        return function(choices=chosen, **values)

    return functools.reduce(lambda f, option: option(f), reversed(_OPTIONS), command)


def mutating(action: str) -> Callable[[Callable[..., Iterator[Planned]]], Callable[..., Any]]:
    """Make a command of a function that returns plans; it is given nothing to write with."""

    def decorate(plan: Callable[..., Iterator[Planned]]) -> Callable[..., Any]:
        @functools.wraps(plan)
        def command(session: Session, choices: Choices, **values: Any) -> int:
            check(choices)
            return execute(session, choices, action, plan(session.deployment, **values))

        return choices(pass_session(command))  # type: ignore[arg-type]

    return decorate


def check(chosen: Choices) -> None:
    """Raise BadInput where a question would be needed and nobody is there to answer it."""
    asks = chosen.writes and not chosen.yes
    if asks and (sys.stdin is None or not sys.stdin.isatty()):
        raise BadInput("there is no terminal to ask on: add --yes or --dry-run")


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
    from novadev import plan_file

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


def confirm(chosen: Choices, question: str) -> None:
    """Ask QUESTION unless --yes was given; raises Declined when the answer is no."""
    if not chosen.yes and not click.confirm(question, default=False, err=True):
        raise Declined("answered no: nothing was done")


def carry_on(session: Session, chosen: Choices, journal: Journal, run: Run, report: Report) -> int:
    """Carry out what RUN has left, report it, and return the exit code."""
    from novadev.cli.actions import applier
    from novadev.plan import carry_out

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
