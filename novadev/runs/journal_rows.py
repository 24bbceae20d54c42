"""The rows of the journal: a request, a run, a plan in it, and how its states follow each other.

What is here works in the transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from novadev.database import now_of
from novadev.errors import NotFound, NovadevError
from novadev.runs import lease
from novadev.runs.encoding import loads
from novadev.runs.lease import Holder
from novadev.runs.plan import Plan
from novadev.runs.states import PENDING, Event, State, sources, targets
from novadev.state.tables import plans, runs

PAGE = 500
"""How many plans are read, or named in one statement, at a time."""
FORGOTTEN = timedelta(days=1)
"""After how long a run on another host that was never begun is forgotten."""
IS_LEFT = sa.or_(
    plans.c.state.in_(PENDING),
    sa.and_(plans.c.state == State.APPLIED, plans.c.unseen.is_not(None)),
)
"""Of which plans resume has something to do: to finish them, or to look at their servers again."""


@dataclass(frozen=True)
class Asked:
    """The request: the action, the options as typed, a message, the run that it undoes."""

    action: str
    options: str | None = None
    message: str | None = None
    undoes: int | None = None


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
    """A plan in the journal.

    ``unseen`` is the state in which its server was when it was written, until the server has been
    looked at again; None where no look is due.
    """

    id: int
    run: int
    plan: Plan
    state: State
    error: str | None
    undoes: int | None
    unseen: str | None = None


@dataclass(frozen=True)
class Written:
    """A plan of which something was written, with the times of its run, in UTC and naive.

    ``finished`` is None where the run goes on, or was left.
    """

    run: int
    plan: Plan
    state: State
    started: datetime
    finished: datetime | None


def journaled(row: Any) -> Journaled:
    """Return the plan in ROW of the table of plans."""
    plan = loads(row.body, f"run {row.run_id}: its plan {row.id} in the journal")
    return Journaled(row.id, row.run_id, plan, State(row.state), row.error, row.undoes, row.unseen)


def fit(text: str, longest: int = 2000) -> str:
    """Return TEXT as any database takes it: cut, and nothing in it beyond three bytes of UTF-8."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(c if c <= "\uffff" and not "\ud800" <= c <= "\udfff" else "?" for c in cut)


def update_run(run_id: int) -> sa.Update:
    """Return the UPDATE of the run RUN_ID, still without values."""
    return sa.update(runs).where(runs.c.id == run_id)


def update_plans(ids: Sequence[int]) -> sa.Update:
    """Return the UPDATE of the plans with these IDS, still without values."""
    return sa.update(plans).where(plans.c.id.in_(ids))


def get_run(connection: sa.Connection, run_id: int, lock: bool = False) -> Run:
    """Return the run RUN_ID, its row locked where LOCK says so; raises NotFound."""
    query = sa.select(runs).where(runs.c.id == run_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no run {run_id}: see novadev history")
    return Run(**row._mapping)


def forget(connection: sa.Connection, run_id: int) -> None:
    """Delete the run RUN_ID and its plans."""
    connection.execute(sa.delete(plans).where(plans.c.run_id == run_id))
    connection.execute(sa.delete(runs).where(runs.c.id == run_id))


def forget_never_begun(connection: sa.Connection) -> None:
    """Delete the runs whose process ended while it wrote their plans down."""
    query = sa.select(runs).where(runs.c.state == "planning")
    now = now_of(connection)
    for row in connection.execute(query.with_for_update()).all():
        run = Run(**row._mapping)
        is_ended = run.holder.is_here and not run.holder.is_running
        if is_ended or run.heartbeat < now - FORGOTTEN:
            forget(connection, run.id)


def check_free(connection: sa.Connection, run: Run, take_over: bool) -> None:
    """Raise NotAsNeeded while another process carries RUN out; see :func:`lease.check_free`."""
    if run.finished is None:
        lease.check_free(run.id, run.holder, run.heartbeat, now_of(connection), take_over=take_over)


def count(connection: sa.Connection, run_id: int) -> dict[str, int]:
    """Return how many plans of the run are in each state."""
    number = sa.func.count().label("number")
    query = sa.select(plans.c.state, number).where(plans.c.run_id == run_id)
    return {row.state: row.number for row in connection.execute(query.group_by(plans.c.state))}


def count_left(connection: sa.Connection, run_id: int) -> int:
    """Return of how many plans of the run resume has something to do."""
    query = sa.select(sa.func.count()).where(plans.c.run_id == run_id, IS_LEFT)
    return int(connection.scalar(query) or 0)


def change(
    connection: sa.Connection, ids: Sequence[int], event: Event, error: str | None = None
) -> None:
    """Change the state of these plans by EVENT; raises NovadevError where it cannot happen."""
    if try_to_change(connection, ids, event, error) != len(ids):
        raise NovadevError(f"another process has changed the journal: no such plan where {event}")


def try_to_change(
    connection: sa.Connection, ids: Sequence[int], event: Event, error: str | None = None
) -> int:
    """Change the state of those of these plans to which EVENT can happen; return their number."""
    changed = 0
    for after in targets(event):
        before = sources(event, after)
        for start in range(0, len(ids), PAGE):
            chosen = (plans.c.id.in_(ids[start : start + PAGE]), plans.c.state.in_(before))
            query = sa.update(plans).where(*chosen).values(state=after, error=error)
            changed += connection.execute(query).rowcount
    return changed
