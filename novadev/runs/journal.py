"""The journal: runs, their plans, and the state of each plan.

A plan is here before the first write it causes; a second line says what became of it. Only the
process that holds the lease of a run changes what is here of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from novadev.database import Database, now_of
from novadev.errors import BadInput, NotAsNeeded, TakenOver
from novadev.runs import history, journal_undo, lease
from novadev.runs.encoding import dumps
from novadev.runs.history import RunFilter, RunSummary
from novadev.runs.journal_rows import (
    IS_LEFT,
    PAGE,
    Asked,
    Journaled,
    Run,
    Written,
    change,
    check_free,
    count,
    count_left,
    fit,
    forget,
    forget_never_begun,
    get_run,
    journaled,
    try_to_change,
    update_plans,
    update_run,
)
from novadev.runs.lease import Fence
from novadev.runs.plan import Outcome, Plan
from novadev.runs.states import OUTCOMES, TO_UNDO, Event, State, run_state
from novadev.state.tables import journal as journal_table
from novadev.state.tables import plans, runs


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
        with self._database.writing() as connection:
            forget_never_begun(connection)
        values = {
            "action": fit(asked.action, 255),
            "state": "planning",
            "undoes": asked.undoes,
            "user": fit(lease.user(), 255),
            "asked": asked.options and fit(asked.options),
            "message": asked.message and fit(asked.message),
        }
        with self._database.writing() as connection:
            taken = lease.taken(connection)
            started = {"started": taken["heartbeat"]}
            result = connection.execute(sa.insert(runs).values(**values, **started, **taken))
            run_id = int(result.inserted_primary_key[0])  # type: ignore[index]
        return self.get(run_id)

    def get(self, run_id: int) -> Run:
        """Return the run RUN_ID; raises NotFound."""
        with self._database.reading() as connection:
            return get_run(connection, run_id)

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
                journal_undo.end_undone(connection, run.undoes, take_over)
                journal_undo.check_still_to_undo(connection, run.undoes, run.id)
            if sum(count(connection, run.id).values()) != number:
                raise TakenOver(f"run {run.id}: some of its plans are no longer in the journal")
            connection.execute(update_run(run.id).values(state="running"))

    def end_undone(self, run: Run, take_over: bool = False) -> None:
        """End RUN, of which there is nothing to undo; raises StalePlan where there is by now."""
        with self._database.writing() as connection:
            journal_undo.end_undone(connection, run.id, take_over)
            journal_undo.check_still_to_undo(connection, run.id)

    def discard(self, run: Run) -> None:
        """Forget a run that was never begun; one that another process has by now is left."""
        with self._database.writing() as connection:
            try:
                lease.hold(connection, run.id, run.lease)
            except TakenOver:
                return
            forget(connection, run.id)

    def check_free_to_undo(self, run: Run, take_over: bool = False) -> None:
        """Raise NotAsNeeded while another process carries out RUN, or an undo of it."""
        with self._database.reading() as connection:
            journal_undo.check_free_to_undo(connection, run.id, take_over)

    def take_over(self, run: Run, take_over: bool = False, message: str | None = None) -> Run:
        """Lease RUN to this process and return it so; its message says who goes on, and MESSAGE.

        Raises NotAsNeeded where another process has it, an undo names it or nothing is left of it.
        """
        with self._database.writing() as connection:
            now = get_run(connection, run.id, lock=True)
            check_free(connection, now, take_over)
            journal_undo.check_not_undone(connection, now)
            if not count_left(connection, run.id):
                raise NotAsNeeded(f"run {run.id} has nothing left to do any more")
            values = {"state": "running", "finished": None, **lease.taken(connection)}
            values["message"] = fit("; ".join(filter(None, (now.message, _resumed_by(message)))))
            connection.execute(update_run(run.id).values(values))
        return self.get(run.id)

    def renewing(self, run: Run) -> AbstractContextManager[Fence]:
        """Renew the lease of RUN until the end of the block; see :func:`lease.renewing`."""
        return lease.renewing(self._database, run.id, run.lease)

    def renew(self, run: Run, changed: Mapping[int, Plan]) -> None:
        """Write plans of RUN with their effects of today, by their ids; raises TakenOver."""
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            for plan_id, plan in changed.items():
                connection.execute(update_plans([plan_id]).values(body=dumps(plan)))

    def mark_started(self, run: Run, batch: Sequence[Journaled]) -> None:
        """Say, before the first write, that BATCH is being written; raises TakenOver."""
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            change(connection, [item.id for item in batch], Event.BEGUN)

    def mark(self, run: Run, batch: Sequence[Journaled], outcomes: Sequence[Outcome]) -> None:
        """Say what became of each plan of BATCH, and of what it took back; raises TakenOver."""
        groups: dict[tuple[Event, str | None, bool], list[Journaled]] = {}
        for item, outcome in zip(batch, outcomes, strict=True):
            event = OUTCOMES[State(outcome.state)]
            error = None if outcome.error is None else fit(outcome.error)
            leaves_part = journal_undo.leaves_a_part(item, outcome)
            groups.setdefault((event, error, leaves_part), []).append(item)
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            for (event, error, leaves_part), items in groups.items():
                change(connection, [item.id for item in items], event, error)
                if run.undoes is not None:
                    journal_undo.change_undone(connection, items, event, leaves_part)
            for vm_state in {outcome.vm_state for outcome in outcomes} - {None}:
                pairs = zip(batch, outcomes, strict=True)
                ids = [item.id for item, outcome in pairs if outcome.vm_state == vm_state]
                connection.execute(update_plans(ids).values(unseen=vm_state))

    def note_look(self, run: Run, batch: Sequence[Journaled], news: Mapping[int, Outcome]) -> None:
        """Write that the servers of BATCH were looked at again; raises TakenOver.

        NEWS are what was found of some of them, by the plan's id: an error, and that a plan is
        half where it was applied.
        """
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            connection.execute(update_plans([item.id for item in batch]).values(unseen=None))
            for item in batch:
                if item.id in news:
                    self._note_news(connection, run, item, news[item.id])

    def _note_news(
        self, connection: sa.Connection, run: Run, item: Journaled, outcome: Outcome
    ) -> None:
        error = fit(outcome.error or "")
        if outcome.state == State.HALF and try_to_change(
            connection, [item.id], Event.OVERWRITTEN, error
        ):
            if run.undoes is not None:
                journal_undo.change_undone(connection, [item], Event.OVERWRITTEN, leaves_part=False)
        else:
            connection.execute(update_plans([item.id]).values(error=error))

    def finish(self, run: Run) -> str:
        """Close RUN, give its lease back and return its state; raises TakenOver."""
        with self._database.writing() as connection:
            lease.hold(connection, run.id, run.lease)
            state = run_state(count(connection, run.id))
            values = {"state": state, "finished": now_of(connection), "lease": None}
            connection.execute(update_run(run.id).values(values))
        return state

    def count(self, run: Run) -> dict[str, int]:
        """Return how many plans of RUN are in each state."""
        with self._database.reading() as connection:
            return count(connection, run.id)

    def count_dropped(self, run: Run) -> dict[int, int]:
        """Return how many plans that were not begun an undo of RUN would abandon, by their run."""
        with self._database.reading() as connection:
            return journal_undo.count_dropped(connection, run.id)

    def count_left(self, run: Run) -> int:
        """Return of how many plans of RUN resume has something to do."""
        with self._database.reading() as connection:
            return count_left(connection, run.id)

    def list_unseen(self, run: Run) -> list[Journaled]:
        """Return the plans of RUN that are done, and whose servers are to be looked at again."""
        theirs = (plans.c.run_id == run.id, plans.c.state == State.APPLIED)
        query = sa.select(plans).where(*theirs, plans.c.unseen.is_not(None))
        return self._read(query.order_by(plans.c.id))

    def iter_plans(
        self, run: Run, states: Iterable[str] = (), newest_first: bool = False
    ) -> Iterator[Journaled]:
        """Yield the plans of RUN in any of STATES (all if none), a page in memory at a time."""
        query = sa.select(plans).where(plans.c.run_id == run.id).limit(PAGE)
        if states := tuple(states):
            query = query.where(plans.c.state.in_(states))
        query = query.order_by(plans.c.id.desc() if newest_first else plans.c.id)
        page = self._read(query)
        while page:
            yield from page
            last = page[-1].id
            there = plans.c.id < last if newest_first else plans.c.id > last
            page = self._read(query.where(there)) if len(page) == PAGE else []

    def list_plans(self, ids: Sequence[int]) -> dict[int, Journaled]:
        """Return the plans with these IDS, by id."""
        return {item.id: item for item in self._read(sa.select(plans).where(plans.c.id.in_(ids)))}

    def list_landed(self, instances: Collection[str]) -> list[Journaled]:
        """Return the plans of INSTANCES that may be there, in part or whole, newest first.

        A plan that cannot be read, as one of a newer release, is left out.
        """
        uuids, found = sorted(instances), []
        landed = sa.select(plans).where(plans.c.state.in_(TO_UNDO))
        for start in range(0, len(uuids), PAGE):
            query = landed.where(plans.c.instance.in_(uuids[start : start + PAGE]))
            found += self._read(query, tolerant=True)
        return sorted(found, key=lambda item: item.id, reverse=True)

    def list_written(self, instances: Collection[str]) -> dict[str, list[Written]]:
        """Return what was written of INSTANCES, also what was undone, newest first, by instance.

        A plan that cannot be read is left out, as is an instance without any.
        """
        uuids, found = sorted(instances), dict[str, list[Written]]()
        query = sa.select(plans, runs.c.started, runs.c.finished).join(runs)
        query = query.where(plans.c.state.in_((*TO_UNDO, State.UNDONE))).order_by(plans.c.id.desc())
        for start in range(0, len(uuids), PAGE):
            with self._database.reading() as connection:
                chosen = query.where(plans.c.instance.in_(uuids[start : start + PAGE]))
                rows = connection.execute(chosen).all()
            for row in rows:
                with suppress(BadInput):
                    item = journaled(row)
                    written = Written(item.run, item.plan, item.state, row.started, row.finished)
                    found.setdefault(row.instance, []).append(written)
        return found

    def _read(self, query: sa.Select[Any], tolerant: bool = False) -> list[Journaled]:
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        found = []
        for row in rows:
            with suppress(BadInput) if tolerant else nullcontext():
                found.append(journaled(row))
        return found

    def taken_back_in_part(self, run: Run) -> dict[int, int]:
        """Return the plans of RUN of which an undo took back a part, and the run of that undo."""
        with self._database.reading() as connection:
            return journal_undo.taken_back_in_part(connection, run.id)

    def list_undone_by(self, run: Run) -> list[tuple[int, int]]:
        """Return the undos of RUN by which plans of it are undone now, and how many, newest first.

        An undo that was refused, or undone itself, is none of them.
        """
        with self._database.reading() as connection:
            return journal_undo.list_undone_by(connection, run.id)

    def list_vain_undos(self, run: Run) -> list[tuple[int, bool]]:
        """Return the undos of RUN of which nothing is in effect, newest first.

        Each with whether it was refused as a whole: then it never wrote anything.
        """
        with self._database.reading() as connection:
            return journal_undo.list_vain_undos(connection, run.id)

    def list_put_back_in_part(self, run: Run) -> list[tuple[str, int]]:
        """Return whose plans of RUN were undone and may be there again in part, and by which run.

        An undo of their undo was stopped while it put them back.
        """
        with self._database.reading() as connection:
            return journal_undo.list_put_back_in_part(connection, run.id)

    def find_unfinished(self) -> list[Run]:
        """Return the runs that were begun, have plans left and no undo, newest first."""
        left = sa.exists().where(plans.c.run_id == runs.c.id, IS_LEFT)
        query = sa.select(runs).where(
            runs.c.state != "planning", left, sa.not_(journal_undo.is_undone())
        )
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(runs.c.id.desc()))
            return [Run(**row._mapping) for row in found]

    def check_may_go_on(self, run: Run, take_over: bool = False) -> None:
        """Raise NotAsNeeded unless RUN was begun, is nobody's now and was not undone."""
        if run.state == "planning":
            raise NotAsNeeded(f"run {run.id} was never started: there is nothing to finish")
        with self._database.reading() as connection:
            check_free(connection, run, take_over)
            journal_undo.check_not_undone(connection, run)

    def iter_runs(self, wanted: RunFilter) -> Iterator[RunSummary]:
        """Yield what the history has of the runs that WANTED chooses, newest first."""
        with self._database.reading() as connection:
            yield from history.list_runs(connection, wanted)


def _resumed_by(message: str | None) -> str:
    who = f"resumed by {lease.user()}"
    return f"{who}: {message}" if message else who
