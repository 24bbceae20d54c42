"""What owns the devices of a guest: volumes, ports, PCI devices, shares, and the guest itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from novadev.device.hosted_instance import HostedInstance
from novadev.errors import BadInput
from novadev.nova.attachments import (
    Attachments,
    LocalDisk,
    PciAttachment,
    PortAttachment,
    ShareAttachment,
    VolumeAttachment,
)
from novadev.virt.alias import Alias
from novadev.virt.device import Device
from novadev.virt.devices import Disk, Filesystem, Hostdev, Interface
from novadev.virt.domain import Domain
from novadev.virt.own_disks import file_name, own_disk_name

KEYS = (
    *("alias", "serial", "mac", "interface-id", "tap", "pci-address"),
    *("mdev", "file", "target", "source"),
)
"""By what a device is matched with its owner, the surest first; one that is found is done.

A target is a name in the next definition, which Nova makes of its rows: in the one that is there,
another disk may have it.
"""
_TAP_LENGTH = 14
"""``nova/network/model.py`` NIC_NAME_LEN: ``tap`` and 11 characters of the port's UUID."""
_ID = "id"
_LONGEST_NAME = 1024
"""Characters of a name at the end of a source; no driver makes one of a quarter of that."""
_ANY_UUID = re.compile(r"(?=([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}))")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Owner:
    """What a device belongs to.

    ``type`` is volume, port, pci, mdev, share or local; ``id`` its UUID (None of a local disk and
    of a PCI device without one). ``alias`` is what its device should be called, None for what gets
    no alias. ``values`` are what it is found by, key by key; ``told`` what else Nova says of the
    device, attribute by attribute.
    """

    type: str
    id: str | None
    label: str
    tags: tuple[str, ...]
    alias: Alias | None = None
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)

    def has(self, key: str, keys: Mapping[str, str]) -> bool:
        """Whether a device with these KEYS has the value of KEY that belongs to this owner."""
        value = keys.get(key)
        if value is None or self._is_of_another_volume(key, keys):
            return False
        if key == "target" and self._is_another_file(keys.get("file")):
            return False
        return value in self.values.get(key, ()) or (key == "source" and self._is_source(value))

    def _is_source(self, source: str) -> bool:
        """Whether SOURCE ends in one of the owner's names, or has its UUID in it.

        Volume drivers name what they export after the volume, and mount it where they like.
        """
        if any(source.endswith(f"/{name}") for name in self.values.get("source", ())):
            return True
        return self.type in ("volume", "share") and self.id is not None and self.id in source

    def _is_another_file(self, file: str | None) -> bool:
        """Whether a disk of the instance's own, called FILE by Nova, is none of this owner's."""
        known = self.values.get("file", ())
        return file is not None and file not in known and (self.type != "local" or bool(known))

    def _is_of_another_volume(self, key: str, keys: Mapping[str, str]) -> bool:
        """Whether a name that shifts would take a disk for another's: its serial says no.

        Nova gives every volume but a LUN a serial (``volume/volume.py`` get_config), and local
        disks none.
        """
        serial = keys.get("serial")
        if serial is None or key not in ("target", "source"):
            return False
        is_uuid = _UUID.fullmatch(serial.lower()) is not None
        return is_uuid and serial not in self.values.get("serial", ())


class OwnersByKey:
    """The owners of a guest's devices, by the values that they are found by.

    A guest may have thousands of each: nobody may compare every device with every owner.
    """

    def __init__(self, owners: Sequence[Owner]) -> None:
        self._places = {id(owner): place for place, owner in enumerate(owners)}
        self._by_value: dict[tuple[str, str], list[Owner]] = {}
        for owner in owners:
            for key, values in owner.values.items():
                for value in values:
                    self._by_value.setdefault((key, value), []).append(owner)
            if owner.id is not None:
                self._by_value.setdefault((_ID, owner.id), []).append(owner)

    def place(self, owner: Owner) -> int:
        """Return where OWNER stands among all."""
        return self._places[id(owner)]

    def having(self, key: str, keys: Mapping[str, str]) -> list[Owner]:
        """Return the owners to which the value of KEY belongs, as `Owner.has` says, in order."""
        value = keys.get(key)
        if value is None:
            return []
        names = [(key, value), *(_names_in(value) if key == "source" else ())]
        fitting = [owner for name in names for owner in self._by_value.get(name, ())]
        owners = {id(owner): owner for owner in fitting if owner.has(key, keys)}
        return sorted(owners.values(), key=self.place)


