"""Ports, PCI devices, mediated devices and shares of a guest's next power-on."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.device.forecast.decided import Decided
from novadev.device.forecast.wanted import Wanted, kept, tag_of
from novadev.device.inventory import Entry, Inventory
from novadev.nova.attachments import PortAttachment
from novadev.virt.device import Device
from novadev.virt.devices import Interface
from novadev.virt.outline import Outline

_HOSTDEV_VNICS = ("direct-physical", "accelerator-direct-physical")
_SRIOV_VNICS = ("direct", "accelerator-direct")


def wanted_ports(inventory: Inventory, decided: Decided) -> list[Wanted]:
    """Return the devices of the ports, in the order of the info cache."""
    attachments = inventory.instance.attachments
    if attachments is None:
        return list(kept(inventory.entries, "interface"))
    entries = _of_owners(inventory, "port")
    return [_port(port, entries.get(port.uuid), decided) for port in attachments.ports]


def _of_owners(inventory: Inventory, kind: str) -> dict[str | None, Entry]:
    """Return the entries whose owners are of this KIND, by the owner's id."""
    found = ((entry.owner, entry) for entry in inventory.entries if entry.owner)
    return {owner.id: entry for owner, entry in found if owner.type == kind}


def _port(port: PortAttachment, entry: Entry | None, decided: Decided) -> Wanted:
    device = entry.device if entry else None
    label = entry.label if entry else f"port {port.uuid}"
    if device is None:
        return Wanted(entry, label, _new_port(port, decided))
    changed = {}
    if _is_by_property(device) and "hw_vif_model" in decided.models:
        changed = {"model/@type": decided.models["hw_vif_model"]}
    return Wanted(entry, label, Outline.of_device(device, changed))


def _is_by_property(device: Device) -> bool:
    """Whether the model of an interface is what hw_vif_model says (``vif.py`` get_vif_model)."""
    return isinstance(device, Interface) and device.device not in ("hostdev", "vdpa")


def _new_port(port: PortAttachment, decided: Decided) -> Outline:
    if port.vnic_type in _HOSTDEV_VNICS:
        return Outline.of("hostdev", {"@mode": "subsystem", "@type": "pci"})
    if port.vnic_type in _SRIOV_VNICS:
        return Outline.of("interface", {"@type": "hostdev"})
    model = decided.models.get("hw_vif_model", "virtio")
    return Outline.of("interface", {"@type": "bridge", "model/@type": model})


def wanted_hostdevs(inventory: Inventory) -> Iterator[Wanted]:
    """Yield PCI devices by their rows, then mediated ones, which Nova takes from the definition.

    One that is nobody's is kept: an accelerator of Cyborg's is in none of Nova's tables.
    """
    attachments = inventory.instance.attachments
    entries = [entry for entry in inventory.entries if tag_of(entry) == "hostdev"]
    if attachments is None:
        yield from kept(entries, "hostdev")
        return
    places = {device.address: number for number, device in enumerate(attachments.pci_devices)}
    owned = [item for item in inventory.entries if item.owner and item.owner.type == "pci"]
    for entry in sorted(owned, key=lambda entry: _row(entry, places)):
        yield Wanted(entry, entry.label, _pci(entry))
    unowned = [item for item in entries if is_pci_device(item.device) and item.owner is None]
    mediated = [item for item in entries if item.device and item.device.device == "mdev"]
    yield from kept([*unowned, *mediated], "hostdev")


def is_pci_device(device: Device | None) -> bool:
    """Whether DEVICE is a PCI device of the host."""
    return device is not None and device.element.tag == "hostdev" and device.device == "pci"


def _row(entry: Entry, places: dict[str, int]) -> int:
    assert entry.owner is not None
    return min((places.get(text, 0) for text in entry.owner.values["pci-address"]), default=0)


def _pci(entry: Entry) -> Outline | None:
    if entry.device is not None:
        return Outline.of_device(entry.device)
    return Outline.of("hostdev", {"@mode": "subsystem", "@type": "pci"})


def wanted_shares(inventory: Inventory) -> Iterator[Wanted]:
    """Yield the shares, in the order of their rows."""
    attachments = inventory.instance.attachments
    if attachments is None:
        yield from kept(inventory.entries, "filesystem")
        return
    entries = _of_owners(inventory, "share")
    virtiofs = Outline.of("filesystem", {"@type": "mount"})
    for share in attachments.shares:
        entry = entries.get(share.share_id)
        yield Wanted(entry, entry.label if entry else f"share {share.share_id}", virtiofs)
