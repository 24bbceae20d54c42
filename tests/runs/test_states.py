"""The table of a plan's states, and that the page has the same."""

import re
from pathlib import Path

import pytest

from novadev.runs.plan import Outcome
from novadev.runs.states import (
    BEGUN,
    OUTCOMES,
    PENDING,
    TO_UNDO,
    TRANSITIONS,
    WRITTEN,
    Event,
    State,
    run_state,
    sources,
    targets,
)

PAGE = Path(__file__).parents[2] / "docs" / "architecture.rst"


def test_the_page_has_the_table() -> None:
    found = re.findall(r"   \* - ([a-z]+)\n     - (.+)\n     - ([a-z]+)\n", PAGE.read_text())
    told = {(State(before), Event(event)): State(after) for before, event, after in found}
    assert told == TRANSITIONS


def test_the_page_says_what_is_written() -> None:
    for state, written in WRITTEN.items():
        assert f"   * - ``{state}``\n     - {written}\n" in PAGE.read_text()


def test_every_state_and_event_is_in_it() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert {*TRANSITIONS.values(), State.PLANNED} == set(State) == set(WRITTEN)


def test_nothing_leads_out_of_what_is_over() -> None:
    """But an undo of an undo, which puts back what was undone."""
    over = {State.STALE, State.FAILED, State.ABANDONED}
    assert not [key for key in TRANSITIONS if key[0] in over]
    assert {event for state, event in TRANSITIONS if state is State.UNDONE} == {
        Event.PUT_BACK,
        Event.PUT_BACK_IN_PART,
    }


def test_what_may_be_there_is_never_said_not_to_be() -> None:
    """Only a look at what is there (an outcome) leads from such a state to one without a trace."""
    looked = {*OUTCOMES.values(), Event.TAKEN_BACK}
    for (before, event), after in TRANSITIONS.items():
        if before in (*BEGUN, State.APPLIED) and WRITTEN[after] == "nothing":
            assert event in looked


def test_an_outcome_is_an_event_of_what_was_begun() -> None:
    for state, event in OUTCOMES.items():
        assert TRANSITIONS[State.STARTED, event] is state is State(Outcome(state).state)
        assert targets(event) == (state,)
        assert sources(event, state) == (State.STARTED,)


def test_undo_and_resume_miss_nothing() -> None:
    assert set(TO_UNDO) == {state for state in State if "all" in WRITTEN[state]}
    assert set(PENDING) == {*BEGUN, State.PLANNED}


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({}, "nothing"),
        ({"applied": 2}, "applied"),
        ({"applied": 2, "stale": 1}, "partial"),
        ({"stale": 1, "failed": 1}, "failed"),
        ({"abandoned": 3}, "abandoned"),
        ({"planned": 3}, "partial"),
        ({"half": 1}, "partial"),
        ({"started": 1, "planned": 3}, "partial"),
        ({"undone": 2}, "undone"),
        ({"undone": 2, "stale": 1, "abandoned": 5}, "undone"),
        ({"undone": 2, "applied": 1}, "partial"),
        ({"undone": 2, "half": 1}, "partial"),
        ({"applied": 0, "undone": 1}, "undone"),
    ],
)
def test_the_state_of_a_run(counts: dict[str, int], state: str) -> None:
    assert run_state(counts) == state
