"""Where a device is, as its guest or its host sees it: libvirt's ``<address>``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from novadev.errors import BadInput

if TYPE_CHECKING:
    from lxml import etree

_OVIRT_ORDER = (
    *("type", "slot", "bus", "domain", "function", "controller", "target", "unit", "port"),
    *("multifunction", "base"),
)
"""``DomainXmlUtils.parseAddress`` of ovirt-engine writes these, in this order."""
ZPCI = ("uid", "fid")
"""What an address on s390x has in a ``<zpci>`` of its own: the guest finds the device by them."""
_PCI = {"domain": 4, "bus": 2, "slot": 2, "function": 1}
"""Hexadecimal digits that libvirt gives each part (``virDomainDeviceInfoFormat``)."""
_DIGITS = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


_PASSING: Mapping[str, tuple[str, ...]] = {"dimm": ("base",)}
"""What QEMU chooses anew at each start, and libvirt writes of a guest that runs alone
(``qemuDomainUpdateMemoryDeviceInfo``)."""


@dataclass(frozen=True)
class Address:
    """An address: its type in libvirt's words and its attributes, sorted by name.

    ``<address type="pci" domain="0x0000" bus="0x00" slot="0x04" function="0x0"/>``; on s390x with
    ``<zpci uid="0x0001" fid="0x00000000"/>`` in it, whose attributes count among its own.
    """

    type: str
    attributes: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, values: Mapping[str, str], default: str) -> Address:
        """Return the address with these attributes, of type DEFAULT when they name none."""
        kind = values.get("type") or default
        passing = _PASSING.get(kind, ())
        spell = _spell_pci if kind == "pci" else _as_it_is
        rest = {key: spell(key, value) for key, value in values.items() if key != "type"}
        for name in passing:
            rest.pop(name, None)
        return cls(kind, tuple(sorted(rest.items())))

    @classmethod
    def from_element(cls, element: etree._Element | None, default: str = "") -> Address | None:
        """Return the address of an ``<address>`` element; None of None."""
        if element is None:
            return None
        parts = [
            *element.items(),
            *(pair for zpci in element.iterfind("zpci") for pair in zpci.items()),
        ]
        return cls.of({str(key): str(value) for key, value in parts}, default)

    @classmethod
    @lru_cache(maxsize=4096)
    def from_ovirt(cls, text: str) -> Address | None:
        """Return the address of oVirt's text, its keys in any order; None when it is empty.

        Read as ``StringMapUtils.string2Map`` does; without a type it is a drive's. Raises
        BadInput for what is no such text, and where a key is in it twice.
        """
        inner = text.strip().removeprefix("{").removesuffix("}")
        parts = [part.partition("=") for part in inner.split(",") if part.strip()]
        values = {key.strip(): value.strip() for key, _, value in parts}
        if any(not key or "=" in value for key, value in values.items()):
            raise BadInput(f"{text!r} is not an address as oVirt writes it")
        if len(values) < len(parts):
            raise BadInput(f"{text!r} is not an address as oVirt writes it: it has a key twice")
        return cls.of(values, default="drive") if values else None

    @classmethod
    def from_text(cls, text: str) -> Address:
        """Return the address of an `exact_text`; raises BadInput for any other text."""
        for kind, pattern in _PATTERNS.items():
            found = pattern.fullmatch(text)
            if found:
                prefix = "0x" if kind == "pci" else ""
                values = {key: prefix + value for key, value in found.groupdict().items()}
                return cls.of(values, kind)
        address = cls.from_ovirt(text) if text.startswith("{") else None
        if address is None:
            raise BadInput(f"{text!r:.60} is not an address")
        return address

    @property
    def exact_text(self) -> str:
        """The short form where it says everything, else oVirt's: `from_text` reads both."""
        pattern = _PATTERNS.get(self.type)
        if pattern and pattern.fullmatch(self.text) and self.from_text(self.text) == self:
            return self.text
        return self.ovirt_text

    @property
    def values(self) -> dict[str, str]:
        """The attributes by name, without the type."""
        return dict(self.attributes)

    def with_zpci_of(self, other: Address | None) -> Address:
        """Return the address with the uid and fid of OTHER, where it says neither itself.

        A file of another program, or an earlier record, may have none of them. A move in the PCI
        topology changes neither (``virDomainZPCIAddressReserveAddr``).
        """
        if self.type != "pci" or other is None or self.zpci:
            return self
        return Address.of({"type": self.type, **self.values, **other.zpci}, self.type)

    @property
    def without_zpci(self) -> Address:
        """The same place without a uid and fid, which belong to the device that is there."""
        values = {name: value for name, value in self.values.items() if name not in ZPCI}
        return Address.of({"type": self.type, **values}, self.type)

    @property
    def zpci(self) -> dict[str, str]:
        """The uid and fid of an address on s390x, as far as it has them."""
        return {name: self.values[name] for name in ZPCI if name in self.values}

    @property
    def full_text(self) -> str:
        """The short form and, on s390x, the uid and fid by which the guest finds the device."""
        return " ".join((self.text, *(f"{name}={value}" for name, value in self.zpci.items())))

    @property
    def is_place(self) -> bool:
        """Whether it says just where: a USB address without a port does not."""
        return self.type != "usb" or "port" in self.values

    @property
    def text(self) -> str:
        """The short form for people: ``0000:00:04.0``, ``0:0:0:1``; else the type and attributes.

        A drive is controller:bus:target:unit, usb bus:port, virtio-serial controller:bus:port.
        """
        form = _TEXTS.get(self.type)
        try:
            return form(self.values) if form else self._plain
        except (KeyError, ValueError):
            return self._plain

    @property
    def _plain(self) -> str:
        return " ".join((self.type, *(f"{key}={value}" for key, value in self.attributes)))

    @property
    def ovirt_text(self) -> str:
        """The text oVirt keeps: ``{type=pci, slot=0x05, bus=0x00, domain=0x0000, function=0x0}``.

        Attributes that oVirt does not carry (ccw, spapr-vio, isa) follow its own.
        """
        values = {"type": self.type, **self.values}
        names = [name for name in _OVIRT_ORDER if name in values]
        names += [name for name in values if name not in _OVIRT_ORDER]
        return "{" + ", ".join(f"{name}={values[name]}" for name in names) + "}"


