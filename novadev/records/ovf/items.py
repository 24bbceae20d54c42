"""The elements of an OVF, and one item as a device (``OvfReader.readVmDevice`` of ovirt-engine)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from novadev.errors import BadInput
from novadev.records.device import HIGHEST_BOOT_ORDER, VmDevice
from novadev.records.file_contents import LONGEST, check_text, is_uuid, read_uuid
from novadev.records.ovf import words
from novadev.records.ovf.words import Flavour
from novadev.records.ovf.writer import SEPARATOR
from novadev.virt.address_syntax import read_address

if TYPE_CHECKING:
    from lxml import etree


_NAMESPACES = ("", *words.FLAVOURS)


def split(element: etree._Element) -> tuple[str, str]:
    """Return the namespace, empty for none, and the local name; both empty of a comment."""
    if not isinstance(element.tag, str):
        return "", ""
    namespace, _, name = element.tag.rpartition("}")
    return namespace.removeprefix("{"), name


def children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """Yield the children of this NAME, in the envelope's namespace or none.

    The engine's own flavour gives them none; inside an OVA they have the default one.
    """
    for child in element:
        namespace, local = split(child)
        if local == name and namespace in _NAMESPACES:
            yield child


def find_child(element: etree._Element, name: str) -> etree._Element | None:
    """Return the first child of this NAME, if any."""
    return next(children(element, name), None)


def attribute(element: etree._Element, name: str) -> str:
    """Return the attribute of this NAME, with the envelope's namespace or none; else empty."""
    values = (element.get(f"{{{space}}}{name}" if space else name) for space in _NAMESPACES)
    return next((str(value).strip() for value in values if value is not None), "")


def text_of(element: etree._Element | None) -> str:
    """Return all the text inside, without comments; empty of no element."""
    if element is None:
        return ""
    return str(element.xpath("string()")) if len(element) else element.text or ""


UNKNOWN = ("unknown", "other")
"""What the engine makes of an item of type OTHER that names no type."""


@dataclass(frozen=True)
class Item:
    """The elements of an item: those of rasd as texts; ``what`` it is called in messages."""

    what: str
    resource_type: str
    rasd: Mapping[str, str]
    plain: Mapping[str, etree._Element]

    @classmethod
    def of(cls, element: etree._Element, what: str) -> Item:
        """Return the item; raises BadInput where it has no ``rasd:ResourceType``."""
        rasd: dict[str, str] = {}
        plain: dict[str, etree._Element] = {}
        for child in element:
            space, name = split(child)
            if space == words.RASD:
                rasd.setdefault(name, text_of(child).strip())
            elif space in ("", *words.FLAVOURS):
                plain.setdefault(name, child)
        if not rasd.get("ResourceType"):
            raise BadInput(f"{what} has no rasd:ResourceType, in the namespace {words.RASD}")
        names = [text_of(plain.get(name)).strip() for name in ("Type", "Device")]
        told = " ".join(name for name in names if name) or rasd.get("Caption", "")
        return cls(f"{what} ({told:.80})" if told else what, rasd["ResourceType"], rasd, plain)

    @property
    def instance_id(self) -> str:
        """Its id, by either spelling; empty where it has none."""
        return self.rasd.get("InstanceId") or self.rasd.get("InstanceID", "")

    def device_id(self, vm_id: str, number: int) -> str:
        """Return the id of its device: that of a disk, not of its image; raises BadInput.

        ``OvfParser.getImageGroupIdFromImageFile``; inside an OVA ``ovf:/disk/ID``. An id that is
        a number tells nothing (before oVirt 3.1), so one is made of the item's NUMBER.
        """
        told = self.instance_id
        if self.resource_type == words.DISK:
            resource = self.rasd.get("HostResource", "")
            group = resource.rpartition("/")[2 if resource.startswith("ovf:") else 0]
            told = group if is_uuid(group) else told
        if not told or told.isdecimal():
            return str(uuid.uuid5(uuid.UUID(vm_id or words.NO_ID), f"item {number}"))
        return read_uuid(told, f"{self.what}: InstanceId")

    def kind(self, flavour: Flavour) -> tuple[str, str] | None:
        """Return the type and the device, None of an item that is none.

        CPU, memory and the USB policy are none, and what the engine leaves out: an item of another
        resource type that names no type itself.
        """
        known = flavour.kinds.get(self.resource_type)
        if self.resource_type == words.OTHER:
            known = UNKNOWN
        if known and self.resource_type == words.NIC and self._subtype == words.NIC_PASSTHROUGH:
            known = (known[0], "hostdev")
        told = (self.text("Type"), self.text("Device"))
        if self.resource_type in (words.CPU, words.MEMORY) or not (told[0] or known):
            return None
        kind, device = known or (told[0], told[0])
        if told[0] not in ("", kind):
            kind, device = told[0], told[0]
        return kind, told[1] or device or kind

    def is_managed(self, flavour: Flavour, kind: tuple[str, str]) -> bool:
        """Whether its device is managed, being of this KIND."""
        return self.resource_type in flavour.kinds or words.is_special(*kind)

    def text(self, name: str) -> str:
        """Return the text of an element that is not of rasd, without blanks around it."""
        return text_of(self.plain.get(name)).strip()

    def flag(self, name: str, default: bool) -> bool:
        """Return the boolean in an element, or DEFAULT without it; raises BadInput."""
        told = self.text(name).lower()
        if told not in ("", "true", "false"):
            raise BadInput(f"{self.what}: {name} is {told!r:.60}, not true or false")
        return told == "true" if told else default

    @property
    def boot_order(self) -> int | None:
        """Its place in the boot order, from 1; None of 0, which is no place. Raises BadInput."""
        told = self.text("BootOrder") or "0"
        if not (told.isascii() and told.isdecimal() and len(told) < 11):
            raise BadInput(f"{self.what}: BootOrder is {told!r:.60}, not a number")
        if int(told) > HIGHEST_BOOT_ORDER:
            raise BadInput(f"{self.what}: BootOrder {told} is more than {HIGHEST_BOOT_ORDER}")
        return int(told) or None

    @property
    def snapshot_id(self) -> str | None:
        """The snapshot of its disk that is plugged in, if any; raises BadInput."""
        told = self.text("SnapshotId")
        return read_uuid(told, f"{self.what}: SnapshotId") if told else None

    def spec_params(self, disk: etree._Element | None) -> dict[str, str]:
        """Return the spec params, with what the item or its DISK says in its own words."""
        params = self.plain.get("SpecParams")
        found = {} if params is None else dict(_map(params))
        is_nic = self.resource_type == words.NIC
        told = {
            "mac": self.rasd.get("MACAddress"),
            "model": words.NIC_MODELS.get(self._subtype) if is_nic else None,
            "bus": None if disk is None else bus_of(disk),
            "lun_id": None if disk is None else attribute(disk, "lun_id"),
        }
        return {**{name: value for name, value in told.items() if value}, **found}

    def label(self, kind: tuple[str, str]) -> str:
        """Return the label of the device, as far as the item has it."""
        caption, name = self.rasd.get("Caption"), self.rasd.get("Name")
        if self.resource_type == words.DISK and caption:
            found = caption
        elif self.resource_type == words.NIC and name:
            found = f"interface {name}"
        else:
            found = kind[0] if kind[0] == kind[1] else " ".join(kind)
        return found[: LONGEST["label"]]

    @property
    def _subtype(self) -> str:
        return self.rasd.get("ResourceSubType", "")


