"""An instance's recorded devices as an OVF, as ovirt-engine's ``OvfVmWriter`` writes one.

Sections, items, elements and their order are the engine's, so that its reader takes all of it.
What the record does not have is left out where that reader does without, and else is the engine's
own word for not known: there are no items for CPU and memory; no size, format, storage domain,
template, snapshot or date of a disk; no network, profile and speed of a NIC; no ``SinglePciQxl``;
and the operating system is ``other``. A volume has one UUID, which stands for the disk and its
image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from xml.sax import saxutils

from novadev.errors import BadInput
from novadev.records.device import VmDevice
from novadev.records.file_contents import ExportedInstance, check_text
from novadev.records.ovf import words

NO_ATTRIBUTES: Mapping[str, str] = {}


class XmlText:
    """An XML text in the making, with an element on a line."""

    def __init__(self) -> None:
        self._lines = ['<?xml version="1.0" encoding="UTF-8"?>']
        self._depth = 0

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"

    @contextmanager
    def element(self, name: str, attributes: Mapping[str, str] = NO_ATTRIBUTES) -> Iterator[None]:
        """Write an element around what is written inside."""
        self._line(f"<{name}{_text(attributes)}>")
        self._depth += 1
        yield
        self._depth -= 1
        self._line(f"</{name}>")

    def leaf(self, name: str, text: str = "") -> None:
        """Write an element that has nothing but a text, maybe an empty one."""
        self._line(f"<{name}>{_printable(saxutils.escape(text))}</{name}>")

    def empty(self, name: str, attributes: Mapping[str, str]) -> None:
        """Write an element that has nothing but attributes."""
        self._line(f"<{name}{_text(attributes)}></{name}>")

    def _line(self, text: str) -> None:
        self._lines.append("  " * self._depth + text)


def _text(attributes: Mapping[str, str]) -> str:
    pairs = ((name, saxutils.quoteattr(value)) for name, value in attributes.items())
    return "".join(f" {name}={_printable(value)}" for name, value in pairs)


def _printable(text: str) -> str:
    """Return the XML TEXT with a reference for each character that a terminal would act on."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else f"&#{ord(one)};" for one in text)


