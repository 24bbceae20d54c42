"""What was planned, and whether it landed.

A plan is here before the first write it causes; a second line says what became of it. A run
holds a lease (host, process, heartbeat), so that nobody resumes one that is alive.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from novadev import plan as plans_module
from novadev.database import Database
from novadev.errors import NotAsNeeded, NotFound
from novadev.plan import Outcome, Plan
from novadev.state.tables import plans, runs

LEASE = timedelta(minutes=10)
"""How long a run on another host counts as alive after its last heartbeat."""
PENDING = ("planned", "started")


@dataclass(frozen=True)
class Run:
    """One run of a mutating command.

    ``state``: ``planning`` until the question is answered, ``running``, then ``applied``,
    ``partial``, ``failed`` or ``nothing``.
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

    @property
    def is_alive(self) -> bool:
        """Whether the process that carries it out still does, as far as can be told."""
        if self.finished is not None:
            return False
        if self.host == socket.gethostname():
            return _process_started(self.pid) == self.pid_started
        return self.heartbeat > _now() - LEASE


@dataclass(frozen=True)
class Journaled:
    """A plan in the journal."""

    id: int
    plan: Plan
    state: str
    error: str | None


@dataclass(frozen=True)
class Draft:
    """A plan on its way into the journal.

    ``undoes`` is the id of the journaled plan it takes back; ``started`` says that one may have
    been half written, so that parts of this one may be there already.
    """

    plan: Plan
    undoes: int | None = None
    started: bool = False


@dataclass(frozen=True)
class RunSummary:
    """A line of the history; times are UTC, counts are of plans."""

    run: int
    started: str
    finished: str | None
    user: str
    action: str
    state: str
    plans: int
    applied: int
    failed: int


