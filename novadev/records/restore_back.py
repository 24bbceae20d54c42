"""Which changes of a restore can be undone, device by device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from novadev.records.restore_layout import faults_of, named
from novadev.records.restore_pins import is_another
from novadev.runs.change import Change
from novadev.runs.plan import Plan
from novadev.virt.address import Address
from novadev.virt.device import Device
from novadev.virt.domain import Domain
from novadev.virt.places import Places


@dataclass(frozen=True)
class WayBack:
    """The changes that are written, where their devices go, and why others are left.

    ``left`` has the reasons by the text of the change's place; ``is_barred`` says that some of them
    hold what was written, and only cannot go back now. ``there`` are the texts of the places that
    are as before the run.
    """

    changes: tuple[Change, ...]
    moves: Mapping[Device, Address]
    left: Mapping[str, str]
    is_barred: bool
    there: tuple[str, ...]


def way_back(domain: Domain, plan: Plan) -> WayBack:
    """Return what of PLAN, an undo, can be written into DOMAIN.

    A device goes back as long as it holds what was written, and nobody has taken its former place.
    """
    devices = named(domain)
    going: dict[Device, Change] = {}
    left: dict[str, str] = {}
    there: list[str] = []
    for item in plan.changes:
        device = devices.get(item.place.name)
        now = device.address if device is not None else None
        if device is None or is_another(plan, item.place.name, device):
            left[item.what] = "is gone" if device is None else "is another device now"
        elif now is None:
            left[item.what] = "has no address"
        elif now.exact_text == item.before:
            going[device] = item
        elif now.exact_text == item.after:
            there.append(item.what)
        else:
            left[item.what] = f"has address {now}"
    number = len(left)
    _leave_what_is_barred(domain, going, left)
    moves = {device: Address.from_text(str(item.after)) for device, item in going.items()}
    return WayBack(tuple(going.values()), moves, left, len(left) > number, tuple(there))


def _leave_what_is_barred(
    domain: Domain, going: dict[Device, Change], left: dict[str, str]
) -> None:
    """Move from GOING to LEFT what cannot go back; who stays may bar the way of another."""
    while going:
        barred = _barred(domain, going)
        if not barred:
            return
        for device, why in barred.items():
            left[going.pop(device).what] = why


def _barred(domain: Domain, going: Mapping[Device, Change]) -> dict[Device, str]:
    """Return which of GOING cannot be where they were, and why."""
    places = Places(domain)
    moves = {device: Address.from_text(str(item.after)) for device, item in going.items()}
    now = {device: device.address for device in domain.devices if device.address}
    then = now | moves
    holders: dict[object, list[Device]] = {}
    for device, address in then.items():
        holders.setdefault(places.place(device, address), []).append(device)
    found = {}
    for device, address in moves.items():
        others = [other for other in holders[places.place(device, address)] if other is not device]
        if others:
            found[device] = f"had {address}, which {others[0].label} has now"
        elif address.type != now[device].type:
            found[device] = f"had an address of type {address.type}"
        elif why := places.why_not(device, address, then):
            found[device] = f"cannot be at {address} any more: {why}"
    if not found and (faults := faults_of(domain, moves)):
        found = dict.fromkeys(moves, f"cannot go back: {'; '.join(faults)}")
    return found
