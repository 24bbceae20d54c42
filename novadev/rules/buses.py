"""Disk buses and the names of disks on them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection

from novadev.nova.image_properties import PROPERTIES
from novadev.rules.guest import ComputeRules, Guest, architecture, machine_type, property_value
from novadev.rules.machine_types import is_q35

_QEMU_BUSES = ("virtio", "scsi", "ide", "usb", "fdc", "sata")
BUSES = {
    "qemu": _QEMU_BUSES,
    "kvm": _QEMU_BUSES,
    "lxc": ("lxc",),
    "parallels": ("ide", "scsi"),
    "xen": ("xen", "ide"),
    "uml": ("uml",),
}
DEVICE_TYPES = ("disk", "cdrom", "floppy", "lun")
BUS_PROPERTIES = {"hw_disk_bus": "disk", "hw_cdrom_bus": "cdrom", "hw_floppy_bus": "floppy"}
"""The properties that say a bus, and for which type of device."""
IDE_DISKS = 4
FLOPPIES = 2
SCSI_UNITS = 15
"""Disks to a SCSI controller, by their names."""
_LUNS = {"lsisas1068": 2, "vmpvscsi": 1}
SCSI_CDROM_ARCHITECTURES = ("ppc", "ppc64", "ppcle", "ppc64le", "s390", "s390x", "aarch64")

_NAME_PREFIXES = {
    "ide": "hd",
    "virtio": "vd",
    "scsi": "sd",
    "usb": "sd",
    "sata": "sd",
    "fdc": "fd",
}
_BUS_OF_PREFIX = {"hd": "ide", "sd": "scsi", "vd": "virtio", "fd": "fdc"}
_LIBVIRT_NAME = re.compile(r"(?:fd|hd|vd|sd|xvd|ubd)([a-z]+)")


class UnsupportedBus(ValueError):
    """Nova would refuse: no such bus for this kind of disk with this virt_type."""


class RefusedBus(UnsupportedBus):
    """The value of the image property NAME is a bus that the virt_type does not have."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class TooManyDisks(ValueError):
    """The bus, or the compute host's limit, has no name left for another disk."""


def is_valid(bus: str | None, rules: ComputeRules) -> bool:
    """Return whether the virt_type has the bus; raises UnsupportedBus for an unknown virt_type.

    Source: nova/virt/libvirt/blockinfo.py, SUPPORTED_DEVICE_BUSES.
    """
    if rules.virt_type not in BUSES:
        raise UnsupportedBus(f"{rules.virt_type_text} is not supported by Nova's libvirt driver")
    return bus in BUSES[rules.virt_type]


def choice_of_buses(virt_type: str) -> str:
    """Return which buses there are for a disk with a virt_type that Nova knows, as advice."""
    allowed = BUSES[virt_type]
    return f"use {'one of ' if allowed[1:] else ''}{', '.join(allowed)}"


def bus_for_device_type(device_type: str, guest: Guest, rules: ComputeRules) -> str | None:
    """Return the bus of a disk, cdrom or floppy that names none itself.

    None where the virt_type has no such device. Raises RefusedBus when the property holds
    a bus that the virt_type does not have. libosinfo, which Nova asks between the property and
    its default, is not asked: give its answer as hw_disk_bus.
    Source: nova/virt/libvirt/blockinfo.py, get_disk_bus_for_device_type.
    """
    if device_type not in ("disk", "cdrom", "floppy"):
        raise UnsupportedBus(f"Nova has no default bus for a {device_type}")
    name = f"hw_{device_type}_bus"
    value = property_value(guest, name)
    if value is None:
        return _default_bus(device_type, guest, rules)
    if not is_valid(value, rules):
        why = f"{rules.virt_type_text} has no such bus; {choice_of_buses(rules.virt_type)}"
        raise RefusedBus(name, f"{name}={value}: {why}")
    return value


def _default_bus(device_type: str, guest: Guest, rules: ComputeRules) -> str | None:
    if rules.virt_type == "lxc":
        return "lxc"
    if rules.virt_type == "parallels":
        return {"cdrom": "ide", "disk": "scsi"}.get(device_type)
    if rules.virt_type not in ("kvm", "qemu"):
        raise UnsupportedBus(f"Nova no longer supports {rules.virt_type_text}")
    if device_type != "cdrom":
        return {"disk": "virtio", "floppy": "fdc"}[device_type]
    if architecture(guest, rules) in SCSI_CDROM_ARCHITECTURES:
        return "scsi"
    return "sata" if is_q35(machine_type(guest, rules)) else "ide"


