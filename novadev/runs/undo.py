"""The plans that undo a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from novadev.errors import BadInput, StalePlan
from novadev.runs.journal import Journal
from novadev.runs.journal_rows import Journaled, Run
from novadev.runs.plan import AGAIN, UNDO, Draft, Outcome, Plan, Skip
from novadev.runs.states import BEGUN, TO_UNDO

BY_PARTS = frozenset(("device alias-migrate", "device restore"))
"""Actions whose changes are taken back one by one: as long as each still holds what was written."""
_BY_HAND = {
    "device alias-migrate": "run novadev device alias-migrate where the server is now",
    "device restore": "run novadev device restore where the server is now",
    "device import": "import the addresses that you want (novadev device import)",
    "machine-type set": "set what you want (novadev machine-type set, novadev image-property set)",
}
_SET = "set what you want (novadev image-property set or unset)"


def drafts(journal: Journal, run: Run) -> Iterator[Draft | Skip]:
    """Yield plans that undo the applied and half plans of RUN, newest first.

    What an earlier undo took back in part is a Skip that names that undo.
    """
    for instance, redo in journal.list_put_back_in_part(run):
        text = (
            f"instance {instance}: run {redo} has undone a part of it: finish that run first with "
        )
        text += f"novadev resume {redo}, or undo it with novadev undo {redo}"
        yield Skip(instance, text, StalePlan.exit_code, named=True)
    elsewhere = journal.taken_back_in_part(run)
    for item in journal.iter_plans(run, TO_UNDO, newest_first=True):
        if item.id in elsewhere:
            yield _unfinished(item, elsewhere[item.id])
        else:
            yield Draft(inverse(item), undoes=item.id)


def inverse(item: Journaled) -> Plan:
    """Return the plan that takes ITEM back: what may be half written, only as far as it is."""
    begun = item.state in BEGUN
    undo = item.plan.inverse
    guard = {**undo.guard, UNDO: True, **({"begun": True} if begun else {})}
    return replace(undo, partly=begun or item.plan.action in BY_PARTS, guard=guard)


def advised(plan: Plan, outcome: Outcome) -> Outcome:
    """Return OUTCOME of PLAN, an undo, with advice that fits: nobody can plan an undo again."""
    if outcome.error is None or AGAIN not in outcome.error:
        return outcome
    by_hand = _BY_HAND.get(plan.action, _SET)
    return replace(outcome, error=outcome.error.replace(AGAIN, f"it cannot be undone; {by_hand}"))


def _unfinished(item: Journaled, undo: int) -> Skip:
    text = (
        f"instance {item.plan.instance}: run {undo} has undone a part of it: finish that run with "
        f"novadev resume {undo}, or undo it with novadev undo {undo}"
    )
    return Skip(item.plan.instance, text, StalePlan.exit_code, named=True)


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
                yield _unfinished(item, elsewhere[item.id])
            else:
                yield Draft(inverse(item), undoes=item.id)


def _is_inverse(undo: Plan, plan: Plan) -> bool:
    same = (undo.action, undo.instance, undo.cell) == (plan.action, plan.instance, plan.cell)
    return same and undo.changes == plan.inverse.changes
