"""What is to be known of a plan besides its changes, whoever made it: a command or an undo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from novadev.image_property.changes import guest_with
from novadev.image_property.effects import notes
from novadev.image_property.facts import Facts
from novadev.image_property.unstarted import Unstarted, unstarted_note
from novadev.rules.guest import ComputeRules, Guest
from novadev.rules.outcome import outcome_notes, unsaid
from novadev.runs.change import Effect
from novadev.runs.place import Kind
from novadev.runs.plan import Plan
from novadev.value import ABSENT, Value


@dataclass(frozen=True)
class Setting:
    """What a plan is compared with: what is stored now, as its action sees it, and what was.

    ``effects`` returns what a guest sees when it becomes another; it raises as `disk_effects`.
    ``unstarted`` is None where the guest was started with what is stored, as far as is known.
    """

    facts: Facts
    guest: Guest
    rules: ComputeRules
    effects: Callable[[Guest, Guest], tuple[Effect, ...]]
    unstarted: Unstarted | None


def with_notes(plan: Plan, setting: Setting, own: Iterable[str] = ()) -> Plan:
    """Return PLAN with all notes that hold for it now; OWN are those of its action.

    Whoever makes plans, and whoever shows them again, goes this way: an undo and a saved plan say
    what the command says.
    """
    after, values = guest_with(setting.guest, plan.changes), _values(plan)
    unstarted = setting.unstarted
    found = (
        *outcome_notes(setting.guest, after, setting.rules, unstarted.guests if unstarted else ()),
        *own,
        *notes(_with_spec_or_left(plan, setting.facts, values), values),
        *(unstarted_note(plan, after, unstarted, setting.effects) if unstarted else ()),
    )
    return replace(plan, notes=(*plan.notes, *unsaid(found, plan.notes)))


def _values(plan: Plan) -> Mapping[str, Value]:
    """Return what PLAN stores in the cell, by the name of the property."""
    of_cell = (item for item in plan.changes if item.place.kind is Kind.PROPERTY)
    return {item.place.name: item.after for item in of_cell}


def _with_spec_or_left(plan: Plan, facts: Facts, values: Mapping[str, Value]) -> Facts:
    """Return FACTS without the request spec where PLAN leaves it with other values than the cell.

    A spec without an image has none.
    """
    spec = facts.spec
    if spec is None or any(item.place.kind is Kind.SPEC for item in plan.changes):
        return facts
    if not spec.is_readable:
        return facts.without_spec
    known = spec.image_properties
    if known is None or all(known.get(name, ABSENT) == value for name, value in values.items()):
        return facts
    return facts.without_spec
