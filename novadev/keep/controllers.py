"""The controllers on which recorded places are, in a definition that Nova has just written.

Nova writes root ports without an index, and bridges not at all: libvirt numbers the first in their
order (``virDomainControllerFindUnusedIndex``) and adds the second. A device can only be given a
place on a controller that the definition has under the index under which it is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from novadev.records.device import VmDevice
from novadev.records.recognition import controller_of
from novadev.rules.buses import name_index
from novadev.rules.layout import drive_place
from novadev.virt.address import Address
from novadev.virt.device import Device
from novadev.virt.devices import CharacterDevice, Console, Controller, Disk
from novadev.virt.domain import Domain
from novadev.virt.pci import slot_of

Key = tuple[str, str]
"""The type and the index of a controller."""
Rows = Sequence[VmDevice | None]
"""What is recorded of each device of a definition, in its order."""
PCI = "pci"
_ROOT_PORT = "pcie-root-port"
_ROOTS = ("pci-root", "pcie-root")
_ON_PORTS = ("scsi", "virtio-serial")
"""Kinds of controllers that take a root port; SATA and USB may be in the chipset."""
_PCI_TAGS = ("filesystem", "interface", "sound", "hostdev", "rng", "shmem", "vsock")
_NO_PLACE = {"controller": "0", "bus": "0", "target": "0", "unit": "0"}


def recorded_controllers(recorded: Iterable[VmDevice]) -> dict[Key, VmDevice]:
    """Return the recorded controllers by type and index; of several that share one, the first."""
    found: dict[Key, VmDevice] = {}
    for row in recorded:
        key = controller_of(row)
        if key is not None:
            found.setdefault(key, row)
    return found


def number_ports(domain: Domain, recorded: Mapping[Key, VmDevice]) -> None:
    """Give the root of PCI and the root ports of DOMAIN the indices that are RECORDED, in order.

    Ports beyond those that are recorded stay without: libvirt gives them what is left.
    """
    numbers = iter(sorted(int(index) for (_, index), row in recorded.items() if _is_port(row)))
    for controller in domain.of_class(Controller):
        if controller.kind != PCI or controller.index:
            continue
        if controller.model == "pcie-root":
            controller.element.set("index", "0")
        elif controller.model == _ROOT_PORT:
            number = next(numbers, None)
            if number is not None:
                controller.element.set("index", str(number))


def _is_port(row: VmDevice) -> bool:
    return (row.type, row.device, row.model) == ("controller", PCI, _ROOT_PORT)


def with_controllers(
    domain: Domain, rows: Rows, recorded: Mapping[Key, VmDevice]
) -> tuple[Domain, tuple[VmDevice, ...]]:
    """Return DOMAIN with the RECORDED controllers that the places in ROWS are on, and their rows.

    They stand behind all other devices. Of PCI every one with an index below the last of them is
    among them: libvirt would fill the gap.
    """
    there = _keys(domain)
    asked = (*_named(rows), *_needed_by(domain))
    needed = [key for key in asked if key in recorded and key not in there]
    places = [row for row in rows if row is not None] + [recorded[key] for key in needed]
    last = max(_buses(places), default=0)
    known = sorted(int(index) for kind, index in recorded if kind == PCI)
    needed += [(PCI, str(number)) for number in known if 0 < number <= last]
    added = [key for key in dict.fromkeys(needed) if key not in there]
    named = _scsi_models(domain)
    more = [_controller(key, _model(key, recorded[key], named)) for key in added]
    return domain.with_devices(more), tuple(recorded[key] for key in added)


def of_another_model(domain: Domain, recorded: Mapping[Key, VmDevice]) -> frozenset[Key]:
    """Return the SCSI controllers that DOMAIN has not, of another model than those that it names.

    The guest is to have no such controller any more, nor a disk on one.
    """
    named, there = _scsi_models(domain), _keys(domain)
    return frozenset(
        key
        for key, row in recorded.items()
        if named and key[0] == "scsi" and key not in there and row.model not in named
    )


def controller_under(row: VmDevice) -> Key | None:
    """Return the controller that the drive in ROW is on, None where it is recorded as no drive."""
    address = Address.from_ovirt(row.address)
    if address is None or address.type != "drive":
        return None
    kind = "scsi" if row.type == "hostdev" else row.bus or ""
    return kind, address.values.get("controller", "0")


def _scsi_models(domain: Domain) -> frozenset[str]:
    controllers = domain.of_class(Controller)
    return frozenset(item.model for item in controllers if item.kind == "scsi" and item.model)


def _model(key: Key, row: VmDevice, named: frozenset[str]) -> str | None:
    """Return the model that an added controller is given; None leaves that to libvirt, as Nova did.

    Nova NAMED no model of SCSI where none is stored: with another one than before the guest is to
    have another, which its system may need (``driver.py`` _get_scsi_controller).
    """
    return None if key[0] == "scsi" and row.model not in named else row.model


def names_ports(domain: Domain) -> bool:
    """Whether DOMAIN names root ports or bridges: then libvirt adds no free root port to it."""
    controllers = domain.of_class(Controller)
    return any(item.kind == PCI and item.model not in _ROOTS for item in controllers)


def with_free_ports(
    domain: Domain, rows: Rows, added: Rows, recorded: Mapping[Key, VmDevice]
) -> tuple[Domain, Rows]:
    """Return DOMAIN with the root ports that libvirt would add without ours, and all rows ADDED.

    That is one for each device that has no place yet, and one for what is attached while the guest
    runs: libvirt leaves it free only where a definition names no ports
    (``qemuDomainAssignPCIAddresses``), and ours names those of the ROWS. A free port that was
    RECORDED comes back to its place.
    """
    found = domain.of_class(Controller)
    numbers = {int(item.index): item.model for item in found if item.kind == PCI and item.index}
    ports = {number for number, model in numbers.items() if model == _ROOT_PORT}
    if not ports:
        return domain, added
    lacking = 1 + _wanting(domain, rows) - len(ports - _taken((*rows, *added)))
    first = max(numbers) + 1
    keys = [(PCI, str(number)) for number in range(first, first + lacking)]
    known = [row if (row := recorded.get(key)) and _is_port(row) else None for key in keys]
    return domain.with_devices(_controller(key, _ROOT_PORT) for key in keys), (*added, *known)


def _wanting(domain: Domain, rows: Rows) -> int:
    """Return how many devices of DOMAIN have no place in ROWS, and may need a root port."""
    placed = zip(domain.devices, (*rows, *[None] * len(domain.devices)), strict=False)
    named = sum(not row and not item.address and _needs_port(item) for item, row in placed)
    there = _keys(domain)
    return named + sum(key not in there and key[0] in _ON_PORTS for key in {*_needed_by(domain)})


def _needs_port(device: Device) -> bool:
    if isinstance(device, Controller):
        return device.kind in _ON_PORTS
    tag = device.element.tag
    is_virtio = "virtio" in (device.bus, device.model)
    return tag in _PCI_TAGS or (tag in ("disk", "input", "memballoon") and is_virtio)


def _taken(rows: Rows) -> set[int]:
    """Return the buses of PCI that something in ROWS is on, bridges too."""
    places = (Address.from_ovirt(row.address) for row in rows if row is not None)
    return {slot_of(place)[0] for place in places if place is not None and place.type == PCI}


def with_balloon(
    domain: Domain, recorded: Iterable[VmDevice]
) -> tuple[Domain, tuple[VmDevice, ...]]:
    """Return DOMAIN with the memory balloon that is RECORDED where it names none, and its row.

    libvirt would add it (``qemuDomainDefAddDefaultDevices``). Nova leaves it out where it collects
    no statistics (release 28, ``driver.py`` _guest_add_memory_balloon).
    """
    rows = [row for row in recorded if (row.type, row.model) == ("balloon", "virtio")]
    if domain.root.find("devices/memballoon") is not None or len(rows) != 1:
        return domain, ()
    return domain.with_devices([("memballoon", {"model": "virtio"})]), tuple(rows)


def _keys(domain: Domain) -> set[Key]:
    return {(item.kind or "", item.index or "") for item in domain.of_class(Controller)}


def _controller(key: Key, model: str | None) -> tuple[str, dict[str, str]]:
    values = {"type": key[0], "index": key[1]}
    return "controller", values | ({"model": model} if model else {})


def _named(rows: Rows) -> Iterator[Key]:
    """Yield the controllers of drives and of serial ports that addresses in ROWS name.

    One of USB libvirt may make of several controllers, so none is added.
    """
    for row in rows:
        address = Address.from_ovirt(row.address) if row else None
        if row is None or address is None:
            continue
        drive = controller_under(row)
        if drive is not None:
            yield drive
        elif address.type == "virtio-serial":
            yield address.type, address.values.get("controller", "0")


def _buses(rows: Iterable[VmDevice]) -> Iterator[int]:
    """Yield the buses of PCI on which something else than a port or bridge is recorded."""
    for row in rows:
        address = Address.from_ovirt(row.address)
        is_bridge = (row.type, row.device) == ("controller", PCI)
        if address is not None and address.type == PCI and not is_bridge:
            yield slot_of(address)[0]


def complete(domain: Domain, rows: Rows, root: str) -> Domain:
    """Return a copy of DOMAIN with what libvirt would make of it, as far as places depend on it.

    Its devices are those of DOMAIN in the same order; what libvirt would add stands behind them:
    the ROOT of PCI, and the controllers of drives and serial ports. A USB controller has the
    recorded model, and a disk the place that its name gives it.
    """
    copied = domain.copy()
    kind = copied.root.find("os/type")
    if kind is not None and kind.get("arch") is None:
        kind.set("arch", "x86_64")
    for device, row in zip(copied.devices, rows, strict=False):
        _settle(device, row)
    named = dict.fromkeys((*_needed_by(copied), *_named(rows)))
    there = _keys(copied)
    wanted = {(PCI, "0"): root, **named}
    return copied.with_devices(
        _controller(key, model) for key, model in wanted.items() if key not in there
    )


def _settle(device: Device, row: VmDevice | None) -> None:
    if isinstance(device, Controller) and device.kind == "usb":
        if row and row.model and not device.model:
            device.element.set("model", row.model)
    elif isinstance(device, Disk):
        device.address = _drive(device) or device.address


def _drive(disk: Disk) -> Address | None:
    """Return the drive that DISK is, by its address or its name; None of one on another bus."""
    index = name_index(disk.target or "")
    place = None if index is None else drive_place(disk.bus, index)
    if disk.address is not None:
        is_drive = disk.address.type == "drive"
        return Address.of({**_NO_PLACE, **disk.address.values}, "drive") if is_drive else None
    if place is None:
        return None
    controller, bus, unit = map(str, place)
    return Address.of({**_NO_PLACE, "controller": controller, "bus": bus, "unit": unit}, "drive")


def _needed_by(domain: Domain) -> Iterator[Key]:
    """Yield the controllers that libvirt adds for the disks, channels and consoles of DOMAIN."""
    for device in domain.devices:
        if isinstance(device, Disk):
            place = _drive(device)
            if place is not None:
                yield device.bus or "", place.values["controller"]
        elif isinstance(device, CharacterDevice | Console) and device.target_type == "virtio":
            yield "virtio-serial", "0"
