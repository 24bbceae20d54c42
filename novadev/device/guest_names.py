"""The names of disks in a running guest, from its agent's answer and its devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from novadev.device.inventory import Inventory
from novadev.virt.device import Device
from novadev.virt.devices import Controller, Disk, Hostdev
from novadev.virt.domain import Domain
from novadev.virt.guest_agent import ask_disks
from novadev.virt.guest_answer import GuestAddress, GuestAnswer, GuestDisk
from novadev.virt.host import Host

_SEEN_OF_SERIAL = 20
"""Characters that a guest sees of a serial on virtio and sata (``VIRTIO_BLK_ID_BYTES``, ATA)."""

_NVME = "nvme"
_NAMED = 3
"""Disks that a note names."""
_DRIVE = ("bus", "target", "unit")
_REMOVABLE = ("cdrom", "floppy")


@dataclass(frozen=True)
class GuestNames:
    """The guest's names of live disks; ``names`` is None where the guest gave no answer.

    No answer is no empty answer: what was known of the guest before stands. ``doubts`` are why a
    disk has no name though the guest spoke of it, ``notes`` what is to be said of the guest.
    ``is_partial`` says that the agent failed to list its disks, and only spoke of file systems.
    """

    names: Mapping[Device, str] | None
    notes: tuple[str, ...] = ()
    doubts: Mapping[Device, str] = field(default_factory=dict)
    is_partial: bool = False


def names_of(host: Host, inventory: Inventory) -> GuestNames:
    """Ask the guest of INVENTORY, in the process of its host, what it calls its live disks.

    Takes as long as `ask_disks`, and raises as it does.
    """
    live = inventory.definitions.live
    if live is None:
        return GuestNames(None, ("the guest is not running",))
    answer = ask_disks(host, inventory.instance.uuid)
    if answer.disks is None:
        return GuestNames(None, answer.notes)
    names, doubts = guest_names(live, answer.disks)
    notes = (*answer.notes, *_left_open(live, answer, {*names, *doubts}))
    return GuestNames(names, notes, doubts, answer.is_partial)


def _left_open(live: Domain, answer: GuestAnswer, spoken_of: Collection[Device]) -> Iterator[str]:
    """Yield which disks the guest did not speak of, or by a place that none of them has.

    An agent that knows its file systems alone has no disk that is not mounted.
    """
    places, disks = _Places(live), answer.disks or ()
    lost = [disk.name for disk in disks if disk.address and not places.at(disk.address)]
    silent = [
        device.label
        for device in live.of_class(Disk)
        if device not in spoken_of and device.device not in _REMOVABLE
    ]
    where, whose = (shortened(names) for names in (lost, silent))
    if lost and silent:
        yield (
            f"the guest reports a disk at {where}, where the definition has no device; disks "
            f"without a name: {whose}"
        )
    elif silent and answer.is_whole:
        yield f"the guest's agent does not identify {whose}"


def shortened(names: Sequence[str]) -> str:
    """Return the first few of NAMES, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def guest_names(
    live: Domain, disks: Iterable[GuestDisk]
) -> tuple[dict[Device, str], dict[Device, str]]:
    """Return the guest's names of the devices of LIVE, and why some that it spoke of have none.

    A guest's disk is the device at its address, and the one whose serial it has. What fits two, or
    one by its address and another by its serial, names nobody.
    """
    places = _Places(live)
    devices = live.of_class(Disk)
    claims: dict[Device, dict[str, None]] = defaultdict(dict)
    claimants: dict[str, dict[Device, None]] = defaultdict(dict)
    for disk in disks:
        named = [device for device in devices if has_serial(disk.serial, device.serial)]
        for device in (*places.at(disk.address), *named):
            claims[device][disk.name] = None
            claimants[disk.name][device] = None
    names: dict[Device, str] = {}
    doubts: dict[Device, str] = {}
    for device, found in claims.items():
        doubt = _doubt(device, list(found), claimants)
        if doubt is None:
            names[device] = next(iter(found))
        else:
            doubts[device] = doubt
    return names, doubts


