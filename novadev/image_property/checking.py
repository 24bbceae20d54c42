"""A plan that comes from a file must be one that set, unset or an undo of them would make."""

from __future__ import annotations

import re

from novadev.change import ABSENT, Change, Value
from novadev.errors import BadInput, InvalidValue
from novadev.image_property.planning import DEVICE_TYPES
from novadev.nova.image_properties import PROPERTIES, get_property
from novadev.plan import Plan
from novadev.state.journal import Draft

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DISK = re.compile(r"block_device_mapping [0-9]{1,18} (disk_bus|device_name)")
_DEVICE_NAME = re.compile(r"(/dev/)?[a-z]{3,8}")
_LONGEST = 255


def check(draft: Draft) -> None:
    """Raise BadInput, InvalidProperty or InvalidValue where DRAFT is no plan of this kind.

    An undo may bring back what no command would write today: a null, or an old spelling.
    """
    check_head(draft.plan)
    for item in draft.plan.changes:
        check_change(item, is_undo=draft.undoes is not None)
    if any(_is_about_disks(item) for item in draft.plan.changes):
        check_guard(draft.plan)


def check_head(plan: Plan) -> None:
    """Raise BadInput where PLAN is of no instance of a cell, or changes nothing, or one twice."""
    if not plan.cell:
        raise BadInput(f"plan file: instance {plan.instance} has no cell")
    if not _UUID.fullmatch(plan.instance) or not isinstance(plan.host, str | None):
        raise BadInput(f"plan file: {plan.instance!r:.60} is no instance")
    names = [item.what for item in plan.changes]
    if not names or len(set(names)) != len(names):
        raise BadInput(f"plan file: instance {plan.instance}: no change, or one twice")


def check_change(item: Change, is_undo: bool) -> None:
    """Raise InvalidProperty or InvalidValue where ITEM is no change of these commands."""
    name = item.what.removeprefix("request_spec ")
    if _DISK.fullmatch(item.what) or item.what == "root_device_name":
        is_right = _is_bus if item.what.endswith("disk_bus") else _is_device_name
    else:
        is_right = get_property(name).has
    if isinstance(item.after, str) and is_right(item.after):
        return
    if item.after is ABSENT and name in PROPERTIES:
        return
    if not is_undo or not is_storable(item.after):
        raise InvalidValue(f"plan file: {item.what} cannot become {item.after!r:.60}")


def _is_bus(value: str) -> bool:
    return PROPERTIES["hw_disk_bus"].has(value)


def _is_device_name(value: str) -> bool:
    return _DEVICE_NAME.fullmatch(value) is not None


def is_storable(value: Value) -> bool:
    """Return whether an undo may bring VALUE back: a null, or a text that system_metadata takes."""
    return value is None or (isinstance(value, str) and len(value) <= _LONGEST)


def check_guard(plan: Plan) -> None:
    """Raise BadInput unless the disks that stay as they are are in PLAN."""
    kept = plan.guard.get("kept_disks")
    if not isinstance(kept, list) or not all(_is_row(row) for row in kept):
        raise BadInput(f"plan file: instance {plan.instance}: the disks that stay are missing")


def _is_about_disks(item: Change) -> bool:
    return item.what in DEVICE_TYPES or item.what.startswith("block_device_mapping ")


def _is_row(row: object) -> bool:
    return isinstance(row, list) and [type(value) for value in row[:1]] == [int] and len(row) == 3
