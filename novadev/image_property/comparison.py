"""A plan beside what is stored now: what of it is still to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from novadev.image_property.stored_values import Stored, Unstorable
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.runs.plan import APPLIED, EXPECTED, UNDO, Outcome, Plan
from novadev.runs.precondition import Found, Verdict, compare, judge
from novadev.runs.states import State
from novadev.value import shown

STILL_THERE = "still as the run wrote it"
"""What an undo says of a value that it does not take back, because of another one."""


@dataclass(frozen=True)
class Due:
    """A plan that can land: what of it is still to be written, and what is left as it is.

    ``left`` says why of each change that is not written, by the text of its place, and ``told``
    says it in one sentence.
    """

    plan: Plan
    in_cell: Sequence[Change]
    in_spec: Sequence[Change]
    left: Mapping[str, str] = field(default_factory=dict)
    told: str = ""

    @property
    def touches_cell(self) -> bool:
        """Whether the instance is written: also for a change that is of the spec alone."""
        if self.in_cell or not self.in_spec:
            return bool(self.in_cell)
        return not any(item.place.is_in_cell for item in self.plan.changes)

    @property
    def outcome(self) -> Outcome:
        """What becomes of the plan when both halves are written."""
        if not self.left:
            return APPLIED
        so = "it is left so" if len(self.left) == 1 else "they are left so"
        text = f"instance {self.plan.instance}: {self.told}; {so}"
        return Outcome(State.APPLIED, text, left=self.left)


class Comparison:
    """A plan beside what is stored."""

    def __init__(self, plan: Plan, stored: Stored) -> None:
        self._plan = plan
        self._stored = stored
        self._found = [(item, self._look(item)) for item in plan.changes]

    def _look(self, item: Change) -> Found:
        try:
            return compare(item, self._stored.value(self._plan.instance, item.place))
        except Unstorable:
            return Found.OTHER

    def judge(self, resumed: bool) -> tuple[State, Due | None]:
        """Return what is to be written, or None and the state that the plan gets."""
        verdict = self._partly() if self._plan.partly else judge(self._kinds(), resumed)
        if verdict is not Verdict.WRITE:
            return State.HALF if verdict is Verdict.HALF else State.STALE, None
        due = [item for item, found in self._found if found is Found.BEFORE]
        in_cell = [item for item in due if item.place.is_in_cell]
        in_spec = [item for item in due if not item.place.is_in_cell]
        return State.APPLIED, Due(
            self._plan, in_cell, in_spec, self._left(Found.OTHER), self._others()
        )

    def _kinds(self, in_cell_alone: bool = False) -> set[Found]:
        return {found for item, found in self._found if item.place.is_in_cell or not in_cell_alone}

    def _partly(self) -> Verdict:
        """Take back what is still there; not where the cell has a third value beside it."""
        mixed = {Found.BEFORE, Found.OTHER} <= self._kinds(in_cell_alone=True)
        return Verdict.STALE if mixed else Verdict.WRITE

    def state_if_refused(self, resumed: bool) -> State:
        """Return the state of a plan that must not be written now."""
        is_there = resumed and Found.AFTER in self._kinds() and not self._plan.partly
        return State.HALF if is_there else State.STALE

    def reason(self, resumed: bool) -> str:
        """Return why nothing is written."""
        other = self._others()
        if self._plan.guard.get(UNDO):
            return f"{other or self._told(self._first(Found.AFTER))}{self._still_there()}"
        if not other:
            return self._told(self._first(Found.AFTER))
        told = self._told(self._first(Found.OTHER))
        if resumed and self._kinds(in_cell_alone=True) == {Found.AFTER}:
            return f"{told}; its cell is as planned"
        return told

    def not_taken_back(self) -> Mapping[str, str]:
        """Return what an undo that is not written leaves of its run, and why, by place.

        What is as before the run is none of it. Of another plan nothing is left.
        """
        return self._left(Found.BEFORE, Found.OTHER) if self._plan.guard.get(UNDO) else {}

    def _left(self, *kinds: Found) -> Mapping[str, str]:
        """Return the places where one of KINDS was found, each with why it is not written."""
        found = ((item, kind) for item, kind in self._found if kind in kinds)
        return {
            item.what: STILL_THERE if kind is Found.BEFORE else self._why(item)
            for item, kind in found
        }

    def _first(self, kind: Found) -> Change:
        return next(item for item, found in self._found if found is kind)

    def _others(self) -> str:
        """Return what somebody else has put in the place of values, empty where nobody has."""
        told = (self._told(item) for item, found in self._found if found is Found.OTHER)
        return "; ".join(dict.fromkeys(told))

    def _still_there(self) -> str:
        """Return what of the run is still as it wrote it: a whole row once, not each column."""
        changed = {item.place.row for item, found in self._found if found is not Found.BEFORE}
        names = dict.fromkeys(
            item.what.removesuffix(f" {item.place.name}")
            if item.place.kind is Kind.DISK and item.place.row not in changed
            else item.what
            for item, found in self._found
            if found is Found.BEFORE
        )
        return f"; {STILL_THERE}: {', '.join(names)}" if names else ""

    def _told(self, item: Change) -> str:
        try:
            return f"{item.what} {self._now(item)}"
        except Unstorable as error:
            return str(error)

    def _why(self, item: Change) -> str:
        try:
            return self._now(item)
        except Unstorable as error:
            return str(error)

    def _now(self, item: Change) -> str:
        value = self._stored.value(self._plan.instance, item.place)
        return f"is {shown(value)} now; {EXPECTED} {shown(item.before)}"
