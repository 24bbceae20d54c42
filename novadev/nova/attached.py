"""What a cell's database says is attached to its instances: one query a table.

``connection_info`` holds passwords and keys: it is parsed here, and what leaves this file is a
volume's id and the places by which a hypervisor may have it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from novadev.nova.attachments import (
    Attachments,
    LocalDisk,
    PciAttachment,
    PortAttachment,
    ShareAttachment,
    VolumeAttachment,
)
from novadev.nova.json_text import parsed
from novadev.nova.tables import (
    block_device_mapping,
    instance_info_caches,
    migrations,
    pci_devices,
    share_mapping,
)

_OWNED = ("claimed", "allocated")
_ENDED = ("confirmed", "reverted", "error", "failed", "completed", "cancelled", "done")
_NIC_NAME = 14
_QUOBYTE = "quobyte://"
_NO_CACHE = "it has no network info cache"
_has_shares: WeakKeyDictionary[sa.Engine, bool] = WeakKeyDictionary()


def list_attachments(connection: sa.Connection, instances: Iterable[str]) -> dict[str, Attachments]:
    """Return what is attached to each of INSTANCES, by UUID: one statement a table for them all.

    Every UUID asked for has an entry, an empty one when the cell knows nothing of it. Stored texts
    that are no JSON, or JSON of another shape than Nova's, count as not there; of the info cache
    that is its ``cache_fault``.
    """
    uuids = tuple(dict.fromkeys(instances))
    if not uuids:
        return {}
    disks = _grouped(_list_disks(connection, uuids))
    caches = {row.instance_uuid: row.network_info for row in _list_info_caches(connection, uuids)}
    devices = _grouped(_list_pci_devices(connection, uuids))
    shares = _grouped(_list_shares(connection, uuids))
    unfinished = {row.instance_uuid: row for row in _list_unfinished(connection, uuids)}
    return {
        uuid: Attachments(
            volumes=tuple(_volume(row) for row in disks.get(uuid, ()) if _is_volume(row)),
            local_disks=tuple(_local(row) for row in disks.get(uuid, ()) if _is_local(row)),
            ports=tuple(_ports_in(caches.get(uuid))),
            pci_devices=tuple(_pci(row) for row in devices.get(uuid, ())),
            shares=tuple(_share(row) for row in shares.get(uuid, ())),
            unfinished=_told(unfinished[uuid]) if uuid in unfinished else None,
            cache_fault=_cache_fault(caches[uuid]) if uuid in caches else _NO_CACHE,
        )
        for uuid in uuids
    }


def _grouped(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.instance_uuid, []).append(row)
    return found


# The statements


def _list_disks(connection: sa.Connection, uuids: Sequence[str]) -> Sequence[Any]:
    table = block_device_mapping
    query = sa.select(
        table.c.instance_uuid,
        table.c.id,
        table.c.source_type,
        table.c.destination_type,
        table.c.device_name,
        table.c.disk_bus,
        table.c.device_type,
        table.c.boot_index,
        table.c.guest_format,
        table.c.volume_id,
        table.c.attachment_id,
        table.c.connection_info,
    ).where(
        table.c.instance_uuid.in_(uuids),
        table.c.deleted == 0,
        sa.or_(table.c.no_device.is_(None), table.c.no_device == sa.false()),
    )
    return connection.execute(query.order_by(table.c.id)).all()


def _list_info_caches(connection: sa.Connection, uuids: Sequence[str]) -> Sequence[Any]:
    table = instance_info_caches
    query = sa.select(table.c.instance_uuid, table.c.network_info).where(
        table.c.instance_uuid.in_(uuids), table.c.deleted == 0
    )
    return connection.execute(query).all()


def _list_pci_devices(connection: sa.Connection, uuids: Sequence[str]) -> Sequence[Any]:
    """Return the rows of devices that are the instances' (``nova/objects/pci_device.py`` claim).

    While a resize is unfinished, an instance has devices of two hosts.
    """
    table = pci_devices
    query = sa.select(
        table.c.instance_uuid,
        table.c.id,
        table.c.uuid,
        table.c.address,
        table.c.status,
        table.c.request_id,
    ).where(table.c.instance_uuid.in_(uuids), table.c.deleted == 0, table.c.status.in_(_OWNED))
    return connection.execute(query.order_by(table.c.id)).all()


def _list_shares(connection: sa.Connection, uuids: Sequence[str]) -> Sequence[Any]:
    """Return the rows of shares, whatever their status; none where Nova has no such table.

    Nova gives the guest a filesystem for every row (``nova/virt/libvirt/driver.py``
    _guest_add_virtiofs_for_share) and removes the row, not the status, once a share is detached
    (``nova/compute/share_management.py`` deny_share). So one that is attaching or detaching, or
    is in error, may be in the definition.
    """
    if not _knows_shares(connection):
        return ()
    table = share_mapping
    query = sa.select(
        table.c.instance_uuid, table.c.share_id, table.c.tag, table.c.export_location
    ).where(table.c.instance_uuid.in_(uuids))
    return connection.execute(query.order_by(table.c.id)).all()


def _knows_shares(connection: sa.Connection) -> bool:
    """Return whether this database has the table of shares; it is asked once an engine."""
    if connection.engine not in _has_shares:
        found = sa.inspect(connection).has_table(share_mapping.name)
        _has_shares[connection.engine] = found
    return _has_shares[connection.engine]


def _list_unfinished(connection: sa.Connection, uuids: Sequence[str]) -> Sequence[Any]:
    """Return the migrations that are under way, oldest first.

    Those whose status is none of the ends in ``nova/db/main/api.py``
    migration_get_in_progress_by_host_and_node: a resize that is finished awaits its confirmation.
    """
    table = migrations
    query = sa.select(
        table.c.instance_uuid, table.c.id, table.c.status, table.c.migration_type
    ).where(table.c.instance_uuid.in_(uuids), table.c.deleted == 0, table.c.status.not_in(_ENDED))
    return connection.execute(query.order_by(table.c.id)).all()


# What becomes of the rows


def _is_volume(row: Any) -> bool:
    """Return whether ROW is a volume's; one that Cinder has yet to make has no volume_id."""
    return row.destination_type == "volume" and bool(row.volume_id)


