"""A guest that Nova refuses to build for the value of a bus property, and what it is apart from it.

Every other check needs the guest's disks, which such a guest has none of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from novadev.rules.buses import RefusedBus, TooManyDisks, UnsupportedBus, is_valid
from novadev.rules.disks import guest_disks
from novadev.rules.guest import ComputeRules, Guest, property_value
from novadev.rules.image_meta import spelling


def without_refused_buses(guest: Guest, rules: ComputeRules) -> tuple[Guest, Mapping[str, str]]:
    """Return the guest with buses that Nova can read, and why it refused the ones that are stored.

    The reasons are by the property's name. A bus in another case gets Nova's own spelling; any
    other one that Nova refuses is left out.
    """
    refused: dict[str, str] = {}
    while True:
        found = _refusal(guest, rules)
        if found is None or found.name in refused:
            return guest, refused
        refused[found.name] = str(found)
        guest = _with_bus(guest, found.name, _known_bus(guest, found.name, rules))


def _refusal(guest: Guest, rules: ComputeRules) -> RefusedBus | None:
    try:
        guest_disks(guest, rules)
    except RefusedBus as error:
        return error
    except (UnsupportedBus, TooManyDisks):
        return None
    return None


def _known_bus(guest: Guest, name: str, rules: ComputeRules) -> str | None:
    bus = spelling(name, property_value(guest, name) or "")
    return bus if bus and is_valid(bus, rules) else None


def _with_bus(guest: Guest, name: str, bus: str | None) -> Guest:
    return replace(guest, image_properties={**guest.image_properties, name: bus})
