"""Checks that a plan from a file is one that its action, or an undo of it, could make.

One table says where each action may write, and what its plans must say beside their changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from novadev.errors import BadInput, InvalidProperty
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.rules.buses import BUS_PROPERTIES
from novadev.rules.defaults import RECORDED
from novadev.rules.image_meta import FIELDS, was_unreadable
from novadev.runs import file_values
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.runs.plan import RELEASE, SOURCE, UNDO, Draft, Plan
from novadev.value import ABSENT
from novadev.virt.address_syntax import read_address

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Action:
    """Where an action may write, and what else its plans must say."""

    kinds: tuple[Kind, ...]
    value: Callable[[Change, Draft], None]
    whole: Callable[[Draft], None]
    names: frozenset[str] = frozenset(PROPERTIES)
    takes_out_unused: bool = False

    def may_write(self, item: Change) -> bool:
        """Whether the action's own command makes such a change where this one is made."""
        place = item.place
        if place.kind is Kind.HIDDEN:
            return self.takes_out_unused and ABSENT in (item.before, item.after)
        if place.kind not in self.kinds:
            return False
        if place.kind not in (Kind.PROPERTY, Kind.SPEC) or place.name in self.names:
            return True
        return self.takes_out_unused and _takes_out_unreadable(item)


def check(draft: Draft) -> None:
    """Raise BadInput, InvalidProperty or InvalidValue where DRAFT is no plan of its action.

    An undo may bring back what no command would write today: a null, or an old spelling.
    """
    plan = draft.plan
    if plan.action not in _ACTIONS:
        raise BadInput(f"plan file: novadev has no action {plan.action!r:.60}")
    action = _ACTIONS[plan.action]
    if not _UUID.fullmatch(plan.instance):
        raise BadInput(f"plan file: {plan.instance!r:.60} is not an instance")
    places = [(item.place, *_owner(plan, n)) for n, item in enumerate(plan.changes)]
    if not places or len(set(places)) != len(places):
        raise _bad(plan, "it has no change, or the same change twice")
    if draft.undoes is None and UNDO in plan.guard:
        raise _bad(plan, "it takes back no plan")
    for item in plan.changes:
        if not action.may_write(item):
            kind = InvalidProperty if Kind.PROPERTY in action.kinds else BadInput
            raise kind(f"plan file: {plan.action} does not change {item.what!r:.60}")
        action.value(item, draft)
    action.whole(draft)


def _takes_out_unreadable(item: Change) -> bool:
    """Whether a value that Nova cannot read is taken out, or brought back by an undo."""
    gone = item.before if item.after is ABSENT else item.after
    only = ABSENT in (item.before, item.after)
    return only and isinstance(gone, str) and was_unreadable(item.place.name, gone)


def _owner(plan: Plan, number: int) -> tuple[str, ...]:
    """Return whose the change with this NUMBER is, where labels alone do not tell."""
    devices = plan.guard.get("devices")
    if not isinstance(devices, list) or len(devices) <= number:
        return ()
    return (str(devices[number]),)


def _bad(plan: Plan, text: str) -> BadInput:
    return BadInput(f"plan file: instance {plan.instance}: {text}")


def _in_a_cell(plan: Plan) -> None:
    if not plan.cell or not isinstance(plan.host, str | None):
        raise _bad(plan, "it has no cell")
    if type(plan.guard.get(RELEASE, 0)) is not int:
        raise _bad(plan, "the release of Nova is no number")


def _of_stash(draft: Draft) -> None:
    _in_a_cell(draft.plan)


def _of_cell(draft: Draft) -> None:
    plan = draft.plan
    _in_a_cell(plan)
    if any(_is_about_disks(item) for item in plan.changes):
        _check_kept_disks(plan)


def _is_about_disks(item: Change) -> bool:
    of_property = item.place.kind is Kind.PROPERTY and item.place.name in BUS_PROPERTIES
    return of_property or item.place.kind is Kind.DISK


def _of_machine(draft: Draft) -> None:
    _of_cell(draft)
    _check_kept_disks(draft.plan)


def _check_kept_disks(plan: Plan) -> None:
    kept = plan.guard.get("kept_disks")
    if not isinstance(kept, list) or not all(_is_row(row) for row in kept):
        raise _bad(plan, "the disks that stay are missing")


