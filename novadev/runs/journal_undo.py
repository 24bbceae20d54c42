"""Undos in the journal: what one does to the run that it takes back, and which a run has.

What is here works in the transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from novadev.database import now_of
from novadev.errors import NotAsNeeded, StalePlan
from novadev.runs import lease
from novadev.runs.journal_rows import (
    Journaled,
    Run,
    change,
    check_free,
    count,
    fit,
    try_to_change,
    update_run,
)
from novadev.runs.plan import Outcome
from novadev.runs.states import BEGUN, TO_UNDO, Event, State, run_state
from novadev.state.tables import plans, runs

_TO_UNDONE: Mapping[Event, Event] = {
    Event.LANDED: Event.TAKEN_BACK,
    Event.PARTED: Event.TAKEN_BACK_IN_PART,
    Event.OVERWRITTEN: Event.PUT_BACK_IN_PART,
}
"""What happens to a plan when its undo has an event; no other event of the undo changes it."""
_NEXT: Mapping[Event, Event] = {
    Event.TAKEN_BACK: Event.PUT_BACK,
    Event.PUT_BACK: Event.TAKEN_BACK,
    Event.TAKEN_BACK_IN_PART: Event.PUT_BACK_IN_PART,
    Event.PUT_BACK_IN_PART: Event.TAKEN_BACK_IN_PART,
}
"""When an undo is itself taken back, what it took back is there again; and so on."""


def is_undone() -> sa.ColumnElement[bool]:
    """Whether an undo that was begun names a run."""
    undo = runs.alias()
    return sa.exists().where(undo.c.undoes == runs.c.id, undo.c.state != "planning")


def check_not_undone(connection: sa.Connection, run: Run) -> None:
    """Raise NotAsNeeded where an undo that was begun names RUN."""
    query = sa.select(sa.func.max(runs.c.id))
    undo = connection.scalar(query.where(runs.c.undoes == run.id, runs.c.state != "planning"))
    if undo is not None:
        raise NotAsNeeded(f"run {run.id} was undone by run {undo} and cannot be resumed")


def _with_undos(run_id: int) -> sa.ColumnElement[bool]:
    """Whether a run is RUN_ID, or an undo of it that was begun."""
    return (runs.c.id == run_id) | ((runs.c.undoes == run_id) & (runs.c.state != "planning"))


def count_dropped(connection: sa.Connection, run_id: int) -> dict[int, int]:
    """Return how many plans `end_undone` would abandon, by their run."""
    query = sa.select(plans.c.run_id, sa.func.count()).join(runs, runs.c.id == plans.c.run_id)
    query = query.where(_with_undos(run_id), plans.c.state == State.PLANNED)
    found = connection.execute(query.group_by(plans.c.run_id).order_by(plans.c.run_id)).all()
    return dict(found)


def check_free_to_undo(connection: sa.Connection, run_id: int, take_over: bool) -> None:
    """Raise NotAsNeeded while another process carries out the run RUN_ID, or an undo of it."""
    query = sa.select(runs).where(_with_undos(run_id)).order_by(runs.c.id)
    for row in connection.execute(query):
        check_free(connection, Run(**row._mapping), take_over)


def end_undone(connection: sa.Connection, run_id: int, take_over: bool) -> None:
    """End the run RUN_ID, and the undos of it that were stopped; abandon what they had left."""
    query = sa.select(runs).where(_with_undos(run_id)).order_by(runs.c.id)
    found = [Run(**row._mapping) for row in connection.execute(query.with_for_update())]
    for run in found:
        check_free(connection, run, take_over)
        planned = (plans.c.run_id == run.id, plans.c.state == State.PLANNED)
        ids = list(connection.scalars(sa.select(plans.c.id).where(*planned)))
        if ids or run.finished is None:
            change(
                connection,
                ids,
                Event.DROPPED,
                f"run {run_id} was undone before its turn, by {fit(lease.user(), 255)}",
            )
            values = {"lease": None, "finished": run.finished or now_of(connection)}
            state = run_state(count(connection, run.id))
            connection.execute(update_run(run.id).values(state=state, **values))


def check_still_to_undo(connection: sa.Connection, run: int, undo: int | None = None) -> None:
    """Raise StalePlan unless UNDO undoes exactly what is left of RUN; None if nothing is left.

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
            f"run {run} has changed since this undo was planned: plan the undo again (nothing was "
            "done)"
        )


