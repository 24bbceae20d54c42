"""Compares the stored properties with the guest's definition."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.audit.finding import Trouble
from novadev.audit.remedies import stash
from novadev.audit.settling import settled
from novadev.audit.stored import Stored, other_buses
from novadev.capabilities.compute_hosts import ComputeHost
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
            if name == "hw_input_bus" and hardware.keyboard_would_appear:
                continue  # stored, that would add a keyboard: nothing is to be done
            details = f"{name} is stored as null, and the guest has {value}"
            yield Trouble("stash-null", "warning", details, stash(instance.uuid))
        elif not agrees(name, kept, value, evidence.compute) and not other_buses(stored, name):
            details = f"{name} is stored as {kept}, and the guest has {value}"
            told = f"{details}: the next power-on changes the guest"
            yield Trouble("definition", "warning", told, _remedy(instance.uuid, name, value))
        elif name == MACHINE_TYPE and kept != value and evidence.compute:
            yield from _alias_unknown(kept, value, evidence.compute)


def _alias_unknown(kept: str, value: str, compute: ComputeHost) -> Iterator[Trouble]:
    """Yield that nobody knows what an alias stands for by now."""
    if compute.outdated:
        details = f"it is not known whether {kept} still stands for {value}, which the guest has"
        yield Trouble("definition", "warning", f"{details}: {compute.outdated}")


def _remedy(uuid: str, name: str, value: str) -> str | None:
    """Return the command that stores what the guest has, where it may be stored."""
    return settled(uuid, name, value) if name in (*PROPERTIES, MACHINE_TYPE) else None
