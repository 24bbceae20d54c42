"""What was planned, and whether it landed.

A plan is here before the first write it causes; a second line says what became of it. Only the
process that holds the lease of a run changes what is here of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from novadev.database import Database
from novadev.errors import NotAsNeeded, NotFound, NovadevError, StalePlan, TakenOver
from novadev.runs import history, lease
from novadev.runs import plan as plans_module
from novadev.runs.history import RunFilter, RunSummary
from novadev.runs.lease import Fence, Holder
from novadev.runs.plan import Outcome, Plan
from novadev.runs.states import (
    BEGUN,
    OUTCOMES,
    PENDING,
    TO_UNDO,
    Event,
    State,
    run_state,
    sources,
    targets,
)
from novadev.state.tables import journal as journal_table
from novadev.state.tables import plans, runs

FORGOTTEN = timedelta(days=1)
"""After how long a run on another host that was never begun is forgotten."""
_PAGE = 500


@dataclass(frozen=True)
class Run:
    """One run of a mutating command.

    ``state`` is ``planning`` while its plans are written into the journal, ``running``, and in the
    end what :func:`novadev.runs.states.run_state` says. ``lease`` is None when nobody is at it.
    ``asked`` are the options as typed, ``message`` what the operator said of it.
    """

    id: int
    action: str
    state: str
    user: str
    host: str
    pid: int
    pid_started: str
    started: datetime
    heartbeat: datetime
    finished: datetime | None
    undoes: int | None
    lease: str | None
    machine: str | None
    asked: str | None
    message: str | None

    @property
    def holder(self) -> Holder:
        """The process that carries it out, or did last."""
        return Holder(self.host, self.pid, self.pid_started, self.machine)


@dataclass(frozen=True)
class Journaled:
    """A plan in the journal."""

    id: int
    run: int
    plan: Plan
    state: State
    error: str | None
    undoes: int | None


@dataclass(frozen=True)
class Asked:
    """What was asked for: the action, the options as typed, a message, the run it takes back."""

    action: str
    options: str | None = None
    message: str | None = None
    undoes: int | None = None


class Journal:
    """The journal in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def id(self) -> str:
        """The UUID of this journal: numbers of runs and plans mean something in it alone."""
        with self._database.reading() as connection:
            return str(connection.scalar(sa.select(journal_table.c.id)))

    def start(self, asked: Asked) -> Run:
        """Return a new run in state ``planning``, leased to this process."""
        self._forget_never_begun()
        values = {
            "action": fit(asked.action, 255),
            "state": "planning",
            "undoes": asked.undoes,
            "user": fit(lease.user(), 255),
            "asked": asked.options and fit(asked.options),
            "message": asked.message and fit(asked.message),
        }
        with self._database.writing() as connection:
            taken = _taken(connection)
            started = {"started": taken["heartbeat"]}
            result = connection.execute(sa.insert(runs).values(**values, **started, **taken))
            run_id = int(result.inserted_primary_key[0])  # type: ignore[index]
        return self.get(run_id)

    def _forget_never_begun(self) -> None:
        """Forget the runs whose process ended while it wrote their plans down."""
        query = sa.select(runs).where(runs.c.state == "planning")
        with self._database.writing() as connection:
            now = lease.now_of(connection)
            for row in connection.execute(query.with_for_update()).all():
                run = Run(**row._mapping)
                is_ended = run.holder.is_here and not run.holder.is_running
                if is_ended or run.heartbeat < now - FORGOTTEN:
                    connection.execute(sa.delete(plans).where(plans.c.run_id == run.id))
                    connection.execute(sa.delete(runs).where(runs.c.id == run.id))

    def get(self, run_id: int) -> Run:
        """Return the run RUN_ID; raises NotFound."""
        with self._database.reading() as connection:
            return _get(connection, run_id)

    def add(self, run: Run, rows: Sequence[Mapping[str, object]]) -> None:
        """Write plans that were not begun: ROWS have ``instance``, ``undoes`` and ``body``."""
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            added = {"run_id": run.id, "state": State.PLANNED}
            connection.execute(sa.insert(plans), [{**row, **added} for row in rows])

    def begin(self, run: Run, number: int, take_over: bool = False) -> None:
        """Say that the NUMBER plans of RUN are complete, and may be carried out.

        An undo ends the run that it takes back, and what that had not begun is abandoned for good.
        Raises NotAsNeeded where another process has that run (and TAKE_OVER does not help),
        StalePlan where it wrote more since the undo was planned, and TakenOver.
        """
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            if run.undoes is not None:
                _end_undone(connection, run.undoes, take_over)
                _check_still_to_undo(connection, run.undoes, run.id)
            if sum(_count(connection, run.id).values()) != number:
                raise TakenOver(f"run {run.id}: its plans are not all in the journal any more")
            connection.execute(_of_run(run.id).values(state="running"))

    def end_undone(self, run: Run, take_over: bool = False) -> int:
        """End RUN, of which nothing is to be taken back; return how many plans were abandoned.

        Raises StalePlan where that is no longer so.
        """
        with self._database.writing() as connection:
            abandoned = _end_undone(connection, run.id, take_over)
            _check_still_to_undo(connection, run.id)
        return abandoned

    def discard(self, run: Run) -> None:
        """Forget a run that was never begun; one that another process has by now is left."""
        with self._database.writing() as connection:
            try:
                lease.hold(connection, run.id, run.lease)
            except TakenOver:
                return
            connection.execute(sa.delete(plans).where(plans.c.run_id == run.id))
            connection.execute(sa.delete(runs).where(runs.c.id == run.id))

    def check_free(self, run: Run, take_over: bool = False) -> None:
        """Raise NotAsNeeded while another process carries RUN out."""
        with self._database.reading() as connection:
            _check_free(connection, run, take_over)

    def take_over(self, run: Run, take_over: bool = False, message: str | None = None) -> Run:
        """Lease RUN to this process and return it so; its message says who goes on, and MESSAGE.

        Raises NotAsNeeded where another process has it, an undo names it or nothing is left of it.
        """
        with self._database.writing() as connection:
            now = _get(connection, run.id, lock=True)
            _check_free(connection, now, take_over)
            _check_not_undone(connection, now)
            counts = _count(connection, run.id)
            if not any(counts.get(state) for state in PENDING):
                raise NotAsNeeded(f"run {run.id} has nothing left to be done by now")
            values = {"state": "running", "finished": None, **_taken(connection)}
            values["message"] = fit("; ".join(filter(None, (now.message, _resumed_by(message)))))
            connection.execute(_of_run(run.id).values(values))
        return self.get(run.id)

    def renewing(self, run: Run) -> AbstractContextManager[Fence]:
        """Renew the lease of RUN until the end of the block; see :func:`lease.renewing`."""
        return lease.renewing(self._database, run.id, run.lease)

    def mark_started(self, run: Run, batch: Sequence[Journaled]) -> None:
        """Say, before the first write, that BATCH is being written; raises TakenOver."""
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            _change(connection, [item.id for item in batch], Event.BEGUN)

    def mark(self, run: Run, batch: Sequence[Journaled], outcomes: Sequence[Outcome]) -> None:
        """Say what became of each plan of BATCH, and of what it took back; raises TakenOver."""
        groups: dict[tuple[Event, str | None], list[Journaled]] = {}
        for item, outcome in zip(batch, outcomes, strict=True):
            event = OUTCOMES[State(outcome.state)]
            error = None if outcome.error is None else fit(outcome.error)
            groups.setdefault((event, error), []).append(item)
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            for (event, error), items in groups.items():
                _change(connection, [item.id for item in items], event, error)
                if run.undoes is not None:
                    _change_undone(connection, items, event)

    def finish(self, run: Run) -> str:
        """Close RUN, give its lease back and return its state; raises TakenOver."""
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            state = run_state(_count(connection, run.id))
            values = {"state": state, "finished": lease.now_of(connection), "lease": None}
            connection.execute(_of_run(run.id).values(values))
        return state

    def count(self, run: Run) -> dict[str, int]:
        """Return how many plans of RUN are in each state."""
        with self._database.reading() as connection:
            return _count(connection, run.id)

    def count_planned(self, run: Run) -> int:
        """Return how many plans of RUN were not begun."""
        return self.count(run).get(State.PLANNED, 0)

    def count_left(self, run: Run) -> int:
        """Return how many plans of RUN are still to be finished."""
        counts = self.count(run)
        return sum(counts.get(state, 0) for state in PENDING)

    def iter_plans(
        self, run: Run, states: Iterable[str] = (), newest_first: bool = False
    ) -> Iterator[Journaled]:
        """Yield the plans of RUN in any of STATES (all if none), a page in memory at a time."""
        query = sa.select(plans).where(plans.c.run_id == run.id).limit(_PAGE)
        if states := tuple(states):
            query = query.where(plans.c.state.in_(states))
        query = query.order_by(plans.c.id.desc() if newest_first else plans.c.id)
        page = self._read(query)
        while page:
            yield from page
            last = page[-1].id
            there = plans.c.id < last if newest_first else plans.c.id > last
            page = self._read(query.where(there)) if len(page) == _PAGE else []

    def list_plans(self, ids: Sequence[int]) -> dict[int, Journaled]:
        """Return the plans with these IDS, by id."""
        return {item.id: item for item in self._read(sa.select(plans).where(plans.c.id.in_(ids)))}

    def _read(self, query: sa.Select[Any]) -> list[Journaled]:
        with self._database.reading() as connection:
            return [_journaled(row) for row in connection.execute(query)]

    def taken_back_in_part(self, run: Run) -> dict[int, int]:
        """Return the plans of RUN of which an undo took back a part, and the run of that undo."""
        theirs = plans.alias()
        query = (
            sa.select(plans.c.id, theirs.c.run_id)
            .join(theirs, theirs.c.undoes == plans.c.id)
            .where(plans.c.run_id == run.id, theirs.c.state.in_(BEGUN))
        )
        with self._database.reading() as connection:
            return {row.id: row.run_id for row in connection.execute(query)}

    def list_put_back_in_part(self, run: Run) -> list[tuple[str, int]]:
        """Return whose plans of RUN were undone and may be there again in part, and by which run.

        An undo of their undo was stopped while it put them back.
        """
        undo, redo = plans.alias(), plans.alias()
        query = (
            sa.select(plans.c.instance, redo.c.run_id)
            .join(undo, undo.c.undoes == plans.c.id)
            .join(redo, redo.c.undoes == undo.c.id)
            .where(plans.c.run_id == run.id, plans.c.state == State.UNDONE)
            .where(redo.c.state.in_(BEGUN))
        )
        with self._database.reading() as connection:
            return [(row.instance, row.run_id) for row in connection.execute(query)]

    def find_unfinished(self) -> list[Run]:
        """Return the runs that were begun, have plans left and no undo, newest first."""
        left = sa.exists().where(plans.c.run_id == runs.c.id, plans.c.state.in_(PENDING))
        query = sa.select(runs).where(runs.c.state != "planning", left, sa.not_(_is_undone()))
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(runs.c.id.desc()))
            return [Run(**row._mapping) for row in found]

    def check_may_go_on(self, run: Run, take_over: bool = False) -> None:
        """Raise NotAsNeeded unless RUN was begun, is nobody's now and was not undone."""
        if run.state == "planning":
            raise NotAsNeeded(f"run {run.id} was never begun: there is nothing to finish")
        with self._database.reading() as connection:
            _check_free(connection, run, take_over)
            _check_not_undone(connection, run)

    def iter_runs(self, wanted: RunFilter) -> Iterator[RunSummary]:
        """Yield what the history has of the runs that WANTED chooses, newest first."""
        with self._database.reading() as connection:
            yield from history.list_runs(connection, wanted)


