"""Where a value to record comes from: the guest's definition, libosinfo, the driver's rules."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Literal

from novadev.capabilities.compute_hosts import ComputeHost
from novadev.errors import NovadevError
from novadev.image_property.decisions import Decision
from novadev.image_property.facts import Facts
from novadev.nova.block_devices import BlockDevice
from novadev.nova.image_properties import MACHINE_TYPE, same
from novadev.rules.defaults import (
    REFUSALS,
    REGISTERED,
    os_type_of,
    registered,
    with_properties,
)
from novadev.rules.guest import DriverRules, Guest, emulated_architecture, property_value
from novadev.rules.machine_types import X86, may_be
from novadev.rules.osinfo import NO_RECOMMENDATION, Recommendation
from novadev.rules.slots import DEFAULT_SCSI
from novadev.stash_defaults.hardware import Hardware

Source = Literal["auto", "domain", "driver"]


@dataclass(frozen=True)
class Recorded:
    """A value to record; ``remark`` is what differs from it.

    ``source`` is domain, driver, osinfo, or disks for what the rows of the disks tell.

    None is a null: Nova registers it where its rule gives no value.
    """

    value: str | None
    source: str
    remark: str | None = None


REMEMBERED = 1_000
"""How many guests unlike one another the rules' answers are kept of: a fleet has few."""


_OWN = ("id", "volume_id")
_LIKENESS = attrgetter(*(item.name for item in fields(BlockDevice) if item.name not in _OWN))


@dataclass(frozen=True)
class Alike:
    """A guest that equals all guests for which the rules give the same result."""

    guest: Guest = field(compare=False)
    seen: Hashable

    @classmethod
    def of(cls, guest: Guest) -> Alike:
        """Return GUEST without what is its own: the ids of its rows and of its volumes."""
        rows = tuple(map(_LIKENESS, guest.block_devices))
        properties = frozenset(guest.image_properties.items())
        seen = vars(guest) | {"image_properties": properties, "block_devices": rows}
        return cls(guest, tuple(seen.values()))


@dataclass(frozen=True)
class Evidence:
    """All that is known of one instance.

    ``no_domain`` says why no definition was read, ``bad_compute`` what is wrong with the file of
    its host, such as that it is of an earlier Nova: which is nothing to other hosts' instances.
    ``taken_out`` are the decisions of operators to store a property no more, by its name: those
    that are ``in_force``.
    """

    facts: Facts
    hardware: Hardware | None
    no_domain: NovadevError | None
    compute: ComputeHost | None
    bad_compute: NovadevError | None = None
    taken_out: Mapping[str, Decision] = field(default_factory=dict)

    @property
    def why_no_domain(self) -> str | None:
        """Why no definition was read, in words."""
        return None if self.no_domain is None else str(self.no_domain)

    @cached_property
    def alike(self) -> Alike:
        """The guest as the rules see it."""
        return Alike.of(self.facts.guest)


_OSINFO_DECIDES = ("hw_disk_bus", "hw_vif_model")
_NO_OSINFO = (
    "libosinfo is not installed on this machine, and it is not known whether its host has it: "
    "save a capability file there (novadev capabilities save)"
)


class Undecided(Exception):
    """There is no saying what to record for a property; its text is the reason."""


def by_rules(evidence: Evidence, names: Collection[str]) -> Mapping[str, Recorded]:
    """Return what Nova would register on the instance's compute host: the absent properties.

    What the definition does not tell goes by what it tells of NAMES, which will be stored: a
    guest on q35 has no IDE, whatever machine type the host gives today. Empty where nothing is
    known of the host. Raises one of ``rules.defaults.REFUSALS`` where Nova fails.
    """
    if evidence.compute is None:
        return {}
    guest, rules = evidence.facts.guest, evidence.compute.rules
    recommended = evidence.compute.recommendation(property_value(guest, "os_distro"))
    vm_mode = evidence.facts.instance.vm_mode
    found = _by_rules(evidence.alike, rules, recommended, vm_mode)
    told = _told_of(names, evidence)
    if not told:
        return found
    alike = Alike.of(with_properties(guest, told))
    return {**found, **_by_rules(alike, rules, recommended, vm_mode)}