class Journal:
    """The journal in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, action: str, undoes: int | None = None) -> Run:
        """Return a new run in state ``planning``, leased to this process."""
        values: dict[str, object] = {"action": action, "state": "planning", "undoes": undoes}
        values |= {"started": _now(), "user": _user(), **_lease()}
        self._forget_abandoned()
        with self._database.writing() as connection:
            result = connection.execute(sa.insert(runs).values(values))
            run_id = int(result.inserted_primary_key[0])  # type: ignore[index]
        return self.get(run_id)

    def _forget_abandoned(self) -> None:
        """Forget the runs whose process died before its question was answered."""
        query = sa.select(runs).where(runs.c.state == "planning")
        with self._database.reading() as connection:
            found = [Run(**row._mapping) for row in connection.execute(query)]
        for run in found:
            if not run.is_alive:
                self.discard(run)

    def get(self, run_id: int) -> Run:
        """Return the run RUN_ID; raises NotFound."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no run {run_id}: see novadev history")
        return Run(**row._mapping)

    def add(self, run: Run, drafts: Sequence[Draft]) -> None:
        """Write plans that have not been applied."""
        rows = [
            {
                "run_id": run.id,
                "instance": draft.plan.instance,
                "state": "started" if draft.started else "planned",
                "undoes": draft.undoes,
                "body": plans_module.dumps(draft.plan),
            }
            for draft in drafts
        ]
        with self._database.writing() as connection:
            connection.execute(sa.insert(plans), rows)

    def discard(self, run: Run) -> None:
        """Forget a run that was never begun."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(plans).where(plans.c.run_id == run.id))
            connection.execute(sa.delete(runs).where(runs.c.id == run.id))

    def begin(self, run: Run) -> None:
        """Say that the question was answered yes."""
        self._update_run(run, state="running")

    @staticmethod
    def check_not_alive(run: Run) -> None:
        """Raise NotAsNeeded while the process that carries out RUN is alive."""
        if run.is_alive:
            raise NotAsNeeded(
                f"run {run.id} is being carried out by process {run.pid} on {run.host}"
            )

    def take_over(self, run: Run) -> None:
        """Lease RUN to this process; raises NotAsNeeded when it is alive or was just taken."""
        self.check_not_alive(run)
        mine = (runs.c.id == run.id, runs.c.host == run.host, runs.c.pid == run.pid)
        query = sa.update(runs).where(*mine, runs.c.heartbeat == run.heartbeat)
        with self._database.writing() as connection:
            values = {"state": "running", "finished": None, **_lease()}
            if connection.execute(query.values(values)).rowcount != 1:
                raise NotAsNeeded(f"run {run.id} was taken over by another novadev just now")

    def abandon(self, run: Run) -> None:
        """End a run that was stopped: what it has not begun will not be done.

        Raises NotAsNeeded while its process is alive.
        """
        if run.finished is not None:
            return
        self.take_over(run)
        chosen = (plans.c.run_id == run.id, plans.c.state == "planned")
        with self._database.writing() as connection:
            query = sa.update(plans).where(*chosen)
            connection.execute(query.values(state="failed", error="abandoned: the run was undone"))
        self.finish(run)

    def mark_started(self, run: Run, batch: Sequence[Journaled]) -> None:
        """Say, before the first write, that BATCH is being written."""
        with self._database.writing() as connection:
            self._set_states(connection, [item.id for item in batch], "started", None)
            self._beat(connection, run)

    def mark(self, run: Run, batch: Sequence[Journaled], outcomes: Sequence[Outcome]) -> None:
        """Say what became of each plan of BATCH; an applied undo marks what it took back."""
        groups: dict[tuple[str, str | None], list[int]] = {}
        for item, outcome in zip(batch, outcomes, strict=True):
            groups.setdefault((outcome.state, outcome.error), []).append(item.id)
        with self._database.writing() as connection:
            for (state, error), ids in groups.items():
                self._set_states(connection, ids, state, error)
                if state == "applied" and run.undoes is not None:
                    self._mark_undone(connection, ids)
            self._beat(connection, run)

    @staticmethod
    def _set_states(
        connection: sa.Connection, ids: Sequence[int], state: str, error: str | None
    ) -> None:
        query = sa.update(plans).where(plans.c.id.in_(ids)).values(state=state, error=error)
        connection.execute(query)

    @staticmethod
    def _mark_undone(connection: sa.Connection, ids: Sequence[int]) -> None:
        chosen = sa.select(plans.c.undoes).where(plans.c.id.in_(ids))
        taken_back = [row.undoes for row in connection.execute(chosen)]
        query = sa.update(plans).where(plans.c.id.in_(taken_back))
        connection.execute(query.values(state="undone", error=None))

    @staticmethod
    def _beat(connection: sa.Connection, run: Run) -> None:
        connection.execute(sa.update(runs).where(runs.c.id == run.id).values(heartbeat=_now()))

    def finish(self, run: Run) -> str:
        """Close RUN and return its state: applied, partial, failed or nothing."""
        counts = self.count(run)
        applied = counts.get("applied", 0) + counts.get("undone", 0)
        others = sum(counts.values()) - applied
        written = applied + counts.get("started", 0)
        state = "nothing" if not counts else "partial" if written else "failed"
        if counts and not others:
            state = "applied"
        self._update_run(run, state=state, finished=_now())
        return state

    def _update_run(self, run: Run, **values: object) -> None:
        query = sa.update(runs).where(runs.c.id == run.id).values(heartbeat=_now(), **values)
        with self._database.writing() as connection:
            connection.execute(query)

    def count(self, run: Run) -> dict[str, int]:
        """Return how many plans of RUN are in each state."""
        number = sa.func.count().label("number")
        query = sa.select(plans.c.state, number).where(plans.c.run_id == run.id)
        with self._database.reading() as connection:
            found = connection.execute(query.group_by(plans.c.state))
            return {row.state: row.number for row in found}

    def count_left(self, run: Run) -> int:
        """Return how many plans of RUN are still to be finished."""
        counts = self.count(run)
        return sum(counts.get(state, 0) for state in PENDING)

    def iter_pending(self, run: Run, started: bool, size: int) -> Iterator[list[Journaled]]:
        """Yield batches of plans (one cell each) that were STARTED, or that were not."""
        states = ("started",) if started else ("planned",)
        return plans_module.batched(self.iter_plans(run, states), size)

    def iter_plans(
        self, run: Run, states: Iterable[str] = (), newest_first: bool = False
    ) -> Iterator[Journaled]:
        """Yield the plans of RUN in any of STATES (all if none), a page in memory at a time."""
        last: int | None = None
        while True:
            page = self._page(run, tuple(states), newest_first, last)
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1].id

    def _page(
        self, run: Run, states: tuple[str, ...], newest_first: bool, last: int | None
    ) -> list[Journaled]:
        query = sa.select(plans).where(plans.c.run_id == run.id).limit(_PAGE)
        if states:
            query = query.where(plans.c.state.in_(states))
        if last is not None:
            query = query.where(plans.c.id < last if newest_first else plans.c.id > last)
        query = query.order_by(plans.c.id.desc() if newest_first else plans.c.id)
        with self._database.reading() as connection:
            return [_journaled(row) for row in connection.execute(query)]

    def list_runs(self) -> list[RunSummary]:
        """Return every run, newest first."""

        def counted(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
            return sa.func.count(sa.case((condition, 1)))

        landed = plans.c.state.in_(("applied", "undone"))
        query = (
            sa.select(
                runs,
                sa.func.count(plans.c.id).label("plans"),
                counted(landed).label("applied"),
                counted(sa.not_(landed) & plans.c.error.is_not(None)).label("failed"),
            )
            .outerjoin(plans, plans.c.run_id == runs.c.id)
            .group_by(runs.c.id)
            .order_by(runs.c.id.desc())
        )
        with self._database.reading() as connection:
            return [_summary(row) for row in connection.execute(query)]

    def find_unfinished(self) -> list[Run]:
        """Return the runs that were begun, are not alive and have plans left, newest first."""
        left = sa.exists().where(plans.c.run_id == runs.c.id, plans.c.state.in_(PENDING))
        begun = runs.c.state.in_(("running", "partial", "failed"))
        query = sa.select(runs).where(begun, left).order_by(runs.c.id.desc())
        with self._database.reading() as connection:
            found = [Run(**row._mapping) for row in connection.execute(query)]
        return [run for run in found if not run.is_alive]


_PAGE = 500


def _journaled(row: Any) -> Journaled:
    return Journaled(row.id, plans_module.loads(row.body), row.state, row.error)


def _summary(row: Any) -> RunSummary:
    return RunSummary(
        run=row.id,
        started=_text(row.started),
        finished=_text(row.finished) if row.finished else None,
        user=row.user,
        action=row.action,
        state=row.state,
        plans=row.plans,
        applied=row.applied,
        failed=row.failed,
    )


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)


def _lease() -> dict[str, object]:
    pid = os.getpid()
    started = _process_started(pid)
    return {"host": socket.gethostname(), "pid": pid, "pid_started": started, "heartbeat": _now()}


def _process_started(pid: int) -> str:
    """Return when process PID started (clock ticks since boot), empty where there is none.

    A zombie counts as none: it only waits for its parent to notice.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] in ("Z", "X") else after_name[19]


def _user() -> str:
    """Return who is at work: the name behind sudo, else the process's own."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