def _is_row(row: object) -> bool:
    return isinstance(row, list) and [type(value) for value in row[:1]] == [int] and len(row) == 3


def _of_sync(draft: Draft) -> None:
    plan = draft.plan
    _in_a_cell(plan)
    if draft.undoes is None and plan.guard.get(SOURCE) != "cell":
        raise _bad(plan, "it does not say where its values come from")
    if len(plan.changes) > 1 and any(item.place.kind is Kind.IMAGE for item in plan.changes):
        raise _bad(plan, "an image is written as a whole")


def _of_host(draft: Draft) -> None:
    if not isinstance(draft.plan.host, str) or not draft.plan.host:
        raise _bad(draft.plan, "it has no host")


def _of_definition(draft: Draft) -> None:
    _of_host(draft)
    found = draft.plan.guard.get("definition")
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise _bad(draft.plan, "the definition's digest is missing")


def _of_restore(draft: Draft) -> None:
    _of_definition(draft)
    for name in ("ids", "pins", "names"):
        found = draft.plan.guard.get(name, {})
        if not isinstance(found, Mapping) or not all(isinstance(x, str) for x in found.values()):
            raise _bad(draft.plan, "it does not say which device each change is for")
    for text in draft.plan.guard.get("pins", {}).values():
        read_address(text, "plan file")


def _of_aliases(draft: Draft) -> None:
    _of_definition(draft)
    if not isinstance(draft.plan.guard.get("whole_definition"), bool):
        raise _bad(draft.plan, "it does not say whether the whole definition may be written")


def _of_detach(draft: Draft) -> None:
    plan = draft.plan
    _of_host(draft)
    if len(plan.changes) != 1 or draft.undoes is not None:
        raise _bad(plan, "a detach takes out one device, and cannot be undone")
    sides = (plan.guard.get("persistent"), plan.guard.get("live"))
    if sides == (None, None) or not all(map(_is_device, sides)):
        raise _bad(plan, "the device is not described")
    timeout, force = plan.guard.get("timeout"), plan.guard.get("force")
    if type(timeout) is not int or not isinstance(force, bool):
        raise _bad(plan, "the time limit or the value of force is missing")


def _is_device(values: object) -> bool:
    return values is None or (
        isinstance(values, Mapping) and all(isinstance(text, str) for text in values.values())
    )


def _gone(item: Change, draft: Draft) -> None:
    if item.after is not ABSENT:
        raise _bad(draft.plan, "a detach takes out one device, and cannot be undone")


def _of_import(draft: Draft) -> None:
    ids = draft.plan.guard.get("devices")
    if not isinstance(ids, list) or len(ids) != len(draft.plan.changes):
        raise _bad(draft.plan, "it does not say which device each change is for")
    if not all(isinstance(device_id, str) and _UUID.fullmatch(device_id) for device_id in ids):
        raise _bad(draft.plan, "a change is for no device")


_STORED = (Kind.PROPERTY, Kind.SPEC, Kind.DISK, Kind.ROOT)
_SET = _Action(_STORED, file_values.stored, _of_cell)
_MACHINE_NAMES = frozenset((MACHINE_TYPE, *BUS_PROPERTIES)) - {"hw_floppy_bus"}
_ACTIONS = {
    "image-property set": _SET,
    "image-property unset": replace(_SET, takes_out_unused=True),
    "image-property sync": _Action(
        (Kind.SPEC, Kind.IMAGE), file_values.of_the_cell, _of_sync, FIELDS
    ),
    "machine-type set": _Action(_STORED, file_values.stored, _of_machine, _MACHINE_NAMES),
    "stash-defaults": _Action(
        (Kind.PROPERTY, Kind.SPEC), file_values.recorded_default, _of_stash, frozenset(RECORDED)
    ),
    "device alias-migrate": _Action((Kind.ALIAS,), file_values.alias, _of_aliases),
    "device restore": _Action((Kind.ADDRESS,), file_values.defined_address, _of_restore),
    "device detach": _Action((Kind.DETACH,), _gone, _of_detach),
    "device import": _Action(
        (Kind.ADDRESS, Kind.CUSTOM_PROPERTIES), file_values.recorded_text, _of_import
    ),
}
