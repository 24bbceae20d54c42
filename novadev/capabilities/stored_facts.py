"""What a guest will need of a host, derived from the values that Nova stores for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from novadev.capabilities.device_settings import ISA_PORTS
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.unlisted import OTHER, Setting
from novadev.rules.device import GuestDevice
from novadev.rules.guest import (
    DriverRules,
    Guest,
    emulated_architecture,
    machine_type,
    property_value,
)
from novadev.rules.hardware import hardware, has_packed_ring, takes_packed_ring
from novadev.rules.image_meta import check_readable, is_yes
from novadev.rules.osinfo import NO_RECOMMENDATION, Recommendation
from novadev.rules.releases import PACKED_RING_SINCE

_UNJUDGED = (
    *("hw_mem_page_size", "hw_viommu_model", "hw_maxphysaddr_mode", "hw_cpu_realtime_mask"),
    *("hw_numa_nodes", "hw_cpu_policy"),
)
"""Properties that ask for more of a host than any file tells."""
_OF_FLAVORS = (
    *("pci_passthrough:", "resources:VGPU", "hw:pmem", "hw:cpu_realtime", "os:secure_boot"),
    "hw:redirected_usb_ports",
)
"""Beginnings of extra specs that no property has."""
_UNJUDGED_SWITCHES = (
    *("hw_locked_memory", "hw_ephemeral_encryption", "hw_mem_encryption", "hw_firmware_stateless"),
)
_SERIAL_PORTS = "hw_serial_port_count"
PACKED_RING = "packed ring"
"""The kind of setting that no host has: packed rings of a card that is not virtio."""


def facts_of_guest(
    guest: Guest, rules: DriverRules, recommended: Recommendation = NO_RECOMMENDATION
) -> GuestFacts:
    """Return what GUEST needs at its next power-on on a host with these RULES.

    Of its interfaces there is one, for all have the model of the property but devices of the
    host. What the flavor adds is not among it: nor are devices of the host and shares.
    RECOMMENDED is libosinfo's for the guest's os_distro. Raises one of
    :data:`novadev.rules.defaults.REFUSALS` where Nova itself would not build the guest.
    """
    check_readable(guest, rules.release)
    devices = hardware(guest, rules, recommended)
    packed = _packed_rings(devices) if has_packed_ring(guest, rules.release) else ()
    return GuestFacts(
        architecture=emulated_architecture(guest, rules),
        domain_type=rules.virt_type,
        machine_type=machine_type(guest, rules),
        devices=devices,
        settings=(*_settings(guest), *packed),
    )


def with_flavor(facts: GuestFacts, extra_specs: Mapping[str, str]) -> GuestFacts:
    """Return FACTS with what the EXTRA_SPECS of the flavor ask for of a host.

    Where a definition was read it has that already.
    """
    return replace(facts, settings=(*facts.settings, *_of_flavor(extra_specs)))


def with_packed_rings(
    facts: GuestFacts, extra_specs: Mapping[str, str], release: int
) -> GuestFacts:
    """Return FACTS with the packed rings that this release of Nova makes of EXTRA_SPECS.

    A definition that an older release made of them has none.
    """
    if release < PACKED_RING_SINCE or not is_yes(extra_specs.get("hw:virtio_packed_ring")):
        return facts
    return replace(
        facts, settings=tuple(dict.fromkeys((*facts.settings, *_packed_rings(facts.devices))))
    )


def _packed_rings(devices: Iterable[GuestDevice]) -> Iterator[Setting]:
    """Yield that a card has packed rings which cannot have them."""
    for device in dict.fromkeys(devices):
        if device.tag == "interface" and not takes_packed_ring(device.model):
            yield Setting(f"{device.subject} with packed rings", PACKED_RING)


def _of_flavor(extra_specs: Mapping[str, str]) -> Iterator[Setting]:
    """Yield the settings; a property and an extra spec of one name mean the same to Nova."""
    for name, value in sorted(extra_specs.items()):
        subject, same = f"flavor {name}={value}", name.replace(":", "_", 1)
        if same == "hw_tpm_version":
            model = extra_specs.get("hw:tpm_model", "")
            yield Setting(subject, "tpm version", f"{value} {model}")
        elif name.startswith(_OF_FLAVORS) or _is_unjudged(same, value):
            yield Setting(subject, OTHER)


def _is_unjudged(name: str, value: str) -> bool:
    if name == _SERIAL_PORTS:
        return not (value.isdecimal() and int(value) <= ISA_PORTS)
    return name in _UNJUDGED or (name in _UNJUDGED_SWITCHES and is_yes(value))


def _settings(guest: Guest) -> Iterator[Setting]:
    if property_value(guest, "hw_firmware_type") == "uefi":
        secure = property_value(guest, "os_secure_boot") or "optional"
        yield Setting("hw_firmware_type=uefi", "firmware of nova", secure)
    if version := property_value(guest, "hw_tpm_version"):
        model = property_value(guest, "hw_tpm_model") or ""
        yield Setting(f"hw_tpm_version={version}", "tpm version", f"{version} {model}")
    for name in (*_UNJUDGED, *_UNJUDGED_SWITCHES, _SERIAL_PORTS):
        value = property_value(guest, name)
        if value and _is_unjudged(name, value):
            yield Setting(f"{name}={value}", OTHER)