def _names_in(source: str) -> Iterator[tuple[str, str]]:
    """Yield under which keys an owner may stand that SOURCE ends with, or whose UUID is in it."""
    end = source[-_LONGEST_NAME:]
    for slash in re.finditer("/", end):
        yield "source", end[slash.end() :]
    for found in _ANY_UUID.finditer(source):
        yield _ID, found[1]


def keys_of(device: Device) -> dict[str, str]:
    """Return what DEVICE can be found by, under the names in KEYS.

    A generated alias (``virtio-disk0``) names nothing outside of libvirt and is left out.
    """
    found: dict[str, str | None] = {}
    if device.alias and device.alias.is_user_defined:
        found["alias"] = device.alias.name
    if isinstance(device, Disk):
        found |= {"serial": device.serial, "target": device.target, "source": device.source}
        found |= {"file": file_name(device)}
    elif isinstance(device, Interface):
        found |= {"mac": _lower(device.mac), "interface-id": device.interface_id}
        found |= {"tap": device.target, "pci-address": _pci_address(device)}
    elif isinstance(device, Hostdev):
        found |= {"pci-address": _pci_address(device), "mdev": device.uuid}
    elif isinstance(device, Filesystem):
        found |= {"target": device.target, "source": device.source}
    return {key: value for key, value in found.items() if value}


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _pci_address(device: Interface | Hostdev) -> str | None:
    """Return where the host has a PCI device: ``0000:81:00.1``."""
    place = device.host_address
    return place.text if place and place.type == "pci" else None


def owners(instance: HostedInstance, *definitions: Domain | None) -> tuple[Owner, ...]:
    """Return everything that owns a device of INSTANCE, whose DEFINITIONS these are.

    Without databases: the volumes that serials name, the ports in Nova's metadata, and local
    disks by the names Nova gives them.
    """
    domains = [domain for domain in definitions if domain is not None]
    if instance.attachments is None:
        found = list(_owners_in(instance.uuid, domains))
    else:
        found = list(_owners_of(instance.attachments))
        if instance.has_config_drive:
            found += _unique(_own_disks(instance.uuid, domains, "disk.config"))
    return (*found, *_unique(_mdevs(domains)))


def _unique(found: Iterator[Owner]) -> list[Owner]:
    return list({owner.label: owner for owner in found}.values())


def _owners_of(attachments: Attachments) -> Iterator[Owner]:
    port_addresses = {port.pci_address for port in attachments.ports}
    yield from (_volume(volume) for volume in attachments.volumes)
    names = _file_names(attachments.local_disks)
    yield from (_local(disk, names.get(disk.row)) for disk in attachments.local_disks)
    yield from (_port(port) for port in attachments.ports)
    for device in attachments.pci_devices:
        if device.address not in port_addresses:
            yield _pci(device)
    yield from (_share(share) for share in attachments.shares)


def _volume(volume: VolumeAttachment) -> Owner:
    names = _texts(volume.serial, volume.uuid)
    return Owner(
        type="volume",
        id=volume.uuid,
        label=f"volume {volume.uuid}",
        tags=("disk",),
        alias=_alias(volume.serial) or _alias(volume.uuid),
        values={
            "alias": _aliases(*names),
            "serial": names,
            "target": _texts(volume.device_name),
            "source": volume.sources,
        },
        told=_told(target=volume.device_name, bus=volume.bus, device=volume.device_type),
    )


def _file_names(disks: Sequence[LocalDisk]) -> dict[int, str]:
    """Return Nova's file names of local disks, by their rows; of what is none of these, nothing.

    The image's disk, the swap disk, and ephemeral disks in the order of their rows
    (``nova/virt/libvirt/driver.py`` _create_image).
    """
    found: dict[int, str] = {}
    for disk in disks:
        if disk.source_type == "image" and disk.boot_index == 0:
            found[disk.row] = "disk"
        elif disk.source_type == "blank":
            number = sum(name.startswith("disk.eph") for name in found.values())
            found[disk.row] = "disk.swap" if disk.is_swap else f"disk.eph{number}"
    return found