def _is_local(row: Any) -> bool:
    return bool(row.destination_type == "local")


def _volume(row: Any) -> VolumeAttachment:
    info = _mapping(parsed(row.connection_info))
    data = _mapping(info.get("data"))
    return VolumeAttachment(
        uuid=row.volume_id,
        serial=_text(data.get("volume_id")) or _text(info.get("serial")) or row.volume_id,
        row=row.id,
        device_name=_device(row.device_name),
        bus=row.disk_bus,
        device_type=row.device_type,
        boot_index=row.boot_index,
        attachment_id=row.attachment_id,
        sources=tuple(dict.fromkeys(_sources(data))),
    )


def _sources(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what libvirt's ``<source>`` of a volume may say, by the driver's DATA.

    ``device_path`` is what nearly every driver of ``nova/virt/libvirt/volume`` writes, once it has
    connected the volume; ``name`` is an RBD image (``net.py``). A file of a mounted export is
    known up to the host's mount point: ``md5-of-export/name`` (``fs.py`` _get_device_path). The
    export itself is not kept: of vzstorage's the password is a part.
    """
    path, name = _text(data.get("device_path")), _text(data.get("name"))
    export = _text(data.get("export"))
    if path and path.startswith("/"):
        yield path
    if name and export:
        yield f"{_md5(export.removeprefix(_QUOBYTE))}/{name}"
    if name:
        yield name


def _md5(text: str) -> str:
    """Return the name of an export's mount point (``nova/utils.py`` get_hash_str)."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _local(row: Any) -> LocalDisk:
    return LocalDisk(
        row=row.id,
        source_type=row.source_type,
        device_name=_device(row.device_name),
        bus=row.disk_bus,
        device_type=row.device_type,
        boot_index=row.boot_index,
        is_swap=row.guest_format == "swap",
    )


def _device(name: str | None) -> str | None:
    """Return a device's NAME as libvirt has it: without the folder."""
    return name.removeprefix("/dev/") if name else None


def _ports_in(network_info: str | None) -> Iterator[PortAttachment]:
    """Yield the ports of an info cache: a list of VIFs (``nova/network/model.py``)."""
    cached = parsed(network_info)
    for vif in cached if isinstance(cached, list) else ():
        port = _text(_mapping(vif).get("id"))
        if port:
            yield _port(port, vif)


def _cache_fault(network_info: str | None) -> str | None:
    """Return why an info cache does not tell all ports; None where it does, or is empty."""
    cached = parsed(network_info)
    if isinstance(cached, list) and all(_text(_mapping(vif).get("id")) for vif in cached):
        return None
    return "its network info cache cannot be read"


def _port(port: str, vif: Mapping[str, Any]) -> PortAttachment:
    """Return PORT as Nova plugs it.

    Neutron's ports are named ``tap`` and the start of the id (``nova/network/neutron.py``
    _build_vif_model), a VIF without a name ``nic`` and the same (``os_vif_util.py``
    _get_vif_name). Only one that Open vSwitch plugs has an ``ovs_interfaceid``: its own id.
    """
    mac = _text(vif.get("address"))
    return PortAttachment(
        uuid=port,
        mac=mac.lower() if mac else None,
        tap=_text(vif.get("devname")) or f"nic{port}"[:_NIC_NAME],
        interface_id=_text(vif.get("ovs_interfaceid")),
        vnic_type=_text(vif.get("vnic_type")),
        pci_address=_text(_mapping(vif.get("profile")).get("pci_slot")),
    )


def _pci(row: Any) -> PciAttachment:
    return PciAttachment(
        uuid=row.uuid,
        row=row.id,
        address=row.address,
        status=row.status,
        request_id=row.request_id,
    )


def _share(row: Any) -> ShareAttachment:
    return ShareAttachment(share_id=row.share_id, tag=row.tag, export_location=row.export_location)


def _told(migration: Any) -> str:
    """Return the state of a migration: ``live-migration 17 is running``."""
    state = migration.status
    if state == "finished":
        state = "finished, not yet confirmed or reverted"
    return f"{migration.migration_type or 'migration'} {migration.id} is {state}"


# Values of JSON that anybody may have written


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """Return VALUE if it is text that a device can bear: not empty, without control characters."""
    return value if isinstance(value, str) and value.isprintable() and value else None
