"""A guest's devices as they would be recorded: what the inventory has of them, in oVirt's terms."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from novadev.device.inventory import Entry, Inventory
from novadev.device.managed import is_managed
from novadev.nova.attachments import Attachments
from novadev.records.device import VmDevice
from novadev.records.hash import is_hardware
from novadev.records.made_ids import device_ids
from novadev.virt.devices import (
    CharacterDevice,
    Console,
    Controller,
    Device,
    Disk,
    Filesystem,
    Hostdev,
    Interface,
)
from novadev.virt.own_disks import own_disk_name

LONGEST = 255
"""Characters that a column of ``vm_device`` has."""
_OPTIONAL = ("optional", "requisite")


@dataclass(frozen=True)
class SeenDevices:
    """The devices of a guest as if nothing was recorded of it; ``owners`` are the ids of owners."""

    devices: Mapping[Device, VmDevice]
    owners: frozenset[str]


def seen_devices(inventory: Inventory, special: Collection[str]) -> SeenDevices:
    """Return every device of INVENTORY that is its guest's hardware; ghosts are none.

    SPECIAL kinds count as managed.
    """
    ids = device_ids(inventory.instance.uuid, inventory.entries)
    boots = dict(_boot_orders(inventory.instance.attachments))
    found = {
        entry.device: _seen(entry, entry.device, ids[entry.device].id, inventory, special, boots)
        for entry in inventory.entries
        if entry.device is not None
    }
    return SeenDevices(
        {device: row for device, row in found.items() if is_hardware(row)},
        frozenset(identity.id for identity in ids.values() if identity.is_owner),
    )


def _seen(
    entry: Entry,
    device: Device,
    device_id: str,
    inventory: Inventory,
    special: Collection[str],
    boots: Mapping[str, int],
) -> VmDevice:
    return VmDevice(
        device_id=device_id,
        vm_id=inventory.instance.uuid,
        type=device.type[:30],
        device=(device.device or device.type)[:LONGEST],
        address=device.address.ovirt_text[:LONGEST] if device.address else "",
        boot_order=device.boot_order or _told_boot_order(entry, boots),
        spec_params=dict(_spec_params(inventory.instance.uuid, device)),
        is_managed=is_managed(entry, special),
        is_readonly=isinstance(device, Disk | Filesystem) and device.readonly,
        is_optional=isinstance(device, Disk) and device.startup_policy in _OPTIONAL,
        alias=device.alias.name[:LONGEST] if device.alias else "",
        host=inventory.instance.host,
        label=device.label[:LONGEST],
    )


def _spec_params(vm_id: str, device: Device) -> Iterator[tuple[str, str]]:
    """Yield what else tells a device: what the guest sees of it, or finds it by."""
    values = {"bus": device.bus, "model": device.model}
    if isinstance(device, Disk):
        values |= {"target": device.target, "serial": device.serial}
        values |= {"lun_id": _lun_id(device), "file": own_disk_name(vm_id, device)}
    elif isinstance(device, Interface):
        values |= {"mac": device.mac}
    elif isinstance(device, Filesystem):
        values |= {"target": device.target}
    elif isinstance(device, Hostdev):
        values |= {"source": device.short_name}
    elif isinstance(device, Controller):
        values |= {"index": device.index}
    elif isinstance(device, CharacterDevice | Console):
        values |= {"target": device.target_name}
    yield from ((name, value) for name, value in values.items() if value)


def _lun_id(disk: Disk) -> str | None:
    """Return the name by which the host has a LUN: the last part of its path, such as a WWID."""
    return (disk.source or "").rpartition("/")[2] if disk.is_lun else None


def _boot_orders(attachments: Attachments | None) -> Iterator[tuple[str, int]]:
    """Yield the volumes that Nova boots from, and their place from 1 (``boot_index`` is from 0)."""
    for volume in attachments.volumes if attachments else ():
        if volume.boot_index is not None and volume.boot_index >= 0:
            yield volume.uuid, volume.boot_index + 1


def _told_boot_order(entry: Entry, boots: Mapping[str, int]) -> int | None:
    return boots.get(entry.owner.id) if entry.owner and entry.owner.id else None