def bus_for_name(name: str) -> str:
    """Return the bus Nova guesses from a disk's name (``hda`` ide, ``sda`` scsi, ``vda`` virtio).

    Raises UnsupportedBus for any other prefix.
    Source: nova/virt/libvirt/blockinfo.py, get_disk_bus_for_disk_dev.
    """
    bus = _BUS_OF_PREFIX.get(name[:2])
    if bus is None:
        raise UnsupportedBus(
            f"the device name {name} implies no disk bus; a bus must be stored with it"
        )
    return bus


def free_name(bus: str | None, used: Collection[str], rules: ComputeRules) -> str:
    """Return the first name on the bus that is not in use; an empty one for lxc.

    Raises TooManyDisks when there is none, UnsupportedBus when the bus has no names.
    Source: nova/virt/libvirt/blockinfo.py, find_disk_dev_for_disk_bus.
    """
    if bus == "lxc" and not rules.disk_prefix:
        return ""
    prefix, limit = name_prefix(bus, rules), _limit(bus, rules)
    for index in itertools.count() if limit is None else range(limit):
        name = prefix + letters(index)
        if name not in used:
            return name
    raise TooManyDisks(
        f"bus {bus} holds at most {limit} disks on this host, and all places are in use"
    )


def _limit(bus: str | None, rules: ComputeRules) -> int | None:
    """Return how many names the bus has, None for any number.

    Source: nova/virt/libvirt/blockinfo.py, get_dev_count_for_disk_bus.
    """
    limit = IDE_DISKS if bus == "ide" else rules.max_disk_devices
    return limit if limit >= 0 and rules.counts_disks else None


def has_place(bus: str, index: int, scsi_model: str | None, rules: ComputeRules) -> bool:
    """Return whether Nova gives the name with this index on the bus, and libvirt and QEMU take it.

    scsi_model is that of the guest's hw_scsi_model. Whether another disk is there is not asked.
    """
    limit = FLOPPIES if bus == "fdc" else _limit(bus, rules)
    luns = scsi_luns(scsi_model) if bus == "scsi" else None
    return (limit is None or index < limit) and (luns is None or index % SCSI_UNITS < luns)


def scsi_luns(model: str | None) -> int | None:
    """Return how many disks QEMU accepts on a controller of this model; None for all.

    libvirt puts them all on one target, each at the logical unit that its name says (libvirt,
    src/conf/domain_conf.c, virDomainDiskDefAssignAddress; src/qemu/qemu_command.c,
    qemuBuildDiskDeviceProps). Source of the limits: QEMU's ``max_lun``, hw/scsi/mptsas.c and
    hw/scsi/vmw_pvscsi.c; the refusal was seen with QEMU 5.2, 7.2 and 10.0.
    """
    return _LUNS.get(PROPERTIES["hw_scsi_model"].spelling(model)) if model else None


def name_prefix(bus: str | None, rules: ComputeRules) -> str:
    """Return what names on the bus begin with; raises UnsupportedBus if Nova knows none.

    Source: nova/virt/libvirt/blockinfo.py, get_dev_prefix_for_disk_bus.
    """
    prefix = rules.disk_prefix or _NAME_PREFIXES.get(bus or "")
    if prefix is None:
        raise UnsupportedBus(f"Nova has no disk names for bus {bus}")
    return prefix


def letters(index: int) -> str:
    """Return the letters of the disk with this index: 0 is a, 25 z, 26 aa.

    Source: nova/block_device.py, generate_device_letter.
    """
    found = ""
    while index >= 0:
        found = chr(ord("a") + index % 26) + found
        index = index // 26 - 1
    return found


def name_index(name: str) -> int | None:
    """Return the index libvirt reads from a disk's name, from 0; None if it reads none.

    libvirt makes the drive address on ide, sata, scsi and fdc from it, whatever the prefix.
    Source: libvirt, src/util/virutil.c, virDiskNameParse.
    """
    match = _LIBVIRT_NAME.fullmatch(name)
    if match is None:
        return None
    index = 0
    for letter in match[1]:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1