def _journaled(row: Any) -> Journaled:
    plan = plans_module.loads(row.body)
    return Journaled(row.id, row.run_id, plan, State(row.state), row.error, row.undoes)


def fit(text: str, longest: int = 2000) -> str:
    """Return TEXT as any database takes it: cut, and nothing in it beyond three bytes of UTF-8."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(c if c <= "\uffff" and not "\ud800" <= c <= "\udfff" else "?" for c in cut)


def _resumed_by(message: str | None) -> str:
    who = f"resumed by {lease.user()}"
    return f"{who}: {message}" if message else who


def _of_run(run_id: int) -> sa.Update:
    return sa.update(runs).where(runs.c.id == run_id)


def _get(connection: sa.Connection, run_id: int, lock: bool = False) -> Run:
    query = sa.select(runs).where(runs.c.id == run_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no run {run_id}: see novadev history")
    return Run(**row._mapping)


def _taken(connection: sa.Connection) -> dict[str, object]:
    """Return the columns of a run that this process takes."""
    holder = Holder.of_this_process()
    return {**vars(holder), "lease": lease.new_token(), "heartbeat": lease.now_of(connection)}


def _check_free(connection: sa.Connection, run: Run, take_over: bool) -> None:
    if run.finished is None:
        lease.check_free(
            run.id, run.holder, run.heartbeat, lease.now_of(connection), take_over=take_over
        )


def _is_undone() -> sa.ColumnElement[bool]:
    """Whether an undo that was begun names a run."""
    undo = runs.alias()
    return sa.exists().where(undo.c.undoes == runs.c.id, undo.c.state != "planning")


def _check_not_undone(connection: sa.Connection, run: Run) -> None:
    query = sa.select(sa.func.max(runs.c.id))
    undo = connection.scalar(query.where(runs.c.undoes == run.id, runs.c.state != "planning"))
    if undo is not None:
        raise NotAsNeeded(f"run {run.id} was undone by run {undo}: it is not carried on any more")


def _end_undone(connection: sa.Connection, run_id: int, take_over: bool) -> int:
    """End the run RUN_ID, and the undos of it that were stopped; return what was abandoned."""
    undo = (runs.c.undoes == run_id) & (runs.c.state != "planning")
    query = sa.select(runs).where((runs.c.id == run_id) | undo).order_by(runs.c.id)
    found = [Run(**row._mapping) for row in connection.execute(query.with_for_update())]
    abandoned = 0
    for run in found:
        _check_free(connection, run, take_over)
        planned = (plans.c.run_id == run.id, plans.c.state == State.PLANNED)
        ids = list(connection.scalars(sa.select(plans.c.id).where(*planned)))
        if ids or run.finished is None:
            _change(
                connection,
                ids,
                Event.DROPPED,
                f"run {run_id} was undone before its turn, by {fit(lease.user(), 255)}",
            )
            values = {"lease": None, "finished": run.finished or lease.now_of(connection)}
            state = run_state(_count(connection, run.id))
            connection.execute(_of_run(run.id).values(state=state, **values))
        abandoned += len(ids)
    return abandoned


def _check_still_to_undo(connection: sa.Connection, run: int, undo: int | None = None) -> None:
    """Raise StalePlan unless the run UNDO takes back just what is left of RUN; None: nothing is.

    While the undo's question was open, or its plans were in a file, RUN may have been carried on,
    undone, or undone and done again. What another undo took back in part was skipped, and told.
    """
    mine, others = plans.alias(), plans.alias()
    elsewhere = sa.exists().where(
        others.c.undoes == plans.c.id, others.c.run_id != (undo or 0), others.c.state.in_(BEGUN)
    )
    left = (plans.c.run_id == run, plans.c.state.in_(TO_UNDO), sa.not_(elsewhere))
    number = sa.select(sa.func.count(plans.c.id))
    joined = number.join(mine, mine.c.undoes == plans.c.id).where(mine.c.run_id == undo, *left)
    counts = {
        connection.scalar(number.where(*left)),
        connection.scalar(number.where(plans.c.run_id == undo)),
        connection.scalar(joined),
    }
    if len(counts) > 1:
        raise StalePlan(
            f"run {run} is not as it was when this undo was planned: plan it again (nothing was "
            "done)"
        )


def _change(
    connection: sa.Connection, ids: Sequence[int], event: Event, error: str | None = None
) -> None:
    """Change the state of these plans by EVENT; raises NovadevError where it cannot happen."""
    if _try_to_change(connection, ids, event, error) != len(ids):
        raise NovadevError(f"the journal was changed by somebody else: no such plan where {event}")


def _try_to_change(
    connection: sa.Connection, ids: Sequence[int], event: Event, error: str | None = None
) -> int:
    """Change the state of those of these plans to which EVENT can happen; return their number."""
    changed = 0
    for after in targets(event):
        before = sources(event, after)
        for start in range(0, len(ids), _PAGE):
            chosen = (plans.c.id.in_(ids[start : start + _PAGE]), plans.c.state.in_(before))
            query = sa.update(plans).where(*chosen).values(state=after, error=error)
            changed += connection.execute(query).rowcount
    return changed


_NEXT: Mapping[Event, Event] = {
    Event.TAKEN_BACK: Event.PUT_BACK,
    Event.PUT_BACK: Event.TAKEN_BACK,
    Event.TAKEN_BACK_IN_PART: Event.PUT_BACK_IN_PART,
    Event.PUT_BACK_IN_PART: Event.TAKEN_BACK_IN_PART,
}
"""When an undo is itself taken back, what it took back is there again; and so on."""
_IN_PART: Mapping[Event, Event] = {
    Event.TAKEN_BACK: Event.TAKEN_BACK_IN_PART,
    Event.PUT_BACK: Event.PUT_BACK_IN_PART,
    Event.TAKEN_BACK_IN_PART: Event.TAKEN_BACK_IN_PART,
    Event.PUT_BACK_IN_PART: Event.PUT_BACK_IN_PART,
}


def _change_undone(connection: sa.Connection, items: Sequence[Journaled], event: Event) -> None:
    """Change the states of what ITEMS, plans of an undo, took back, down the chain of undos."""
    if event not in (Event.LANDED, Event.PARTED):
        return
    for partly in (False, True):
        ids = [item.undoes for item in items if item.undoes and item.plan.partly is partly]
        happened = Event.TAKEN_BACK if event is Event.LANDED else Event.TAKEN_BACK_IN_PART
        while ids:
            _try_to_change(connection, ids, happened)
            chosen = (plans.c.id.in_(ids), plans.c.undoes.is_not(None))
            ids = list(connection.scalars(sa.select(plans.c.undoes).where(*chosen)))
            happened = _NEXT[happened]
            if partly:
                happened = _IN_PART[happened]


def _count(connection: sa.Connection, run_id: int) -> dict[str, int]:
    number = sa.func.count().label("number")
    query = sa.select(plans.c.state, number).where(plans.c.run_id == run_id)
    return {row.state: row.number for row in connection.execute(query.group_by(plans.c.state))}
