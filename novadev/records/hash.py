"""The hash of a guest: whether anything that it sees has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from novadev.records.device import VmDevice
from novadev.virt.address import Address

HOST_SIDE = frozenset(("channel", "console", "graphics", "interface", "parallel", "serial"))
"""Types whose ``device`` says how the host connects them (bridge, pty), which no guest sees."""
_CHIPSET_WATCHDOG = "itco"


def is_hardware(device: VmDevice) -> bool:
    """Whether DEVICE is a part of the guest, and none that libvirt writes down by itself.

    Three kinds are none. ``<audio>`` is the host's end of a sound device; libvirt 9.0 writes it,
    and 7.0 does not. The itco watchdog is in the chipset of every q35 guest; libvirt 11.3 writes
    it, and 9.0 does not know it. A console without an address of its own is the serial port once
    more. libvirt leaves the first two out of an XML that another release is to read
    (``VIR_DOMAIN_XML_MIGRATABLE``).
    """
    if device.type == "console":
        address = Address.from_ovirt(device.address)
        return address is not None and address.type != "isa"
    return device.type != "audio" and (device.type, device.model) != ("watchdog", _CHIPSET_WATCHDOG)


def hash_of(devices: Iterable[VmDevice]) -> str:
    """Return the SHA-256 over the plugged DEVICES, in hexadecimal.

    Over what the guest sees, in any order: class, identity, bus, model, address, and the name it
    has for a disk itself. The same on every host, in every run and under every release of libvirt;
    vdsm hashes the text of ``<devices>`` (``domain_descriptor.py``), ports and channel states
    included.
    """
    seen = sorted(_seen(device) for device in devices if device.is_plugged and is_hardware(device))
    return hashlib.sha256(json.dumps(seen, separators=(",", ":")).encode()).hexdigest()


def _seen(device: VmDevice) -> tuple[str, ...]:
    return (
        device.device_id,
        device.type,
        "" if device.type in HOST_SIDE else device.device,
        device.bus or "",
        device.model or "",
        device.address,
        device.logical_name or "",
    )