def _told_of(names: Collection[str], evidence: Evidence) -> dict[str, str | None]:
    """Return what the definition tells of NAMES that are absent or null."""
    values = evidence.hardware.values if evidence.hardware else {}
    stored = evidence.facts.instance.image_properties
    return {name: values[name] for name in names if name in values and stored.get(name) is None}


def in_force(
    decisions: Mapping[str, Decision], facts: Facts, compute: ComputeHost | NovadevError | None
) -> Mapping[str, Decision]:
    """Return the DECISIONS without those whose value a power-on gives the guest all the same.

    Such a value is a default like any other. Where the rules of the host are not known, COMPUTE
    is None or the reason, and every decision holds.
    """
    if not decisions or not isinstance(compute, ComputeHost):
        return decisions
    defaults = _at_power_on(Evidence(facts, None, None, compute))
    return {
        name: replace(decision, is_default_known=name in defaults)
        for name, decision in decisions.items()
        if not _is_default(name, str(decision.before), defaults.get(name), compute)
    }


_LEFT_OUT = ("hw_input_bus", "hw_pointer_model")
"""Without a value for these there is no device; for others libvirt chooses a model."""


def _at_power_on(evidence: Evidence) -> Mapping[str, str | None]:
    """Return what a power-on gives by what is stored now, where known; a null counts as absent."""
    guest = evidence.facts.guest
    stored = {name: value for name, value in guest.image_properties.items() if value is not None}
    facts = replace(evidence.facts, guest=replace(guest, image_properties=stored))
    try:
        found = by_rules(replace(evidence, facts=facts), ())
    except REFUSALS:
        return {}
    unknown = _OSINFO_DECIDES if _is_osinfo_unknown(evidence) else ()
    values = {
        name: item.value
        for name, item in found.items()
        if name not in unknown and (item.value is not None or name in _LEFT_OUT)
    }
    if evidence.compute and emulated_architecture(guest, evidence.compute.rules) in X86:
        values["hw_scsi_model"] = DEFAULT_SCSI
    return values


def _is_default(name: str, before: str, default: str | None, compute: ComputeHost) -> bool:
    """Whether the value BEFORE is the DEFAULT, or the machine type that its alias stands for."""
    if default is None:
        return False
    if name == MACHINE_TYPE and before == compute.machine_types.get(default):
        return True
    return same(name, before, default)


@lru_cache(REMEMBERED)
def _by_rules(
    alike: Alike, rules: DriverRules, recommended: Recommendation, vm_mode: str | None
) -> Mapping[str, Recorded]:
    guest, os_type = alike.guest, os_type_of(vm_mode, rules)
    values = registered(guest, rules, recommended, os_type)
    plain = values
    if recommended != NO_RECOMMENDATION:
        plain = registered(guest, rules, os_type=os_type)
    asked = {"hw_disk_bus": recommended.disk_bus, "hw_vif_model": recommended.vif_model}
    return {
        name: Recorded(
            value, "osinfo" if _is_osinfo(asked.get(name), value, plain[name]) else "driver"
        )
        for name, value in values.items()
    }


def _is_osinfo(asked: str | None, value: str | None, plain: str | None) -> bool:
    """Whether libosinfo decided: it recommends the value, or it is not what the rules say alone."""
    return asked is not None and (value == asked or value != plain)


def decide(
    name: str, evidence: Evidence, rules: Mapping[str, Recorded], source: Source
) -> Recorded | None:
    """Return what to record for the property NAME, which is absent or null; None for nothing.

    A null is recorded only where the guest has the device after all. Raises Undecided.
    """
    is_null = name in evidence.facts.instance.image_properties
    if source != "driver":
        found = _by_domain(name, evidence, rules)
        if found is not None:
            return found
    if source == "domain" or is_null:
        return None
    if name not in rules and name in REGISTERED:
        raise Undecided(_why_no_rules(evidence, source))
    if name in _OSINFO_DECIDES and _is_osinfo_unknown(evidence):
        raise Undecided(_NO_OSINFO)
    return rules.get(name)


