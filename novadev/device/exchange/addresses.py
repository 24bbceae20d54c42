"""Addresses from a file: whether they are any, and whether a device can be there."""

from __future__ import annotations

import re
from collections.abc import Mapping

from novadev.errors import BadInput
from novadev.state.devices import VmDevice
from novadev.virt.address import Address

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}")
_ANY = 0xFFFF_FFFF
_HIGHEST: Mapping[str, Mapping[str, int]] = {
    "pci": {"domain": 0xFFFF, "bus": 0xFF, "slot": 0x1F, "function": 7}
    | {"uid": 0xFFFF, "fid": _ANY},
    "drive": dict.fromkeys(("controller", "bus", "target", "unit"), _ANY),
    "virtio-serial": dict.fromkeys(("controller", "bus", "port"), _ANY),
    "ccid": dict.fromkeys(("controller", "slot"), _ANY),
    "usb": {"bus": _ANY, "port": _ANY},
    "spapr-vio": {"reg": 2**64 - 1},
    "ccw": {"cssid": 0xFE, "ssid": 3, "devno": 0xFFFF},
    "isa": {"iobase": _ANY, "irq": _ANY},
    "dimm": {"slot": _ANY, "base": 2**64 - 1},
    "virtio-mmio": {},
    "virtio-s390": {},
    "unassigned": {},
}
"""The types and attributes that libvirt knows, with their highest values.

``virDomainDeviceInfoParseXML`` in ``domain_conf.c``, ``virPCIDeviceAddressIsValid``.
"""
_NEEDED: Mapping[str, frozenset[str]] = {
    "pci": frozenset(("bus", "slot")),
    "drive": frozenset(("unit",)),
    "virtio-serial": frozenset(("port",)),
    "ccid": frozenset(("slot",)),
    "spapr-vio": frozenset(("reg",)),
    "ccw": frozenset(("cssid", "ssid", "devno")),
    "dimm": frozenset(("slot",)),
}
_SWITCHES = {("pci", "multifunction"): ("on", "off")}
SYSTEM = frozenset(("pci", "ccw", "virtio-mmio", "virtio-s390"))
"""Where virtio devices are, by architecture."""
_BUSES: Mapping[str, frozenset[str]] = {
    "virtio": SYSTEM,
    **dict.fromkeys(("ide", "sata", "scsi", "fdc"), frozenset(("drive",))),
    "usb": frozenset(("usb",)),
}
_TYPES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("balloon", "rng", "video", "filesystem", "iommu", "vsock", "shmem"), SYSTEM),
    "interface": SYSTEM | {"spapr-vio", "usb"},
    "hostdev": SYSTEM | {"usb", "drive", "unassigned"},
    "controller": SYSTEM | {"spapr-vio", "usb", "ccid"},
    "channel": frozenset(("virtio-serial",)),
    "console": SYSTEM | {"virtio-serial", "spapr-vio"},
    "serial": SYSTEM | {"isa", "usb", "spapr-vio"},
    "sound": SYSTEM | {"usb"},
    "memory": SYSTEM | {"dimm"},
    "smartcard": frozenset(("ccid", "usb")),
    **dict.fromkeys(("redir", "hub"), frozenset(("usb",))),
}
"""Where a device of a type can be; of the other types nothing is known."""


def read_address(text: str, what: str) -> str:
    """Return the address TEXT as oVirt writes it, with its keys in order; empty for none.

    Raises BadInput, naming WHAT, for what is no address that libvirt has.
    """
    try:
        address = Address.from_ovirt(text)
    except BadInput as error:
        raise BadInput(f"{what}: {error}") from None
    if address is None:
        return ""
    objection = _objection(address)
    if objection:
        raise BadInput(f"{what}: {text!r:.80} is no address: {objection}")
    return address.ovirt_text


def _objection(address: Address) -> str | None:
    """Return what is wrong with ADDRESS, None where it can be one."""
    known = _HIGHEST.get(address.type)
    if known is None:
        return f"there is no type {address.type!r:.40}"
    values = address.values
    missing = _NEEDED.get(address.type, frozenset()) - values.keys()
    if missing:
        return f"it has no {' and no '.join(sorted(missing))}"
    for name, value in values.items():
        switch = _SWITCHES.get((address.type, name))
        if switch is None and name not in known:
            return f"a {address.type} address has no {name!r:.40}"
        if value not in switch if switch else not _is_number(name, value, known[name]):
            return f"{name} is {value!r:.40}"
    return "it is that of the host bridge" if address.text == "0000:00:00.0" else None


def _is_number(name: str, value: str, highest: int) -> bool:
    """Whether VALUE is a number up to HIGHEST; a USB port may have several, as ``1.2``."""
    parts = value.split(".") if name == "port" else [value]
    return all(_NUMBER.fullmatch(part) and number_of(part) <= highest for part in parts)


def number_of(text: str) -> int:
    """Return the number that TEXT is, decimal or hexadecimal."""
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def place_of(device: VmDevice) -> tuple[str, str, str] | None:
    """Return what no two devices of a guest can share: the place that the address names.

    None of a device without an address, and of an ISA device, whose ports are libvirt's choice;
    nor is a USB address without a port a place.
    """
    address = Address.from_ovirt(device.address)
    if address is None or not address.is_place or address.type in ("isa", "unassigned"):
        return None
    bus = (device.bus or "") if address.type == "drive" else ""
    return address.type, bus, address.text


def why_unfit(device: VmDevice, text: str) -> str | None:
    """Return why the recorded DEVICE cannot be at the address TEXT, None where it can."""
    address, now = Address.from_ovirt(text), Address.from_ovirt(device.address)
    if address is None:
        return None
    if now is not None and now.type != address.type:
        return f"it is at a {now.type} address, {now}"
    on_bus = _BUSES.get(device.bus or "") if device.type in ("disk", "input") else None
    possible = on_bus or _TYPES.get(device.type)
    if possible is None or address.type in possible:
        return None
    place = f"bus {device.bus}" if on_bus else f"type {device.type}"
    return f"a device of {place} has no {address.type} address"
