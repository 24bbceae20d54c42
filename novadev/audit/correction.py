"""The command that corrects stored values: for a fault found by the rules, or for one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from novadev.audit.finding import Needs, Trouble
from novadev.audit.remedies import set_machine_type, set_property, stash, unset
from novadev.image_property.planning import VM_STATES
from novadev.nova.image_properties import MACHINE_TYPE
from novadev.nova.instances import Instance
from novadev.rules.fault import Fault
from novadev.rules.image_meta import spelling
from novadev.rules.property_faults import NO_EFFECT
from novadev.rules.server_states import way_to_stopped

_OF_STOPPED = (
    *("novadev image-property set", "novadev image-property unset", "novadev machine-type"),
    "novadev device alias-migrate --yes --whole-definition",
)
_ANY_TIME = ("novadev device record", "novadev device unpin", "nova-manage")


def settled(uuid: str, name: str, value: str | None) -> str | None:
    """Return the command that stores VALUE in both databases, or takes it out for None.

    None where no command can be given: see `set_machine_type`.
    """
    if value is None:
        return unset(uuid, name)
    return (
        set_machine_type(uuid, value) if name == MACHINE_TYPE else set_property(uuid, name, value)
    )


def value_instead(name: str, value: str) -> str | None:
    """Return what replaces a VALUE that is invalid for the property; None takes it out.

    That is Nova's own spelling where only case or spaces differ; a guest may have SCSI disks, so
    it keeps a SCSI model.
    """
    if name in NO_EFFECT:
        return None
    known = spelling(name, value)
    return "virtio-scsi" if known is None and name == "hw_scsi_model" else known


def for_value(uuid: str, name: str, value: str) -> str:
    """Return the command that replaces a VALUE that is invalid for the property."""
    known = value_instead(name, value)
    return unset(uuid, name) if known is None else set_property(uuid, name, known)


def needs(remedy: str | None, instance: Instance) -> Needs:
    """Return what ends a finding with this REMEDY: its command refuses a server in other states."""
    if remedy is None:
        return "decision"
    if remedy.startswith(_ANY_TIME):
        return "command"
    if instance.task_state is not None or instance.vm_state == "building":
        return "wait"
    waits = remedy.startswith(_OF_STOPPED) and instance.vm_state not in VM_STATES
    return "stop" if waits else "command"


def when(needed: Needs, instance: Instance) -> str:
    """Return what is to be added to the details where the remedy has to wait; else nothing."""
    if needed == "stop":
        way = way_to_stopped(instance.vm_state, instance.host is not None)
        return f"; the server has to be stopped for the remedy ({way})"
    if needed == "wait":
        task = instance.task_state or instance.vm_state
        return f"; the remedy has to wait until its task has ended: {task}"
    return ""


def undecided(trouble: Trouble, instance: Instance) -> Trouble:
    """Return TROUBLE; where something else may be right than its remedy, with both in its details.

    Such a trouble has no remedy: a person decides.
    """
    if trouble.instead is None:
        return trouble
    details = f"{trouble.details}; {trouble.instead}"
    if trouble.remedy is not None:
        details += f"; to keep {trouble.keeps}, run {from_here(trouble.remedy, instance)}"
    return replace(trouble, details=details, remedy=None, instead=None)


def from_here(remedy: str, instance: Instance) -> str:
    """Return REMEDY after what stops the server, where it has to be stopped for it."""
    waits = needs(remedy, instance) == "stop"
    way = way_to_stopped(instance.vm_state, instance.host is not None)
    return f"{way}; then " * waits + remedy


def for_fault(fault: Fault, uuid: str, host: str | None) -> str | None:
    """Return the command that fixes FAULT, or None if there is no harmless one.

    On no HOST nothing shows which SCSI controller the guest had.
    """
    if fault.to_set is not None:
        return set_property(uuid, *fault.to_set)
    if fault.rule == "scsi-model-missing" and host is None:
        return None
    make = _FOR_RULES.get(fault.rule)
    return None if make is None else make(fault, uuid)


def _unset_named(fault: Fault, uuid: str) -> str:
    """Return `unset` of the subject, a property as it is stored: ``hw_rng_model=virtio``."""
    return unset(uuid, fault.subject.partition("=")[0])


_FOR_RULES: Mapping[str, Callable[[Fault, str], str]] = {
    "no-effect": _unset_named,
    "pointer-model-ignored": _unset_named,
    "scsi-model-missing": lambda _fault, uuid: stash(uuid, "hw_scsi_model"),
    "vif-model-virt-type": _unset_named,
}
