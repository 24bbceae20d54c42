"""What of a device decides its place in the guest, and a harmless domain made of that alone.

Nothing else of a definition is in an outline: no source, no name, no secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lxml import etree

from novadev.virt import xml
from novadev.virt.device import Device

PATHS: Mapping[str, tuple[str, ...]] = {
    "disk": ("@device", "@model", "target/@dev", "target/@bus"),
    "controller": ("@type", "@index", "@model"),
    "interface": ("@type", "model/@type"),
    "hostdev": ("@mode", "@type", "@model"),
    "filesystem": ("@type", "@model"),
    "video": ("model/@type",),
    "input": ("@type", "@bus", "@model"),
    "serial": ("target/@type",),
    "console": ("target/@type",),
    "channel": ("target/@type",),
    "redirdev": ("@bus",),
    "sound": ("@model",),
    "watchdog": ("@model",),
    "memballoon": ("@model",),
    "rng": ("@model",),
    "iommu": ("@model",),
}
"""What decides a place, by tag: of what is not here libvirt gives a guest no address."""
_ALIAS = "ua-{}"
_NO_DOMAIN = "0x7fff"
"""A PCI domain that no host has: a device that is not there counts as PCI Express."""


@dataclass(frozen=True)
class Outline:
    """A device as far as its place goes: its tag, and by path what decides.

    A path is written as in :mod:`novadev.virt.elements`: ``@type``, ``target/@dev``. ``unit`` is
    the unit on SCSI controller 0 where the definition names one.
    """

    tag: str
    values: tuple[tuple[str, str], ...] = ()
    unit: int | None = None

    @classmethod
    def of(cls, tag: str, values: Mapping[str, str | None], unit: int | None = None) -> Outline:
        """Return the outline with those of VALUES that are something.

        An interface is "hostdev" or "user": all that are no device of the host are alike.
        """
        if tag == "interface" and values.get("@type") != "hostdev":
            values = {**values, "@type": "user"}
        return cls(tag, tuple((path, value) for path, value in values.items() if value), unit)

    @classmethod
    def of_device(
        cls, device: Device, changed: Mapping[str, str | None] = MappingProxyType({})
    ) -> Outline | None:
        """Return the outline of DEVICE, with the values in CHANGED, by path, instead of its own.

        None where libvirt gives its kind no address.
        """
        tag = str(device.element.tag)
        if tag not in PATHS:
            return None
        values = {path: _text(device.element, path) for path in PATHS[tag]}
        return cls.of(tag, {**values, **changed})

    def get(self, path: str) -> str | None:
        """Return what stands at PATH."""
        return dict(self.values).get(path)


def _text(element: etree._Element, path: str) -> str | None:
    where, _, name = path.rpartition("@")
    found = element.find(where.rstrip("/")) if where else element
    return None if found is None else found.get(name)


@dataclass(frozen=True)
class Board:
    """What the devices are plugged into: architecture, machine type, and whether it is displayed.

    ``machine`` is ``pc``, ``q35`` or another architecture's: a version changes no address.
    """

    architecture: str
    machine: str
    outlines: tuple[Outline, ...] = field(repr=False)
    has_graphics: bool = False


def definition_of(board: Board) -> str:
    """Return a domain with the devices of BOARD under software emulation, and no address.

    Each device carries its number as an alias (`number_of`). Its sources are placeholders that
    are nowhere. Nova's own addresses, the units of SCSI disks, are kept.
    """
    domain = etree.Element("domain", type="qemu")
    for tag, text in (("name", "novadev"), ("memory", "65536"), ("vcpu", "1")):
        etree.SubElement(domain, tag).text = text
    kind = etree.SubElement(etree.SubElement(domain, "os"), "type")
    kind.text = "hvm"
    kind.set("arch", board.architecture)
    kind.set("machine", board.machine)
    features = etree.SubElement(domain, "features")
    features.extend((etree.Element("acpi"), etree.Element("apic")))
    devices = etree.SubElement(domain, "devices")
    devices.extend(_element(number, outline) for number, outline in enumerate(board.outlines))
    if board.has_graphics:
        etree.SubElement(devices, "graphics", type="vnc")
    return xml.serialise(domain)


def number_of(device: Device) -> int | None:
    """Return the number of a device of such a domain; None of one that libvirt added."""
    name = device.alias.name if device.alias else ""
    return int(name[3:]) if name.startswith("ua-") and name[3:].isdecimal() else None


def _element(number: int, outline: Outline) -> etree._Element:
    element = etree.Element(outline.tag)
    for path, value in outline.values:
        _set(element, path, value)
    _COMPLETE.get(outline.tag, _as_it_is)(element, number)
    if outline.unit is not None:
        place = {"type": "drive", "controller": "0", "unit": str(outline.unit)}
        etree.SubElement(element, "address", place)
    etree.SubElement(element, "alias", name=_ALIAS.format(number))
    return element


def _set(element: etree._Element, path: str, value: str) -> None:
    where, _, name = path.rpartition("@")
    tag = where.rstrip("/")
    found = element.find(tag) if tag else element
    (etree.SubElement(element, tag) if found is None else found).set(name, value)


def _as_it_is(_element: etree._Element, _number: int) -> None:
    pass


def _disk(element: etree._Element, number: int) -> None:
    element.set("type", "file")
    if element.get("device") == "lun":
        element.set("device", "disk")
    if element.get("device") not in ("cdrom", "floppy"):
        etree.SubElement(element, "source", file=f"/novadev/{number}")


def _interface(element: etree._Element, number: int) -> None:
    etree.SubElement(element, "mac", address=f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}")
    if element.get("type") == "hostdev":
        _pci_source(element, number)


def _hostdev(element: etree._Element, number: int) -> None:
    if element.get("type") == "mdev":
        source = etree.SubElement(element, "source")
        etree.SubElement(source, "address", uuid=f"00000000-0000-4000-8000-{number:012x}")
    else:
        _pci_source(element, number)


def _pci_source(element: etree._Element, number: int) -> None:
    element.set("managed", "yes")
    place = {"domain": _NO_DOMAIN, "bus": f"0x{number >> 5:02x}", "slot": f"0x{number & 31:02x}"}
    source = etree.SubElement(element, "source")
    etree.SubElement(source, "address", {"type": "pci", **place, "function": "0x0"})


def _filesystem(element: etree._Element, number: int) -> None:
    """Make a folder of it: virtiofs takes the same place, and wants rights that nobody has."""
    element.set("type", "mount")
    element.set("accessmode", "mapped")
    etree.SubElement(element, "source", dir=f"/novadev/{number}")
    etree.SubElement(element, "target", dir=f"novadev{number}")


def _character_device(element: etree._Element, number: int) -> None:
    element.set("type", "pty")
    target = element.find("target")
    if target is not None and element.tag == "channel":
        target.set("name", f"novadev.{number}")


def _redirected(element: etree._Element, _number: int) -> None:
    element.set("type", "tcp")
    etree.SubElement(element, "source", mode="connect", host="localhost", service="1")


def _rng(element: etree._Element, _number: int) -> None:
    etree.SubElement(element, "backend", model="random").text = "/dev/urandom"


_COMPLETE: Mapping[str, Callable[[etree._Element, int], None]] = {
    "disk": _disk,
    "interface": _interface,
    "hostdev": _hostdev,
    "filesystem": _filesystem,
    "redirdev": _redirected,
    "rng": _rng,
    **dict.fromkeys(("serial", "console", "channel"), _character_device),
}
