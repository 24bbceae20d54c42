"""A plan from a file must be one that machine-type set or an undo of it would make."""

from __future__ import annotations

from novadev.change import ABSENT, Change
from novadev.errors import InvalidProperty, InvalidValue
from novadev.image_property.checking import check_change, check_guard, check_head, is_storable
from novadev.machine_type.planning import BUSES, NAME
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.state.journal import Draft


def check(draft: Draft) -> None:
    """Raise BadInput, InvalidProperty or InvalidValue where DRAFT is no plan of this kind."""
    check_head(draft.plan)
    for item in draft.plan.changes:
        _check_change(item, is_undo=draft.undoes is not None)
    check_guard(draft.plan)


def _check_change(item: Change, is_undo: bool) -> None:
    name = item.what.removeprefix("request_spec ")
    if name == MACHINE_TYPE:
        _check_machine_type(item, is_undo)
        return
    if name in PROPERTIES and name not in BUSES:
        raise InvalidProperty(f"plan file: {name} does not change with the machine type")
    check_change(item, is_undo)


def _check_machine_type(item: Change, is_undo: bool) -> None:
    if isinstance(item.after, str) and NAME.fullmatch(item.after):
        return
    if not is_undo or not (item.after is ABSENT or is_storable(item.after)):
        raise InvalidValue(f"plan file: {item.what} cannot become {item.after!r:.60}")
