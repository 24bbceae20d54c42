"""What a guest has now, in oVirt's terms, and whether that is new: read in its host's process."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from novadev.device.guest_names import names_of
from novadev.device.guests import domain_missing
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import Entry, Inventory, take_inventory
from novadev.device.managed import is_managed
from novadev.device.writable import is_rescued
from novadev.errors import NotAsNeeded, NotFound, NovadevError
from novadev.nova.attachments import Attachments
from novadev.records.device import (
    HIGHEST_BOOT_ORDER,
    VmDevice,
    VmDynamic,
    hash_of,
    is_hardware,
)
from novadev.records.identity import device_ids
from novadev.records.recognition import identified, recorded_elsewhere
from novadev.virt.device import Device
from novadev.virt.devices import (
    CharacterDevice,
    Console,
    Controller,
    Disk,
    Filesystem,
    Hostdev,
    Interface,
)
from novadev.virt.domain import Definitions, Domain
from novadev.virt.host import Host
from novadev.virt.own_disks import own_disk_name

LONGEST = 255
"""Characters that a column of ``vm_device`` has."""
_OPTIONAL = ("optional", "requisite")
Fingerprint = str | NovadevError
RESCUED = "is rescued: its own devices come back when it is unrescued"


@dataclass(frozen=True)
class SeenDevices:
    """The devices of a guest as if nothing was recorded of it; ``owners`` are the ids of owners."""

    devices: Mapping[Device, VmDevice]
    owners: frozenset[str]


def seen_devices(inventory: Inventory, special: Collection[str]) -> SeenDevices:
    """Return every device of INVENTORY that is its guest's hardware; ghosts are none.

    SPECIAL kinds count as managed.
    """
    ids, owners = device_ids(inventory.instance.uuid, inventory.entries)
    boots = dict(_boot_orders(inventory.instance.attachments))
    found = {
        entry.device: _seen(entry, entry.device, ids[entry.device], inventory, special, boots)
        for entry in inventory.entries
        if entry.device is not None
    }
    return SeenDevices({device: row for device, row in found.items() if is_hardware(row)}, owners)


def _seen(
    entry: Entry,
    device: Device,
    device_id: str,
    inventory: Inventory,
    special: Collection[str],
    boots: Mapping[str, int],
) -> VmDevice:
    return VmDevice(
        device_id=device_id,
        vm_id=inventory.instance.uuid,
        type=device.type[:30],
        device=(device.device or device.type)[:LONGEST],
        address=device.address.ovirt_text[:LONGEST] if device.address else "",
        boot_order=_boot_order(entry, device, boots),
        spec_params=dict(_spec_params(inventory.instance.uuid, device)),
        is_managed=is_managed(entry, special),
        is_readonly=isinstance(device, Disk | Filesystem) and device.readonly,
        is_optional=isinstance(device, Disk) and device.startup_policy in _OPTIONAL,
        alias=device.alias.name[:LONGEST] if device.alias else "",
        host=inventory.instance.host,
        label=device.label[:LONGEST],
    )


def _spec_params(vm_id: str, device: Device) -> Iterator[tuple[str, str]]:
    """Yield what else tells a device: what the guest sees of it, or finds it by."""
    values = {"bus": device.bus, "model": device.model}
    if isinstance(device, Disk):
        values |= {"target": device.target, "serial": device.serial}
        values |= {"lun_id": _lun_id(device), "file": own_disk_name(vm_id, device)}
    elif isinstance(device, Interface):
        values |= {"mac": device.mac}
    elif isinstance(device, Filesystem):
        values |= {"target": device.target}
    elif isinstance(device, Hostdev):
        values |= {"source": device.short_name}
    elif isinstance(device, Controller):
        values |= {"index": device.index}
    elif isinstance(device, CharacterDevice):
        values |= {"target": device.target_name}
    elif isinstance(device, Console):
        values |= {"target_type": device.target_type}
    yield from ((name, value) for name, value in values.items() if value)


def _lun_id(disk: Disk) -> str | None:
    """Return the name by which the host has a LUN: the last part of its path, such as a WWID."""
    return (disk.source or "").rpartition("/")[2] if disk.is_lun else None


def _boot_orders(attachments: Attachments | None) -> Iterator[tuple[str, int]]:
    """Yield the volumes that Nova boots from, and their place from 1 (``boot_index`` is from 0)."""
    for volume in attachments.volumes if attachments else ():
        if volume.boot_index is not None and volume.boot_index >= 0:
            yield volume.uuid, volume.boot_index + 1


def _boot_order(entry: Entry, device: Device, boots: Mapping[str, int]) -> int | None:
    told = boots.get(entry.owner.id) if entry.owner and entry.owner.id else None
    order = device.boot_order or told
    return None if order is None else min(order, HIGHEST_BOOT_ORDER)


@dataclass(frozen=True)
class Question:
    """What to ask about a guest in addition to its devices.

    ``special`` are the kinds managed without an owner, ``recorded`` is what is recorded of it, and
    ``asks_guest`` says whether it is asked what it calls its disks. ``recorded_on`` is the host of
    the newest record, empty where nothing is known of that, and None where an older one counts.
    """

    special: tuple[str, ...] = ()
    recorded: tuple[VmDevice, ...] = ()
    asks_guest: bool = False
    recorded_on: str | None = ""


@dataclass(frozen=True)
class Seen:
    """What a guest has now; ``notes`` are about the answer of its agent.

    ``name`` is what Nova's metadata in the domain call it, empty without them.
    ``has_answered`` says that its agent was asked, and told what the guest calls its disks.
    """

    dynamic: VmDynamic
    devices: tuple[VmDevice, ...]
    notes: tuple[str, ...] = ()
    is_running: bool = False
    has_answered: bool = False
    name: str = ""


def fingerprints(host: Host, uuids: Sequence[str]) -> tuple[Fingerprint, ...]:
    """Return the digest of the devices of each guest as text, or why there is none.

    While that is the same, nothing of the guest has changed, and nothing of it was parsed.
    """
    return tuple(_fingerprint_or_error(host, *item) for item in host.texts(uuids))


def _fingerprint_or_error(host: Host, uuid: str, text: str | NovadevError) -> Fingerprint:
    if isinstance(text, NotFound):
        return domain_missing(host, uuid)
    return fingerprint(text) if isinstance(text, str) else text


def fingerprint(text: str) -> str:
    """Return the SHA-256 of what stands from ``<devices>`` on in a domain's XML, in hexadecimal.

    What stands before is not the guest's hardware, and changes at every turn of the balloon.
    """
    return hashlib.sha256(text[text.find("<devices>") :].encode()).hexdigest()


def see(host: Host, instance: HostedInstance, question: Question) -> Seen:
    """Return what INSTANCE has now, as HOST and, if it is asked, the guest itself say.

    What it runs with, or what it is defined with when it is shut off. Raises NotFound without
    its domain and, where no database was read, for one that does not belong to Nova; BadInput
    for an XML that cannot be parsed; and NotAsNeeded for a guest that is being started or
    migrated in, whose XML is not complete (``domain_descriptor.py`` of vdsm), and for one that
    is rescued, whose devices are not its own.
    """
    text = _complete_text(host, instance)
    return _see(host, instance, question, text)


def see_text(instance: HostedInstance, question: Question, text: str) -> Seen:
    """Return what INSTANCE has by TEXT, its XML as its host gives it; nobody is asked.

    Raises as :func:`see`.
    """
    return _see(None, instance, question, text)


def _see(host: Host | None, instance: HostedInstance, question: Question, text: str) -> Seen:
    domain = Domain.from_xml(text, f"host {instance.host}: the XML of domain {instance.uuid}")
    if is_rescued(instance, domain):
        raise NotAsNeeded(f"instance {instance.uuid} {RESCUED}")
    if instance.attachments is None and domain.nova is None:
        raise NotFound(f"domain {domain.name} on host {instance.host} does not belong to Nova")
    inventory = take_inventory(instance, _definitions(domain))
    found = seen_devices(inventory, question.special)
    elsewhere = recorded_elsewhere(question.recorded, question.recorded_on, instance.host)
    devices = identified([*found.devices.values()], question.recorded, found.owners, elsewhere)
    if instance.attachments is None:
        devices = _with_boot_orders(devices, question.recorded)
    notes: tuple[str, ...] = ()
    has_answered = False
    if question.asks_guest and host is not None:
        devices, notes, has_answered = _with_names(host, inventory, found, devices)
    dynamic = VmDynamic(instance.uuid, hash_of(devices), fingerprint(text), instance.host)
    name = (domain.nova.name or "") if domain.nova else ""
    return Seen(dynamic, devices, notes, domain.is_live, has_answered, name)


def _complete_text(host: Host, instance: HostedInstance) -> str:
    """Return the XML; in transit neither before nor after it is read, for it may be in between."""
    try:
        before = host.is_in_transit(instance.uuid)
        text = host.text(instance.uuid)
        if not before and not host.is_in_transit(instance.uuid):
            return text
    except NotFound:
        raise domain_missing(host, instance.uuid) from None
    told = "is being started or migrated in: its devices are not complete yet"
    raise NotAsNeeded(f"instance {instance.uuid} {told}")


def _definitions(domain: Domain) -> Definitions:
    """Return DOMAIN as the one definition there is: the live one counts where there is one."""
    live = domain if domain.is_live else None
    persistent = None if domain.is_live else domain
    return Definitions(domain.uuid, domain.name, persistent, live, False, ())


def _with_boot_orders(
    devices: Sequence[VmDevice], recorded: Sequence[VmDevice]
) -> tuple[VmDevice, ...]:
    """Return DEVICES with the boot orders RECORDED: those of volumes only a database tells."""
    orders = {row.device_id: row.boot_order for row in recorded}
    return tuple(
        replace(device, boot_order=device.boot_order or orders.get(device.device_id))
        for device in devices
    )


def _with_names(
    host: Host, inventory: Inventory, found: SeenDevices, devices: tuple[VmDevice, ...]
) -> tuple[tuple[VmDevice, ...], tuple[str, ...], bool]:
    """Return DEVICES, in the order of those FOUND, with what the guest calls its disks now.

    With notes, and whether it answered.
    """
    answer = names_of(host, inventory)
    if answer.names is None:
        return devices, answer.notes, False
    said = [answer.names.get(device) for device in found.devices]
    names, notes = settled_names(devices, said, answer.is_partial)
    named = zip(devices, names, strict=True)
    renamed = tuple(replace(device, logical_name=name) for device, name in named)
    return renamed, (*answer.notes, *notes), True


def settled_names(
    devices: Sequence[VmDevice], said: Sequence[str | None], is_partial: bool
) -> tuple[list[str | None], list[str]]:
    """Return the names of DEVICES, which have those recorded, after their guest SAID these; notes.

    A device that the guest does not name keeps the recorded name, unless the guest gives it to
    another one. Where the agent failed to list its disks (IS_PARTIAL), its answer adds names, and
    changes none: a name that is recorded of another device is not taken for this one either.
    """
    recorded = {item.logical_name: item.label for item in devices if item.logical_name}
    names: list[str | None] = []
    notes: list[str] = []
    for device, new in zip(devices, said, strict=True):
        old = device.logical_name
        if is_partial and new and new != old and (old or new in recorded):
            known = f"{old} is recorded of it" if old else f"{recorded[new]} has that name"
            notes.append(f"the guest calls {device.label} {new}, but {known}: the record stays")
            new = None
        names.append(new or (old if is_partial or old not in said else None))
    return names, notes
