"""Matches devices with owners, by the most reliable key first, and collects contradictions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from novadev.device.owners import KEYS, Owner, OwnersByKey, keys_of
from novadev.virt.device import Device

Keyed = Mapping[Device, Mapping[str, str]]
"""Devices, and what each can be found by."""
_SHIFTING = {"target"}
"""A name Nova and libvirt may give differently: it denies nothing."""
_REMOVABLE = ("cdrom", "floppy")
_SHARED = {"mac"}
"""What two devices of a guest may rightly share: others must tell them apart."""


@dataclass
class Matching:
    """The result: an owner and the key that found it by device, and what speaks against it.

    ``doubts`` are why a device must not be changed: it fits two owners, or an owner fits two.
    """

    owners: dict[Device, Owner] = field(default_factory=dict)
    keys: dict[Device, str] = field(default_factory=dict)
    doubts: dict[Device, list[str]] = field(default_factory=lambda: defaultdict(list))

    def doubt(self, device: Device, text: str) -> None:
        """Note that TEXT speaks against what DEVICE was matched with."""
        if text not in self.doubts[device]:
            self.doubts[device].append(text)

    def has_doubt(self, device: Device, owner: Owner) -> bool:
        """Whether it is noted already that DEVICE may be another's than OWNER's, or both."""
        return any(owner.label in text for text in self.doubts.get(device, ()))


def match(devices: Sequence[Device], owners: Sequence[Owner]) -> Matching:
    """Match DEVICES of one definition with OWNERS, each at most once.

    Key by key, in the order of `KEYS`: a device that fits one owner, which fits one device, is
    found. What the surer keys left open is tried by the next.
    """
    found, known = Matching(), OwnersByKey(owners)
    keys = {device: keys_of(device) for device in devices}
    for key in KEYS:
        free = [device for device in devices if key in keys[device] and device not in found.owners]
        _match_by(key, {device: keys[device] for device in free}, known, found)
    holders = {id(owner): device for device, owner in found.owners.items()}
    for device in devices:
        _look_for_conflicts(device, keys[device], known, holders, found)
    return found


def _match_by(key: str, devices: Keyed, owners: OwnersByKey, found: Matching) -> None:
    fits: dict[Device, list[Owner]] = {}
    fitted: dict[int, list[Device]] = defaultdict(list)
    taken = set(map(id, found.owners.values()))
    for device, keys in devices.items():
        fits[device] = [
            owner
            for owner in _possible(device, owners.having(key, keys))
            if id(owner) not in taken and key in owner.values and _is_likely(key, device, owner)
        ]
        for owner in fits[device]:
            fitted[id(owner)].append(device)
    for device, candidates in fits.items():
        if len(candidates) == 1 and len(fitted[id(candidates[0])]) == 1:
            found.owners[device], found.keys[device] = candidates[0], key
        elif candidates and key not in _SHARED:
            found.doubt(device, _ambiguous(key, devices[device][key], candidates, fitted))


def _possible(device: Device, owners: Iterable[Owner]) -> Iterator[Owner]:
    """Yield the owners that have devices of this kind."""
    return (owner for owner in owners if device.element.tag in owner.tags)


def _is_likely(key: str, device: Device, owner: Owner) -> bool:
    """Whether OWNER may have DEVICE by KEY: by a target not where both kind and bus are others."""
    bus, sort = owner.told.get("bus"), owner.told.get("device")
    if key != "target" or not bus or not sort:
        return True
    return bus == device.bus or _sort(sort) == _sort(device.device)


def _sort(device: str | None) -> str:
    """Return the sort of disk: a LUN is one like any other."""
    return device if device in _REMOVABLE else "disk"


def _ambiguous(
    key: str, value: str, candidates: list[Owner], fitted: dict[int, list[Device]]
) -> str:
    if len(candidates) > 1:
        return f"its {key} {value} matches {_listed(owner.label for owner in candidates)}"
    others = _listed(other.label for other in fitted[id(candidates[0])])
    return f"{others} have the {key} of {candidates[0].label}"


def _listed(labels: Iterable[str]) -> str:
    return " and ".join(labels)


def _look_for_conflicts(
    device: Device,
    keys: Mapping[str, str],
    owners: OwnersByKey,
    holders: Mapping[int, Device],
    found: Matching,
) -> None:
    """Doubt DEVICE where one of its keys names an owner that is not its own; once an owner.

    HOLDERS are the devices that were found, by the id of their owner's object.
    """
    mine = found.owners.get(device)
    for key, owner in _named(device, keys, owners):
        if owner is mine or key in _SHIFTING or (key in _SHARED and mine is not None):
            continue
        if not found.has_doubt(device, owner):
            found.doubt(device, f"its {key} {keys[key]} is that of {owner.label}")
        other = holders.get(id(owner))
        if other is not None and key not in _SHARED and not found.has_doubt(other, owner):
            found.doubt(other, f"{device.label} has the {key} of {owner.label} too")


def _named(device: Device, keys: Mapping[str, str], owners: OwnersByKey) -> list[tuple[str, Owner]]:
    """Return the owners that a key of DEVICE names, in their order, with the key."""
    found = [(key, owner) for key in keys for owner in _possible(device, owners.having(key, keys))]
    return sorted(found, key=lambda item: owners.place(item[1]))
