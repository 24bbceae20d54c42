"""Why a server must not be written now: its state, its disks or its rows are not as planned."""

from __future__ import annotations

from collections.abc import Iterable

from novadev.image_property.planning import VM_STATES, when_down
from novadev.image_property.stored_values import Stored
from novadev.image_property.sync.differences import are_stored
from novadev.nova.block_devices import BlockDevice
from novadev.runs.place import Kind
from novadev.runs.plan import AGAIN, SOURCE, UNDO, Plan
from novadev.value import ABSENT


def objection(plan: Plan, stored: Stored, vm_states: frozenset[str]) -> str | None:
    """Return why the instance must not be written now, None where it may, in one of VM_STATES."""
    locked = stored.instances[plan.instance]
    if locked.vm_state not in vm_states:
        when = (
            f": {when_down(locked.vm_state, locked.host is not None)}"
            if vm_states == VM_STATES
            else ""
        )
        return f"it is {locked.vm_state} now{when}"
    if locked.task_state is not None:
        return f"it has a task in progress now: {locked.task_state}"
    if "kept_disks" in plan.guard and _disks_differ(plan, stored):
        if plan.guard.get(UNDO):
            return "its disks changed while it was being undone: run novadev undo again"
        return f"its disks have changed since the plan: {AGAIN}"
    if SOURCE in plan.guard and not are_stored(
        plan.changes, stored.image_properties(plan.instance)
    ):
        return "what its cell stores has changed since the plan: plan again"
    return _new_rows(plan, stored)


def _new_rows(plan: Plan, stored: Stored) -> str | None:
    """Return which property has rows that the plan to leave one of them does not know."""
    going = {
        item.place.row: item.place.name
        for item in plan.changes
        if item.place.kind is Kind.HIDDEN and item.after is ABSENT
    }
    for name in dict.fromkeys(going.values()):
        left = [row for row in stored.property_rows(plan.instance, name) if row.id not in going]
        if len(left) > 1:
            rows = " and ".join(str(row.id) for row in left)
            return f"{name} is also stored in rows that the plan does not name ({rows}): plan again"
    return None


def _disks_differ(plan: Plan, stored: Stored) -> bool:
    bus = stored.image_properties(plan.instance).get("hw_disk_bus")
    return disks_differ(plan, stored.disks.get(plan.instance, ()), bus)


def disks_differ(plan: Plan, disks: Iterable[BlockDevice], disk_bus: str | None) -> bool:
    """Whether one of DISKS came, went or changed since the plan was made.

    DISK_BUS is the stored hw_disk_bus. A volume attached to a running guest has no bus of its own;
    the next power-on writes down the one that the guest has (``DriverBlockDevice.save``), and the
    disk is still the planned one.
    """
    moved = {item.place.row for item in plan.changes if item.place.kind is Kind.DISK}
    kept = [(disk.id, disk.disk_bus, disk.device_name) for disk in disks if disk.id not in moved]
    planned = [tuple(item) for item in plan.guard["kept_disks"]]
    if [item[::2] for item in kept] != [item[::2] for item in planned]:
        return True
    written_down = {None, disk_bus}
    return any(
        found != before and not (before is None and found in written_down)
        for (_, found, _), (_, before, _) in zip(kept, planned, strict=True)
    )
