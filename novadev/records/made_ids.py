"""The identity of a device that nothing is recorded of yet: the same one in every run."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from novadev.device.inventory import Entry
from novadev.device.owners import Owner
from novadev.records.hash import HOST_SIDE
from novadev.virt.devices import (
    CharacterDevice,
    Controller,
    Device,
    Disk,
    Filesystem,
    Input,
    Interface,
)
from novadev.virt.own_disks import own_disk_name


@dataclass(frozen=True)
class Identity:
    """The id of a device; ``is_owner`` says that it is the UUID of what the device belongs to."""

    id: str
    is_owner: bool = False


def device_ids(vm_id: str, entries: Iterable[Entry]) -> dict[Device, Identity]:
    """Return an identity for the device of each entry of the guest VM_ID; ghosts have none.

    The owner's UUID where there is one, as in oVirt: the volume's, the port's. Else a UUID made
    of the guest and of what names the device in it; of its type, device, model and the ordinal
    among those that share them where nothing does.
    """
    found: dict[Device, Identity] = {}
    taken: set[str] = set()
    ordinals: Counter[str] = Counter()
    for entry in entries:
        if entry.device is None:
            continue
        own = _owned(entry.owner)
        is_owner = own is not None and own not in taken
        if own is None or not is_owner:
            kind = _kind(vm_id, entry.device, entry.owner)
            ordinals[kind] += 1
            own = made_id(vm_id, f"{kind}/{ordinals[kind]}")
        taken.add(own)
        found[entry.device] = Identity(own, is_owner)
    return found


def made_id(vm_id: str, name: str) -> str:
    """Return the UUID of what is called NAME in the guest VM_ID."""
    return str(uuid.uuid5(uuid.UUID(vm_id), name))


def _owned(owner: Owner | None) -> str | None:
    """Return the owner's UUID; None of a disk of the instance's own and of a mediated device.

    The UUID of a mediated device is the host's: a live migration makes another one.
    """
    return owner.id if owner and owner.type != "mdev" else None


def _kind(vm_id: str, device: Device, owner: Owner | None) -> str:
    """Return what tells a device from others, without what only the host sees of it."""
    name = natural_name(vm_id, device)
    if name is not None:
        return f"{device.type}:{name}"
    told = device.device
    if device.type in HOST_SIDE:
        told = device.target_type if isinstance(device, CharacterDevice) else None
    kind = f"{device.type}/{told or ''}/{device.model or ''}"
    return f"local/{kind}" if owner and owner.type == "local" else kind


def natural_name(vm_id: str, device: Device) -> str | None:
    """Return what names DEVICE in its guest, whoever owns it; None where nothing does.

    Nova's file name of a disk of the instance's own (``disk.swap``), a serial, a MAC address, the
    tag of a share, the index of a controller, the bus of an input device, the name or number of a
    channel or port.
    """
    if isinstance(device, Disk):
        return own_disk_name(vm_id, device) or device.serial
    if isinstance(device, Interface):
        return device.mac and device.mac.lower()
    if isinstance(device, Controller):
        return f"{device.kind} {device.index}" if device.index else None
    if isinstance(device, Input):
        return device.short_name
    if isinstance(device, Filesystem):
        return device.target
    return device.target_name if isinstance(device, CharacterDevice) else None
