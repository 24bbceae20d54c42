"""The states of what is taken back and put back by turns, as far as each undo could go."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from novadev.runs.change import Change
from novadev.runs.encoding import dumps
from novadev.runs.journal import Asked, Journal
from novadev.runs.journal_rows import Run
from novadev.runs.place import Kind, Place
from novadev.runs.plan import APPLIED, Outcome, Plan, taken_back
from novadev.runs.states import State
from novadev.runs.undo import inverse
from novadev.state.store import open_state
from novadev.value import ABSENT

ACTIONS = ("device alias-migrate", "device restore", "device import", "image-property set")
BY_PARTS = ACTIONS[:2]
UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    database = open_state(f"sqlite:///{tmp_path}/state.sqlite")
    yield Journal(database)
    database.close()


def a_plan(action: str) -> Plan:
    places = (Place(Kind.ALIAS, f"disk {name}") for name in ("vdb", "vdc"))
    return Plan(action, UUID, "", tuple(Change(place, ABSENT, "ua-x") for place in places))


def a_part(plan: Plan) -> Outcome:
    """The outcome of an undo beside which another has changed a device."""
    return taken_back(plan, {plan.changes[0].what: "has alias ua-odd"})


def whole(_: Plan) -> Outcome:
    return APPLIED


def there_already(plan: Plan) -> Outcome:
    return taken_back(plan, {}, [plan.changes[0].what])


def do(journal: Journal, plan: Plan, outcome: Outcome, undoes: tuple[Run, int] | None) -> Run:
    """Carry out a run of one plan, of which this becomes."""
    run = journal.start(Asked(plan.action, undoes=undoes[0].id if undoes else None))
    body = {"instance": UUID, "undoes": undoes[1] if undoes else None, "body": dumps(plan)}
    journal.add(run, [body])
    journal.begin(run, 1)
    items = list(journal.iter_plans(run))
    journal.mark_started(run, items)
    journal.mark(run, items, [outcome])
    journal.finish(run)
    return run


def undo(journal: Journal, run: Run, outcome: Callable[[Plan], Outcome] = whole) -> Run:
    (item,) = journal.iter_plans(run)
    plan = inverse(item)
    return do(journal, plan, outcome(plan), (run, item.id))


def states(journal: Journal, *runs: Run) -> list[State]:
    return [item.state for run in runs for item in journal.iter_plans(run)]


@pytest.mark.parametrize("first", ["applied", "half"])
@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_wholly_back_counts_as_applied(journal: Journal, action: str, first: str) -> None:
    """However often it was undone, and whether an undo goes by parts or not."""
    runs = [do(journal, a_plan(action), Outcome(first), None)]
    for number in range(1, 6):
        runs.append(undo(journal, runs[-1]))
        turns = [State.APPLIED, State.UNDONE] * 3
        assert states(journal, *reversed(runs)) == turns[: number + 1]


@pytest.mark.parametrize("action", BY_PARTS)
def test_what_was_there_already_is_whole_too(journal: Journal, action: str) -> None:
    first = do(journal, a_plan(action), APPLIED, None)
    second = undo(journal, first, there_already)
    third = undo(journal, second, there_already)
    assert states(journal, first, second, third) == ["applied", "undone", "applied"]


@pytest.mark.parametrize("action", BY_PARTS)
def test_what_is_back_in_part_is_never_called_whole(journal: Journal, action: str) -> None:
    """What another has changed is nothing of the run; where it could not go back, a part lacks."""
    first = do(journal, a_plan(action), APPLIED, None)
    second = undo(journal, first, a_part)
    assert states(journal, first, second) == ["undone", "applied"]
    third = undo(journal, second, a_part)
    assert states(journal, first, second, third) == ["half", "undone", "applied"]
    fourth = undo(journal, third, a_part)
    assert states(journal, first, second, third, fourth) == ["undone", "half", "undone", "applied"]
    fifth = undo(journal, fourth)
    assert states(journal, first, second, third) == ["applied", "undone", "applied"]
    assert states(journal, fourth, fifth) == ["undone", "applied"]
