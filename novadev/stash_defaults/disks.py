"""The bus that the rows of the disks tell, of a guest that no definition shows."""

from __future__ import annotations

from functools import lru_cache

from novadev.rules.buses import BUS_PROPERTIES
from novadev.rules.defaults import with_recommended_bus
from novadev.rules.disks import guest_disks
from novadev.rules.guest import DriverRules, property_value
from novadev.rules.osinfo import Recommendation
from novadev.rules.validity import faults
from novadev.stash_defaults.sources import REMEMBERED, Alike, Evidence, Recorded, whose


def by_disks(name: str, rule: Recorded | None, evidence: Evidence) -> Recorded | None:
    """Return the bus of the disks that the property NAME is about, if none is on that of RULE.

    Nova registers the latter all the same, which says nothing of a disk whose row has a bus. What
    a definition shows stays as it is.
    """
    if rule is None or name not in BUS_PROPERTIES:
        return rule
    if evidence.hardware is not None or evidence.compute is None:
        return rule
    rules, guest = evidence.compute.rules, evidence.facts.guest
    recommended = evidence.compute.recommendation(property_value(guest, "os_distro"))
    bus = _bus(name, rule.value, evidence.alike, rules, recommended)
    if bus is None:
        return rule
    remark = f"{name}: no {BUS_PROPERTIES[name]} is on {rule.value}, {whose(rule)} choice"
    return Recorded(bus, "disks", remark)


@lru_cache(REMEMBERED)
def _bus(
    name: str,
    value: str | None,
    alike: Alike,
    rules: DriverRules,
    recommended: Recommendation,
) -> str | None:
    """Return the bus of the first disk of the kind; None if one is on VALUE, or there is none.

    None also where one is on a bus that it must leave: the command that moves it stores another.
    """
    guest, kind = with_recommended_bus(alike.guest, recommended), BUS_PROPERTIES[name]
    buses = [disk.bus for disk in guest_disks(guest, rules) if disk.type == kind]
    if not buses or value in buses:
        return None
    to_set = {fault.to_set[0] for fault in faults(guest, rules) if fault.to_set}
    return None if name in to_set else buses[0]