def bus_of(disk: etree._Element) -> str | None:
    """Return the bus that a ``Disk`` names, in libvirt's words."""
    return words.DISK_INTERFACES.get(attribute(disk, "disk-interface"))


def _map(element: etree._Element, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield the entries of a map (``OvfReader.getMapNode``); of an inner one with its name before.

    An empty entry is kept, where the engine drops it.
    """
    for child in element:
        _, name = split(child)
        if not name:
            continue
        if any(split(inner)[1] for inner in child):
            yield from _map(child, f"{before}{name}{SEPARATOR}")
        else:
            yield f"{before}{name}", text_of(child)


def read_item(
    element: etree._Element,
    number: int,
    flavour: Flavour,
    vm_id: str,
    disks: Mapping[str, etree._Element],
    name: str,
) -> VmDevice | None:
    """Return the device of the item with this NUMBER in the OVF NAME, None where it has none.

    As the engine: no address and no alias are empty ones, a device is plugged and may be written
    unless it says otherwise, and an item of type OTHER is managed only if it is special. Not as
    the engine: BootOrder is read where it is not 0, and an unmanaged device keeps its id, which
    the engine replaces because it makes a new row of it. Where there is a SnapshotId the engine
    looks for it in CustomProperties; here each is what its own element says. Raises BadInput,
    naming the item. DISKS are the ``Disk`` elements by their ids.
    """
    item = Item.of(element, f"{name}: Item {number}")
    kind = item.kind(flavour)
    if kind is None:
        return None
    device_id = item.device_id(vm_id, number)
    disk = disks.get(item.instance_id, disks.get(device_id))
    return VmDevice(
        device_id=device_id,
        vm_id=vm_id,
        type=check_text(kind[0], f"{item.what}: Type", "type"),
        device=check_text(kind[1], f"{item.what}: Device", "device"),
        address=read_address(item.rasd.get("Address", ""), f"{item.what}: Address"),
        boot_order=item.boot_order,
        spec_params=item.spec_params(disk),
        is_managed=item.is_managed(flavour, kind),
        is_plugged=item.flag("IsPlugged", default=True),
        is_readonly=item.flag("IsReadOnly", default=False),
        alias=check_text(item.text("Alias"), f"{item.what}: Alias", "alias"),
        custom_properties=text_of(item.plain.get("CustomProperties")),
        snapshot_id=item.snapshot_id,
        label=item.label(kind),
    )
