"""The checks that need only Nova's databases and no host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from novadev.audit.correction import for_fault, for_value, from_here, value_instead
from novadev.audit.finding import Severity, Trouble
from novadev.audit.remedies import (
    set_machine_type,
    set_property,
    stash_again,
    sync,
    unset_duplicates,
    unset_unreadable,
)
from novadev.audit.stashing import Outlook, not_stashed
from novadev.errors import BadInput, InvalidValue, NovadevError
from novadev.image_property.decisions import Decision
from novadev.image_property.facts import Facts
from novadev.image_property.sync.differences import differences, in_words, lacked
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES, same
from novadev.nova.request_specs import RequestSpec
from novadev.rules.defaults import REFUSALS, REGISTERED, registered
from novadev.rules.fault import Fault
from novadev.rules.guest import ComputeRules, DriverRules, architecture
from novadev.rules.image_meta import unreadable
from novadev.rules.machine_types import is_alias
from novadev.rules.property_faults import NO_EFFECT
from novadev.rules.validity import case_behind_refusals, faults, faults_behind_refusals
from novadev.runs.change import Change
from novadev.stash_defaults.sources import REMEMBERED, Alike

KINDS = {"hw_disk_bus": "disk", "hw_cdrom_bus": "cdrom", "hw_floppy_bus": "floppy"}
"""The kinds of disks that a property gives its bus to."""


@dataclass(frozen=True)
class Stored:
    """What is stored of one instance, and the rules of the host that would build its guest.

    ``machine_type`` is the versioned one that the stored one stands for; None where none is known.
    ``release`` is the release of Nova that reads the values, None for that of the rules.
    ``are_assumed``: nothing is known of the host, and the rules are those of novadev's own
    configuration. ``outlook`` is what stash-defaults would record; None where no host was asked.
    ``taken_out`` are the decisions of operators to store a property no more, by its name.
    """

    facts: Facts
    rules: DriverRules
    machine_type: str | None = None
    release: int | None = None
    are_assumed: bool = True
    outlook: Outlook | None = None
    taken_out: Mapping[str, Decision] = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        """The instance's UUID."""
        return self.facts.instance.uuid

    @property
    def values(self) -> Mapping[str, str | None]:
        """The stored image properties."""
        return self.facts.instance.image_properties

    @cached_property
    def alike(self) -> Alike:
        """The guest as the rules see it: most of a fleet are one another's like."""
        return Alike.of(self.facts.guest)

    @cached_property
    def readable(self) -> Stored:
        """The same as the remedies of values that Nova cannot read leave it."""
        bad: dict[str, str | None] = dict.fromkeys(_unreadable(self.alike, self.nova_release))
        bad |= {
            name: value_instead(name, self.values[name] or "") for name, _ in _outside(self.values)
        }
        if not bad:
            return self
        left = {name: value for name, value in self.values.items() if name not in bad}
        left |= {name: value for name, value in bad.items() if value is not None}
        guest = replace(self.facts.guest, image_properties=left)
        instance = replace(self.facts.instance, image_properties=left)
        return replace(self, facts=replace(self.facts, guest=guest, instance=instance))

    @property
    def nova_release(self) -> int:
        """The release of Nova that reads the values."""
        return self.release or self.rules.release


def stored_values(stored: Stored) -> Iterator[Trouble]:
    """Yield the values that Nova's enumerations do not have: it refuses to build such a guest.

    A bus in another case that no disk is on becomes that of the disks, as `disk_bus` asks for.
    """
    for name, reason in _outside(stored.values):
        buses = other_buses(stored, name)
        remedy = (
            set_property(stored.uuid, name, buses[0])
            if len(buses) == 1
            else for_value(stored.uuid, name, stored.values[name] or "")
        )
        yield Trouble("stored-value", "failure", reason, remedy)


