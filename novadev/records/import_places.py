"""Where an import may put devices: at no place of another one, and at none of a pinned one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from novadev.errors import BadInput, NotAsNeeded, StalePlan
from novadev.records.addresses import place_of, why_no_restore
from novadev.records.device import Pins, VmDevice, as_pinned
from novadev.records.partners import item_text
from novadev.runs.plan import UNDO, Plan


def check_places(before: Iterable[VmDevice], after: Iterable[VmDevice]) -> None:
    """Raise BadInput where two plugged devices have one place AFTER that they had not BEFORE."""
    was = {device.device_id: place_of(device) for device in before}
    taken: dict[tuple[str, str, str], VmDevice] = {}
    for device in after:
        place = place_of(device) if device.is_plugged else None
        if place is None:
            continue
        other = taken.setdefault(place, device)
        is_new = was.get(device.device_id) != place or was.get(other.device_id) != place
        if other is not device and is_new:
            raise BadInput(f"{item_text(device)} and {item_text(other)} are both at {place[2]}")


def check_found(
    vm_id: str,
    before: Sequence[VmDevice],
    after: Iterable[VmDevice],
    found: Sequence[VmDevice],
    pins: Pins,
) -> None:
    """Raise NotAsNeeded where a device moves to where one in PINS was FOUND, off its own address.

    The history has the pinned one there: two devices at one place were never found.
    """
    held = {place_of(item): item for item in found if item.device_id in pins and item.is_plugged}
    was = {item.device_id: item.address for item in before}
    for device in after:
        place = place_of(device)
        other = held.get(place) if device.address != was.get(device.device_id) else None
        if place and other and other.device_id != device.device_id:
            why = why_no_restore(before, found, pins).get(other.device_id)
            raise NotAsNeeded(
                f"instance {vm_id}: {item_text(device)} cannot be recorded at {place[2]}: "
                f"{other.label} was last found there, and not at its pinned address. "
                f"{_ways(vm_id, other, why)}"
            )


def _ways(vm_id: str, other: VmDevice, why: str | None) -> str:
    """Return what frees the place of OTHER; WHY says why restore does not."""
    unpin = f"novadev device unpin {vm_id} {other.device_id}"
    if why:
        told = f"novadev device restore cannot change this, because {why}"
        return f"{told}. Remove the pin first ({unpin})"
    return (
        f"Restore and record the guest first (novadev device restore {vm_id}; novadev device "
        f"record {vm_id}), or remove the pin ({unpin})"
    )


def check_pins(
    vm_id: str, pins: Pins, recorded: Sequence[VmDevice], changed: Sequence[VmDevice]
) -> None:
    """Raise StalePlan where a recorded address is to be CHANGED that somebody has pinned since."""
    before = {device.device_id: device.address for device in recorded}
    for device in changed:
        if device.device_id in pins and device.address != before[device.device_id]:
            raise StalePlan(
                f"instance {vm_id}: the recorded address of {device.label} is pinned: run novadev "
                f"device unpin {vm_id} first"
            )


def check_changed(
    plan: Plan,
    recorded: Sequence[VmDevice],
    changed: Sequence[VmDevice],
    found: Sequence[VmDevice],
    pins: Pins,
) -> None:
    """Raise StalePlan where two devices would be at one place.

    One of them may be in PINS and gone, or have been FOUND elsewhere: its pinned address counts.
    But an undo may bring back what was recorded beside a pin before, so there it does not count.
    """
    try:
        if UNDO not in plan.guard:
            check_places(as_pinned(recorded, pins), as_pinned(changed, pins))
        else:
            there = {item.device_id: item for item in found if item.device_id in pins}
            check_places(_as_found(recorded, there), _as_found(changed, there))
        check_found(plan.instance, recorded, changed, found, pins)
    except BadInput as error:
        raise StalePlan(f"instance {plan.instance}: {error}") from None
    except NotAsNeeded as error:
        raise StalePlan(str(error)) from None


def _as_found(devices: Iterable[VmDevice], there: Mapping[str, VmDevice]) -> tuple[VmDevice, ...]:
    return tuple(there.get(device.device_id, device) for device in devices)
