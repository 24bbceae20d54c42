"""What Nova says is attached, in one line each, and the joined view of it with a definition."""

from uuid import uuid4

from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import Entry, Inventory, take_inventory
from novadev.nova.attachments import (
    Attachments,
    LocalDisk,
    PciAttachment,
    PortAttachment,
    ShareAttachment,
    VolumeAttachment,
)
from novadev.virt.domain import Definitions, Domain


def volume(
    uuid: str, name: str | None = None, *, serial: str | None = None, sources: tuple[str, ...] = ()
) -> VolumeAttachment:
    return VolumeAttachment(
        uuid, serial or uuid, 1, name, "virtio", "disk", None, str(uuid4()), sources
    )


def local(name: str) -> LocalDisk:
    return LocalDisk(1, "image", name, "virtio", "disk", 0)


def port(
    uuid: str, mac: str, *, tap: bool = True, pci_address: str | None = None
) -> PortAttachment:
    name = f"tap{uuid[:11]}" if tap else None
    return PortAttachment(uuid, mac, name, uuid, "normal", pci_address)


def pci(address: str, uuid: str | None) -> PciAttachment:
    return PciAttachment(uuid, 1, address, "allocated", None)


def share(share_id: str, tag: str | None = None) -> ShareAttachment:
    return ShareAttachment(share_id, tag or share_id, None)


def inventory(
    text: str, attachments: Attachments | None, live: str | None = None, **state: object
) -> Inventory:
    """The joined view of a guest whose persistent (and live) definition is TEXT (and LIVE)."""
    domain = Domain.from_xml(text)
    instance = HostedInstance(
        domain.uuid,
        "web-1",
        "cmp1",
        True,
        attachments=attachments,
        **state,  # type: ignore[arg-type]
    )
    running = Domain.from_xml(live) if live else None
    return take_inventory(
        instance, Definitions(domain.uuid, domain.name, domain, running, False, ())
    )


def entry(found: Inventory, label: str) -> Entry:
    """The entry with this label."""
    (wanted,) = (item for item in found.entries if item.label == label)
    return wanted


def matched(found: Inventory) -> dict[str, tuple[str | None, str | None]]:
    """By the label of each device that is attached: its owner, and by what it was matched."""
    return {
        item.label: (item.owner.label if item.owner else None, item.matched_by)
        for item in found.entries
        if item.is_detachable
    }