def leaves_a_part(item: Journaled, outcome: Outcome) -> bool:
    """Whether ITEM, an undo of as much as possible, has landed and left a part as it was."""
    return item.plan.partly and bool(outcome.left)


def change_undone(
    connection: sa.Connection, items: Sequence[Journaled], event: Event, leaves_part: bool
) -> None:
    """Change the states of what ITEMS, plans of an undo, took back, down the chain of undos.

    LEAVES_PART: of each, a part is left as it was. What is taken back is gone all the same, as that
    part holds another value; what is put back is there in part alone.
    """
    if event not in _TO_UNDONE:
        return
    ids = [item.undoes for item in items if item.undoes]
    happened = _TO_UNDONE[event]
    while ids:
        in_part = leaves_part and happened is Event.PUT_BACK
        try_to_change(connection, ids, Event.PUT_BACK_IN_PART if in_part else happened)
        chosen = (plans.c.id.in_(ids), plans.c.undoes.is_not(None))
        ids = list(connection.scalars(sa.select(plans.c.undoes).where(*chosen)))
        happened = _NEXT[happened]


def taken_back_in_part(connection: sa.Connection, run_id: int) -> dict[int, int]:
    """Return the plans of the run of which an undo took back a part, and the run of that undo."""
    theirs = plans.alias()
    query = (
        sa.select(plans.c.id, theirs.c.run_id)
        .join(theirs, theirs.c.undoes == plans.c.id)
        .where(plans.c.run_id == run_id, theirs.c.state.in_(BEGUN))
    )
    return {row.id: row.run_id for row in connection.execute(query)}


def list_undone_by(connection: sa.Connection, run_id: int) -> list[tuple[int, int]]:
    """Return the undos of the run by which plans of it are undone now, and how many, newest first.

    An undo that was refused, or undone itself, is none of them.
    """
    theirs = plans.alias()
    query = (
        sa.select(theirs.c.run_id, sa.func.count())
        .join(plans, theirs.c.undoes == plans.c.id)
        .where(plans.c.run_id == run_id, plans.c.state == State.UNDONE)
        .where(theirs.c.state == State.APPLIED)
        .group_by(theirs.c.run_id)
        .order_by(theirs.c.run_id.desc())
    )
    return [(undo, number) for undo, number in connection.execute(query)]


def list_vain_undos(connection: sa.Connection, run_id: int) -> list[tuple[int, bool]]:
    """Return the undos of the run of which nothing is in effect, newest first.

    Each with whether it was refused as a whole: then it never wrote anything.
    """
    states: dict[int, set[State]] = {}
    query = sa.select(runs.c.id, plans.c.state).distinct().join(plans)
    query = query.where(runs.c.undoes == run_id, runs.c.state != "planning")
    for row in connection.execute(query.order_by(runs.c.id.desc())):
        states.setdefault(row.id, set()).add(State(row.state))
    refused = {State.STALE, State.FAILED}
    return [(undo, had <= refused) for undo, had in states.items() if not had & {*TO_UNDO}]


def list_put_back_in_part(connection: sa.Connection, run_id: int) -> list[tuple[str, int]]:
    """Return whose plans of the run were undone and may be there again in part, and by which run.

    An undo of their undo was stopped while it put them back.
    """
    undo, redo = plans.alias(), plans.alias()
    query = (
        sa.select(plans.c.instance, redo.c.run_id)
        .join(undo, undo.c.undoes == plans.c.id)
        .join(redo, redo.c.undoes == undo.c.id)
        .where(plans.c.run_id == run_id, plans.c.state == State.UNDONE)
        .where(redo.c.state.in_(BEGUN))
    )
    return [(row.instance, row.run_id) for row in connection.execute(query)]
