"""The states of a plan in the journal: one table of what leads from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class State(str, Enum):
    """The state of a plan; its text is its value, everywhere."""

    __str__ = str.__str__

    PLANNED = "planned"
    STARTED = "started"
    HALF = "half"
    APPLIED = "applied"
    STALE = "stale"
    FAILED = "failed"
    UNDONE = "undone"
    ABANDONED = "abandoned"


class Event(str, Enum):
    """What happens to a plan."""

    __str__ = str.__str__

    BEGUN = "its batch is begun"
    LEFT = "a lock or a lost connection kept it from being written"
    UNKNOWN = "the connection was lost while it was written"
    PARTED = "part of it is there, and the rest can no longer be written"
    LANDED = "all of it is written"
    OVERWRITTEN = "another program stored again what was there before"
    REFUSED = "another value is there, and nothing of this plan"
    BROKEN = "an error came before anything was written"
    DROPPED = "the run is undone before the plan was begun"
    TAKEN_BACK = "an undo took all of it back"
    TAKEN_BACK_IN_PART = "an undo took part of it back"
    PUT_BACK = "the undo was itself undone"
    PUT_BACK_IN_PART = "an undo that took part of it back was undone"


_S, _E = State, Event
TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (_S.PLANNED, _E.BEGUN): _S.STARTED,
    (_S.PLANNED, _E.DROPPED): _S.ABANDONED,
    (_S.STARTED, _E.BEGUN): _S.STARTED,
    (_S.STARTED, _E.LEFT): _S.PLANNED,
    (_S.STARTED, _E.UNKNOWN): _S.STARTED,
    (_S.STARTED, _E.PARTED): _S.HALF,
    (_S.STARTED, _E.LANDED): _S.APPLIED,
    (_S.STARTED, _E.REFUSED): _S.STALE,
    (_S.STARTED, _E.BROKEN): _S.FAILED,
    (_S.STARTED, _E.TAKEN_BACK): _S.UNDONE,
    (_S.STARTED, _E.TAKEN_BACK_IN_PART): _S.HALF,
    (_S.HALF, _E.BEGUN): _S.STARTED,
    (_S.HALF, _E.TAKEN_BACK): _S.UNDONE,
    (_S.HALF, _E.TAKEN_BACK_IN_PART): _S.HALF,
    (_S.APPLIED, _E.OVERWRITTEN): _S.HALF,
    (_S.APPLIED, _E.TAKEN_BACK): _S.UNDONE,
    (_S.APPLIED, _E.TAKEN_BACK_IN_PART): _S.HALF,
    (_S.UNDONE, _E.PUT_BACK): _S.APPLIED,
    (_S.UNDONE, _E.PUT_BACK_IN_PART): _S.HALF,
    (_S.HALF, _E.PUT_BACK): _S.APPLIED,
    (_S.HALF, _E.PUT_BACK_IN_PART): _S.HALF,
    (_S.STARTED, _E.PUT_BACK): _S.APPLIED,
    (_S.STARTED, _E.PUT_BACK_IN_PART): _S.STARTED,
    (_S.APPLIED, _E.PUT_BACK_IN_PART): _S.APPLIED,
}
"""From a state, by an event, to the next; what is not here does not happen."""
WRITTEN: Mapping[State, str] = {
    State.PLANNED: "nothing",
    State.STARTED: "nothing, part or all",
    State.HALF: "part, or all",
    State.APPLIED: "all",
    State.STALE: "nothing",
    State.FAILED: "nothing",
    State.UNDONE: "nothing is left of it",
    State.ABANDONED: "nothing",
}
"""What novadev may have written of a plan in each state."""
BEGUN = (State.STARTED, State.HALF)
"""What may be there in part: resume finishes it, undo takes it back."""
PENDING = (State.PLANNED, *BEGUN)
"""What resume still has to do."""
TO_UNDO = (State.APPLIED, *BEGUN)
"""What undo has to look at."""

OUTCOMES: Mapping[State, Event] = {
    State.APPLIED: Event.LANDED,
    State.HALF: Event.PARTED,
    State.STALE: Event.REFUSED,
    State.FAILED: Event.BROKEN,
    State.PLANNED: Event.LEFT,
    State.STARTED: Event.UNKNOWN,
}
"""The event that an outcome with this state stands for."""


def targets(event: Event) -> tuple[State, ...]:
    """Return the states that EVENT leads to."""
    return tuple({after: None for (_, happens), after in TRANSITIONS.items() if happens is event})


def sources(event: Event, after: State) -> tuple[State, ...]:
    """Return the states from which EVENT leads to AFTER."""
    return tuple(key[0] for key, to in TRANSITIONS.items() if key[1] is event and to is after)


def run_state(counts: Mapping[str, int]) -> str:
    """Return the state of a run that is over, from the number of its plans in each state.

    ``nothing``, ``applied``, ``undone`` (nothing of it is left), ``abandoned`` (nothing of it was
    begun, and never will be), ``partial`` (some of it landed, or some is left) or ``failed``.
    """
    there = {state for state, number in counts.items() if number}
    if not there:
        return "nothing"
    if there == {State.APPLIED}:
        return "applied"
    if State.UNDONE in there and not there & set(TO_UNDO):
        return "undone"
    if there == {State.ABANDONED}:
        return "abandoned"
    return "partial" if there & {*TO_UNDO, State.UNDONE, State.PLANNED} else "failed"