def _as_it_is(_key: str, value: str) -> str:
    return value


def _spell_pci(key: str, value: str) -> str:
    """Return VALUE as libvirt writes it, so that ``0x4``, ``4`` and ``0x04`` are one address."""
    if not _DIGITS.fullmatch(value):
        return value
    try:
        return f"0x{int(value, 0):0{_PCI[key]}x}"
    except (KeyError, ValueError):
        return value


def _pci(values: Mapping[str, str]) -> str:
    domain, bus, slot, function = (int(values.get(key, "0"), 0) for key in _PCI)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _ccw(values: Mapping[str, str]) -> str:
    cssid, ssid, device = (int(values[key], 0) for key in ("cssid", "ssid", "devno"))
    return f"{cssid:x}.{ssid:x}.{device:04x}"


def _joined(*names: str) -> Callable[[Mapping[str, str]], str]:
    return lambda values: ":".join(values[name] for name in names)


_TEXTS: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "pci": _pci,
    "ccw": _ccw,
    "drive": _joined("controller", "bus", "target", "unit"),
    "usb": _joined("bus", "port"),
    "virtio-serial": _joined("controller", "bus", "port"),
    "ccid": _joined("controller", "slot"),
    "spapr-vio": lambda values: values["reg"],
    "isa": lambda values: f"isa {values['iobase']}",
}
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "pci": re.compile(
        r"(?P<domain>[0-9a-f]{4}):(?P<bus>[0-9a-f]{2}):(?P<slot>[0-9a-f]{2})\.(?P<function>[0-9a-f])"
    ),
    "drive": re.compile(r"(?P<controller>\d+):(?P<bus>\d+):(?P<target>\d+):(?P<unit>\d+)", re.A),
    "virtio-serial": re.compile(r"(?P<controller>\d+):(?P<bus>\d+):(?P<port>\d+)", re.A),
    "usb": re.compile(r"(?P<bus>\d+):(?P<port>\d+(\.\d+)*)", re.A),
}
"""The short forms that no other type has: they are read back."""
