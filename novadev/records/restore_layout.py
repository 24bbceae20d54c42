"""The layout of a guest with its recorded addresses, or why it is impossible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from shlex import quote

from novadev.errors import BadInput, NotAsNeeded
from novadev.records.addresses import why_not_typed, why_unfit
from novadev.records.device import VmDevice
from novadev.virt.address import Address
from novadev.virt.device import Device
from novadev.virt.devices import CharacterDevice, Console
from novadev.virt.domain import Domain
from novadev.virt.pci import PciBuses, Slot, function_of, slot_of
from novadev.virt.places import Places

_MULTIFUNCTION = "multifunction"


def named(domain: Domain) -> dict[str, Device]:
    """Return the devices of DOMAIN by names: "disk vdb", and "rng virtio #2" of several.

    A label tells devices of one name apart by the address. Here they are numbered, in the order of
    the definition, which an address does not change.
    """
    number = Counter(device.plain_label for device in domain.devices)
    seen: Counter[str] = Counter()
    found = {}
    for device in domain.devices:
        name = device.plain_label
        seen[name] += 1
        found[f"{name} #{seen[name]}" if number[name] > 1 else name] = device
    return found


@dataclass(frozen=True)
class Layout:
    """Which devices move, and where to; why the recorded address of others no longer counts.

    ``refused`` says why others cannot be where they are recorded, though they are the same.
    ``displaced`` has the devices without a recorded address that make room, each with the device
    that is recorded where it was.
    """

    moves: Mapping[Device, Address]
    outdated: Mapping[Device, str]
    refused: Mapping[Device, str] = field(default_factory=dict)
    displaced: Mapping[Device, Device] = field(default_factory=dict)


def check_machine(domain: Domain, recorded: Iterable[VmDevice]) -> None:
    """Raise NotAsNeeded where the machine has another kind of bus 0 than when it was RECORDED.

    oVirt forgets every address of a guest then (``VmHandler.convertVmToNewChipset``).
    """
    kinds = {row.model for row in recorded if (row.type, row.device) == ("controller", "pci")}
    then = {kind for kind in kinds if kind and kind.endswith("-root")}
    now = PciBuses(domain).root_model
    if then and now not in then:
        raise NotAsNeeded(
            f"its machine type has changed since the record ({', '.join(sorted(then))}, now "
            f"{now}), so no recorded address applies any more"
        )


def lay_out(
    domain: Domain, recorded: Mapping[Device, VmDevice], pinned: Set[str] = frozenset()
) -> Layout:
    """Return the layout of DOMAIN in which its devices are where they are RECORDED.

    A device whose bus or model has changed since keeps the address it has, or gets a place that
    becomes free when another is to have it: oVirt clears the recorded one then
    (``UpdateDiskCommand``, ``UpdateVmInterfaceCommand``). So does one that is
    recorded at the place of another that is PINNED there (by device_id). A device that is not
    recorded stays, or makes room in the same way: Nova's next definition would give it another
    place too. Raises NotAsNeeded with everything that stands against it.
    """
    work = _Layout(domain, recorded, pinned)
    work.run()
    if work.faults:
        raise NotAsNeeded("; ".join(dict.fromkeys(work.faults.values())))
    return Layout(work.moves, work.outdated, displaced=work.displaced)


def lay_out_anew(
    domain: Domain, recorded: Mapping[Device, VmDevice], pinned: Set[str] = frozenset()
) -> Layout:
    """Return the layout of DOMAIN as :func:`lay_out`, of a definition that nobody has started yet.

    A device without an address gets the recorded one; one that is not recorded makes room for
    another. What stands against the recorded address of a device takes that address alone out of
    the layout. Raises NotAsNeeded where something else stands against the layout.
    """
    left, refused = dict(recorded), dict[Device, str]()
    while True:
        work = _Layout(domain, left, pinned, is_new=True)
        work.run()
        if not work.faults:
            return Layout(work.moves, work.outdated, refused)
        refused |= work.faults
        if not left.keys() & work.faults.keys():
            raise NotAsNeeded("; ".join(dict.fromkeys(work.faults.values())))
        left = {device: row for device, row in left.items() if device not in work.faults}


def faults_of(domain: Domain, moves: Mapping[Device, Address]) -> list[str]:
    """Return what libvirt would refuse, or change, of DOMAIN with these MOVES."""
    work = _Layout(domain, {}, frozenset())
    work.move(moves)
    work.set_multifunction()
    work.check()
    if not work.faults and work.moves != moves:
        return ["the address of another device would have to become multifunction"]
    return [*work.faults.values()]


class _Layout:
    """A layout in the making: where every device was and would be; what stands against which."""

    def __init__(
        self,
        domain: Domain,
        recorded: Mapping[Device, VmDevice],
        pinned: Set[str],
        is_new: bool = False,
    ) -> None:
        self._recorded, self._pinned, self._is_new = recorded, pinned, is_new
        self._uuid = domain.uuid
        self._places = Places(domain)
        self._now = {item: item.address for item in domain.devices if item.address}
        self._then = dict(self._now)
        self.outdated: dict[Device, str] = {}
        self.faults: dict[Device, str] = {}
        self.displaced: dict[Device, Device] = {}

    def run(self) -> None:
        """Make the layout, one step after the other."""
        self.take_recorded()
        self.make_room()
        self.set_multifunction()
        self.check()

    def _fault(self, device: Device, text: str) -> None:
        self.faults.setdefault(device, text)

    @property
    def moves(self) -> dict[Device, Address]:
        """The devices that would have another address, with it."""
        return {item: place for item, place in self._then.items() if place != self._now.get(item)}

    def move(self, moves: Mapping[Device, Address]) -> None:
        """Put devices at the addresses in MOVES, even if others are there."""
        self._then |= moves

    def take_recorded(self) -> None:
        """Put every device at its recorded address, even if another one is there."""
        for device, row in self._recorded.items():
            if device not in self._now and not self._is_new:
                continue
            try:
                self._take(device, row)
            except (BadInput, NotAsNeeded):
                self._fault(device, f"{device.label}: its recorded address cannot be read")

    def _take(self, device: Device, row: VmDevice) -> None:
        address = Address.from_ovirt(row.address)
        if address is None or not address.is_place:
            return
        why = _why_outdated(device, row, address, self._now.get(device)) or self._why_given(row)
        if why is None:
            self._then[device] = self._places.spelled(address.with_zpci_of(self._now.get(device)))
        else:
            self.outdated[device] = why

    def _why_given(self, row: VmDevice) -> str | None:
        """Return why the address of ROW is another's, None unless that is pinned there."""
        if row.device_id in self._pinned:
            return None
        for device, other in self._recorded.items():
            if other.device_id in self._pinned and _share(row, other):
                now = self._now.get(device)
                address = Address.from_ovirt(other.address)
                if address and _why_outdated(device, other, address, now) is None:
                    return f"{other.label} is pinned at the same address"
        return None

    def make_room(self) -> None:
        """Give those another place whose own no longer counts, where another is to be."""
        moves, holders = self.moves, self._holders()
        for sharing in [*holders.values()]:
            movers = [device for device in sharing if device in moves]
            if len(sharing) < 2 or not movers:
                continue
            leaving = [device for device in sharing if self._makes_room(device)]
            staying = [device for device in sharing if device not in leaving]
            if len(staying) > 1:
                wrong = [device for device in staying if device in moves] or movers
                for mover in wrong if self._is_new else movers[:1]:
                    self._fault(mover, self._told_taken(mover, staying))
            for device in leaving:
                self._evict(device, movers[0], holders)

    def _makes_room(self, device: Device) -> bool:
        return device in self.outdated or not self._is_placed(device)

    def _is_placed(self, device: Device) -> bool:
        """Whether there is a record of where DEVICE is to be."""
        row = self._recorded.get(device)
        return row is not None and row.address != ""

    def _holders(self) -> dict[Hashable, list[Device]]:
        """Return who would be at each place."""
        found: dict[Hashable, list[Device]] = {}
        for device, address in self._then.items():
            found.setdefault(self._places.place(device, address), []).append(device)
        return found

    def _told_taken(self, mover: Device, sharing: list[Device]) -> str:
        other = next(device for device in sharing if device is not mover)
        text = f"{mover.label}: {self._then[mover]} is taken by {other.label}"
        rows = [self._recorded[device] for device in (mover, other)]
        if not all(row.device_id in self._pinned for row in rows):
            return f"{text}, which is recorded there too"
        command = f"novadev device unpin {self._uuid} {quote(rows[0].label)}"
        return f"{text}, and both are pinned there: unpin one of them ({command})"

    def _evict(self, device: Device, mover: Device, holders: dict[Hashable, list[Device]]) -> None:
        """Move DEVICE to a place that another leaves, or to one that is free.

        Mostly there is one for each that moves to its place. HOLDERS are then those of the new
        layout.
        """
        for address in self._left(device, holders):
            if self._suits(device, address, holders):
                holders[self._places.place(device, self._then[device])].remove(device)
                holders[self._places.place(device, address)] = [device]
                self._then[device] = address
                if device not in self.outdated:
                    self.displaced[device] = mover
                return
        why = "" if self._is_placed(device) else "is not recorded and "
        self._fault(
            mover,
            f"{mover.label}: {self._then[mover]} is taken by {device.label}, which {why}cannot "
            "move to another address",
        )

    def _left(self, device: Device, holders: Collection[Hashable]) -> Iterator[Address]:
        """Yield the addresses that are left, then those on the same bus that nobody has."""
        now = self._now[device]
        for mover in self.moves:
            left = self._now.get(mover)
            if left is not None and self._places.place(mover, left) not in holders:
                yield left.without_zpci.with_zpci_of(now)
        yield from self._places.alike(device, now)

    def _suits(self, device: Device, address: Address, holders: Collection[Hashable]) -> bool:
        if address.type != self._now[device].type:
            return False
        is_free = self._places.place(device, address) not in holders
        then = self._then | {device: address}
        return is_free and self._places.why_not(device, address, then) is None

    def set_multifunction(self) -> None:
        """Let the first function of a slot say that there are others: libvirt would.

        ``virDomainPCIAddressSetAllMulti``. Without a first function the guest sees none of them.
        """
        for members in self._touched_slots().values():
            first = members.get(0)
            if first is None:
                for one in [*members.values()][: None if self._is_new else 1]:
                    told = f"{one.label}: function 0 of its slot would be empty"
                    self._fault(one, told)
            elif len(members) > 1:
                address = self._then[first]
                values = {**address.values, _MULTIFUNCTION: "on"}
                self._then[first] = Address.of(values, address.type)

    def _touched_slots(self) -> dict[Slot, dict[int, Device]]:
        """Return, by function, who would be in each PCI slot that a device comes to or leaves."""
        moves = self.moves
        places = [*moves.values(), *(self._now[device] for device in moves if device in self._now)]
        touched = {slot_of(place) for place in places if self._is_plain(place)}
        found: dict[Slot, dict[int, Device]] = {}
        for device, address in self._then.items():
            if self._is_plain(address) and slot_of(address) in touched:
                found.setdefault(slot_of(address), {})[function_of(address)] = device
        return found

    def _is_plain(self, address: Address) -> bool:
        return address.type == "pci" and not self._places.pci.is_chipset(address)

    def check(self) -> None:
        """Note where a device would be that it cannot be; what is behind a hub goes with it."""
        moves = self.moves
        has_usb = any(address.type == "usb" for address in moves.values())
        for device, address in self._then.items():
            if device not in moves and not (has_usb and address.type == "usb"):
                continue
            why = self._places.why_not(device, address, self._then)
            if why is not None:
                self._fault(device, f"{device.label}: it cannot be at {address}: {why}")


def _share(one: VmDevice, other: VmDevice) -> bool:
    """Whether two devices are recorded in one place; a drive's unit is one of its bus."""
    is_drive = "type=drive" in one.address
    return one.address == other.address and (not is_drive or one.bus == other.bus)


def _why_outdated(device: Device, row: VmDevice, then: Address, now: Address | None) -> str | None:
    """Return why the address in ROW is none for DEVICE any more, None while it is."""
    for name, before, after in (("bus", row.bus, device.bus), ("model", row.model, device.model)):
        if before and after and before != after:
            return f"its {name} was {before} and is {after}"
    if now is not None and then.type != now.type:
        return f"its address was of type {then.type} and is of type {now.type}"
    return why_unfit(replace(row, address=""), row.address) or why_not_typed(
        device, then, target_type(device)
    )


def target_type(device: Device) -> str | None:
    """Return the type of target of a port; libvirt makes one of ISA where none is named."""
    if isinstance(device, CharacterDevice | Console):
        return device.target_type or ("isa-serial" if device.type == "serial" else None)
    return None
