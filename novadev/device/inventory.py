"""One joined view of a guest: what Nova has attached, the persistent and the live definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from novadev.device.hosted_instance import HostedInstance
from novadev.device.matching import Matching, match
from novadev.device.owners import Owner, keys_of, owners
from novadev.virt.alias import Alias
from novadev.virt.device import Device
from novadev.virt.devices import Console
from novadev.virt.domain import Definitions
from novadev.virt.pairing import pair

DETACHABLE = ("disk", "interface", "hostdev", "filesystem")
"""The tags of what Nova attaches and detaches; the others come and go with the guest."""
ONLY_LIVE = "only the running guest has it, its persistent definition does not"
ONLY_PERSISTENT = "only the persistent definition has it, the running guest does not"


@dataclass(frozen=True)
class Entry:
    """A device as each side has it, or an attachment without one (a ghost).

    ``doubts`` are why its owner is not certain; ``disagreements`` is all in which the sides
    differ, the doubts among it, and that a running guest or its definition lacks the device.
    """

    persistent: Device | None
    live: Device | None
    owner: Owner | None
    matched_by: str | None
    doubts: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()

    @property
    def device(self) -> Device | None:
        """The device as the persistent definition has it, else as the live one; None: a ghost."""
        return self.persistent or self.live

    @property
    def label(self) -> str:
        """What it is called: the device's label, or the ghost's."""
        if self.device is not None:
            return self.device.label
        return self.owner.label if self.owner else "nothing"

    @property
    def expected_alias(self) -> Alias | None:
        """The alias that it should have, where it should have one."""
        return self.owner.alias if self.owner else None

    @property
    def is_detachable(self) -> bool:
        """Whether it is of a kind that Nova attaches and detaches."""
        return self.device is not None and self.device.element.tag in DETACHABLE


@dataclass(frozen=True)
class Inventory:
    """The devices of one guest and the attachments without device, and what they were read from."""

    instance: HostedInstance
    definitions: Definitions
    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        """The server's name; without databases as its definition has it, else the domain's."""
        persistent = self.definitions.persistent or self.definitions.live
        nova = persistent.nova if persistent else None
        return self.instance.name or (nova and nova.name) or self.definitions.name

    @property
    def one_sided(self) -> tuple[Entry, ...]:
        """The devices that the running guest or its definition has alone, where there are both."""
        if not (self.definitions.persistent and self.definitions.live):
            return ()
        devices = (entry for entry in self.entries if entry.device is not None)
        return tuple(entry for entry in devices if not (entry.persistent and entry.live))

    @property
    def ghosts(self) -> tuple[Entry, ...]:
        """The attachments without device."""
        return tuple(entry for entry in self.entries if entry.device is None)


def take_inventory(instance: HostedInstance, definitions: Definitions) -> Inventory:
    """Return the joined view of INSTANCE, whose host has DEFINITIONS of it.

    A console that is the serial port once more is no device of its own.
    """
    persistent, live = definitions.persistent, definitions.live
    everything = owners(instance, persistent, live)
    pairs = [both for both in pair(persistent, live) if not any(map(_is_serial_port, both))]
    found = match([one or other for one, other in pairs if one or other], everything)  # type: ignore[misc]
    is_both = persistent is not None and live is not None
    entries = [_entry(one, other, found, is_both) for one, other in pairs]
    return Inventory(
        instance, definitions, (*entries, *_ghosts(entries, everything, found, instance))
    )


def _is_serial_port(device: Device | None) -> bool:
    return isinstance(device, Console) and device.is_serial_port


def _entry(persistent: Device | None, live: Device | None, found: Matching, is_both: bool) -> Entry:
    """Return the entry of a device; IS_BOTH says that the guest runs and has a definition."""
    device = persistent or live
    assert device is not None
    owner = found.owners.get(device)
    doubts = tuple(found.doubts.get(device, ()))
    side = tuple(_one_side(persistent, live)) if is_both else ()
    return Entry(
        persistent=persistent,
        live=live,
        owner=owner,
        matched_by=found.keys.get(device),
        doubts=doubts,
        disagreements=(*side, *doubts, *_disagreements(device, persistent, live, owner)),
    )


def _one_side(persistent: Device | None, live: Device | None) -> Iterator[str]:
    if persistent is None:
        yield ONLY_LIVE
    elif live is None:
        yield ONLY_PERSISTENT


def _disagreements(
    device: Device, persistent: Device | None, live: Device | None, owner: Owner | None
) -> Iterator[str]:
    if owner is not None:
        yield from _told_otherwise(device, owner)
        yield from _odd_alias(device, owner)
    if persistent and live:
        yield from _sides_differ(persistent, live)


def _told_otherwise(device: Device, owner: Owner) -> Iterator[str]:
    """Yield in what DEVICE is not as Nova says it is."""
    seen = {**keys_of(device), "bus": device.bus, "device": device.device}
    for name, value in owner.told.items():
        if name in seen and seen[name] != value:
            yield f"{name} is {seen[name] or 'not there'}, but {value} in Nova"


def _odd_alias(device: Device, owner: Owner) -> Iterator[str]:
    alias = device.alias
    if alias is None or not alias.is_user_defined or alias == owner.alias:
        return
    if owner.alias is None:
        yield f"alias {alias} is on a {owner.type} device, which should have no alias"
    else:
        yield f"alias is {alias}, and should be {owner.alias}"


def _sides_differ(persistent: Device, live: Device) -> Iterator[str]:
    """Yield in what the guest runs with another device than is defined."""
    before, now = keys_of(persistent), keys_of(live)
    sides = {
        "address": (persistent.address, live.address),
        "bus": (persistent.bus, live.bus),
        "model": (persistent.model, live.model),
        "serial": (before.get("serial"), now.get("serial")),
        "source": (before.get("source"), now.get("source")),
    }
    for name, (defined, running) in sides.items():
        if defined and running and defined != running:
            yield f"{name} is {defined} in the persistent definition, {running} in the live one"


def _ghosts(
    entries: list[Entry], everything: tuple[Owner, ...], found: Matching, instance: HostedInstance
) -> Iterator[Entry]:
    """Yield the attachments that no device was matched with; without databases none is known."""
    if instance.attachments is None:
        return
    taken = set(map(id, found.owners.values()))
    doubted = [entry for entry in entries if entry.doubts]
    for owner in everything:
        if id(owner) not in taken and owner.type != "mdev":
            yield Entry(None, None, owner, None, disagreements=tuple(_why(owner, doubted)))


def _why(owner: Owner, entries: list[Entry]) -> Iterator[str]:
    claims = [entry.label for entry in entries if any(owner.label in text for text in entry.doubts)]
    if claims:
        yield f"it may belong to {' or '.join(claims)}"
    else:
        yield "Nova has it attached, but the guest has no device for it"
