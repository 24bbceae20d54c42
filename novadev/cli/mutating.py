"""Plan, show, confirm, journal, apply, report: the path that all mutating commands share."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Any

from novadev.cli import syslog
from novadev.cli.actions import IRREVERSIBLE
from novadev.cli.choices import PLAN_FILE, Choices, choices, confirm
from novadev.cli.options import HOW_MUCH
from novadev.cli.session import Session, pass_session
from novadev.cli.talk import say
from novadev.errors import Interrupted, NotAsNeeded, NovadevError, worst
from novadev.text import many

if TYPE_CHECKING:
    from novadev.cli.report import Report
    from novadev.runs.file import Head
    from novadev.runs.journal import Journal
    from novadev.runs.journal_rows import Asked, Run
    from novadev.runs.lease import Fence
    from novadev.runs.plan import Draft, Planned
    from novadev.runs.spool import Spool


def mutating(
    action: str, *, has_filters: bool = True
) -> Callable[[Callable[..., Iterator[Planned]]], Callable[..., Any]]:
    """Make a command of a function that returns plans; it is given nothing to write with."""
    more = (*PLAN_FILE, "fail_on_skip", *HOW_MUCH) if has_filters else PLAN_FILE

    def decorate(plan: Callable[..., Iterator[Planned]]) -> Callable[..., Any]:
        @functools.wraps(plan)
        def command(session: Session, choices: Choices, **values: Any) -> int:
            return execute(session, choices, action, plan(session.deployment, **values))

        return choices(*more)(pass_session(command))  # type: ignore[arg-type]

    return decorate


def execute(
    session: Session,
    chosen: Choices,
    action: str,
    planned: Iterable[Planned | Draft],
    undoes: Run | None = None,
    saved_by: str | None = None,
) -> int:
    """Show the plans, confirm and carry them out unless it is a dry run; return the exit code.

    SAVED_BY says what was typed when the plans were saved in a file.
    """
    from novadev.cli.report import Report
    from novadev.records.lost_pins import with_lost_pins
    from novadev.runs.spool import Spool

    report, planned = Report(session, chosen), with_lost_pins(session.deployment, planned)
    if not chosen.writes:
        return _preview(session, chosen, action, report, planned, undoes)
    journal = session.deployment.journal
    with Spool() as spool:
        for draft in report.show_planned(planned):
            spool.add(draft)
        spool.flush()
        if not spool.count:
            is_said = undoes is not None and _say_why_nothing(session, report, journal, undoes)
            if undoes is not None:
                _end_undone(session, chosen, journal, undoes)
            return report.finish_nothing(is_said)
        if undoes is not None:
            _say_what_is_dropped(session, journal, undoes)
        if spool.count == report.refused and not chosen.yes:
            return report.finish_refused()
        confirm(chosen, _question(action, report))
        asked = _asked(session, chosen, action, undoes, saved_by)
        with stop_between_batches() as stop:
            return _carry_out(session, chosen, asked, report, spool, stop)


def _asked(
    session: Session, chosen: Choices, action: str, undoes: Run | None, saved_by: str | None
) -> Asked:
    from novadev.cli.session import masked
    from novadev.runs.journal_rows import Asked

    options = f"{session.asked} (saved by: {saved_by})" if saved_by else session.asked
    message = chosen.message and masked(chosen.message)
    return Asked(action, options, message, undoes.id if undoes else None)


def _question(action: str, report: Report) -> str:
    """Return one sentence that says what will happen."""
    does = report.sentence
    if action.startswith("undo "):
        does = f"to take back run {action.removeprefix('undo ')}, {does}"
    left = [report.skips.told] if report.skips.count else []
    if report.refused:
        left.append(f"{report.refused} {'is' if report.refused == 1 else 'are'} refused")
    skipped = f" ({', '.join(left)})" if left else ""
    warning = " This cannot be undone." if action in IRREVERSIBLE else ""
    return f"{does[:1].upper()}{does[1:]}{skipped}?{warning}"


def _say_why_nothing(session: Session, report: Report, journal: Journal, undoes: Run) -> bool:
    """Say why nothing is to be taken back, unless the skips have said it; return whether it did."""
    from novadev.runs.history import RunFilter

    (found,) = journal.iter_runs(RunFilter(run=undoes.id))
    if report.skips.count:
        return False
    undos = [str(undo) for undo, _ in journal.list_undone_by(undoes)]
    if undos and not found.applied - found.undone:
        session.say(f"Run {found.run} was undone by run {' and '.join(undos)}.")
    elif not found.applied and not found.half:
        session.say(f"Run {found.run} has changed nothing.")
    else:
        return False
    return True


def _end_undone(session: Session, chosen: Choices, journal: Journal, undoes: Run) -> None:
    """End a run of which nothing is to be taken back, so that nobody carries on its rest."""
    if dropped := _say_what_is_dropped(session, journal, undoes):
        plans = many(dropped, "plan")
        confirm(chosen, f"Nothing is to be taken back. Drop {plans} that were not begun?")
    journal.end_undone(undoes, chosen.take_over)


def _say_what_is_dropped(session: Session, journal: Journal, undoes: Run) -> int:
    """Say which plans an undo drops, as its run or an earlier undo had not begun them; how many."""
    dropped = journal.count_dropped(undoes)
    for run, number in dropped.items():
        session.say(f"Run {run}: {many(number, 'plan')} it had not begun will not be carried out.")
    return sum(dropped.values())


def _preview(
    session: Session,
    chosen: Choices,
    action: str,
    report: Report,
    planned: Iterable[Planned | Draft],
    undoes: Run | None,
) -> int:
    from novadev.runs import file

    drafts = report.show_planned(planned)
    if chosen.plan_out is None:
        count = sum(1 for _ in drafts)
        if undoes is not None:
            journal = session.deployment.journal
            if not count:
                _say_why_nothing(session, report, journal, undoes)
            _say_what_is_dropped(session, journal, undoes)
        return report.finish_preview(count)
    head = _head(session, chosen, action, undoes)
    saved = file.write(chosen.plan_out, head, drafts, chosen.overwrite)
    session.say(f"{many(saved.plans, 'plan')} saved: novadev apply {quote(str(chosen.plan_out))}")
    session.say(f"SHA-256: {saved.sha256}")
    return report.finish_preview(saved.plans)


def _head(session: Session, chosen: Choices, action: str, undoes: Run | None) -> Head:
    """Return what the file of a saved plan says of itself."""
    import socket
    from datetime import datetime, timezone

    from novadev.cli.session import masked
    from novadev.runs.file import Head
    from novadev.runs.lease import user

    deployment = session.deployment
    cells = deployment.cells if deployment.has_databases else ()
    return Head(
        action=action,
        made=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        user=user(),
        host=socket.gethostname(),
        asked=session.asked,
        message=chosen.message and masked(chosen.message),
        undoes=undoes.id if undoes else None,
        journal=deployment.journal.id if undoes else None,
        cells={cell.uuid: cell.name or "" for cell in cells},
    )


def _carry_out(
    session: Session,
    chosen: Choices,
    asked: Asked,
    report: Report,
    spool: Spool,
    stop: Callable[[], bool],
) -> int:
    """Write the plans into the journal, and carry them out."""
    journal = session.deployment.journal
    run = journal.start(asked)
    with journal.renewing(run) as fence:
        try:
            for rows in spool.batches():
                journal.add(run, rows)
            if stop():
                raise Interrupted("nothing was done")
            journal.begin(run, spool.count, chosen.take_over)
        except BaseException:
            journal.discard(run)
            raise
        return carry_on(session, chosen, journal, run, report, fence, stop)


def carry_on(
    session: Session,
    chosen: Choices,
    journal: Journal,
    run: Run,
    report: Report,
    fence: Fence,
    stop: Callable[[], bool],
) -> int:
    """Carry out what RUN has left, report it, and return the exit code.

    Raises NotAsNeeded where nothing is left, and TakenOver where another process has the run.
    """
    from novadev.cli.actions import applier, second_look
    from novadev.runs.carry_out import carry_out

    logs = session.deployment.config.syslog
    left = journal.count_left(run)
    if not left:
        journal.finish(run)
        raise NotAsNeeded(f"run {run.id} has nothing left to be done: see novadev history {run.id}")
    if logs:
        syslog.begun(run, left)
    apply = applier(session.deployment)
    again = second_look(session.deployment)
    results = carry_out(journal, run, apply, fence, stop, chosen.max_failures, again)
    try:
        codes = report.show_results(run, journal, results, left)
    except NovadevError as error:
        if logs:
            syslog.ended(run, f"broken off: {error}", {})
        report.break_off(run, error)
        raise
    state = journal.finish(run)
    counts = journal.count(run)
    if logs:
        syslog.ended(run, state, counts)
    report.finish_run(state, run, counts)
    stopped = stop() and journal.count_left(run) > 0
    return Interrupted.exit_code if stopped else worst({*codes, report.exit_code})


_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the end of a service or of ``timeout``, and a connection that is lost."""


@contextmanager
def stop_between_batches() -> Iterator[Callable[[], bool]]:
    """Take what ends a program as a wish to stop at the next batch's end; give what tells it.

    Under nohup a run goes on.
    """
    wished = False

    def note(_signal: int, _frame: object) -> None:
        nonlocal wished
        wished = True
        say("\nStopping after this batch …")

    has_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heard = [number for number in _ENDS if not (has_nohup and number == signal.SIGHUP)]
    previous = {number: signal.signal(number, note) for number in heard}
    try:
        yield lambda: wished
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
