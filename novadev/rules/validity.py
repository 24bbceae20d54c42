"""Properties that are incompatible or have no effect, as far as this is known without a host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from novadev.rules.buses import TooManyDisks, UnsupportedBus
from novadev.rules.disk_faults import disk_faults
from novadev.rules.disks import guest_disks
from novadev.rules.fault import Case, Fault, Severity, disk_subject, identity, told
from novadev.rules.guest import ComputeRules, Guest
from novadev.rules.property_faults import NO_EFFECT, property_faults
from novadev.rules.refused_buses import without_refused_buses

__all__ = ["NO_EFFECT", "OF_A_CHANGE", "Fault", "Severity", "ends", "faults", "new_faults"]

OF_A_CHANGE = frozenset({"vif-model-conventional", "lsilogic-too-many", "usb-model-ignored"})
"""Rules whose warnings help whoever chooses a value: a guest that has it already works with it."""


def faults(guest: Guest, rules: ComputeRules) -> tuple[Fault, ...]:
    """Return everything wrong with the guest as it would be at the next power-on."""
    return _faults(*_case(guest, rules))


def faults_behind_refusals(guest: Guest, rules: ComputeRules) -> tuple[Fault, ...]:
    """Return the same, and what the value of a bus property hides for which Nova refuses it."""
    return _faults(*case_behind_refusals(guest, rules))


def new_faults(before: Guest, after: Guest, rules: ComputeRules) -> tuple[Fault, ...]:
    """Return what a change from before to after brings; a fault that was there does not count.

    With them comes what only the change can do: a disk that would be lost, and a Windows guest
    that may not find its boot disk again. A guest that Nova refuses for the value of a bus
    property has its other faults already; what the refusal hid till now, or hides still, is a
    warning.
    """
    old, old_refused = case_behind_refusals(before, rules)
    new, new_refused = case_behind_refusals(after, rules)
    known = {fault.key for fault in _faults(old, old_refused)}
    found = _faults(new, new_refused)
    brought = [fault for fault in found if fault.key not in known]
    if old_refused:
        hidden = [fault for fault in (*new_refused, *disk_faults(new)) if fault not in brought]
        brought += [replace(fault, severity="warning") for fault in hidden]
    elif not new_refused:
        brought += [*_lost_disks(old, new), *_windows_boot(old, new)]
    return tuple(brought)


def ends(key: tuple[str, str], before: Guest, after: Guest, rules: ComputeRules) -> bool:
    """Return whether a change from before to after ends the fault with this key, and only that.

    A disk that gets another bus must have had a fault that the same value ends.
    """
    old, old_refused = case_behind_refusals(before, rules)
    new, new_refused = case_behind_refusals(after, rules)
    known = _faults(old, old_refused)
    wanted = {fault.to_set for fault in known if fault.key == key} - {None}
    alike = {fault.subject for fault in known if fault.to_set in wanted}
    buses = {identity(disk): disk.bus for disk in new.disks}
    moved = (disk for disk in old.disks if buses.get(identity(disk), disk.bus) != disk.bus)
    return key not in {fault.key for fault in _faults(new, new_refused)} and all(
        disk_subject(disk) in alike for disk in moved
    )


def _faults(case: Case, refused: tuple[Fault, ...]) -> tuple[Fault, ...]:
    return (*refused, *disk_faults(case), *property_faults(case))


def case_behind_refusals(guest: Guest, rules: ComputeRules) -> tuple[Case, tuple[Fault, ...]]:
    """Return what the checks look at apart from refused buses, and the faults that these are.

    A guest that has too many disks is looked at as if their buses took them.
    """
    readable, refused = without_refused_buses(guest, rules)
    case, others = _case(readable, rules)
    if others:
        case, _ = _case(readable, replace(rules, counts_disks=False))
    return case, (*(_refused(why) for why in refused.values()), *others)


def _refused(why: str) -> Fault:
    return Fault("bus-virt-type", "error", why, why)


def _case(guest: Guest, rules: ComputeRules) -> tuple[Case, tuple[Fault, ...]]:
    """Return what the checks look at, and the fault for which Nova would build no guest."""
    try:
        return Case(guest, rules, guest_disks(guest, rules)), ()
    except UnsupportedBus as error:
        fault = _refused(str(error))
    except TooManyDisks as error:
        fault = Fault("too-many-disks", "error", f"{error}; move disks to another bus", str(error))
    return Case(guest, rules, ()), (fault,)


def _lost_disks(old: Case, new: Case) -> Iterator[Fault]:
    """Yield disks the guest has now and would not have, for another disk has the name."""
    kept = {identity(disk) for disk in new.disks}
    for disk in old.disks:
        if identity(disk) not in kept and disk.name != "disk.config":
            message = (
                f"{told(disk)} would be missing, because another disk has the name it would get; "
                "give that disk another name"
            )
            yield Fault("disk-lost", "error", message, identity(disk))


def _windows_boot(old: Case, new: Case) -> Iterator[Fault]:
    """Yield a change of the boot disk's controller under Windows, which boots from known ones."""
    if not new.is_windows:
        return
    change = "; ".join(
        f"{what} {was or 'unset'} becomes {becomes or 'unset'}"
        for what, was, becomes in _boot_path(old, new)
        if was != becomes
    )
    if change:
        message = (
            f"{change}: Windows stops with INACCESSIBLE_BOOT_DEVICE unless the driver is installed "
            "and enabled at boot; install the driver first, with a second disk on the new bus"
        )
        yield Fault("windows-boot", "warning", message, change)


def _boot_path(old: Case, new: Case) -> Iterator[tuple[str, str, str]]:
    """Yield what the way to the root disk is made of, before and after."""
    yield "root disk bus", old.disks[0].bus, new.disks[0].bus
    if new.disks[0].bus == "scsi":
        yield "hw_scsi_model", old.value("hw_scsi_model"), new.value("hw_scsi_model")
    yield "machine family", old.family, new.family
