"""Whether a device is an orphan, that is, certainly without an owner in Nova."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.device.inventory import Entry, Inventory
from novadev.device.owners import keys_of
from novadev.virt.device import Device
from novadev.virt.devices import Disk, Interface
from novadev.virt.own_disks import own_disk_name

_GHOSTS = {
    "disk": ("volume", "local"),
    "interface": ("port",),
    "hostdev": ("pci", "port"),
    "filesystem": ("share",),
}
"""Which attachments without a device a device of this tag may be the device of."""


def why_no_orphan(entry: Entry, inventory: Inventory) -> str | None:
    """Return why ENTRY is not an orphan or may not be one; None if it is an orphan.

    An orphan is a device of a kind that Nova attaches, in a guest whose cell was read, with no
    block device mapping, port (also of the definition's Nova metadata), PCI device or share that
    could be it, and no migration or resize that is not at its end. An interface is none where the
    info cache does not tell the ports.
    """
    return next(_reasons(entry, inventory), None)


def _reasons(entry: Entry, inventory: Inventory) -> Iterator[str]:
    instance, device = inventory.instance, entry.device
    if instance.attachments is None:
        yield "without Nova's databases it is not known whether Nova has it"
        return
    if instance.attachments.unfinished:
        yield f"the attachments in Nova may still change: its {instance.attachments.unfinished}"
    if entry.owner is not None:
        yield f"it is {entry.owner.label}"
    yield from entry.doubts
    if device is not None:
        yield from _possible_owners(device, inventory)
    if reason := why_no_port(entry, inventory):
        yield f"it may belong to a port: {reason}"


def _possible_owners(device: Device, inventory: Inventory) -> Iterator[str]:
    if isinstance(device, Disk) and (name := own_disk_name(inventory.instance.uuid, device)):
        yield f"its source is called {name}, like the disks of the server itself"
    for ghost in inventory.ghosts:
        if ghost.owner and ghost.owner.type in _GHOSTS[str(device.element.tag)]:
            yield f"it may be {ghost.label}, which has no device"
    if device.element.tag in ("interface", "hostdev"):
        yield from _possible_ports(device, inventory)


def _possible_ports(device: Device, inventory: Inventory) -> Iterator[str]:
    """Yield the ports of the Nova metadata that may be DEVICE though no record has them."""
    definitions, attachments = inventory.definitions, inventory.instance.attachments
    assert attachments is not None
    recorded = {port.uuid for port in attachments.ports}
    domains = (definitions.persistent, definitions.live)
    told = [domain.nova.ports for domain in domains if domain and domain.nova]
    named = {port for ports in told for port in ports or ()}
    keys = keys_of(device)
    for port in sorted(named - recorded):
        if "tap" in keys and keys["tap"] != f"tap{port[:11]}" and keys.get("interface-id") != port:
            continue
        yield f"it may be port {port}, which is in the Nova metadata of the definition"


def why_no_port(entry: Entry, inventory: Inventory) -> str | None:
    """Return why ENTRY may be a port's though no port is recorded; None of what is no interface.

    An info cache that is empty for the moment says nothing alone: the Nova metadata of the
    definitions have to say, too, that there are no ports.
    """
    definitions, attachments = inventory.definitions, inventory.instance.attachments
    if attachments is None or entry.owner or not isinstance(entry.device, Interface):
        return None
    domains = [item for item in (definitions.persistent, definitions.live) if item is not None]
    is_told = all(domain.nova is not None and domain.nova.ports == () for domain in domains)
    if attachments.cache_fault is None and is_told:
        return None
    return attachments.why_no_ports
