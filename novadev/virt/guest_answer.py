"""What a guest's agent said of its disks, read with distrust.

It is the guest's word, and anything may be in it. What comes back from here is bounded, holds no
name that could not be one, and each name once.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

MOST_DISKS = 1024
"""Entries that are looked at."""
_MOST_CHARACTERS = 128
_MOST_NOTES = 5
_NAME = re.compile(
    r"/dev(/[A-Za-z0-9_][A-Za-z0-9_.:=@+-]*){1,3}|\\\\\.\\(?i:PHYSICALDRIVE)[0-9]{1,4}", re.ASCII
)
"""What Linux and the BSDs call a disk, and what Windows does."""
_PARTITION = re.compile(r"(/dev/(?:[hsv]|xv)d[a-z]+)\d+|(/dev/[a-z]+\d[a-z0-9]*?)p\d+", re.ASCII)
"""A partition by its name alone: ``sda1`` of sda, ``nvme0n1p1`` of nvme0n1."""
_PCI = {"domain": 0xFFFF, "bus": 0xFF, "slot": 0x1F, "function": 0x7}
_DRIVE = ("bus", "target", "unit")
Json = Mapping[str, Any]


@dataclass(frozen=True)
class GuestAddress:
    """Where the guest has a disk: its bus, the PCI device (``0000:00:04.0``), and where behind it.

    ``GuestDiskAddress`` of the agent (``qga/qapi-schema.json``): virtio and nvme disks are the PCI
    device, others lie behind it, which is their controller.
    """

    bus_type: str
    pci: str
    drive: tuple[int, int, int]
    """Bus, target and unit."""


@dataclass(frozen=True)
class GuestDisk:
    """A disk as the guest has it: ``name`` is that of a whole disk, such as ``/dev/vda``.

    ``serial`` is what the guest has of it, which may be cut off and stand behind maker and model.
    """

    name: str
    address: GuestAddress | None = None
    serial: str | None = None


@dataclass(frozen=True)
class GuestAnswer:
    """What a guest says of its disks; ``disks`` is None where it gave no answer.

    ``is_whole`` is False where it may have disks that it did not speak of. ``is_partial`` says that
    the agent failed to list its disks, and only spoke of file systems instead.
    """

    disks: tuple[GuestDisk, ...] | None
    notes: tuple[str, ...] = ()
    is_whole: bool = True
    is_partial: bool = False


@dataclass(frozen=True)
class _Entry:
    """A line of the answer: ``parts`` are the names of what it lies on."""

    disk: GuestDisk
    parts: tuple[str, ...] = ()
    may_be_partition: bool = False


def read_disks(reply: str) -> GuestAnswer:
    """Return the answer in the agent's reply to ``guest-get-disks``."""
    return _answer([_listed(item) for item in islice(_returned(reply), MOST_DISKS)])


def read_filesystems(reply: str) -> GuestAnswer:
    """Return the answer in the agent's reply to ``guest-get-fsinfo``.

    It has only disks that file systems are mounted from, by the names of their partitions: the
    guest may have others.
    """
    found = (disk for system in _returned(reply) for disk in _list(system.get("disk")))
    disks = dict.fromkeys(_disk(item, item.get("dev")) for item in islice(found, MOST_DISKS))
    answer = _answer([_Entry(disk, may_be_partition=True) for disk in disks])
    return replace(answer, is_whole=False)


def _returned(reply: str) -> Iterator[Json]:
    """Yield the objects in the list that was returned; none of what is no such thing."""
    try:
        document = json.loads(reply)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        yield from _list(document.get("return"))


def _list(value: object) -> Iterator[Json]:
    return (item if isinstance(item, dict) else {} for item in _items(value))


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _listed(item: Json) -> _Entry:
    place = item.get("address")
    return _Entry(
        _disk(place if isinstance(place, dict) else {}, item.get("name")),
        tuple(map(str, _items(item.get("dependencies"))[:_MOST_CHARACTERS])),
        item.get("partition") is True,
    )


def _disk(place: Json, name: object) -> GuestDisk:
    serial = place.get("serial")
    return GuestDisk(
        name=name if isinstance(name, str) else "",
        address=_address(place),
        serial=serial if isinstance(serial, str) and 0 < len(serial) <= _MOST_CHARACTERS else None,
    )


def _address(place: Json) -> GuestAddress | None:
    """Return the address in PLACE; None where the agent does not know it, which it says by -1."""
    controller, kind = place.get("pci-controller"), place.get("bus-type")
    if not isinstance(controller, dict) or not isinstance(kind, str):
        return None
    pci = [_number(controller, key, most) for key, most in _PCI.items()]
    drive = [_number(place, key, 0xFFFF) for key in _DRIVE]
    if min(*pci, *drive) < 0:
        return None
    domain, bus, slot, function = pci
    return GuestAddress(
        kind, f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}", (drive[0], drive[1], drive[2])
    )


def _number(values: Json, key: str, most: int) -> int:
    value = values.get(key)
    return value if isinstance(value, int) and 0 <= value <= most else -1


def _answer(entries: Sequence[_Entry]) -> GuestAnswer:
    """Return what ENTRIES say; none at all is no answer, for every guest has a disk."""
    if not entries:
        return GuestAnswer(None, ("the guest's agent lists no disk",))
    good = [entry for entry in entries if _is_name(entry.disk.name)]
    notes = []
    if len(good) < len(entries):
        notes.append(f"{len(entries) - len(good)} of the guest's disks have no usable name")
    if len(entries) >= MOST_DISKS:
        notes.append(f"only the first {MOST_DISKS} of the guest's disks were read")
    disks, repeated = _whole_disks(good)
    notes += [f"the guest calls several disks {name}" for name in repeated]
    return GuestAnswer(disks, tuple(notes[:_MOST_NOTES]))


def _is_name(name: str) -> bool:
    return len(name) <= _MOST_CHARACTERS and _NAME.fullmatch(name) is not None


def _whole_disks(entries: Sequence[_Entry]) -> tuple[tuple[GuestDisk, ...], list[str]]:
    """Return the whole disks, each name once, and the names that stand for several.

    A partition and a mapped device speak for the one disk they lie on, if it is one.
    """
    known = {entry.disk.name: entry for entry in entries}
    number = Counter(entry.disk.name for entry in entries)
    same: dict[str, list[GuestDisk]] = defaultdict(list)
    for entry in entries:
        whole = _whole(entry, known)
        if whole is not None:
            same[whole].append(entry.disk)
    merged = [_merged(name, disks) for name, disks in same.items() if number[name] < 2]
    clear = {disk.name: disk for disk in merged if disk is not None}
    return tuple(clear.values()), sorted(set(same) - set(clear))


def _whole(entry: _Entry, known: Mapping[str, _Entry]) -> str | None:
    """Return the name of the disk that ENTRY is or lies on; None of what lies on several."""
    for _ in known:
        if len(entry.parts) != 1 or entry.parts[0] not in known:
            break
        entry = known[entry.parts[0]]
    if entry.parts and not entry.may_be_partition:
        return None
    partition = _PARTITION.fullmatch(entry.disk.name) if entry.may_be_partition else None
    return partition[1] or partition[2] if partition else entry.disk.name


def _merged(name: str, disks: Iterable[GuestDisk]) -> GuestDisk | None:
    """Return the disk that all of DISKS speak for; None when they say different things of it."""
    found = GuestDisk(name)
    for disk in disks:
        address, serial = disk.address or found.address, disk.serial or found.serial
        if (found.address or address) != address or (found.serial or serial) != serial:
            return None
        found = replace(found, address=address, serial=serial)
    return found
