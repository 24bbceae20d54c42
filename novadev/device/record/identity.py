"""The identity of a device: the same one in every run, with an owner or without."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable

from novadev.device.inventory import Entry
from novadev.device.owners import Owner
from novadev.device.record.hashing import HOST_SIDE
from novadev.virt.devices import CharacterDevice, Device


def device_ids(vm_id: str, entries: Iterable[Entry]) -> dict[Device, str]:
    """Return a UUID for the device of each entry of the guest VM_ID; ghosts have none.

    The owner's where there is one, as in oVirt: the volume's, the port's. Else it is made of the
    guest, the type, the device, the model and the ordinal among those that share them, so that it
    is the same the next time.
    """
    found: dict[Device, str] = {}
    taken: set[str] = set()
    ordinals: Counter[str] = Counter()
    for entry in entries:
        if entry.device is None:
            continue
        own = _owned(entry.owner)
        if own is None or own in taken:
            kind = _kind(entry.device, entry.owner)
            ordinals[kind] += 1
            own = str(uuid.uuid5(uuid.UUID(vm_id), f"{kind}/{ordinals[kind]}"))
        taken.add(own)
        found[entry.device] = own
    return found


def _owned(owner: Owner | None) -> str | None:
    """Return the owner's UUID; None of a disk of the instance's own and of a mediated device.

    The UUID of a mediated device is the host's: a live migration makes another one.
    """
    return owner.id if owner and owner.type != "mdev" else None


def _kind(device: Device, owner: Owner | None) -> str:
    """Return what tells a device from other kinds, without what only the host sees of it."""
    name = device.device
    if device.type in HOST_SIDE:
        name = device.target_type if isinstance(device, CharacterDevice) else None
    kind = f"{device.type}/{name or ''}/{device.model or ''}"
    return f"local/{kind}" if owner and owner.type == "local" else kind
