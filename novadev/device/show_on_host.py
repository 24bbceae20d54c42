"""The devices of one guest as records: read in the process of its host."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Literal

from novadev.device.guest_names import GuestNames, names_of
from novadev.device.guests import get_definitions
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import DETACHABLE, Entry, Inventory, take_inventory
from novadev.device.managed import is_managed
from novadev.device.named import find_named
from novadev.device.orphans import why_no_orphan
from novadev.device.writable import is_rescued
from novadev.errors import NotAsNeeded
from novadev.virt.device import Device
from novadev.virt.devices import Disk, Filesystem, Interface
from novadev.virt.host import Host

Side = Literal["persistent", "live"]
_NO_OWNER = "it matches nothing that Nova has attached"


@dataclass(frozen=True)
class ShownDevice:
    """A device of a guest, or an attachment without one; None is what does not apply.

    ``definition`` is both, persistent, live or none (a ghost); ``address`` is the guest's, and
    ``matched_by`` says how the device was found for its owner. ``plugged`` says whether the guest
    has it, or will have it at its next start when it is shut off.
    """

    instance: str
    label: str
    type: str | None
    device: str | None
    bus: str | None
    model: str | None
    alias: str | None
    expected_alias: str | None
    owner_type: str | None
    owner_id: str | None
    matched_by: str | None
    target: str | None
    serial: str | None
    mac: str | None
    address: str | None
    boot_order: int | None
    managed: bool
    plugged: bool
    readonly: bool | None
    logical_name: str | None
    definition: str
    live_alias: str | None
    live_address: str | None
    disagreements: tuple[str, ...]

    @property
    def is_detachable(self) -> bool:
        """Whether it is of a kind that Nova attaches and detaches, or an attachment."""
        return self.type in DETACHABLE or self.definition == "none"


@dataclass(frozen=True)
class GuestDevices:
    """What ``device show`` has to say: of whom, and the records.

    ``guest_notes`` is None where the guest was not asked for its names, else what is to be said
    of its answer. Of a guest that ``is_rescued`` the devices are those of the rescue, and whatever
    Nova has attached is not compared with them. One that ``is_saved`` starts with the devices in
    its managed save image, which may be others.
    """

    instance: str
    name: str
    host: str
    is_running: bool
    from_databases: bool
    records: tuple[ShownDevice, ...]
    guest_notes: tuple[str, ...] | None = None
    is_rescued: bool = False
    is_saved: bool = False


def read_devices(
    host: Host,
    instance: HostedInstance,
    device: str | None,
    side: Side | None,
    special: Collection[str],
    asks_guest: bool = False,
) -> GuestDevices:
    """Return the devices of INSTANCE as HOST has them, SPECIAL kinds managed without an owner.

    ASKS_GUEST: with what a running guest calls its disks. Raises as ``show_devices``.
    """
    inventory = take_inventory(instance, get_definitions(host, instance))
    entries: Sequence[Entry] = list(_of_side(inventory, side))
    if device is not None:
        entries = [find_named(entries, device, f"instance {instance.uuid}")]
    running = inventory.definitions.is_active
    guest = names_of(host, inventory) if asks_guest else None
    rescued = is_rescued(instance, inventory.definitions.persistent)
    records = [_record(instance.uuid, entry, side, running, special) for entry in entries]
    if rescued:
        records = [replace(record, disagreements=()) for record in records]
    else:
        records = [*map(_with_no_owner, records, entries, repeat(inventory))]
    return GuestDevices(
        instance=instance.uuid,
        name=inventory.name,
        host=host.name,
        is_running=running,
        from_databases=instance.attachments is not None,
        records=tuple(map(_with_name, records, entries, repeat(guest))),
        guest_notes=guest.notes if guest else None,
        is_rescued=rescued,
        is_saved=inventory.definitions.has_managed_save,
    )


def _of_side(inventory: Inventory, side: Side | None) -> Iterator[Entry]:
    if side is None:
        yield from inventory.entries
        return
    if getattr(inventory.definitions, side) is None:
        name = inventory.definitions.name
        state = "shut off" if side == "live" else "transient"
        raise NotAsNeeded(f"domain {name} has no {side} definition: it is {state}")
    yield from (entry for entry in inventory.entries if getattr(entry, side) is not None)


def _with_no_owner(record: ShownDevice, entry: Entry, inventory: Inventory) -> ShownDevice:
    """Return RECORD with what is to be said of a device that Nova knows no owner of."""
    if inventory.instance.attachments is None or not entry.is_detachable:
        return record
    if entry.owner is not None or entry.doubts:
        return record
    why = why_no_orphan(entry, inventory)
    text = f"{_NO_OWNER}, but {why}" if why else f"{_NO_OWNER}: an orphan (novadev device detach)"
    return replace(record, disagreements=(*record.disagreements, text))


def _with_name(record: ShownDevice, entry: Entry, guest: GuestNames | None) -> ShownDevice:
    """Return RECORD with what the guest calls the live device of ENTRY, or why that is unclear."""
    if guest is None or entry.live is None:
        return record
    doubt = guest.doubts.get(entry.live)
    return replace(
        record,
        logical_name=(guest.names or {}).get(entry.live),
        disagreements=(*record.disagreements, *filter(None, [doubt])),
    )


def _record(
    instance: str, entry: Entry, side: Side | None, running: bool, special: Collection[str]
) -> ShownDevice:
    """Return the record of ENTRY, whose device is described as SIDE has it."""
    owner = entry.owner
    device: Device | None = getattr(entry, side) if side else entry.device
    return ShownDevice(
        instance=instance,
        label=device.label if device else entry.label,
        type=device.type if device else None,
        device=device.device if device else None,
        bus=device.bus if device else None,
        model=device.model if device else None,
        alias=_text(entry.persistent.alias if entry.persistent else None),
        expected_alias=_text(entry.expected_alias),
        owner_type=owner.type if owner else None,
        owner_id=owner.id if owner else None,
        matched_by=entry.matched_by,
        target=device.target if isinstance(device, Disk | Interface | Filesystem) else None,
        serial=device.serial if isinstance(device, Disk) else None,
        mac=device.mac if isinstance(device, Interface) else None,
        address=_place(entry.persistent),
        boot_order=device.boot_order if device else None,
        managed=is_managed(entry, special),
        plugged=(entry.live if running else entry.persistent) is not None,
        readonly=device.readonly if isinstance(device, Disk | Filesystem) else None,
        logical_name=None,
        definition=_definition(entry),
        live_alias=_text(entry.live.alias if entry.live else None),
        live_address=_place(entry.live),
        disagreements=entry.disagreements,
    )


def _place(device: Device | None) -> str | None:
    address = device.address if device else None
    return address.full_text if address else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _definition(entry: Entry) -> str:
    if entry.persistent and entry.live:
        return "both"
    return "persistent" if entry.persistent else "live" if entry.live else "none"
