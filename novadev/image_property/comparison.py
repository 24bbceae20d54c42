"""A plan beside what is stored now: what of it is still to be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from novadev.image_property.stored_values import Stored, Unstorable
from novadev.runs.change import Change
from novadev.runs.plan import APPLIED, EXPECTED, Outcome, Plan
from novadev.runs.precondition import Found, Verdict, compare, judge
from novadev.runs.states import State
from novadev.value import shown


@dataclass(frozen=True)
class Due:
    """A plan that can land: what of it is still to be written, and what is left as it is."""

    plan: Plan
    in_cell: Sequence[Change]
    in_spec: Sequence[Change]
    left: str | None = None

    @property
    def touches_cell(self) -> bool:
        """Whether the instance is written: also for a change that is of the spec alone."""
        if self.in_cell or not self.in_spec:
            return bool(self.in_cell)
        return not any(item.place.is_in_cell for item in self.plan.changes)

    @property
    def outcome(self) -> Outcome:
        """What becomes of the plan when both halves are written."""
        if self.left is None:
            return APPLIED
        return Outcome(State.APPLIED, f"instance {self.plan.instance}: {self.left}; it is left so")


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
        return State.APPLIED, Due(self._plan, in_cell, in_spec, self._other())

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
        other = self._other()
        if other is None:
            item = next(item for item, found in self._found if found is Found.AFTER)
            return self._told(item)
        if resumed and self._kinds(in_cell_alone=True) == {Found.AFTER}:
            return f"{other}; its cell is as planned"
        return other

    def _other(self) -> str | None:
        """Return what somebody else has put in the place of a value, None where nobody has."""
        others = (item for item, found in self._found if found is Found.OTHER)
        item = next(others, None)
        return None if item is None else self._told(item)

    def _told(self, item: Change) -> str:
        try:
            value = self._stored.value(self._plan.instance, item.place)
        except Unstorable as error:
            return str(error)
        return f"{item.what} is {shown(value)} now; {EXPECTED} {shown(item.before)}"
