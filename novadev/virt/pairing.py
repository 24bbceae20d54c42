"""Which device of a running guest is which of its persistent definition."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable

from novadev.virt.devices import Device
from novadev.virt.domain import Domain

Pair = tuple[Device | None, Device | None]
Key = Callable[[Device], Hashable]


def pair(persistent: Domain | None, live: Domain | None) -> list[Pair]:
    """Return every device of either definition once, with the same one of the other, or None.

    In the order of the persistent definition, then those that are only live. The same is the same
    tag and identity; where several share those, first the ones at the same guest address, then
    the others in order of appearance: an address of the persistent definition may be new.
    """
    ours = persistent.devices if persistent else ()
    theirs = live.devices if live else ()
    found = _matched(ours, theirs, _place)
    taken = set(found.values())
    rest = [device for device in theirs if device not in taken]
    found |= _matched([device for device in ours if device not in found], rest, _identity)
    taken = set(found.values())
    pairs: list[Pair] = [(device, found.get(device)) for device in ours]
    return pairs + [(None, device) for device in theirs if device not in taken]


def _matched(ours: Iterable[Device], theirs: Iterable[Device], key: Key) -> dict[Device, Device]:
    """Return the first of THEIRS for the first of OURS with the same KEY, and so on."""
    waiting: dict[Hashable, deque[Device]] = defaultdict(deque)
    for device in theirs:
        waiting[key(device)].append(device)
    found = {}
    for device in ours:
        same = waiting[key(device)]
        if same:
            found[device] = same.popleft()
    return found


def _identity(device: Device) -> Hashable:
    return device.element.tag, device.identity


def _place(device: Device) -> Hashable:
    """Return the identity and the address; without an address what no other device has."""
    return _identity(device), device.address or id(device)
