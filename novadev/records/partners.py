"""Which device of a file is which recorded device of the instance it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from novadev.errors import BadInput
from novadev.records.device import HOST_SIDE, VmDevice, is_hardware
from novadev.virt.address import Address
from novadev.virt.alias import Alias

Key = Callable[[VmDevice], Hashable | None]
_ATTACHED = frozenset(("disk", "interface", "hostdev", "filesystem"))
_ON_ONE_SIDE = frozenset(
    (
        *("controller", "input", "hub", "channel", "serial", "parallel", "console", "panic"),
        *("graphics", "audio", "redir", "smartcard"),
    )
)
"""Types that libvirt adds by itself, or that are a way into the guest rather than a part of it."""
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


def match(devices: Iterable[VmDevice], recorded: Iterable[VmDevice], is_same: bool) -> Matched:
    """Return which of DEVICES, of a file, is which of those RECORDED; plugged hardware counts.

    By id first. Then by alias, serial, MAC address, target, LUN and label, and in the end by the
    order of the addresses among devices of a kind; in the instance that the file is of (IS_SAME) a
    disk, interface, hostdev or file system with an owner is looked for by its id alone. A device of
    the file without an address has a partner like any other, and nothing to bring; it needs none.

    Raises BadInput, naming the item, for partners of different kinds and for a device without one.
    Only what an OVF need not have may be on one side alone: controllers, input devices, channels,
    ports, consoles and other ways into the guest.
    """
    work = _Matching(
        {item.device_id: item for item in devices if item.is_plugged and is_hardware(item)},
        {item.device_id: item for item in recorded if item.is_plugged and is_hardware(item)},
    )
    work.by_key(_id)
    if is_same:
        work.check(lambda device: device.is_managed and device.type in _ATTACHED)
    for key in (_alias, _serial, _mac, _target, _lun, _label, _automatic_alias):
        work.by_key(key)
    for kind in (_kind_and_model, _kind):
        work.by_order(kind)
    work.check(_is_required)
    work.found.only_in_file = [item for item in work.left.values() if item.address]
    work.found.only_recorded = [item for item in work.right.values() if item.address]
    return work.found


class _Matching:
    """The devices on both sides that have no partner yet, by their ids, and those that have."""

    def __init__(self, left: dict[str, VmDevice], right: dict[str, VmDevice]) -> None:
        self.left, self.right = left, right
        self.found = Matched()

    def by_key(self, key: Key) -> None:
        """Pair what has the same KEY, where it is the only one with it on each side."""
        there = _grouped(self.right, key)
        for value, members in _grouped(self.left, key).items():
            others = there.get(value, ())
            if len(members) == len(others) == 1:
                self._pair(members[0], others[0])

    def by_order(self, kind: Key) -> None:
        """Pair devices of one KIND in the order of their addresses."""
        there = _grouped(self.right, kind)
        for value, members in _grouped(self.left, kind).items():
            others = there.get(value, ())
            pairs = zip(sorted(members, key=_order), sorted(others, key=_order), strict=False)
            for one, other in pairs:
                if one.model in (None, other.model) or other.model is None:
                    self._pair(one, other)
                    self.found.by_order += [other] * (len(members) + len(others) > 2)

    def _pair(self, one: VmDevice, other: VmDevice) -> None:
        if _class(one) != _class(other):
            kinds = [" ".join(part for part in _class(item) if part) for item in (one, other)]
            raise BadInput(f"{item_text(one)} is a {kinds[0]}, and {other.label} a {kinds[1]}")
        del self.left[one.device_id], self.right[other.device_id]
        self.found.pairs.append((one, other))

    def check(self, is_required: Callable[[VmDevice], bool]) -> None:
        """Raise BadInput for a device without a partner that is required to have one."""
        for device in self.left.values():
            if device.address and is_required(device):
                raise BadInput(f"{item_text(device)} of the file is no device of the instance")
        for device in self.right.values():
            if device.address and is_required(device):
                raise BadInput(f"the file has nothing for {item_text(device)} of the instance")


def item_text(device: VmDevice) -> str:
    """Return what a device is called in messages about a file."""
    return f"{device.label or device.type} ({device.device_id})"


def _grouped(devices: dict[str, VmDevice], key: Key) -> dict[Hashable, list[VmDevice]]:
    found: dict[Hashable, list[VmDevice]] = {}
    for device in devices.values():
        value = key(device)
        if value is not None:
            found.setdefault(value, []).append(device)
    return found


def _class(device: VmDevice) -> tuple[str, str]:
    """Return what partners must have in common: the type, and the sort of disk."""
    sort = device.device if device.device in ("cdrom", "floppy") else ""
    return device.type, sort if device.type == "disk" else ""


def _is_required(device: VmDevice) -> bool:
    return device.type not in _ON_ONE_SIDE


def _id(device: VmDevice) -> Hashable | None:
    return device.device_id


def _alias(device: VmDevice) -> Hashable | None:
    return device.alias if Alias(device.alias).is_user_defined else None


def _serial(device: VmDevice) -> Hashable | None:
    return _told(device, device.spec_params.get("serial"))


def _mac(device: VmDevice) -> Hashable | None:
    return _told(device, str(device.spec_params.get("mac", "")).lower())


def _target(device: VmDevice) -> Hashable | None:
    target = device.spec_params.get("target")
    return _told(device, (device.bus, target) if target else None)


def _lun(device: VmDevice) -> Hashable | None:
    return _told(device, device.spec_params.get("lun_id"))


def _label(device: VmDevice) -> Hashable | None:
    """Return its label, unless that says only where the host has it."""
    return _told(device, None if device.type in ("interface", "hostdev") else device.label)


def _automatic_alias(device: VmDevice) -> Hashable | None:
    """Return libvirt's alias, such as ``pci.3``, of what nobody attached."""
    return _told(device, None if device.type in _ATTACHED else device.alias)


def _told(device: VmDevice, value: Hashable) -> Hashable | None:
    return (_class(device), value) if value else None


def _kind(device: VmDevice) -> Hashable:
    """Return what several devices have in common that only their order tells apart."""
    sort = device.device
    if device.type in HOST_SIDE or device.type == "disk":
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
