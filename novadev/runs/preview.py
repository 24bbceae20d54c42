"""Plans of the past compared with what is there now, before anybody says yes.

What is planned from what is there needs no preview. Plans of a file, of an undo and of a run that
is resumed do: their writer may refuse them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from novadev.runs.journal import Journal
from novadev.runs.plan import Draft, Outcome, Plan, Skip
from novadev.runs.states import State
from novadev.runs.undo import advised

Previewed = tuple[Plan, Outcome]
"""A plan with its effects as they are by now, and what would become of it."""
Preview = Callable[[Sequence[Plan], bool], Sequence[Previewed]]
"""Compares plans of one cell and one action as their writer does, and writes nothing.

True says that an earlier process had begun them. It returns a pair for each plan, in order.
"""
BATCH = 100
"""Plans that are compared at a time, at most."""


def previewed(
    journal: Journal, drafts: Iterable[Draft | Skip], preview: Preview
) -> Iterator[Draft | Skip]:
    """Yield DRAFTS, each with what PREVIEW expects to become of it, and every skip.

    JOURNAL knows which later run is in the way of an undo.
    """
    batch: list[Draft] = []
    for draft in drafts:
        if isinstance(draft, Skip):
            yield draft
            continue
        if batch and (len(batch) == BATCH or _kind(draft) != _kind(batch[0])):
            yield from _compared(journal, batch, preview)
            batch = []
        batch.append(draft)
    if batch:
        yield from _compared(journal, batch, preview)


def _kind(draft: Draft) -> tuple[str, str, bool, bool]:
    return draft.plan.action, draft.plan.cell, draft.resumed, draft.undoes is not None


def _compared(journal: Journal, batch: Sequence[Draft], preview: Preview) -> Iterator[Draft]:
    resumed, is_undo = batch[0].resumed, batch[0].undoes is not None
    found = preview([draft.plan for draft in batch], resumed)
    pairs = list(zip(batch, found, strict=True))
    outcomes = [outcome for _, outcome in found]
    if is_undo:
        items = [(plan, draft.undoes, outcome) for draft, (plan, outcome) in pairs]
        outcomes = advised(journal, items)
    for (draft, (plan, _)), outcome in zip(pairs, outcomes, strict=True):
        if outcome.state == State.STARTED and not resumed:  # a host was lost: nothing was written
            outcome = replace(outcome, state=State.PLANNED)
        yield replace(draft, plan=_with_note(plan, outcome), expected=outcome)


def _with_note(plan: Plan, outcome: Outcome) -> Plan:
    """Return PLAN with a note of what it leaves as it is, if it leaves anything."""
    if outcome.exit_code or outcome.error is None:
        return plan
    subjects = (f"{kind} {plan.instance}: " for kind in ("instance", "domain"))
    note = outcome.error
    for subject in subjects:
        note = note.removeprefix(subject)
    return replace(plan, notes=(*plan.notes, note))
