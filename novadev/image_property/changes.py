"""The changes of a plan: properties in both databases, the disks that move, what must stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from novadev.errors import NotAsNeeded
from novadev.image_property.facts import Facts
from novadev.nova.block_devices import BlockDevice
from novadev.nova.instances import Instance
from novadev.rules.guest import Guest, without_dev
from novadev.rules.moves import Move
from novadev.runs.change import Change
from novadev.runs.place import Kind, Place, in_cell, in_spec
from novadev.value import ABSENT, Value, shown


def guest_after(guest: Guest, values: Mapping[str, Value], moves: Sequence[Move]) -> Guest:
    """Return the guest with VALUES stored (ABSENT takes one out), and its disks moved."""
    stored: dict[str, str | None] = dict(guest.image_properties)
    for name, value in values.items():
        if isinstance(value, str):
            stored[name] = value
        else:
            stored.pop(name, None)
    return with_moves(replace(guest, image_properties=stored), moves)


def guest_with(guest: Guest, changes: Iterable[Change]) -> Guest:
    """Return GUEST with CHANGES written: its properties, the rows of its disks, the root's name."""
    items = list(changes)
    values = {item.place.name: item.after for item in items if item.place.kind is Kind.PROPERTY}
    roots = [str(item.after) for item in items if item.place.kind is Kind.ROOT]
    return replace(
        guest_after(guest, values, ()),
        block_devices=tuple(_device_with(device, items) for device in guest.block_devices),
        root_device_name=roots[0] if roots else guest.root_device_name,
    )


def _device_with(device: BlockDevice, changes: Iterable[Change]) -> BlockDevice:
    for item in changes:
        if item.place.kind is Kind.DISK and item.place.row == device.id:
            value = item.after if isinstance(item.after, str) else None
            if item.place.name == "disk_bus":
                device = replace(device, disk_bus=value)
            else:
                device = replace(device, device_name=value)
    return device


def with_moves(guest: Guest, moves: Sequence[Move]) -> Guest:
    """Return the guest with its rows, and the name of its root disk, as the moves leave them."""
    by_row = {move.block_device: move for move in moves}
    devices = tuple(
        replace(device, disk_bus=move.bus_after, device_name=move.name_after)
        if (move := by_row.get(device.id))
        else device
        for device in guest.block_devices
    )
    root = guest.root_device_name
    for move in moves:
        root = _root_name(root, move) if move.is_root else root
    return replace(guest, block_devices=devices, root_device_name=root)


def property_changes(facts: Facts, values: Mapping[str, Value]) -> Iterator[Change]:
    """Yield what changes in the cell and, where there is one, in the request spec.

    Raises NotAsNeeded for a property of the cell that is stored twice, BadInput for one of the
    spec that cannot be read.
    """
    spec = facts.spec
    for name, after in values.items():
        before = facts.instance.image_properties.get(name, ABSENT)
        if before != after:
            check_one_row(facts.instance, name)
            yield Change(in_cell(name), before, after)
        if spec and spec.image_properties is not None and spec.value(name) != after:
            yield Change(in_spec(name), spec.value(name), after)


def check_one_row(instance: Instance, name: str) -> None:
    """Raise NotAsNeeded, with the rows and the command, where a property is in more than one."""
    hidden = instance.hidden_rows.get(name)
    if hidden:
        rows = ", ".join(f"{shown(row.value)} in row {row.id}" for row in hidden)
        raise NotAsNeeded(
            f"instance {instance.uuid}: {name} is stored in {len(hidden) + 1} rows of "
            f"instance_system_metadata: Nova reads {shown(instance.image_properties[name])} and "
            f"ignores {rows}. First run: novadev image-property unset --duplicates {instance.uuid}"
        )


def disk_changes(facts: Facts, moves: Sequence[Move]) -> Iterator[Change]:
    """Yield what changes in the rows of the disks that move, and the name of the root disk."""
    for move in moves:
        row = move.block_device
        yield Change(Place(Kind.DISK, "disk_bus", row), move.bus_before, move.bus_after)
        if move.name_before != move.name_after:
            name = Place(Kind.DISK, "device_name", row)
            yield Change(name, move.name_before, move.name_after)
        before = facts.instance.root_device_name
        if move.is_root and before != (after := _root_name(before, move)):
            yield Change(Place(Kind.ROOT), before, after)


def _root_name(before: str | None, move: Move) -> str:
    """Return the instance's own name of a root disk that moves, in the spelling of BEFORE.

    Nova writes ``/dev/vda`` there, and either ``/dev/vda`` or ``vda`` into the row.
    """
    name = without_dev(move.name_after)
    return name if before and not before.startswith("/dev/") else f"/dev/{name}"


def kept_disks(guest: Guest, moves: Sequence[Move]) -> dict[str, Any]:
    """Return the guard: the disks that must still be there, and as they are, when it is applied."""
    going = {move.block_device for move in moves}
    kept = [
        [device.id, device.disk_bus, device.device_name]
        for device in guest.block_devices
        if device.id not in going
    ]
    return {"kept_disks": kept}
