"""Compares the stored properties with the guest's definition."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.audit.correction import settled
from novadev.audit.finding import Trouble
from novadev.audit.remedies import stash
from novadev.audit.stashing import decided
from novadev.audit.stored import Stored
from novadev.audit.stored_checks import other_buses
from novadev.capabilities.compute_hosts import ComputeHost
from novadev.image_property.decisions import Decisions
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.nova.instances import Instance
from novadev.rules.machine_types import may_be
from novadev.rules.server_states import way_to_stored_hardware
from novadev.stash_defaults.sources import Evidence, agrees, taken_out


def compared(evidence: Evidence, stored: Stored, decisions: Decisions) -> Iterator[Trouble]:
    """Yield stored nulls of devices that are there, and values that are not the guest's.

    DECISIONS tell which of these are to come at the next power-on.
    """
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
            taken = taken_out(name, value, evidence)
            details = f"{name} is stored as null, and the guest has {value}"
            if taken:
                details = decided(name, "stored as null", taken, instance, is_seen=True)
            remedy = None if taken else stash(instance.uuid)
            yield Trouble("stash-null", "warning", details, remedy)
        elif not agrees(name, kept, value, evidence.compute) and not other_buses(stored, name):
            yield _differing(instance, name, kept, value, decisions)
        elif name == MACHINE_TYPE and kept != value and evidence.compute:
            yield from _alias_unknown(kept, value, evidence.compute)


def _differing(
    instance: Instance, name: str, kept: str, value: str, decisions: Decisions
) -> Trouble:
    """Return that the guest has another VALUE than the one that is stored.

    Nova may have started the guest by the values before, or by those of a snapshot; or somebody
    has stored what the guest must not get. Only a run of novadev shows which. An alias of the
    guest's machine type was no choice of a version.
    """
    details = f"{name} is stored as {kept}, and the guest has {value}"
    told = f"{details}: the next power-on changes the guest"
    remedy = _remedy(instance.uuid, name, value)
    if name == MACHINE_TYPE and may_be(kept, value):
        return Trouble("definition", "warning", told, remedy)
    way = way_to_stored_hardware(instance.vm_state, instance.host is not None)
    decision = decisions.find(instance, name)
    if decision is not None:
        told = f"{details}: run {decision.run} stored it for the next power-on ({way})"
        return Trouble("definition", "warning", told)
    instead = f"to give the guest what is stored, run {way}"
    return Trouble("definition", "warning", told, remedy, instead=instead)


def _alias_unknown(kept: str, value: str, compute: ComputeHost) -> Iterator[Trouble]:
    """Yield that nobody knows what an alias stands for by now."""
    if compute.outdated:
        details = f"it is not known whether {kept} still stands for {value}, which the guest has"
        yield Trouble("definition", "warning", f"{details}: {compute.outdated}")


def _remedy(uuid: str, name: str, value: str) -> str | None:
    """Return the command that stores what the guest has, where it may be stored."""
    return settled(uuid, name, value) if name in (*PROPERTIES, MACHINE_TYPE) else None
