"""Block device mappings: the disks Nova says an instance has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from novadev.nova.tables import block_device_mapping


@dataclass(frozen=True)
class BlockDevice:
    """A row of ``block_device_mapping``; None is NULL.

    ``volume_size`` is in GiB, of a swap row in MiB. ``connected`` says that a volume has a
    connection_info: without one Nova powers the guest on without it. What is in it is never read:
    it holds secrets.
    """

    id: int
    source_type: str | None
    destination_type: str | None
    device_type: str | None
    disk_bus: str | None
    device_name: str | None
    boot_index: int | None
    guest_format: str | None
    volume_id: str | None
    volume_size: int | None
    no_device: bool | None = False
    connected: bool = True


_INFO = block_device_mapping.c.connection_info
_CONNECTED = sa.case((_INFO.in_(("", "null", "{}")), False), else_=_INFO.is_not(None))


def list_block_devices(
    connection: sa.Connection, instances: Iterable[str]
) -> dict[str, tuple[BlockDevice, ...]]:
    """Return the block devices of INSTANCES by UUID, in row order."""
    table = block_device_mapping
    query = (
        sa.select(
            table.c.instance_uuid,
            table.c.id,
            table.c.source_type,
            table.c.destination_type,
            table.c.device_type,
            table.c.disk_bus,
            table.c.device_name,
            table.c.boot_index,
            table.c.guest_format,
            table.c.volume_id,
            table.c.volume_size,
            table.c.no_device,
            _CONNECTED,
        )
        .where(table.c.instance_uuid.in_(tuple(instances)), table.c.deleted == 0)
        .order_by(table.c.id)
    )
    found: dict[str, list[BlockDevice]] = {}
    for uuid, *columns in connection.execute(query):
        found.setdefault(uuid, []).append(BlockDevice(*columns))
    return {uuid: tuple(devices) for uuid, devices in found.items()}
