"""The plans that undo a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from novadev.errors import BadInput, StalePlan
from novadev.runs.journal import Journal
from novadev.runs.journal_rows import Journaled, Run
from novadev.runs.place import Kind, Place
from novadev.runs.plan import AGAIN, EXPECTED, UNDO, Draft, Outcome, Plan, Skip
from novadev.runs.states import BEGUN, TO_UNDO, State
from novadev.value import Value

BY_PARTS = frozenset(("device alias-migrate", "device restore"))
"""Actions whose changes are taken back one by one: as long as each still holds what was written."""
_BY_HAND = {
    "device alias-migrate": "run novadev device alias-migrate when it is on a host again",
    "device restore": "run novadev device restore when it is on a host again",
    "device import": "import the addresses that you want (novadev device import)",
    "machine-type set": "set what you want (novadev machine-type set, novadev image-property set)",
}
_OF_THE_SPEC = "image-property sync"
"""An action that writes request specs alone: what the cell has now is not its doing."""
_SET = "set what you want (novadev image-property set or unset)"
_MOVE = "; add --update-disks all to image-property set to move the disks too"


def drafts(journal: Journal, run: Run) -> Iterator[Draft | Skip]:
    """Yield plans that undo the applied and half plans of RUN, newest first.

    What an earlier undo took back in part is a Skip that names that undo.
    """
    for instance, redo in journal.list_put_back_in_part(run):
        yield _unfinished(instance, redo)
    elsewhere = journal.taken_back_in_part(run)
    for item in journal.iter_plans(run, TO_UNDO, newest_first=True):
        if item.id in elsewhere:
            yield _unfinished(item.plan.instance, elsewhere[item.id])
        else:
            yield Draft(inverse(item), undoes=item.id)


def inverse(item: Journaled) -> Plan:
    """Return the plan that takes ITEM back: what may be half written, only as far as it is."""
    begun = item.state in BEGUN
    undo = item.plan.inverse
    guard = {**undo.guard, UNDO: True, **({"begun": True} if begun else {})}
    return replace(undo, partly=begun or item.plan.action in BY_PARTS, guard=guard)


Refused = tuple[Plan, int | None, Outcome]
"""A plan that takes another back, the number of that one in the journal, and what came of it."""


def advised(journal: Journal, items: Sequence[Refused]) -> list[Outcome]:
    """Return the outcomes of ITEMS with advice that fits: nobody can plan an undo again.

    A later run that is in the way is named.
    """
    stale = {plan.instance for plan, _, outcome in items if _is_stale(outcome)}
    landed = journal.list_landed(stale) if stale else []
    return [_advised(item, landed) if _is_stale(item[2]) else item[2] for item in items]


def _is_stale(outcome: Outcome) -> bool:
    return outcome.error is not None and outcome.exit_code == StalePlan.exit_code


def _advised(item: Refused, landed: Sequence[Journaled]) -> Outcome:
    plan, undoes, outcome = item
    text, by_hand = outcome.error or "", _by_hand(plan)
    later = _later_run(plan, undoes or 0, landed)
    if later is not None:
        first = f"run {later} has changed it since: undo that run first"
        by_hand = f"{first}, or {by_hand}"
        text = text if AGAIN in text else f"{text}; {first}"
    elif outcome.state is State.STALE and EXPECTED in text and AGAIN not in text:
        text = f"{text}; {AGAIN}"
    return replace(outcome, error=text.replace(AGAIN, f"it cannot be undone; {by_hand}"))


def _by_hand(plan: Plan) -> str:
    """Return how to get what PLAN would have written; a rebuild by Nova leaves the disks moved."""
    moves = any(change.place.kind is Kind.DISK for change in plan.changes)
    return _BY_HAND.get(plan.action, _SET) + _MOVE * moves


def _later_run(plan: Plan, undoes: int, landed: Sequence[Journaled]) -> int | None:
    """Return the newest run that wrote another value than PLAN expects, after the one it UNDOES."""
    expected = {change.place: change.before for change in plan.changes}
    for item in landed:
        is_later = item.id > undoes != item.undoes and item.plan.instance == plan.instance
        if is_later and item.plan.action != _OF_THE_SPEC and _is_other(item.plan, expected):
            return item.run
    return None


def _is_other(plan: Plan, expected: Mapping[Place, Value]) -> bool:
    return any(
        change.place in expected and change.after != expected[change.place]
        for change in plan.changes
    )


def _unfinished(instance: str, run: int) -> Skip:
    text = (
        f"instance {instance}: run {run} has undone a part of it: finish that run first with "
        f"novadev resume {run}, or undo it with novadev undo {run}"
    )
    return Skip(instance, text, StalePlan.exit_code, named=True)


def of_file(journal: Journal, run: Run, saved: Iterable[Draft]) -> Iterator[Draft | Skip]:
    """Yield the drafts of a SAVED undo of RUN as the journal has them now.

    What was taken back since is a Skip. Raises BadInput where one is no undo of a plan of RUN.
    """
    elsewhere = journal.taken_back_in_part(run)
    remaining = iter(saved)
    while page := list(islice(remaining, 500)):
        found = journal.list_plans([draft.undoes for draft in page if draft.undoes is not None])
        for draft in page:
            item = found.get(draft.undoes or 0)
            if item is None or item.run != run.id or not _is_inverse(draft.plan, item.plan):
                raise BadInput(f"the plan file undoes changes that are not in run {run.id}")
            if item.state not in TO_UNDO:
                text = f"instance {item.plan.instance}: its plan in run {run.id} is {item.state}"
                yield Skip(item.plan.instance, text, StalePlan.exit_code, named=True)
            elif item.id in elsewhere:
                yield _unfinished(item.plan.instance, elsewhere[item.id])
            else:
                yield Draft(inverse(item), undoes=item.id)


def _is_inverse(undo: Plan, plan: Plan) -> bool:
    same = (undo.action, undo.instance, undo.cell) == (plan.action, plan.instance, plan.cell)
    return same and undo.changes == plan.inverse.changes
