"""Whether a text is an address that libvirt has: its types, their attributes and highest values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from novadev.errors import BadInput
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
_DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "pci": ("domain", "function"),
    "drive": ("controller", "bus", "target"),
    "virtio-serial": ("controller", "bus"),
    "ccid": ("controller",),
    "usb": ("bus",),
}
"""What is 0 where an address of these types does not name it (``device_conf.c``)."""
_HEXADECIMAL: Mapping[str, Mapping[str, int]] = {
    "pci": {"domain": 4, "bus": 2, "slot": 2, "function": 1, "uid": 4, "fid": 8},
    "ccw": {"cssid": 1, "ssid": 1, "devno": 4},
    "isa": {"iobase": 1, "irq": 1},
    "spapr-vio": {"reg": 8},
}
"""Digits that libvirt writes (``virDomainDeviceInfoFormat``)."""
_DECIMAL = ("drive", "virtio-serial", "ccid", "usb", "dimm")
_SWITCHES = {("pci", "multifunction"): ("on", "off")}


def read_address(text: str, what: str) -> str:
    """Return the address TEXT in its `normal_text`; empty for none.

    Raises BadInput, naming WHAT, for what is no address that libvirt has.
    """
    address = checked_address(text, what)
    return normal_text(address.ovirt_text) if address else ""


def checked_address(text: str, what: str) -> Address | None:
    """Return the address TEXT as it is spelled, None of an empty one; raises as `read_address`."""
    try:
        address = Address.from_ovirt(text)
    except BadInput as error:
        raise BadInput(f"{what}: {error}") from None
    objection = _objection(address) if address else None
    if objection:
        raise BadInput(f"{what}: {text!r:.80} is no address: {objection}")
    return address


def normal_text(text: str) -> str:
    """Return oVirt's TEXT of an address as libvirt's own gives it; TEXT itself if it is none.

    Two texts of one place are the same then: with what libvirt takes for granted, such as function
    0, and numbers spelled as libvirt spells them.
    """
    try:
        address = Address.from_ovirt(text)
        if address is None:
            return ""
        values = {**dict.fromkeys(_DEFAULTS.get(address.type, ()), "0"), **address.values}
        normal = {name: _spelled(address.type, name, value) for name, value in values.items()}
    except (BadInput, ValueError):
        return text
    return Address.of(normal, address.type).ovirt_text


def completed_text(text: str, known: str) -> str:
    """Return oVirt's TEXT of an address, with the uid and fid of the KNOWN one if it has none."""
    address = Address.from_ovirt(text)
    if address is None or address.type != "pci" or address.zpci:
        return text
    found = address.with_zpci_of(Address.from_ovirt(known))
    return text if found == address else found.ovirt_text


def _spelled(kind: str, name: str, value: str) -> str:
    """Return VALUE as libvirt writes it; raises ValueError where it is no number."""
    digits = _HEXADECIMAL.get(kind, {}).get(name)
    if digits:
        return f"0x{number_of(value):0{digits}x}"
    if kind in _DECIMAL:
        return ".".join(str(number_of(part)) for part in value.split("."))
    return value


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
            most = " or ".join(switch) if switch else f"a number up to {known[name]}"
            return f"{name} is {value!r:.40}, not {most}"
    return "it is that of the host bridge" if address.text == "0000:00:00.0" else None


def _is_number(name: str, value: str, highest: int) -> bool:
    """Whether VALUE is a number up to HIGHEST; a USB port may have several, as ``1.2``."""
    parts = value.split(".") if name == "port" else [value]
    return all(_NUMBER.fullmatch(part) and number_of(part) <= highest for part in parts)


def number_of(text: str) -> int:
    """Return the number that TEXT is, decimal or hexadecimal."""
    return int(text, 16 if text[:2].lower() == "0x" else 10)