def _is_osinfo_unknown(evidence: Evidence) -> bool:
    """Whether the host may have a libosinfo that recommends something else than the rules."""
    if evidence.compute is None or evidence.compute.is_osinfo_known:
        return False
    return property_value(evidence.facts.guest, "os_distro") is not None


def _why_no_rules(evidence: Evidence, source: Source) -> str:
    instance = evidence.facts.instance
    host = instance.host or instance.shelved_host or "it was on"
    unknown = (
        f"the rules of the host {host} are not known: run novadev capabilities save there, or name "
        "a file with --assume-config"
    )
    if evidence.compute is not None:
        unknown = "Nova's rules fail for it"
    if source == "driver":
        return unknown
    return f"{evidence.why_no_domain or 'its definition has no such device'}, and {unknown}"


def _by_domain(name: str, evidence: Evidence, rules: Mapping[str, Recorded]) -> Recorded | None:
    hardware = evidence.hardware
    if hardware is None:
        return None
    if name in hardware.doubts:
        raise Undecided(hardware.doubts[name])
    value = hardware.values.get(name)
    if value is None:
        return None
    rule = rules.get(name)
    if name == MACHINE_TYPE:
        return _machine_type(value, rule, evidence.compute)
    differs = rule is not None and not same(name, rule.value, value)
    remark = None
    if differs and rule:
        remark = f"{name}: the guest has {value}; without this, {_told(rule)}"
    return Recorded(value, "domain", remark)


def _told(rule: Recorded) -> str:
    return f"a power-on brings {rule.value or 'none'}, by {whose(rule)} choice"


def whose(rule: Recorded) -> str:
    """Return who chooses what a RULE gives."""
    return "libosinfo's" if rule.source == "osinfo" else "the driver's"


def _machine_type(canonical: str, rule: Recorded | None, compute: ComputeHost | None) -> Recorded:
    """Return the alias that Nova would record if it stands for what the guest has, else that."""
    alias = rule.value if rule else None
    known = compute.machine_types if compute else {}
    if alias is not None and known.get(alias, alias) == canonical:
        return Recorded(alias, "domain", f"hw_machine_type: {alias} stands for {canonical}")
    remark = None
    if alias is not None:
        stands_for = f" ({known[alias]})" if alias in known else ""
        remark = f"hw_machine_type: the guest has {canonical}, the rule gives {alias}{stands_for}"
    return Recorded(canonical, "domain", remark)


def versioned(recorded: Recorded, evidence: Evidence) -> Recorded:
    """Return what is RECORDED of a machine type with its version, where that is known."""
    found = evidence.hardware.machine_type if evidence.hardware else None
    if found is None and evidence.compute is not None:
        found = evidence.compute.machine_types.get(recorded.value or "")
    return (
        recorded if found in (None, recorded.value) else replace(recorded, value=found, remark=None)
    )


def disagreements(evidence: Evidence) -> Iterator[str]:
    """Yield where a value that is stored, in either database, is not what the guest has."""
    if evidence.hardware is None:
        return
    stored, spec = evidence.facts.instance.image_properties, evidence.facts.spec
    held = (spec and spec.image_properties) or {}
    for name, value in evidence.hardware.values.items():
        places = {"": stored.get(name)}
        if held.get(name) != stored.get(name):
            places[" in the request spec"] = held.get(name)
        for place, kept in places.items():
            if kept is not None and not agrees(name, kept, value, evidence.compute):
                yield f"{name} is stored as {kept}{place}, but the guest has {value}"


def taken_out(name: str, value: str | None, evidence: Evidence) -> Decision | None:
    """Return the decision by which VALUE, which may be recorded for a property, was taken out.

    None where no run took it out, or another value: then recording takes nothing back.
    """
    decision = evidence.taken_out.get(name)
    if decision is None or value is None:
        return None
    before = str(decision.before)
    return decision if agrees(name, before, value, evidence.compute) else None


def agrees(name: str, stored: str, found: str, compute: ComputeHost | None) -> bool:
    """Return whether the value that is STORED stands for the one that the guest was FOUND with."""
    if name != MACHINE_TYPE:
        return same(name, stored, found)
    known = compute.machine_types if compute else {}
    return may_be(stored, found, known)