def _local(disk: LocalDisk, file: str | None) -> Owner:
    return Owner(
        type="local",
        id=None,
        label=f"local disk {disk.device_name or f'(block_device_mapping {disk.row})'}",
        tags=("disk",),
        values={"file": _texts(file), "target": _texts(disk.device_name)},
        told=_told(bus=disk.bus, device=disk.device_type),
    )


def _port(port: PortAttachment) -> Owner:
    return Owner(
        type="port",
        id=port.uuid,
        label=f"port {port.uuid}",
        tags=("interface", "hostdev"),
        alias=_alias(port.uuid),
        values={
            "alias": _aliases(port.uuid),
            "mac": _texts(_lower(port.mac)),
            "interface-id": _texts(port.interface_id, port.uuid),
            "tap": _texts(port.tap),
            "pci-address": _texts(port.pci_address),
        },
        told=_told(mac=_lower(port.mac)),
    )


def _pci(device: PciAttachment) -> Owner:
    return Owner(
        type="pci",
        id=device.uuid,
        label=f"PCI device {device.address}",
        tags=("hostdev",),
        alias=_alias(device.uuid),
        values={"alias": _aliases(device.uuid), "pci-address": (device.address,)},
        told={"pci-address": device.address},
    )


def _share(share: ShareAttachment) -> Owner:
    return Owner(
        type="share",
        id=share.share_id,
        label=f"share {share.share_id}",
        tags=("filesystem",),
        alias=_alias(share.share_id),
        values={"alias": _aliases(share.share_id), "target": _texts(share.tag)},
        told=_told(target=share.tag),
    )


def _mdevs(domains: list[Domain]) -> Iterator[Owner]:
    """Yield the mediated devices: Nova keeps no record of them but the definition itself."""
    for domain in domains:
        for device in domain.of_class(Hostdev):
            if device.uuid:
                yield _mdev(device.uuid)


def _mdev(uuid: str) -> Owner:
    values = {"alias": _aliases(uuid), "mdev": (uuid,)}
    return Owner("mdev", uuid, f"mediated device {uuid}", ("hostdev",), _alias(uuid), values)


def _owners_in(uuid: str, domains: list[Domain]) -> Iterator[Owner]:
    """Yield what can be told from the definitions alone."""
    yield from _unique(_volumes_in(domains))
    ports = {port for domain in domains if domain.nova for port in domain.nova.ports or ()}
    ports = ports or {item.interface_id for item in _interfaces(domains) if item.interface_id}
    for port in sorted(ports):
        tap = f"tap{port}"[:_TAP_LENGTH]
        yield _port(PortAttachment(port, None, tap, port, None, None))
    yield from _unique(_own_disks(uuid, domains))


def _interfaces(domains: list[Domain]) -> Iterator[Interface]:
    for domain in domains:
        yield from domain.of_class(Interface)


def _volumes_in(domains: list[Domain]) -> Iterator[Owner]:
    for domain in domains:
        for disk in domain.of_class(Disk):
            if disk.serial and _UUID.fullmatch(disk.serial):
                yield _volume(
                    VolumeAttachment(disk.serial, disk.serial, 0, *(None,) * 5, sources=())
                )


def _own_disks(uuid: str, domains: list[Domain], name: str | None = None) -> Iterator[Owner]:
    """Yield the disks whose source is one of the instance's own files or images, or just NAME."""
    for domain in domains:
        for disk in domain.of_class(Disk):
            found = own_disk_name(uuid, disk)
            if found and name in (None, found):
                values = {"file": (found,), "source": _texts(disk.source)}
                yield Owner("local", None, f"local disk {found}", ("disk",), values=values)


def _alias(uuid: str | None) -> Alias | None:
    """Return the alias of UUID; None where none can be made of it."""
    try:
        return Alias.for_uuid(uuid or "")
    except BadInput:
        return None


def _aliases(*uuids: str | None) -> tuple[str, ...]:
    return tuple(alias.name for uuid in uuids if (alias := _alias(uuid)))


def _texts(*texts: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _told(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
