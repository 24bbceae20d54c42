"""A definition that Nova has written, with the addresses that are recorded of its guest.

Pure: from a text and a record to a text. Which device is which, where it may be and what stands
against it are those of :mod:`novadev.records`; whose a device is, the definition itself says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import Inventory, take_inventory
from novadev.errors import BadInput, NotAsNeeded
from novadev.keep.controllers import (
    PCI,
    Key,
    Rows,
    complete,
    controller_under,
    names_ports,
    number_ports,
    of_another_model,
    recorded_controllers,
    with_balloon,
    with_controllers,
    with_free_ports,
)
from novadev.records.device import Pins, VmDevice, as_pinned, is_hardware
from novadev.records.on_host import seen_devices
from novadev.records.recognition import recognise
from novadev.records.restore_layout import Layout, check_machine, lay_out_anew
from novadev.rules.machine_types import I440FX, Q35, X86, family_of
from novadev.virt.address import Address
from novadev.virt.alias import Alias
from novadev.virt.device import Device
from novadev.virt.devices import Controller
from novadev.virt.domain import Definitions, Domain
from novadev.virt.pci import PciBuses, slot_of
from novadev.virt.places import usb_ports

_ROOTS = {I440FX: "pci-root", Q35: "pcie-root"}
_TYPES = (PCI, "drive", "virtio-serial", "usb")
"""The types of addresses that are kept; libvirt gives the others from what a device is."""
_ALIASED = ("interface", "hostdev", "filesystem")
"""What Nova itself gives no alias; a volume has one (``volume/volume.py`` get_config)."""
_ON_PCI = (
    *("filesystem", "interface", "sound", "controller", "hostdev", "memballoon"),
    *("rng", "watchdog", "video", "shmem", "vsock", "iommu"),
)
MOST = 100
"""Devices of a guest whose layout is worked out: as many take half of the 200 ms that nova-compute
waits, and other guests wait meanwhile."""
_SPARE = 3
"""Slots of bus 0 that stay free where libvirt has devices to place: for bridges and ports."""


@dataclass(frozen=True)
class Record:
    """What is recorded of a guest, plugged or not, and its pinned addresses.

    ``is_read``: the ids of its devices are those of the state database, which could be read.
    ``is_of_host``: it was recorded last on the host that makes the guest now.
    """

    devices: tuple[VmDevice, ...]
    pins: Pins = field(default_factory=dict)
    is_read: bool = True
    is_of_host: bool = True


@dataclass(frozen=True)
class Kept:
    """The definition to give libvirt.

    ``addresses`` are the devices that have their recorded address in it, by label, and ``aliases``
    those that have an alias; ``left`` says why others have no recorded address.
    """

    text: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def keep(text: str, record: Record, aliases: bool = False) -> Kept:
    """Return TEXT, Nova's definition of a guest, with what is in its RECORD.

    That is addresses, the controllers that they need, and with ALIASES those of ports, devices of
    the host and shares; nothing else differs. Where nothing is to be kept the text is the same,
    byte for byte. Raises NotAsNeeded for a guest whose record does not count, and BadInput for a
    text that cannot be parsed.
    """
    domain = Domain.from_xml(text, "Nova's definition")
    root = _root_of(domain)
    plugged = (row for row in as_pinned(record.devices, record.pins) if row.is_plugged)
    recorded = sorted(filter(is_hardware, plugged), key=lambda row: row.address)
    if max(len(domain.devices), len(recorded)) > MOST:
        raise NotAsNeeded(f"it has, or had, more than {MOST} devices")
    check_machine(complete(domain, (), root), recorded)
    controllers = recorded_controllers(recorded)
    number_ports(domain, controllers)
    inventory = _inventory(domain)
    known = _recognised(inventory, recorded, record.is_of_host)
    names = dict(_aliases(inventory, known)) if aliases else {}
    for device, alias in names.items():
        device.alias = alias
    domain, more = with_balloon(domain, recorded)
    placed = _place(domain, (*known, *more), controllers, root, frozenset(record.pins))
    if not placed.moves and not names:
        return Kept(text, left=placed.left)
    return Kept(
        placed.domain.with_addresses(placed.moves),
        {device.plain_label: str(address) for device, address in placed.moves.items()},
        {device.plain_label: str(alias) for device, alias in names.items()},
        placed.left,
    )


def _root_of(domain: Domain) -> str:
    """Return the model of bus 0; raises NotAsNeeded for a machine whose layout is not known."""
    machine, architecture = domain.os_type("machine") or "", domain.os_type("arch")
    root = _ROOTS.get(family_of(machine)) if architecture in (None, *X86) else None
    if root is None:
        raise NotAsNeeded(f"nothing is kept on the machine type {machine[:60]!r}")
    return root


def _inventory(domain: Domain) -> Inventory:
    definitions = Definitions(domain.uuid, domain.name, domain, None, False, ())
    return take_inventory(HostedInstance(domain.uuid, "", ""), definitions)


def _recognised(
    inventory: Inventory, recorded: Sequence[VmDevice], is_of_host: bool
) -> list[VmDevice | None]:
    """Return what is RECORDED of each device, in the order of the definition."""
    assert inventory.definitions.persistent is not None
    rows = {row.device_id: row for row in recorded}
    found = seen_devices(inventory, ())
    elsewhere = frozenset() if is_of_host else frozenset(rows)
    ids = recognise([*found.devices.values()], [*rows.values()], found.owners, elsewhere)
    known = {device: rows.get(ids[row.device_id]) for device, row in found.devices.items()}
    return [known.get(device) for device in inventory.definitions.persistent.devices]


def _aliases(
    inventory: Inventory, rows: Sequence[VmDevice | None]
) -> Iterator[tuple[Device, Alias]]:
    """Yield the aliases of devices that have none: the recorded one, else that of the owner.

    None where another part of the definition names devices by alias, nor one that another has.
    """
    domain = inventory.definitions.persistent
    assert domain is not None
    if domain.alias_references:
        return
    expected = {
        entry.device: entry.expected_alias for entry in inventory.entries if not entry.doubts
    }
    taken = {device.alias.name for device in domain.devices if device.alias}
    for device, row in zip(domain.devices, rows, strict=True):
        if device.element.tag not in _ALIASED or device.alias is not None:
            continue
        alias = Alias(row.alias) if row and row.alias else None
        if alias is None or alias.uuid is None:
            alias = expected.get(device)
        if alias is not None and alias.name not in taken:
            taken.add(alias.name)
            yield device, alias


@dataclass(frozen=True)
class _Placed:
    """The definition with the controllers that are needed, and where its devices are to be."""

    domain: Domain
    moves: Mapping[Device, Address]
    left: tuple[str, ...]


def _place(
    domain: Domain,
    rows: Sequence[VmDevice | None],
    recorded: Mapping[Key, VmDevice],
    root: str,
    pinned: frozenset[str],
) -> _Placed:
    """Return DOMAIN with recorded places, as many as fit.

    A controller is there for the places that are kept: where one is given up, or no longer counts,
    all is laid out anew.
    """
    left = dict[str, None]()
    buses = PciBuses(complete(domain, (), root))
    recorded = {key: row for key, row in recorded.items() if _may_be_placed(row, buses, left)}
    kept = [row if row and _counts(row, buses, left) else None for row in rows]
    if gone_with := of_another_model(domain, recorded):
        recorded = {key: row for key, row in recorded.items() if key not in gone_with}
        kept = [row if row and controller_under(row) not in gone_with else None for row in kept]
    if not _usb_fits(domain, rows):
        kept = [None if row and "type=usb" in row.address else row for row in kept]
    while True:
        made, controllers = with_controllers(domain, kept, recorded)
        added: Rows = controllers
        if root == _ROOTS[Q35] and not names_ports(domain):
            made, added = with_free_ports(made, kept, added, recorded)
        whole = complete(made, (*rows, *added), root)
        asked = dict(zip(whole.devices, (*kept, *added), strict=False))
        layout = lay_out_anew(whole, {item: row for item, row in asked.items() if row}, pinned)
        left |= dict.fromkeys((*layout.refused.values(), *_told(layout)))
        numbers = {device: number for number, device in enumerate(whole.devices)}
        gone = {numbers[device] for device in (*layout.refused, *layout.outdated)}
        if gone & {number for number, row in enumerate(kept) if row}:
            kept = [None if number in gone else row for number, row in enumerate(kept)]
        elif layout.refused:
            raise NotAsNeeded("; ".join(layout.refused.values()))
        else:
            break
    _check_room(whole, layout)
    moves = {
        ours: layout.moves[device]
        for ours, device in zip(made.devices, whole.devices, strict=False)
        if device in layout.moves
    }
    return _Placed(made, moves, tuple(left))


def _is_chipset(row: VmDevice, buses: PciBuses) -> bool:
    """Whether ROW is in the slot of the chipset: libvirt itself puts it there."""
    address = Address.from_ovirt(row.address)
    return address is not None and address.type == PCI and buses.is_chipset(address)


def _may_be_placed(row: VmDevice, buses: PciBuses, left: dict[str, None]) -> bool:
    """Whether the address of ROW can be read, and is not the chipset's; notes one that cannot."""
    try:
        return not _is_chipset(row, buses)
    except (BadInput, ValueError):
        left[f"{row.label}: its recorded address cannot be read"] = None
        return False


