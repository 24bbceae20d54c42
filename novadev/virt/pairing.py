"""Which device of a running guest is which of its persistent definition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

from novadev.virt.device import Device
from novadev.virt.devices import Controller, Disk
from novadev.virt.domain import Domain
from novadev.virt.own_disks import file_name

Pair = tuple[Device | None, Device | None]
Key = Callable[[Device], Hashable]


def pair(persistent: Domain | None, live: Domain | None) -> list[Pair]:
    """Return every device of either definition once, with the same one of the other, or None.

    In the order of the persistent definition, then those that are only live. The same is the same
    tag and identity; where several share those, first the ones at the same guest address, then
    the others in order of appearance: an address of the persistent definition may be new. A disk
    is told by its serial or Nova's file name before its target, which another disk may have on
    the other side.
    """
    ours = persistent.devices if persistent else ()
    theirs = live.devices if live else ()
    found: dict[Device, Device] = {}
    for key in (_place, _named, _name, _identity):
        taken = set(found.values())
        left = [device for device in ours if device not in found]
        rest = [device for device in theirs if device not in taken]
        found |= _matched(left, rest, key)
    taken = set(found.values())
    pairs: list[Pair] = [(device, found.get(device)) for device in ours]
    return pairs + [(None, device) for device in theirs if device not in taken]


def _matched(ours: Iterable[Device], theirs: Iterable[Device], key: Key) -> dict[Device, Device]:
    """Return the first of THEIRS for the first of OURS with the same KEY, and so on."""
    waiting: dict[Hashable, list[Device]] = defaultdict(list)
    for device in theirs:
        waiting[key(device)].append(device)
    found = {}
    for device in ours:
        same = waiting[key(device)]
        other = next((one for one in same if _may_be(device, one)), None)
        if other is not None:
            same.remove(other)
            found[device] = other
    return found


def _may_be(device: Device, other: Device) -> bool:
    """Whether nothing says that these are two disks: their names, unless they have one source."""
    if not (isinstance(device, Disk) and isinstance(other, Disk)):
        return True
    names = {_disk_name(device), _disk_name(other)} - {None}
    is_one = device.source is not None and device.source == other.source
    return len(names) < 2 or is_one


def _disk_name(disk: Disk) -> str | None:
    """Return Nova's file name of one of the instance's own disks, else the serial."""
    return file_name(disk) or disk.serial


def _identity(device: Device) -> Hashable:
    return device.element.tag, device.identity


def _named(device: Device) -> Hashable:
    """Return the identity, of a disk its name, and of a controller the model.

    Companions, such as the USB controllers of one index, differ in their model alone.
    """
    name = _disk_name(device) if isinstance(device, Disk) else None
    return _identity(device), name or (device.model if isinstance(device, Controller) else None)


def _name(device: Device) -> Hashable:
    """Return the name of a disk; of another device what no other has."""
    return (_disk_name(device) if isinstance(device, Disk) else None) or id(device)


def _place(device: Device) -> Hashable:
    """Return what `_named` does and the address; without an address what no other device has."""
    return _named(device), device.address or id(device)
