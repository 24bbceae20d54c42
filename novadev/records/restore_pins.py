"""What the guard of a restore says of its devices, and which of them move off a pin."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from novadev.records.device import Pins
from novadev.records.identity import natural_name
from novadev.records.restore_layout import named
from novadev.runs.plan import Plan
from novadev.virt.address import Address
from novadev.virt.device import Device
from novadev.virt.domain import Domain

IDS = "ids"
"""In the guard of a restore: the device_id of each change, by the name of its place."""
PINS = "pins"
"""In the guard of a restore: the pins, by device_id, that its changed devices had by then.

An undo has those of when it was planned.
"""
_NAMES = "names"
"""In the guard of a restore: what names each changed device in its guest, by the place's name."""


def guard_of_changes(
    domain: Domain, moved: Collection[Device], ids: Mapping[Device, str], pins: Pins
) -> Mapping[str, Mapping[str, str]]:
    """Return what the guard of a plan says of the MOVED devices, whose IDS the newest record has.

    A device that is recorded nowhere yet has the id that the next record would give it: somebody
    may record and pin it before the plan is carried out.
    """
    found = {name: device for name, device in named(domain).items() if device in moved}
    names = {name: natural_name(domain.uuid, device) for name, device in found.items()}
    known = {name: ids[device] for name, device in found.items() if device in ids}
    return {
        IDS: known,
        PINS: {key: pins[key] for key in known.values() if key in pins},
        _NAMES: {name: text for name, text in names.items() if text},
    }


def is_another(plan: Plan, name: str, device: Device) -> bool:
    """Whether DEVICE, which is called NAME by now, is not the one that PLAN has moved.

    Another volume may have its target since. A plan of an earlier release does not tell.
    """
    known = plan.guard.get(_NAMES)
    return known is not None and known.get(name) != (natural_name(plan.instance, device) or None)


def iter_leaving(plan: Plan, pins: Pins) -> Iterator[tuple[str, str, str]]:
    """Yield the devices that PLAN moves off one of PINS: name, device_id, the pin as people read.

    None of a plan whose guard does not tell its devices, as earlier releases made them.
    """
    ids = plan.guard.get(IDS, {})
    for item in plan.changes:
        device_id = ids.get(item.place.name, "")
        pinned = Address.from_ovirt(pins.get(device_id, ""))
        if pinned and pinned.text != Address.from_text(str(item.after)).text:
            yield item.place.name, device_id, pinned.text


def why_pinned(plan: Plan, pins: Pins) -> str | None:
    """Return which device PLAN moves off a pin that it had not when PLAN was shown, if any."""
    known = plan.guard.get(PINS, {})
    for name, device_id, place in iter_leaving(plan, pins):
        if known.get(device_id) != pins[device_id]:
            return f"instance {plan.instance}: {name} is pinned at {place} now, but {_helps(plan)}"
    return None


def _helps(plan: Plan) -> str:
    if plan.partly:
        return "the undo moves it away: undo the run again, or run novadev device unpin first"
    return "the plan moves it away: plan again, or run novadev device unpin first"


def with_pins(plan: Plan, pins: Pins) -> Plan:
    """Return PLAN, an undo, with the PINS of today: a note of each that a device leaves.

    So a pin that is set while the undo waits for its answer makes it stale.
    """
    ids = plan.guard.get(IDS, {})
    notes = (leaves_pin(name, place) for name, _, place in iter_leaving(plan, pins))
    guard = {**plan.guard, PINS: {key: pins[key] for key in ids.values() if key in pins}}
    return replace(plan, guard=guard, notes=(*plan.notes, *notes))


def leaves_pin(name: str, place: str) -> str:
    """Return the note that the device of this NAME would leave the PLACE where it is pinned."""
    return (
        f"{name} is pinned at {place} but moves away from it. The pin stays until novadev device "
        "unpin removes it."
    )