def _outside(values: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield those of the ten properties whose value is none of theirs, and what is wrong."""
    for name, item in PROPERTIES.items():
        value = values.get(name)
        try:
            if value is not None:
                item.canonical(value)
        except InvalidValue as error:
            yield name, str(error)


def unreadable_values(stored: Stored) -> Iterator[Trouble]:
    """Yield the other values for which Nova can read none of the server's properties.

    One finding for all: one command takes them out.
    """
    release, spec = stored.nova_release, stored.facts.spec
    if spec is not None and not spec.is_readable:
        yield _unread(stored, spec.fault)
    held = (spec and spec.image_properties) or {}
    here = _unreadable(stored.alike, release)
    told = {name for name, _ in _outside(stored.values)} if here else ()
    bad = [f"{name}={stored.values[name]}" for name in here if name not in told]
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


@lru_cache(REMEMBERED)
def _unreadable(alike: Alike, release: int) -> Mapping[str, str]:
    return unreadable(alike.guest.image_properties, release)


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

    What Nova cannot read hides the rest, and other checks say so: the guest is looked at as their
    remedies leave it.
    """
    readable = stored.readable
    if not _has_faults(readable.alike, stored.rules):
        return
    found = faults_behind_refusals(readable.facts.guest, stored.rules)
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
    return _with_better_model(stored, trouble if outlook is None else replace(trouble, remedy=None))


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
    ignored = fault.rule in ("no-effect", "pointer-model-ignored", "usb-model-ignored")
    return "no-effect" if ignored else "combination"


def request_spec(stored: Stored) -> Iterator[Trouble]:
    """Yield what a migration would bring otherwise: it builds the guest from the request spec."""
    spec = stored.facts.spec
    if spec is None:
        details = (
            "it has no request spec, which a migration or an unshelve needs to build the guest"
        )
        yield Trouble("request-spec", "warning", details)
        return
    try:
        found = differences(stored.values, spec, stored.facts.instance.image_ref)
    except BadInput as error:
        yield _unread(stored, error)
        return
    except InvalidValue as error:
        yield _compared_later(stored, spec, error)
        return
    except NovadevError as error:
        yield Trouble("request-spec", "warning", f"{_UNCOMPARED}: {error}")
        return
    silent = {*NO_EFFECT, *_chosen_again(stored, found)}
    told = [item for item in found if item.place.name not in silent]
    if told:
        choice = _machine_type_choice(stored.uuid, told)
        remedy = None if choice else sync(stored.uuid)
        yield Trouble("request-spec", "warning", in_words(told) + choice, remedy)


_UNCOMPARED = "its request spec cannot be compared"


def _compared_later(stored: Stored, spec: RequestSpec, error: InvalidValue) -> Trouble:
    """Return that the cell has to be read first; a sync comes after what makes it readable."""
    details, uuid = f"{_UNCOMPARED}: {error}", stored.uuid
    told = {name for name, _ in _outside(stored.values)}
    after = frozenset(
        "stored-value" if name in told else "unreadable" for name in unreadable(stored.values)
    )
    try:
        left = stored.readable.values
        choice = _machine_type_choice(
            uuid, differences(left, spec, stored.facts.instance.image_ref)
        )
    except NovadevError:
        return Trouble("request-spec", "warning", details)
    remedy = None if choice else sync(uuid)
    return Trouble("request-spec", "warning", details + choice, remedy, after=after)


def _machine_type_choice(uuid: str, found: Iterable[Change]) -> str:
    """Return what either of two machine types takes; empty where FOUND has no two.

    Nova replaces the stored machine type when it rescues a server
    (``nova/virt/libvirt/driver.py`` _configure_guest_by_virt_type): the copy in the request spec is
    then the only one of what was chosen.
    """
    for item in found:
        pair = (item.before, item.after)
        if item.place.name == "hw_machine_type" and all(isinstance(one, str) for one in pair):
            again = set_machine_type(uuid, str(item.before))
            return (
                "; a rescue replaces the machine type in the cell: to keep that of the request "
                f"spec, stop the server and run {again or 'novadev machine-type set'}; to keep "
                f"that of the cell, run {sync(uuid)}"
            )
    return ""


def _chosen_again(stored: Stored, found: Iterable[Change]) -> frozenset[str]:
    """Return the names of FOUND that the spec lacks and whose values Nova would choose again.

    At the spawn Nova writes its own choices into the cell and never into the spec
    (``_register_undefined_instance_details``). The guest is the same with either until the rules of
    its host change; only the USB keyboard that a stored hw_input_bus adds goes at a migration, and
    the PS/2 one stays. libosinfo may choose too, where os_distro says for what.
    """
    lacking = lacked(found) & set(REGISTERED)
    if stored.are_assumed or not lacking or "os_distro" in stored.values:
        return frozenset()
    kept = {name: value for name, value in stored.values.items() if name not in lacking}
    try:
        chosen = registered(replace(stored.facts.guest, image_properties=kept), stored.rules)
    except REFUSALS:
        return frozenset()
    return frozenset(name for name in lacking if chosen.get(name) == stored.values[name])


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
    if value and is_alias(value, architecture(stored.facts.guest, stored.rules)):
        details = (
            f"{MACHINE_TYPE}={value} stands for the newest version of its kind: the first power-on "
            "after an upgrade of QEMU gives the guest another machine type"
        )
        pinned = stored.machine_type
        remedy = None if pinned is None else set_machine_type(stored.uuid, pinned)
        choose = (
            "" if remedy else "; choose a machine type with a version (novadev machine-type set)"
        )
        yield Trouble("machine-type", "warning", details + choose, remedy)


def flavor(stored: Stored) -> Iterator[Trouble]:
    """Yield that the flavor cannot be read: it decides on a swap disk."""
    try:
        stored.facts.check_flavor()
    except BadInput as error:
        yield _unread(stored, error)


def _unread(stored: Stored, error: BadInput) -> Trouble:
    details = str(error).removeprefix(f"instance {stored.uuid}: ")
    return Trouble("unreachable", "failure", details, is_unasked=True)


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
        yield from not_stashed(stored.facts.instance, stored.outlook, stored.taken_out)
    for names, check in STORED_CHECKS:
        if names & wanted:
            yield from (
                trouble
                for trouble in check(stored)
                if trouble.is_unasked or trouble.check in wanted
            )
