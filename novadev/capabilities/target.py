"""A host as a target for guests of one machine type, and what its sources say of a device.

They are libvirt's domain capabilities and QEMU's own list of devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from novadev.capabilities.device_names import BOARD, names_of
from novadev.capabilities.versions import Version
from novadev.rules.device import GuestDevice
from novadev.rules.machine_types import FAMILIES, Q35, family_of
from novadev.virt.domain_capabilities import DomainCapabilities

Outcome = Literal["fine", "deprecated", "not checked", "would not start", "cannot be defined"]
BEST_FIRST: tuple[Outcome, ...] = (
    *("fine", "deprecated", "not checked", "would not start", "cannot be defined"),
)
Told = tuple[Outcome, str]
"""An outcome, and why; the reason is empty where all is fine."""
FINE: Told = ("fine", "")
_UNLISTED = {"disk_bus": ("sd",)}
"""What libvirt can have and never lists: every other enumeration here is complete.

Source: libvirt, src/qemu/qemu_capabilities.c, the virQEMUCapsFillDomainDevice…Caps functions. That
of channels has no more than three types, and is not asked at all.
"""


@dataclass(frozen=True)
class Target:
    """What a host has for guests of one machine type, by its versioned name; None is not known.

    ``devices`` are QEMU's, by name, with the bus of each.
    """

    architecture: str
    machine_type: str
    domain: DomainCapabilities | None
    devices: Mapping[str, str | None] | None
    libvirt: Version
    qemu: Version

    @cached_property
    def is_known_board(self) -> bool:
        """Whether novadev knows its buses: not those of microvm or isapc."""
        return family_of(self.machine_type) in FAMILIES.get(self.architecture, ())

    @cached_property
    def is_q35(self) -> bool:
        """Whether the board has SATA and PCI Express, and no IDE."""
        return family_of(self.machine_type) == Q35


def unknown(why: str) -> Told:
    """Return an unknown verdict with its reason."""
    return "not checked", why


def listed(host: Target, enumeration: str, what: str, value: str | None) -> Told:
    """Return what the enumeration of libvirt's domain capabilities says of a value, called WHAT."""
    if value is None:
        return unknown(f"it names no {what}")
    values = None if host.domain is None else getattr(host.domain, enumeration)
    if values is None:
        return unknown(f"the file does not say whether the host's libvirt has {what}")
    if value in values:
        return FINE
    if value in _UNLISTED.get(enumeration, ()):
        return unknown(f"libvirt never lists {what}")
    on = f" on {host.machine_type}" if host.machine_type else ""
    return "cannot be defined", f"the host's libvirt has no {what}{on}"


def in_qemu(fact: GuestDevice, host: Target, missing: Outcome = "would not start") -> Told:
    """Return what QEMU's own list says of a device; MISSING is what becomes of one not in it."""
    names = names_of(fact, host.architecture)
    if names is None:
        return unknown("novadev does not know which device of QEMU this is")
    if names == BOARD:
        return FINE
    if host.devices is None:
        return unknown("the file has no list of the devices of the host's QEMU")
    if any(name in host.devices for name in names):
        return FINE
    return missing, f"the host's QEMU has no device {' or '.join(names)}"


def unless_lacking(fact: GuestDevice, host: Target, missing: Outcome = "would not start") -> Told:
    """Return what QEMU's own list adds to libvirt's word, which stands where there is no list."""
    if host.devices is None and names_of(fact, host.architecture) is not None:
        return FINE
    return in_qemu(fact, host, missing)


def worse(*told: Told) -> Told:
    """Return the worst of several."""
    return max(told, key=lambda one: BEST_FIRST.index(one[0]))
