"""What is stored beside what the guest's definition says it has."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.audit.finding import Trouble
from novadev.audit.remedies import stash
from novadev.audit.settling import settled
from novadev.audit.stored import Stored, other_buses
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.stash_defaults.sources import Evidence, agrees


def compared(evidence: Evidence, stored: Stored) -> Iterator[Trouble]:
    """Yield stored nulls of devices that are there, and values that are not the guest's."""
    instance, hardware = evidence.facts.instance, evidence.hardware
    if hardware is None:
        return
    for name, kept in instance.image_properties.items():
        value = hardware.values.get(name)
        if value is None:
            continue
        if kept is None:
            details = f"{name} is stored as null, and the guest has {value}"
            adds = name == "hw_input_bus" and hardware.keyboard_would_appear
            told = f"{details}; stored, that would add a keyboard" if adds else details
            yield Trouble("stash-null", "warning", told, None if adds else stash(instance.uuid))
        elif not agrees(name, kept, value, evidence.compute) and not other_buses(stored, name):
            details = f"{name} is stored as {kept}, and the guest has {value}"
            told = f"{details}: the next power-on changes the guest"
            yield Trouble("definition", "warning", told, _remedy(instance.uuid, name, value))


def _remedy(uuid: str, name: str, value: str) -> str | None:
    """Return the command that stores what the guest has, where it may be stored."""
    return settled(uuid, name, value) if name in (*PROPERTIES, MACHINE_TYPE) else None
