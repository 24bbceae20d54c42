"""The id of a device of which nothing is recorded yet: the same one in every run."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable

from novadev.device.inventory import Entry
from novadev.device.owners import Owner
from novadev.records.kinds import kind_of
from novadev.virt.device import Device
from novadev.virt.devices import (
    CharacterDevice,
    Console,
    Controller,
    Disk,
    Filesystem,
    Input,
    Interface,
)
from novadev.virt.own_disks import own_disk_name

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def device_ids(vm_id: str, entries: Iterable[Entry]) -> tuple[dict[Device, str], frozenset[str]]:
    """Return an id for the device of each entry of the guest VM_ID, and which are of owners.

    Ghosts have none. It is the owner's UUID where there is one without a doubt, as in oVirt: the
    volume's, the port's; else the port that a card's definition names. Else a UUID made of the
    guest and of what names the device in it; of its type, device, model and the ordinal among
    those that share them where nothing does.
    """
    found: dict[Device, str] = {}
    owners: set[str] = set()
    taken: set[str] = set()
    ordinals: Counter[str] = Counter()
    for entry in entries:
        if entry.device is None:
            continue
        own = _owned(entry, entry.device)
        if own is None or own in taken:
            kind = _description(vm_id, entry.device, entry.owner)
            ordinals[kind] += 1
            own = made_id(vm_id, f"{kind}/{ordinals[kind]}")
        else:
            owners.add(own)
        taken.add(own)
        found[entry.device] = own
    return found, frozenset(owners)


def made_id(vm_id: str, name: str) -> str:
    """Return the UUID of what is called NAME in the guest VM_ID."""
    return str(uuid.uuid5(uuid.UUID(vm_id), name))


def _owned(entry: Entry, device: Device) -> str | None:
    """Return the owner's UUID; None of a disk of the instance's own and of a mediated device.

    The UUID of a mediated device is the host's: a live migration makes another one. An owner in
    doubt is none: Nova's databases may be wrong for a moment.
    """
    owner = entry.owner
    if owner is not None and not entry.doubts:
        return owner.id if owner.type != "mdev" else None
    named = device.interface_id if isinstance(device, Interface) else None
    return named if named and _UUID.fullmatch(named) else None


def _description(vm_id: str, device: Device, owner: Owner | None) -> str:
    """Return what tells a device from others, without what only the host sees of it."""
    name = natural_name(vm_id, device)
    if name is not None:
        return f"{device.type}:{name}"
    told = device.device
    if kind_of(device.type).is_host_side:
        told = None
        if isinstance(device, CharacterDevice | Console):
            told = device.target_type
    kind = f"{device.type}/{told or ''}/{device.model or ''}"
    return f"local/{kind}" if owner and owner.type == "local" else kind


def natural_name(vm_id: str, device: Device) -> str | None:
    """Return the name of DEVICE in its guest, independent of its owner, or None.

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
