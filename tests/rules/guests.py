"""Guests and rows in one line each."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from novadev.nova.block_devices import BlockDevice
from novadev.rules.guest import Guest
from novadev.rules.moves import Move


def row(number: int, **values: Any) -> BlockDevice:
    blank = dict.fromkeys(BlockDevice.__dataclass_fields__)
    return BlockDevice(**{**blank, "no_device": False, "connected": True, **values, "id": number})


def image(number: int, **values: Any) -> BlockDevice:
    local = {"source_type": "image", "destination_type": "local", "device_type": "disk"}
    return row(number, **{**local, "boot_index": 0, **values})


def volume(number: int, **values: Any) -> BlockDevice:
    kind = {"source_type": "volume", "destination_type": "volume", "volume_id": f"vol-{number}"}
    return row(number, **{**kind, "device_type": "disk", "volume_size": 1, **values})


def ephemeral(number: int, **values: Any) -> BlockDevice:
    local = {"source_type": "blank", "destination_type": "local", "device_type": "disk"}
    return row(number, **{**local, "volume_size": 1, **values})


def swap(number: int, **values: Any) -> BlockDevice:
    return ephemeral(number, **{"guest_format": "swap", "device_type": None, **values})


def guest(*rows: BlockDevice, root: str | None = None, **values: Any) -> Guest:
    """A guest of these rows; keywords of Guest's fields are those, others image properties."""
    fields = {"config_drive": False, "ephemeral_gb": 0, "swap_mb": 0, "disk_format": None}
    given = {name: values.pop(name) for name in tuple(values) if name in fields}
    return Guest(values, rows, root, **{**fields, **given})


def with_properties(guest: Guest, **properties: str | None) -> Guest:
    return replace(guest, image_properties={**guest.image_properties, **properties})


def with_moves(guest: Guest, moves: Iterable[Move]) -> Guest:
    """The guest with its rows, and the name of its root disk, as the moves leave them."""
    by_row = {move.block_device: move for move in moves}
    rows = tuple(
        replace(row, disk_bus=by_row[row.id].bus_after, device_name=by_row[row.id].name_after)
        if row.id in by_row
        else row
        for row in guest.block_devices
    )
    root = next((move.name_after for move in by_row.values() if move.is_root), None)
    return replace(guest, block_devices=rows, root_device_name=root or guest.root_device_name)
