"""What a guest has now, and whether that is new: read in the process of its host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from novadev.device.guest_names import names_of
from novadev.device.guests import domain_missing
from novadev.device.hosted import HostedInstance
from novadev.device.inventory import Inventory, take_inventory
from novadev.device.record.hashing import hash_of
from novadev.device.record.identity import device_ids
from novadev.device.record.seen import seen_devices
from novadev.errors import NotAsNeeded, NotFound, NovadevError
from novadev.state.devices import VmDevice, VmDynamic
from novadev.virt.devices import Device
from novadev.virt.domain import Domain
from novadev.virt.host import Definitions, Host

Fingerprint = str | NovadevError


@dataclass(frozen=True)
class Question:
    """What is asked of a guest, beside its devices.

    ``special`` are the kinds managed without an owner, ``names`` what the guest last called its
    disks, by device_id, and ``asks_guest`` whether it is asked anew.
    """

    special: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    asks_guest: bool = False


@dataclass(frozen=True)
class Seen:
    """What a guest has now; ``notes`` are about the answer of its agent."""

    dynamic: VmDynamic
    devices: tuple[VmDevice, ...]
    notes: tuple[str, ...] = ()


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

    What it runs with, or what it is defined with when it is shut off. Raises NotFound without its
    domain, BadInput for an XML that cannot be parsed and NotAsNeeded for a guest that is being
    started or migrated in: its XML is not complete (``domain_descriptor.py`` of vdsm).
    """
    text = _complete_text(host, instance)
    domain = Domain.from_xml(text, f"host {host.name}: the XML of domain {instance.uuid}")
    inventory = take_inventory(instance, _definitions(domain))
    ids = device_ids(domain.uuid, inventory.entries)
    names, notes = _names(host, inventory, ids, question)
    devices = seen_devices(inventory, ids, question.special, names)
    dynamic = VmDynamic(instance.uuid, hash_of(devices), fingerprint(text), host.name)
    return Seen(dynamic, devices, notes)


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


def _names(
    host: Host, inventory: Inventory, ids: Mapping[Device, str], question: Question
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return what the guest calls its disks, by id; the last names where it does not say."""
    if not question.asks_guest:
        return question.names, ()
    answer = names_of(host, inventory)
    if answer.names is None:
        return question.names, answer.notes
    return {ids[device]: name for device, name in answer.names.items()}, answer.notes
