"""What oVirt's OVF says with which words: both flavours, by ovirt-engine's ``OvfWriter``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OVF = "http://schemas.dmtf.org/ovf/envelope/1/"
"""The engine's own namespace, with a slash at the end (``OvfOvirtWriter.getOvfUri``)."""
OVA = "http://schemas.dmtf.org/ovf/envelope/1"
"""The standard's, in the OVF inside an OVA (``OvfOvaWriter.getOvfUri``)."""
_CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
RASD = f"{_CIM}CIM_ResourceAllocationSettingData"
VSSD = f"{_CIM}CIM_VirtualSystemSettingData"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
NO_ID = "00000000-0000-0000-0000-000000000000"
"""``Guid.Empty`` of ovirt-engine: no parent, no template."""

OTHER, CPU, MEMORY, NIC, FLOPPY = "0", "3", "4", "10", "14"
CD, DISK, MONITOR, USB, GRAPHICS = "15", "17", "20", "23", "26"
"""``OvfHardware``: ``rasd:ResourceType``, in the engine's own flavour."""
OVA_MONITOR, OVA_GRAPHICS = "32768", "24"


@dataclass(frozen=True)
class Flavour:
    """An OVF's namespace, and what its resource types mean: the type and the device."""

    namespace: str
    kinds: Mapping[str, tuple[str, str]]


_KINDS = {
    DISK: ("disk", "disk"),
    CD: ("disk", "cdrom"),
    FLOPPY: ("disk", "floppy"),
    NIC: ("interface", "bridge"),
}
FLAVOURS = {
    OVF: Flavour(OVF, {**_KINDS, MONITOR: ("video", ""), GRAPHICS: ("graphics", "")}),
    OVA: Flavour(OVA, {**_KINDS, OVA_MONITOR: ("video", ""), OVA_GRAPHICS: ("graphics", "")}),
}
"""``VmDeviceType.getoVirtDevice``, for an item that names no type itself."""

NIC_MODELS = {
    "0": "rtl8139",
    "1": "rtl8139",
    "2": "e1000",
    "3": "virtio",
    "4": "spapr-vlan",
    "6": "e1000e",
}
"""``VmInterfaceType``: ``rasd:ResourceSubType`` of a NIC, in libvirt's words."""
NIC_PASSTHROUGH = "5"
DISK_INTERFACES = {
    "VirtIO": "virtio",
    "VirtIO_SCSI": "scsi",
    "IDE": "ide",
    "SATA": "sata",
    "SPAPR_VSCSI": "scsi",
}
"""``DiskInterface``: ``ovf:disk-interface`` of a ``Disk``, in libvirt's words."""

_SPECIAL_TYPES = frozenset(("mdev", "sound", "hostdev"))
_SPECIAL = frozenset(
    (
        *(("console", "console"), ("smartcard", "smartcard"), ("redir", "spicevmc")),
        *(("balloon", "memballoon"), ("watchdog", "watchdog"), ("rng", "virtio")),
        *(("controller", "virtio-serial"), ("controller", "virtio-scsi")),
    )
)


def is_special(kind: str, device: str) -> bool:
    """Whether a device is managed though it is an item of type OTHER.

    ``OvfReaderWriterUtils.isSpecialDevice`` of ovirt-engine, host devices included, as its reader
    and ``OvfVmWriter`` have it.
    """
    return device == "usb" or kind in _SPECIAL_TYPES or (kind, device) in _SPECIAL
