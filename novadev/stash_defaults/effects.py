"""What recording a value would change in spite of everything."""

from __future__ import annotations

from functools import lru_cache

from novadev.image_property.decisions import Decision
from novadev.rules.defaults import (
    REFUSALS,
    keyboard_bus,
    with_properties,
    with_recommended_bus,
)
from novadev.rules.disks import guest_disks
from novadev.rules.guest import DriverRules, Guest, property_value
from novadev.rules.osinfo import Recommendation
from novadev.stash_defaults.sources import REMEMBERED, Alike, Evidence

KEYBOARD = (
    "not recorded: storing it would add a keyboard at the next power-on (--property hw_input_bus "
    "stores it anyway)"
)
TABLET = (
    "not recorded: the guest has no tablet, and storing it would add one at the next power-on "
    "(--property hw_pointer_model stores it anyway)"
)
IGNORED = (
    "not recorded: Nova ignores it because hw_input_bus is stored (--property hw_pointer_model "
    "stores it anyway)"
)
HARMLESS = (KEYBOARD, TABLET, IGNORED)
"""The reasons not to record a property without which nothing is wrong with the guest."""


def objection(name: str, value: str | None, evidence: Evidence) -> str | None:
    """Return what recording VALUE would change for the guest; None when nothing would."""
    if value is None:
        return None
    if name == "hw_input_bus" and _keyboard_would_appear(value, evidence):
        return KEYBOARD
    if name == "hw_pointer_model" and _has_no_tablet(evidence):
        return TABLET
    if name == "hw_pointer_model" and _is_ignored(evidence):
        return IGNORED
    if name in ("hw_disk_bus", "hw_cdrom_bus", "hw_floppy_bus"):
        return _moved_disks(name, value, evidence)
    return None


def not_again(name: str, taken: Decision) -> str:
    """Return why a value is not recorded that an operator has TAKEN out of the property NAME."""
    return f"not recorded: {taken.told} (--property {name} stores it again)"


def _keyboard_would_appear(value: str, evidence: Evidence) -> bool:
    """Whether Nova adds a keyboard that the guest has not, once this bus is stored."""
    hardware = evidence.hardware
    if hardware is not None and "hw_input_bus" in hardware.values:
        return hardware.keyboard_would_appear
    rules = evidence.compute.rules if evidence.compute else DriverRules()
    guest = evidence.facts.guest
    stored = with_properties(guest, {"hw_input_bus": value})
    return keyboard_bus(stored, rules) != keyboard_bus(guest, rules)


def _has_no_tablet(evidence: Evidence) -> bool:
    """Whether the guest's definition was read and has none: the value is the rules' then."""
    hardware = evidence.hardware
    return hardware is not None and "hw_pointer_model" not in hardware.values


def _is_ignored(evidence: Evidence) -> bool:
    """Whether a stored bus decides on the tablet alone: see rules.property_faults, _input."""
    return evidence.facts.instance.image_properties.get("hw_input_bus") not in (None, "", "usb")


def _moved_disks(name: str, value: str, evidence: Evidence) -> str | None:
    """Return which disks the rules would build elsewhere with VALUE stored than without.

    Where the guest's own definition gave VALUE, that is where they are: then nothing moves.
    """
    compute = evidence.compute
    if compute is None or evidence.hardware is not None:
        return None
    recommended = compute.recommendation(property_value(evidence.facts.guest, "os_distro"))
    return _moved(name, value, evidence.alike, compute.rules, recommended)


@lru_cache(REMEMBERED)
def _moved(
    name: str, value: str, alike: Alike, rules: DriverRules, recommended: Recommendation
) -> str | None:
    try:
        before = _places(with_recommended_bus(alike.guest, recommended), rules)
        after = _places(with_properties(alike.guest, {name: value}), rules)
    except REFUSALS:
        return None
    moved = [disk for disk, place in before.items() if after.get(disk) != place]
    return f"recording {value} would move {', '.join(moved)}" if moved else None


def _places(guest: Guest, rules: DriverRules) -> dict[str, tuple[str, str]]:
    return {disk.name: (disk.bus, disk.dev) for disk in guest_disks(guest, rules)}
