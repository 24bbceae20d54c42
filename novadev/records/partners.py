"""Which device of a file is which recorded device of the instance it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field

from novadev.errors import BadInput
from novadev.records.device import VmDevice, is_hardware
from novadev.records.recognition import NAMES, grouped
from novadev.virt.address import Address
from novadev.virt.alias import Alias

Key = Callable[[VmDevice], Hashable | None]
_DIGITS = re.compile(r"([0-9]+)")


@dataclass
class Matched:
    """Pairs of a device of the file and the recorded one, and what has no partner.

    ``by_order`` are recorded devices that only their order told from others of their kind.
    """

    pairs: list[tuple[VmDevice, VmDevice]] = field(default_factory=list)
    by_order: list[VmDevice] = field(default_factory=list)
    only_in_file: list[VmDevice] = field(default_factory=list)
    only_recorded: list[VmDevice] = field(default_factory=list)


def match(
    devices: Iterable[VmDevice],
    recorded: Iterable[VmDevice],
    is_same: bool,
    absent: Collection[str] = (),
) -> Matched:
    """Return which of DEVICES, of a file, is which of those RECORDED; plugged hardware counts.

    So does what is unplugged in the file and has an address there: it was pinned when it was
    exported. ABSENT are the ids of recorded devices that are pinned, and that the guest has not.
    Neither needs a partner, and order alone gives it none.

    By id first. Then by alias, serial, MAC address, target, LUN and label, and in the end by the
    order of the addresses among devices of a kind; in the instance that the file is of (IS_SAME) a
    disk, interface, hostdev or file system with an owner is looked for by its id alone. A device of
    the file without an address has a partner like any other, and nothing to bring; it needs none.

    Raises BadInput, naming the item, for partners of different kinds and for a device without one.
    Only what an OVF need not have may be on one side alone: controllers, input devices, channels,
    ports, consoles and other ways into the guest.
    """
    placed = [item for item in devices if item.is_plugged or item.address]
    work = _Matching(
        {item.device_id: item for item in placed if is_hardware(item)},
        {item.device_id: item for item in recorded if item.is_plugged and is_hardware(item)},
        absent,
    )
    work.by_key(_id)
    if is_same:
        work.check(lambda device: device.is_managed and device.kind.is_attached)
    for key in (_alias, *map(_named, ("serial", "mac")), _target, _named("lun_id")):
        work.by_key(key)
    for key in (_label, _automatic_alias):
        work.by_key(key)
    for kind in (_kind_and_model, _kind):
        work.by_order(kind)
    work.check(lambda device: not device.kind.is_one_sided)
    work.found.only_in_file = [item for item in work.left.values() if item.address]
    work.found.only_recorded = [item for item in work.right.values() if item.address]
    return work.found


class _Matching:
    """The devices on both sides that have no partner yet, by their ids, and those that have."""

    def __init__(
        self, left: dict[str, VmDevice], right: dict[str, VmDevice], absent: Collection[str]
    ) -> None:
        self.left, self.right, self._absent = left, right, absent
        self.found = Matched()

    def by_key(self, key: Key) -> None:
        """Pair devices whose KEY is equal and unique on both sides."""
        there = grouped(self.right.values(), key)
        for value, members in grouped(self.left.values(), key).items():
            others = there.get(value, ())
            if len(members) == len(others) == 1:
                self._pair(members[0], others[0])

    def by_order(self, kind: Key) -> None:
        """Pair devices of one KIND in the order of their addresses."""
        there = grouped(filter(self._is_there, self.right.values()), kind)
        for value, members in grouped(filter(self._is_there, self.left.values()), kind).items():
            others = there.get(value, ())
            pairs = zip(sorted(members, key=_order), sorted(others, key=_order), strict=False)
            for one, other in pairs:
                if one.model in (None, other.model) or other.model is None:
                    self._pair(one, other)
                    self.found.by_order += [other] * (len(members) + len(others) > 2)

    def _pair(self, one: VmDevice, other: VmDevice) -> None:
        if _class(one) != _class(other):
            kinds = [" ".join(part for part in _class(item) if part) for item in (one, other)]
            told = f"{item_text(one)} is of type {kinds[0]}, and {other.label} of type {kinds[1]}"
            raise BadInput(told)
        del self.left[one.device_id], self.right[other.device_id]
        self.found.pairs.append((one, other))

    def check(self, is_required: Callable[[VmDevice], bool]) -> None:
        """Raise BadInput for a device without a partner that is required to have one."""
        for device in filter(self._is_there, self.left.values()):
            if device.address and is_required(device):
                raise BadInput(f"{item_text(device)} in the file matches no device of the instance")
        for device in filter(self._is_there, self.right.values()):
            if device.address and is_required(device):
                raise BadInput(
                    f"the file has no device that matches {item_text(device)} of the instance"
                )

    def _is_there(self, device: VmDevice) -> bool:
        return device.is_plugged and device.device_id not in self._absent


def item_text(device: VmDevice) -> str:
    """Return what a device is called in messages about a file."""
    return f"{device.label or device.type} ({device.device_id})"


def _class(device: VmDevice) -> tuple[str, str]:
    """Return what partners must have in common: the type, and the sort of disk."""
    sort = device.device if device.device in ("cdrom", "floppy") else ""
    return device.type, sort if device.type == "disk" else ""


def _id(device: VmDevice) -> Hashable | None:
    return device.device_id


def _alias(device: VmDevice) -> Hashable | None:
    return device.alias if Alias(device.alias).is_user_defined else None


def _named(name: str) -> Key:
    return lambda device: _told(device, NAMES[name](device))


def _target(device: VmDevice) -> Hashable | None:
    target = device.spec_params.get("target")
    return _told(device, (device.bus, target) if target else None)


def _label(device: VmDevice) -> Hashable | None:
    """Return its label, unless that says only where the host has it."""
    return _told(device, None if device.type in ("interface", "hostdev") else device.label)


def _automatic_alias(device: VmDevice) -> Hashable | None:
    """Return libvirt's alias, such as ``pci.3``, of what nobody attached."""
    return _told(device, None if device.kind.is_attached else device.alias)


def _told(device: VmDevice, value: Hashable) -> Hashable | None:
    return (_class(device), value) if value else None


def _kind(device: VmDevice) -> Hashable:
    """Return what several devices have in common that only their order tells apart."""
    sort = device.device
    if device.kind.is_host_side or device.type == "disk":
        sort = "hostdev" if device.device == "hostdev" else ""
    bus = device.bus if device.type in ("disk", "input") else None
    return _class(device), sort, bus


def _kind_and_model(device: VmDevice) -> Hashable:
    return _kind(device), device.model


def _order(device: VmDevice) -> tuple[object, ...]:
    """Return what sorts devices by their addresses, those without one last."""
    address = Address.from_ovirt(device.address)
    if address is None:
        return 1, "", (), _natural(device.label), device.device_id
    is_hexadecimal = address.type in ("pci", "ccw")
    place = (address.text,) if is_hexadecimal else _natural(address.text)
    return 0, address.type, place, _natural(device.label), device.device_id


def _natural(text: str) -> tuple[str | int, ...]:
    """Return TEXT in parts, so that what ends in 10 comes after what ends in 9."""
    parts = enumerate(_DIGITS.split(text))
    return tuple(int(part) if place % 2 else part for place, part in parts)