def _counts(row: VmDevice, buses: PciBuses, left: dict[str, None]) -> bool:
    """Whether the address of ROW is of a type that is kept; notes one that cannot be read."""
    if not _may_be_placed(row, buses, left):
        return False
    address = Address.from_ovirt(row.address)
    return address is not None and address.type in _TYPES


def _usb_fits(domain: Domain, rows: Sequence[VmDevice | None]) -> bool:
    """Whether the one USB controller has a port for every device: libvirt adds no hub then."""
    controllers = [
        (device, row)
        for device, row in zip(domain.devices, rows, strict=True)
        if isinstance(device, Controller) and device.kind == "usb"
    ]
    if len(controllers) != 1:
        return False
    ((controller, row),) = controllers
    model = controller.model or (row.model if row else None)
    number = sum("usb" in (item.bus, item.device) for item in domain.devices) - 1
    return number <= usb_ports(model)


def _told(layout: Layout) -> Iterator[str]:
    for device, why in layout.outdated.items():
        yield f"{device.label}: {why}, so its recorded address no longer counts"


def _check_room(whole: Domain, layout: Layout) -> None:
    """Raise NotAsNeeded where libvirt may find no slot for a device that has no recorded one."""
    used = {
        slot_of(place)
        for device in whole.devices
        if (place := layout.moves.get(device, device.address)) and place.type == PCI
    }
    is_left = any(
        device not in layout.moves and device.address is None and _is_on_pci(device)
        for device in whole.devices
    )
    if is_left and len([slot for bus, slot in used if bus == 0]) > 31 - _SPARE:
        raise NotAsNeeded("with the recorded addresses no slot is left for its other devices")


def _is_on_pci(device: Device) -> bool:
    tag = device.element.tag
    return tag in _ON_PCI or (tag in ("disk", "input") and device.bus == "virtio")
