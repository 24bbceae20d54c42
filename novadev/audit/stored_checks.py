"""The checks that need only Nova's databases and no host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

from novadev.audit.correction import for_fault, for_value, from_here
from novadev.audit.finding import Severity, Trouble
from novadev.audit.remedies import (
    set_machine_type,
    set_property,
    stash_again,
    unset_duplicates,
    unset_unreadable,
)
from novadev.audit.spec_differences import request_spec
from novadev.audit.stashing import not_stashed
from novadev.audit.stored import Stored, unread
from novadev.errors import BadInput
from novadev.nova.image_properties import MACHINE_TYPE, same
from novadev.rules.fault import Fault
from novadev.rules.guest import ComputeRules, emulated_architecture
from novadev.rules.image_meta import unreadable
from novadev.rules.machine_types import family_of, is_alias
from novadev.rules.validity import (
    OF_A_CHANGE,
    case_behind_refusals,
    faults,
    faults_behind_refusals,
)
from novadev.stash_defaults.sources import REMEMBERED, Alike

KINDS = {"hw_disk_bus": "disk", "hw_cdrom_bus": "cdrom", "hw_floppy_bus": "floppy"}
"""The kinds of disks that a property gives its bus to."""


def stored_values(stored: Stored) -> Iterator[Trouble]:
    """Yield the values that Nova's enumerations do not have: it refuses to build such a guest.

    A bus in another case that no disk is on becomes that of the disks, as `disk_bus` asks for.
    """
    for name, reason in stored.outside.items():
        buses = other_buses(stored, name)
        remedy = (
            set_property(stored.uuid, name, buses[0])
            if len(buses) == 1
            else for_value(stored.uuid, name, stored.values[name] or "")
        )
        yield Trouble("stored-value", "failure", reason, remedy)


def unreadable_values(stored: Stored) -> Iterator[Trouble]:
    """Yield the other values for which Nova can read none of the server's properties.

    One finding for all: one command takes them out.
    """
    release, spec = stored.nova_release, stored.facts.spec
    if spec is not None and not spec.is_readable:
        yield unread(stored, spec.fault)
    held = (spec and spec.image_properties) or {}
    here = stored.unreadable
    bad = [f"{name}={stored.values[name]}" for name in here if name not in stored.outside]
    bad += [
        f"{name}={held[name]} in the request spec"
        for name in unreadable(held, release)
        if name not in here
    ]
    if bad:
        details = (
            f"{', '.join(bad)}: Nova {release} has no such value and can therefore read none of "
            "the server's properties"
        )
        yield Trouble("unreadable", "failure", details, unset_unreadable(stored.uuid))


def duplicates(stored: Stored) -> Iterator[Trouble]:
    """Yield properties in more than one row: no key of the table forbids it."""
    hidden = stored.facts.instance.hidden_rows
    if hidden:
        rows = [
            f"{name} (Nova reads {_text(stored.values[name])} and ignores "
            f"{', '.join(f'{_text(row.value)} in row {row.id}' for row in found)})"
            for name, found in hidden.items()
        ]
        details = f"stored in more than one row of instance_system_metadata: {'; '.join(rows)}"
        yield Trouble("duplicate-property", "warning", details, unset_duplicates(stored.uuid))


def _text(value: str | None) -> str:
    return "null" if value is None else value


def combinations(stored: Stored) -> Iterator[Trouble]:
    """Yield everything that the rules of properties and disks have against the guest.

    A guest works with what is only a warning to whoever chooses a value, and nothing is to be done.
    What Nova cannot read hides the rest, and other checks say so: the guest is looked at as their
    remedies leave it.
    """
    readable = stored.readable
    if not _has_faults(readable.alike, stored.rules):
        return
    everything = faults_behind_refusals(readable.facts.guest, stored.rules)
    found = [fault for fault in everything if fault.rule not in OF_A_CHANGE]
    rules = {fault.rule for fault in found}
    for fault in found:
        if fault.rule == "lun-scsi-model" and "scsi-model-missing" in rules:
            continue  # which says what there is to say, and records what the guest has
        severity: Severity = "failure" if fault.severity == "error" else "warning"
        remedy = for_fault(fault, stored.uuid, stored.facts.instance.host)
        if fault.rule == "scsi-model-missing":
            yield _without_scsi_model(
                stored, Trouble("combination", severity, fault.message, remedy)
            )
        else:
            yield Trouble(_check_of(fault), severity, fault.message, remedy, fault=fault.key)


def _without_scsi_model(stored: Stored, trouble: Trouble) -> Trouble:
    """Return TROUBLE without its remedy if the guest shows no model, or a run took it out.

    A guest that is known to have the model that nobody chose may see no SCSI disk with it; and
    where no host was asked, any guest may have that one.
    """
    name, outlook = "hw_scsi_model", stored.outlook
    decision = stored.taken_out.get(name)
    if outlook is not None and name in outlook.recorded:
        return _with_better_model(stored, trouble) if outlook.is_on_lsilogic else trouble
    if decision is not None and (outlook is None or name in outlook.taken_out):
        again = stash_again(stored.uuid, name)
        details = f"{trouble.details}; {decision.told}; to store it again, run {again}"
        return replace(trouble, remedy=None, details=details)
    if outlook is None and stored.not_now is None:
        return _with_better_model(stored, trouble)
    trouble = replace(trouble, remedy=None)
    if outlook is None and stored.not_now is not None:
        told = f"stash-defaults cannot record what the guest has: {stored.not_now.why}"
        waits = stored.not_now.is_silent
        trouble = replace(trouble, details=f"{trouble.details}; {told}", waits_for_host=waits)
    return _with_better_model(stored, trouble)


def _with_better_model(stored: Stored, trouble: Trouble) -> Trouble:
    """Return TROUBLE with the command that gives the guest a model that most systems drive."""
    remedy = set_property(stored.uuid, "hw_scsi_model", "virtio-scsi")
    command = from_here(remedy, stored.facts.instance)
    return replace(trouble, instead=f"to give the guest virtio-scsi, run {command}")


@lru_cache(REMEMBERED)
def _has_faults(alike: Alike, rules: ComputeRules) -> bool:
    return bool(faults(alike.guest, rules))


def _check_of(fault: Fault) -> str:
    if fault.rule.startswith("lun-"):
        return "lun"
    is_ignored = fault.rule in ("no-effect", "pointer-model-ignored")
    return "no-effect" if is_ignored else "combination"


def disk_bus(stored: Stored) -> Iterator[Trouble]:
    """Yield a stored bus that no disk of its kind is on: the rows of the disks have their own."""
    for name, kind in KINDS.items():
        buses = other_buses(stored, name)
        if buses:
            value = stored.values[name]
            details = f"{name} is {value}, and every {kind} is on {' or '.join(buses)}"
            remedy = set_property(stored.uuid, name, buses[0]) if len(buses) == 1 else None
            yield Trouble("disk-bus", "warning", details, remedy)


def other_buses(stored: Stored, name: str) -> tuple[str, ...]:
    """Return the buses that the disks of a kind will be on, if none is on the stored one."""
    stored = stored.readable
    if name not in KINDS or not stored.values.get(name):
        return ()
    return _other_buses(stored.alike, stored.rules, name)


@lru_cache(REMEMBERED)
def _other_buses(alike: Alike, rules: ComputeRules, name: str) -> tuple[str, ...]:
    value = alike.guest.image_properties[name]
    case, _ = case_behind_refusals(alike.guest, rules)
    buses = sorted({disk.bus for disk in case.disks if disk.type == KINDS[name]})
    return () if any(same(name, bus, value) for bus in buses) else tuple(buses)


def floating_machine_type(stored: Stored) -> Iterator[Trouble]:
    """Yield a machine type without a version: QEMU's next release makes it another machine."""
    value = stored.values.get(MACHINE_TYPE)
    if value and is_alias(value, emulated_architecture(stored.facts.guest, stored.rules)):
        details = (
            f"{MACHINE_TYPE}={value} stands for the newest version of its kind: the first power-on "
            "after an upgrade of QEMU gives the guest another machine type"
        )
        pinned, other = stored.machine_type, _machine_type_of_spec(stored)
        if other not in (None, value):
            details += f"; the request spec has {other}: decide which of both is right"
            pinned = None
        remedy = None if pinned is None else set_machine_type(stored.uuid, pinned)
        choose = (
            "" if remedy else "; choose a machine type with a version (novadev machine-type set)"
        )
        yield Trouble("machine-type", "warning", details + choose, remedy)


