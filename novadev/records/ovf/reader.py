"""The devices that an OVF has, read as ovirt-engine's ``OvfReader`` does, in either flavour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from novadev.errors import BadInput
from novadev.records.device import VmDevice
from novadev.records.file_contents import (
    LONGEST,
    MAX_BYTES,
    MAX_DEVICES,
    ExportedInstance,
    check_distinct,
    is_uuid,
    read_uuid,
)
from novadev.records.ovf import words
from novadev.records.ovf.items import attribute, bus_of, children, find_child, read_item, text_of
from novadev.records.ovf.words import Flavour
from novadev.virt import xml

if TYPE_CHECKING:
    from lxml import etree


def loads(text: str, name: str) -> ExportedInstance:
    """Return the instance that the OVF TEXT has, the content of the file NAME.

    Its UUID is empty where the OVF has none. Raises BadInput, naming the item, for what is no OVF
    of an engine's, and for an item with an id, an address or a flag that is none.
    """
    root = xml.parse(text, name, MAX_BYTES)
    flavour = _flavour(root, name)
    system = _system(root, name)
    instance = _instance(system)
    disks = {attribute(disk, "diskId"): disk for disk in _disks(root)}
    items = enumerate(_items(system, name), 1)
    found = (read_item(item, number, flavour, instance, disks, name) for number, item in items)
    devices = _merged(device for device in found if device is not None)
    devices += _luns_without_item(disks, devices, instance, name)
    check_distinct(devices, name)
    told = text_of(find_child(system, "Name")).strip()
    return ExportedInstance(instance, told, "", tuple(devices))


def _flavour(root: etree._Element, name: str) -> Flavour:
    namespace, _, tag = str(root.tag).rpartition("}")
    flavour = words.FLAVOURS.get(namespace.removeprefix("{"))
    if tag != "Envelope":
        raise BadInput(f"{name} is not an OVF: its root element is {root.tag!r:.120}, not Envelope")
    if flavour is None:
        found = namespace.removeprefix("{") or "none"
        raise BadInput(
            f"{name} is not an OVF from oVirt: the namespace of its Envelope is {found!r:.120}, "
            f"and not {words.OVF} or {words.OVA}"
        )
    return flavour


def _system(root: etree._Element, name: str) -> etree._Element:
    """Return the one virtual machine: ``Content``, or ``VirtualSystem`` inside an OVA."""
    found = [*children(root, "Content"), *children(root, "VirtualSystem")]
    if len(found) != 1:
        raise BadInput(f"{name} has {len(found)} virtual systems (Content), not one")
    return found[0]


def _sections(system: etree._Element, kind: str) -> Iterator[etree._Element]:
    """Yield the sections of a KIND: ``Section xsi:type="ovf:KIND_Type"``, or an element KIND."""
    for section in children(system, "Section"):
        told = section.get(f"{{{words.XSI}}}type", "")
        if told.rpartition(":")[2] == f"{kind}_Type":
            yield section
    yield from children(system, kind)


def _instance(system: etree._Element) -> str:
    """Return the UUID of the virtual machine (``readOsSection``; ``OvfOvaReader``), if any."""
    told = [attribute(section, "id") for section in _sections(system, "OperatingSystemSection")]
    told.append(attribute(system, "id"))
    return next((read_uuid(text, "its id") for text in told if is_uuid(text)), "")


def _items(system: etree._Element, name: str) -> Sequence[etree._Element]:
    sections = list(_sections(system, "VirtualHardwareSection"))
    if not sections:
        raise BadInput(f"{name} has no VirtualHardwareSection, where the devices are")
    items = [item for section in sections for item in children(section, "Item")]
    if len(items) > MAX_DEVICES:
        raise BadInput(f"{name} has {len(items)} items: more than {MAX_DEVICES}")
    return items


def _disks(root: etree._Element) -> Iterator[etree._Element]:
    for section in _sections(root, "DiskSection"):
        yield from children(section, "Disk")


def _merged(devices: Iterator[VmDevice]) -> list[VmDevice]:
    """Return DEVICES, each once: the images of a disk's snapshots are items of the one device."""
    found: dict[str, VmDevice] = {}
    others: list[VmDevice] = []
    for device in devices:
        known = found.setdefault(device.device_id, device)
        if known is not device and replace(device, label=known.label) != known:
            others.append(device)
    return [*found.values(), *others]


def _luns_without_item(
    disks: Mapping[str, etree._Element], devices: Sequence[VmDevice], vm_id: str, name: str
) -> list[VmDevice]:
    """Return the LUNs that are a ``Disk`` only: the engine writes no item for them.

    ``OvfOvirtWriter.writeLunDisk``; it says nothing of their addresses.
    """
    known = {device.device_id for device in devices}
    luns = [disk for disk in disks.values() if attribute(disk, "lun_id")]
    found = [_lun(disk, vm_id, name) for disk in luns]
    return [device for device in found if device.device_id not in known]


def _lun(disk: etree._Element, vm_id: str, name: str) -> VmDevice:
    told = attribute(disk, "diskId")
    what = f"{name}: Disk {told!r:.60}"
    params = {"lun_id": attribute(disk, "lun_id"), "bus": bus_of(disk)}
    return VmDevice(
        device_id=read_uuid(told, what),
        vm_id=vm_id,
        type="disk",
        device="lun",
        spec_params={key: value for key, value in params.items() if value},
        is_managed=True,
        is_plugged=attribute(disk, "plugged").lower() != "false",
        is_readonly=attribute(disk, "read-only").lower() == "true",
        label=attribute(disk, "disk-alias")[: LONGEST["label"]] or "disk",
    )
