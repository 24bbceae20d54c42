"""What was done, as records: the runs of the journal, chosen by what an operator asks after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from novadev.database import now_of
from novadev.nova.instances import uuid_of
from novadev.runs.lease import LEASE, Holder
from novadev.runs.states import PENDING, State, run_state
from novadev.state.tables import plans, runs

_LANDED = (State.APPLIED, State.UNDONE)


@dataclass(frozen=True)
class RunSummary:
    """A line of the history; times are UTC, counts are of plans.

    ``state`` is ``planning``, ``running``, ``interrupted`` (its process ended without a word, and
    it can be resumed), or what :func:`novadev.runs.states.run_state` says of its plans now.
    ``undoes`` is the run that it takes back, ``undone_by`` the newest undo of it.
    """

    run: int
    started: str
    finished: str | None
    user: str
    host: str
    action: str
    state: str
    plans: int
    applied: int
    half: int
    failed: int
    undone: int
    undoes: int | None
    undone_by: int | None
    message: str | None
    asked: str | None


@dataclass(frozen=True)
class RunFilter:
    """Which runs are asked for; None means any. ``instance`` is a UUID or a name."""

    instance: str | None = None
    since: datetime | None = None
    user: str | None = None
    action: str | None = None
    limit: int | None = None
    run: int | None = None


def list_runs(connection: sa.Connection, wanted: RunFilter) -> list[RunSummary]:
    """Return the runs that WANTED chooses, newest first."""
    query = sa.select(runs).order_by(runs.c.id.desc())
    if wanted.run is not None:
        query = query.where(runs.c.id == wanted.run)
    if wanted.since is not None:
        query = query.where(runs.c.started >= wanted.since)
    if wanted.user is not None:
        query = query.where(runs.c.user == wanted.user)
    if wanted.action is not None:
        query = query.where(_is_action(wanted.action))
    if wanted.instance is not None:
        query = query.where(
            sa.exists().where(
                plans.c.run_id == runs.c.id, _is_of(wanted.instance, connection.dialect.name)
            )
        )
    if wanted.limit is not None:
        query = query.limit(wanted.limit)
    found = connection.execute(query).all()
    counts = _counts(connection, [row.id for row in found])
    undone = dict(_undone_by(connection))
    now = now_of(connection)
    unseen = _unseen(connection, list(counts))
    return [
        _summary(row, counts.get(row.id, {}), undone.get(row.id), now, row.id in unseen)
        for row in found
    ]


def _is_action(action: str) -> sa.ColumnElement[bool]:
    """Whether a run is of ACTION: ``undo`` are the undos of any run."""
    if action == "undo":
        return runs.c.undoes.is_not(None)
    return runs.c.action == action


def _is_of(instance: str, dialect: str) -> sa.ColumnElement[bool]:
    """Whether a plan is of this UUID or name, compared as bytes."""
    if uuid := uuid_of(instance):
        return plans.c.instance == uuid
    body = plans.c.body if dialect == "sqlite" else sa.collate(plans.c.body, "utf8mb4_bin")
    return sa.func.instr(body, f'"name":{json.dumps(instance)}') > 0


def _counts(connection: sa.Connection, ids: list[int]) -> Mapping[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    query = sa.select(plans.c.run_id, plans.c.state, sa.func.count().label("number"))
    for start in range(0, len(ids), 500):
        chosen = query.where(plans.c.run_id.in_(ids[start : start + 500]))
        for row in connection.execute(chosen.group_by(plans.c.run_id, plans.c.state)):
            found.setdefault(row.run_id, {})[row.state] = row.number
    return found


def _unseen(connection: sa.Connection, ids: list[int]) -> set[int]:
    """Return the runs among IDS that have plans whose servers are to be looked at again."""
    found: set[int] = set()
    query = sa.select(plans.c.run_id).distinct().where(plans.c.unseen.is_not(None))
    for start in range(0, len(ids), 500):
        theirs = plans.c.run_id.in_(ids[start : start + 500])
        due = query.where(theirs, plans.c.state == State.APPLIED)
        found.update(connection.execute(due).scalars())
    return found


def _undone_by(connection: sa.Connection) -> Iterator[tuple[int, int]]:
    query = sa.select(runs.c.undoes, sa.func.max(runs.c.id).label("undo"))
    begun = (runs.c.undoes.is_not(None), runs.c.state != "planning")
    for row in connection.execute(query.where(*begun).group_by(runs.c.undoes)):
        yield row.undoes, row.undo


def _summary(
    run: Any, counts: Mapping[str, int], undone_by: int | None, now: datetime, is_unseen: bool
) -> RunSummary:
    return RunSummary(
        run=run.id,
        started=_text(run.started),
        finished=_text(run.finished) if run.finished else None,
        user=run.user,
        host=run.host,
        action=run.action,
        state=_state(run, counts, now, is_unseen),
        plans=sum(counts.values()),
        applied=sum(counts.get(state, 0) for state in _LANDED),
        half=counts.get(State.HALF, 0) + counts.get(State.STARTED, 0),
        failed=counts.get(State.FAILED, 0) + counts.get(State.STALE, 0),
        undone=counts.get(State.UNDONE, 0),
        undoes=run.undoes,
        undone_by=undone_by,
        message=run.message,
        asked=run.asked,
    )


def _state(run: Any, counts: Mapping[str, int], now: datetime, is_unseen: bool) -> str:
    holder = Holder(run.host, run.pid, run.pid_started, run.machine)
    is_held = holder.is_running if holder.is_here else run.heartbeat + LEASE > now
    if run.finished is None and is_held:
        return "planning" if run.state == "planning" else "running"
    if run.state == "planning":
        return "nothing"
    if run.finished is None and (is_unseen or any(counts.get(state) for state in PENDING)):
        return "interrupted"
    return run_state(counts)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Controller:
    """A host that carried out runs; ``running`` is the newest that has a lease now."""

    host: str
    runs: int
    last: str
    running: int | None


def list_controllers(connection: sa.Connection) -> list[Controller]:
    """Return who has carried out runs of this journal, who did so last first."""
    began = sa.func.max(runs.c.started)
    query = sa.select(runs.c.host, sa.func.count(), began).group_by(runs.c.host)
    newest = sa.func.max(runs.c.id).label("newest")
    leased = sa.select(runs.c.host, newest).where(
        runs.c.state == "running", runs.c.heartbeat > now_of(connection) - LEASE
    )
    found = connection.execute(leased.group_by(runs.c.host))
    running = {row.host: row.newest for row in found}
    return [
        Controller(host, number, f"{last:%Y-%m-%dT%H:%M:%SZ}", running.get(host))
        for host, number, last in connection.execute(query.order_by(began.desc()))
    ]