class _Places:
    """The devices of a guest by where it sees them, as ``virDomainDiskByAddress`` finds disks.

    By the PCI device, which is the disk or its controller, and by bus, target and unit behind a
    controller. The kind of bus that the guest gives says nothing: of a virtio disk Windows says
    scsi, and of one behind virtio-scsi sas. But for the PCI buses: see `_bus_numbers`.
    """

    def __init__(self, live: Domain) -> None:
        self._controllers = {(item.kind, item.index): item for item in live.of_class(Controller)}
        self._buses = _bus_numbers(live.of_class(Controller))
        self._devices: dict[tuple[object, ...], list[Device]] = defaultdict(list)
        for device in live.of_class(Disk):
            for place in self._places(device):
                self._devices[place].append(device)
        for hostdev in live.of_class(Hostdev):
            self._devices[_NVME, self._pci(hostdev)].append(hostdev)

    def at(self, address: GuestAddress | None) -> Sequence[Device]:
        """Return what is at ADDRESS: a disk, or an NVMe device of the host."""
        if address is None:
            return ()
        places = [(address.pci,), (address.pci, *address.drive)]
        if address.bus_type == _NVME:
            places.append((_NVME, address.pci))
        return [device for place in places for device in self._devices.get(place, ())]

    def _places(self, device: Disk) -> Iterator[tuple[object, ...]]:
        """Yield where the guest may have DEVICE; Windows gives a SATA disk's port as its bus."""
        where = device.address
        if where is None or where.type != "drive":
            if pci := self._pci(device):
                yield (pci,)
            return
        controller = self._controllers.get((device.bus, where.values.get("controller")))
        pci = self._pci(controller) if controller else None
        bus, target, unit = (int(where.values.get(key, "0")) for key in _DRIVE)
        if pci is not None:
            yield pci, bus, target, unit
            if device.bus == "sata" and unit:
                yield pci, unit, 0, 0

    def _pci(self, device: Device) -> str | None:
        """Return the PCI address that the guest has for DEVICE."""
        if device.address is None or device.address.type != "pci":
            return None
        domain, bus, slot = device.address.text.split(":")
        return f"{domain}:{self._buses.get(int(bus, 16), int(bus, 16)):02x}:{slot}"


def _bus_numbers(controllers: Iterable[Controller]) -> dict[int, int]:
    """Return the number that the guest has for the PCI bus of each controller, by its index.

    Firmware numbers buses as it finds them, depth first and by slot (SeaBIOS: ``src/fw/pciinit.c``
    pci_bios_init_bus_rec); libvirt's indices are in the order in which controllers came to be. They
    part where a bridge is behind one with a higher index, such as for an e1000 on q35.
    """
    bridges: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for item in controllers:
        if item.kind == "pci" and item.address is not None and item.address.type == "pci":
            _, bus, slot = item.address.text.split(":")
            bridges[int(bus, 16)].append((slot, int(item.index or 0)))
    numbers = {0: 0}

    def number(bus: int) -> None:
        for _, index in sorted(bridges.get(bus, ())):
            if index not in numbers:
                numbers[index] = len(numbers)
                number(index)

    number(0)
    return numbers


def has_serial(seen: str | None, serial: str | None) -> bool:
    """Whether what a guest has SEEN of a serial can be that of a device with SERIAL.

    The first twenty characters are enough, with or without the dashes of a UUID, anywhere in what
    was seen (vdsm: ``vmdevices/common.py`` update_guest_disk_mapping): in front of it a guest has
    the maker and model. A shorter serial must stand there as a word.
    """
    if not seen or not serial:
        return False
    if len(serial) < _SEEN_OF_SERIAL:
        return f"_{serial}_" in f"_{seen}_"
    return _without_dashes(serial[:_SEEN_OF_SERIAL]) in _without_dashes(seen)


def _without_dashes(text: str) -> str:
    return text.replace("-", "")


def _doubt(
    device: Device, names: Sequence[str], claimants: Mapping[str, Iterable[Device]]
) -> str | None:
    """Return why DEVICE has none of NAMES, if so."""
    if len(names) > 1:
        return f"the guest calls it {' and '.join(names[:3])}"
    others = [other.label for other in claimants[names[0]] if other is not device]
    return f"the guest's {names[0]} may be {' or '.join(others[:3])} as well" if others else None