VERSION = "4.5.0.0"
"""The ``ovf:version``: of the engine whose form this is."""
SEPARATOR = "/"
"""Between the names of a key inside a map inside the spec params; no XML name has it."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_MODELS = {model: number for number, model in words.NIC_MODELS.items()}
_INTERFACES = {"virtio": "VirtIO", "scsi": "VirtIO_SCSI", "ide": "IDE", "sata": "SATA"}
_NAMESPACES = {
    "xmlns:ovf": words.OVF,
    "xmlns:rasd": words.RASD,
    "xmlns:vssd": words.VSSD,
    "xmlns:xsi": words.XSI,
    "ovf:version": VERSION,
}


def dumps(exported: ExportedInstance) -> str:
    """Return the one instance EXPORTED as an OVF: the same instance always gives the same text.

    Raises BadInput for a device with a text that no XML can have.
    """
    items = _Items.of(exported.devices)
    text = XmlText()
    with text.element("ovf:Envelope", _NAMESPACES):
        _write_references(text, items.disks)
        with text.element("NetworkSection"):
            text.leaf("Info", "List of networks")
        with _section(text, "DiskSection_Type"):
            text.leaf("Info", "List of Virtual Disks")
            for device in items.disks:
                text.empty("Disk", _disk_attributes(device))
        _write_content(text, exported, items)
    return str(text)


class _Items:
    """The devices by the items that they become, in the order of ``OvfWriter.writeHardware``."""

    def __init__(self, by_type: Mapping[str, Sequence[VmDevice]]) -> None:
        self._by_type = by_type

    @classmethod
    def of(cls, devices: Iterable[VmDevice]) -> _Items:
        by_type: dict[str, list[VmDevice]] = {}
        for device in devices:
            by_type.setdefault(resource_type(device), []).append(device)
        return cls(by_type)

    def __getitem__(self, resource_type: str) -> Sequence[VmDevice]:
        return self._by_type.get(resource_type, ())

    @property
    def disks(self) -> Sequence[VmDevice]:
        return self[words.DISK]

    @property
    def others(self) -> list[VmDevice]:
        """What is an item of type OTHER: the unmanaged ones first, then the special ones."""
        return sorted(self[words.OTHER], key=lambda item: words.is_special(item.type, item.device))


def resource_type(device: VmDevice) -> str:
    """Return the ``rasd:ResourceType`` of the item that DEVICE becomes.

    An unmanaged device is OTHER whatever it is (``OvfWriter.writeOtherDevices``), and so is a
    controller, USB too: type 23 is the policy, which has no device (``writeUsb``).
    """
    if device.type == "video":
        return words.MONITOR
    if device.type == "graphics":
        return words.GRAPHICS
    if not device.is_managed:
        return words.OTHER
    if device.type == "disk":
        return {"cdrom": words.CD, "floppy": words.FLOPPY}.get(device.device, words.DISK)
    return words.NIC if device.type == "interface" else words.OTHER


def _section(
    text: XmlText, kind: str, attributes: Mapping[str, str] = NO_ATTRIBUTES
) -> AbstractContextManager[None]:
    return text.element("Section", {**attributes, "xsi:type": f"ovf:{kind}"})


def _write_references(text: XmlText, disks: Iterable[VmDevice]) -> None:
    with text.element("References"):
        for device in disks:
            if device.device == "lun":
                attributes = {"ovf:id": device.device_id, "ovf:href": device.device_id}
                text.empty("File", {**attributes, "ovf:disk_storage_type": "LUN"})
            else:
                attributes = {"ovf:href": _image_file(device), "ovf:id": device.device_id}
                text.empty("File", {**attributes, "ovf:size": "", "ovf:description": ""})


def _image_file(device: VmDevice) -> str:
    """Return the disk and its image (``OvfParser.createImageFile``)."""
    return f"{device.device_id}/{device.device_id}"


def _disk_attributes(device: VmDevice) -> dict[str, str]:
    common = {
        "ovf:read-only": _flag(device.is_readonly),
        "ovf:boot": _flag(device.boot_order == 1),
        "ovf:disk-alias": _checked(device, device.label),
    }
    if device.bus in _INTERFACES:
        common = {"ovf:disk-interface": _INTERFACES[device.bus], **common}
    if device.device == "lun":
        lun_id = _checked(device, str(device.spec_params.get("lun_id", "")))
        plugged = {"ovf:plugged": _flag(device.is_plugged), "ovf:lun_id": lun_id}
        return {"ovf:diskId": device.device_id, "ovf:fileRef": device.device_id, **common} | plugged
    return {
        "ovf:diskId": device.device_id,
        **{"ovf:size": "", "ovf:actual_size": "", "ovf:parentRef": ""},
        "ovf:fileRef": _image_file(device),
        **{"ovf:format": "", "ovf:volume-format": "Unassigned", "ovf:volume-type": "Unassigned"},
        **common,
    }


def _write_content(text: XmlText, exported: ExportedInstance, items: _Items) -> None:
    kind = {"ovf:id": "out", "xsi:type": "ovf:VirtualSystem_Type"}
    system = {"ovf:id": exported.instance, "ovf:required": "false"}
    with text.element("Content", kind):
        text.leaf("Name", check_text(exported.name, f"instance {exported.instance}: its name"))
        with _section(text, "OperatingSystemSection_Type", system):
            text.leaf("Info", "Guest Operating System")
            text.leaf("Description", "other")
        with _section(text, "VirtualHardwareSection_Type"):
            text.leaf("Info", "Virtual hardware")
            with text.element("System"):
                text.leaf("vssd:VirtualSystemType", f"ENGINE {VERSION}")
            _write_items(text, items)


def _write_items(text: XmlText, items: _Items) -> None:
    for device in items.disks:
        _write_item(text, device, words.DISK, device.label, _disk_fields(device))
    for number, device in enumerate(items[words.NIC], 1):
        _write_item(
            text, device, words.NIC, "Ethernet adapter on [No Network]", _nic(device, number)
        )
    _write_usb_policy(text, items)
    monitors = items[words.MONITOR]
    for device in monitors:
        quantity = {"VirtualQuantity": str(len(monitors))}
        _write_item(text, device, words.MONITOR, "Graphical Controller", quantity)
    for device in items[words.GRAPHICS]:
        _write_item(text, device, words.GRAPHICS, "Graphical Framebuffer", {})
    for device in items[words.CD]:
        _write_item(text, device, words.CD, "CDROM", {})
    for device in items[words.FLOPPY]:
        _write_item(text, device, words.FLOPPY, "Floppy", {})
    for device in items.others:
        with text.element("Item"):
            text.leaf("rasd:ResourceType", words.OTHER)
            text.leaf("rasd:InstanceId", device.device_id)
            _write_device(text, device)


def _write_item(
    text: XmlText, device: VmDevice, kind: str, caption: str, fields: Mapping[str, str]
) -> None:
    with text.element("Item"):
        text.leaf("rasd:Caption", _checked(device, caption))
        text.leaf("rasd:InstanceId", device.device_id)
        text.leaf("rasd:ResourceType", kind)
        for name, value in fields.items():
            text.leaf(f"rasd:{name}", _checked(device, value))
        _write_device(text, device)


def _disk_fields(device: VmDevice) -> dict[str, str]:
    return {
        "HostResource": _image_file(device),
        "Parent": words.NO_ID,
        "Template": words.NO_ID,
        "ApplicationList": "",
    }


def _nic(device: VmDevice, number: int) -> dict[str, str]:
    """Return what only a NIC has (``OvfWriter.writeNetwork``); NUMBER names one without a tap."""
    name = device.label.removeprefix("interface").strip() or f"nic{number}"
    is_passthrough = device.device == "hostdev"
    model = words.NIC_PASSTHROUGH if is_passthrough else _MODELS.get(device.model or "", "")
    return {
        "OtherResourceType": "",
        "ResourceSubType": model,
        "Connection": "",
        "Linked": "true",
        "Name": name,
        "ElementName": name,
        "MACAddress": str(device.spec_params.get("mac", "")),
    }


def _write_usb_policy(text: XmlText, items: _Items) -> None:
    """Write whether USB devices of the operator's can be redirected, which is no device."""
    redirects = any(device.type == "redir" for device in items[words.OTHER])
    with text.element("Item"):
        text.leaf("rasd:Caption", "USB Controller")
        text.leaf("rasd:InstanceId", "1")
        text.leaf("rasd:ResourceType", words.USB)
        text.leaf("rasd:UsbPolicy", "ENABLED_NATIVE" if redirects else "DISABLED")