def _machine_type_of_spec(stored: Stored) -> str | None:
    """Return the machine type in the request spec, if that is one.

    After a rescue it is the only copy of what was chosen: see
    :func:`novadev.audit.spec_differences.request_spec`.
    """
    spec = stored.facts.spec
    found = (spec.image_properties or {}).get(MACHINE_TYPE) if spec is not None else None
    return found if isinstance(found, str) and family_of(found) else None


def flavor(stored: Stored) -> Iterator[Trouble]:
    """Yield that the flavor cannot be read: it decides on a swap disk."""
    try:
        stored.facts.check_flavor()
    except BadInput as error:
        yield unread(stored, error)


STORED_CHECKS: tuple[tuple[frozenset[str], Callable[[Stored], Iterator[Trouble]]], ...] = (
    (frozenset({"combination", "lun", "disk-bus", "forecast", "target"}), flavor),
    (frozenset({"stored-value"}), stored_values),
    (frozenset({"unreadable"}), unreadable_values),
    (frozenset({"duplicate-property"}), duplicates),
    (frozenset({"combination", "no-effect", "lun"}), combinations),
    (frozenset({"request-spec"}), request_spec),
    (frozenset({"disk-bus"}), disk_bus),
    (frozenset({"machine-type"}), floating_machine_type),
)
"""By the names of what each may find."""


def stored_troubles(stored: Stored, wanted: frozenset[str]) -> Iterator[Trouble]:
    """Yield what the WANTED checks find in what is stored of one instance."""
    if "not-stashed" in wanted:
        yield from not_stashed(
            stored.facts.instance, stored.outlook, stored.taken_out, stored.not_now
        )
    for names, check in STORED_CHECKS:
        if names & wanted:
            yield from (
                trouble
                for trouble in check(stored)
                if trouble.is_unasked or trouble.check in wanted
            )