def _write_device(text: XmlText, device: VmDevice) -> None:
    """Write the device part of an item, as ``OvfWriter.writeVmDeviceInfo``."""
    text.leaf("Type", _checked(device, device.type))
    text.leaf("Device", _checked(device, device.device))
    text.leaf("rasd:Address", _checked(device, device.address))
    text.leaf("BootOrder", str(device.boot_order or 0))
    text.leaf("IsPlugged", _flag(device.is_plugged))
    text.leaf("IsReadOnly", _flag(device.is_readonly))
    text.leaf("Alias", _checked(device, device.alias))
    if device.spec_params:
        with text.element("SpecParams"):
            _write_map(text, device, list(_keys(device)))
    if device.custom_properties:
        text.leaf("CustomProperties", _checked(device, device.custom_properties))
    if device.snapshot_id is not None:
        text.leaf("SnapshotId", device.snapshot_id)


Key = tuple[tuple[str, ...], str]


def _keys(device: VmDevice) -> Iterator[Key]:
    for name, value in sorted(device.spec_params.items()):
        path = tuple(name.split(SEPARATOR))
        if not all(_NAME.fullmatch(part) for part in path):
            raise BadInput(f"{device.label!r:.80}: {name!r:.60} cannot be an element of an OVF")
        yield path, _checked(device, str(value))


def _write_map(text: XmlText, device: VmDevice, keys: Sequence[Key], depth: int = 0) -> None:
    """Write KEYS, of which the names up to DEPTH are written, with a map for each inner name."""
    inner: dict[str, list[Key]] = {}
    for path, value in keys:
        if len(path) == depth + 1:
            text.leaf(path[depth], value)
        else:
            inner.setdefault(path[depth], []).append((path, value))
    for name, members in inner.items():
        with text.element(name):
            _write_map(text, device, members, depth + 1)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _checked(device: VmDevice, text: str) -> str:
    return check_text(text, f"{device.label!r:.80} ({device.device_id})")
