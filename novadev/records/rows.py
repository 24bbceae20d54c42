"""The statements on the tables of recorded devices; each takes the connection it runs on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from novadev.database import now_of
from novadev.records.device import AsOf, Merged, Pins, VmDevice, VmDynamic, is_same
from novadev.state.tables import (
    vm_device,
    vm_device_history,
    vm_device_pin,
    vm_dynamic,
    vm_record,
)

_FIELDS = tuple(item.name for item in fields(VmDevice))
States = dict[tuple[str, str], VmDevice]
"""The states of devices by the UUIDs of their guests and their own ids."""


@dataclass(frozen=True)
class Version:
    """A state in which a device was recorded; ``device`` is None where it was forgotten.

    ``seen`` is when it was first found so, UTC: ``2026-11-21T03:00:12Z``; ``record`` is the number
    of the record that found it.
    """

    vm_id: str
    device_id: str
    seen: str
    device: VmDevice | None
    record: int


@dataclass(frozen=True)
class Newest:
    """What is recorded of a guest last: its row, and the number of the newest state of a device.

    ``age`` is how many seconds ago the guest was looked at, or its row was imported, and ``read``
    when this was read (UTC), both by the database's own clock, in whole seconds. The number grows
    with every state that is recorded, so one that comes back has another.
    """

    dynamic: VmDynamic | None = None
    state: int = 0
    age: float | None = field(default=None, compare=False)
    read: datetime | None = field(default=None, compare=False)


def list_devices(
    connection: sa.Connection, vm_ids: Sequence[str], is_present: bool = False
) -> dict[str, tuple[VmDevice, ...]]:
    """Return the recorded devices of each of these guests, plugged or not.

    If IS_PRESENT, those that are plugged or pinned: a guest may have had thousands of volumes.
    """
    columns = [vm_device.c[name] for name in _FIELDS]
    query = sa.select(*columns).where(vm_device.c.vm_id.in_(vm_ids))
    if is_present:
        pinned = sa.select(vm_device_pin.c.device_id).where(vm_device_pin.c.vm_id.in_(vm_ids))
        query = query.where(sa.or_(vm_device.c.is_plugged, vm_device.c.device_id.in_(pinned)))
    found: dict[str, list[VmDevice]] = {}
    for row in connection.execute(query.order_by(vm_device.c.vm_id, vm_device.c.device_id)):
        values = {**row._mapping, "spec_params": json.loads(row.spec_params)}
        found.setdefault(row.vm_id, []).append(VmDevice(**values))
    return {vm_id: tuple(devices) for vm_id, devices in found.items()}


def list_dynamics(connection: sa.Connection, vm_ids: Sequence[str]) -> dict[str, VmDynamic]:
    """Return what is recorded of these guests as a whole, by their UUIDs."""
    columns = [vm_dynamic.c[item.name] for item in fields(VmDynamic)]
    rows = connection.execute(sa.select(*columns).where(vm_dynamic.c.vm_id.in_(vm_ids)))
    return {row.vm_id: VmDynamic(*row) for row in rows}


def list_newest(connection: sa.Connection, vm_ids: Sequence[str]) -> dict[str, Newest]:
    """Return what is recorded last of each of these guests, recorded or not."""
    table = vm_device_history
    query = sa.select(table.c.vm_id, sa.func.max(table.c.id)).where(table.c.vm_id.in_(vm_ids))
    states = {row[0]: row[1] for row in connection.execute(query.group_by(table.c.vm_id))}
    dynamics, table = list_dynamics(connection, vm_ids), vm_dynamic
    times = sa.select(table.c.vm_id, table.c.seen).where(table.c.vm_id.in_(vm_ids))
    now = now_of(connection)
    ages = {row.vm_id: (now - row.seen).total_seconds() for row in connection.execute(times)}
    return {
        vm_id: Newest(dynamics.get(vm_id), states.get(vm_id, 0), ages.get(vm_id), now)
        for vm_id in vm_ids
    }


def write_dynamic(
    connection: sa.Connection,
    dynamic: VmDynamic,
    is_known: bool,
    looked: datetime | None = None,
) -> None:
    """Write the row of a guest, behind its lock, which lasts until the transaction ends.

    LOOKED is when the guest was looked at, by the database's clock; without it, that is now.
    """
    values: dict[str, Any] = {**asdict(dynamic), "seen": looked or now_of(connection)}
    if is_known:
        chosen = vm_dynamic.c.vm_id == dynamic.vm_id
        connection.execute(sa.update(vm_dynamic).where(chosen).values(values))
    else:
        connection.execute(sa.insert(vm_dynamic).values(values))


def lock(connection: sa.Connection, vm_id: str) -> bool:
    """Lock the row of a guest; return whether there is one."""
    query = sa.select(vm_dynamic.c.vm_id).where(vm_dynamic.c.vm_id == vm_id)
    return connection.execute(query.with_for_update()).first() is not None


def forget_fingerprints(connection: sa.Connection, vm_ids: Sequence[str]) -> None:
    """Have these guests read in full again by the next record."""
    if vm_ids:
        chosen = vm_dynamic.c.vm_id.in_(vm_ids)
        connection.execute(sa.update(vm_dynamic).where(chosen).values(fingerprint=""))


def _new_record(connection: sa.Connection, now: datetime) -> int:
    """Return the number of a new record."""
    made = connection.execute(sa.insert(vm_record).values(made=now))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def until(as_of: AsOf, vm_ids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return the condition on a state of these guests that it was recorded by then.

    Of a time, that is what was recorded before the last state of that time: the database's clock
    may have been wrong for a while.
    """
    table = vm_device_history
    if as_of.time is None:
        return table.c.record_id <= as_of.record
    by_then = (table.c.vm_id.in_(vm_ids), table.c.seen <= as_of.time)
    return table.c.id <= sa.select(sa.func.max(table.c.id)).where(*by_then).scalar_subquery()


def version_of(row: sa.Row[Any]) -> Version:
    """Return a row of the history."""
    device = None if row.body is None else VmDevice(**json.loads(row.body))
    return Version(row.vm_id, row.device_id, utc_text(row.seen), device, row.record_id)


def list_pins(connection: sa.Connection, vm_ids: Sequence[str]) -> dict[str, Pins]:
    """Return the pinned addresses of these guests, by guest and device_id."""
    query = sa.select(vm_device_pin).where(vm_device_pin.c.vm_id.in_(vm_ids))
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.vm_id, {})[row.device_id] = row.address
    return dict(found)


def list_found(
    connection: sa.Connection,
    recorded: Mapping[str, tuple[VmDevice, ...]],
    pins: Mapping[str, Pins],
) -> dict[str, tuple[VmDevice, ...]]:
    """Return the RECORDED devices of guests as they were last found, or imported.

    That is another state where a pin keeps a row as it was: that of a pinned device, and that of
    PCI bus 0. The history has it. Whoever wrote a fingerprint found every row as it is, and an
    earlier release writes nothing of a pinned device into the history: the rows count then.
    """
    pinned = [vm_id for vm_id in recorded if pins.get(vm_id)]
    chosen = (vm_dynamic.c.vm_id.in_(pinned), vm_dynamic.c.fingerprint == "")
    query = sa.select(vm_dynamic.c.vm_id).where(*chosen)
    held = [row.vm_id for row in connection.execute(query)] if pinned else []
    states = list_states(connection, {vm_id: recorded[vm_id] for vm_id in held}, pins)
    return {
        vm_id: tuple(states.get((vm_id, row.device_id), row) for row in devices)
        for vm_id, devices in recorded.items()
    }


def list_states(
    connection: sa.Connection,
    recorded: Mapping[str, tuple[VmDevice, ...]],
    pins: Mapping[str, Pins],
) -> States:
    """Return the newest state that the history has of each RECORDED device that PINS may hold."""
    states: States = {}
    for vm_id, devices in recorded.items():
        held = [row.device_id for row in devices if _may_be_held(row, pins.get(vm_id, {}))]
        for row in connection.execute(_newest_states(vm_id, held)) if held else ():
            device = version_of(row).device
            states |= {(vm_id, row.device_id): device} if device else {}
    return states


def _may_be_held(row: VmDevice, pins: Pins) -> bool:
    is_bus = (row.type, row.device) == ("controller", "pci")
    return row.device_id in pins or (is_bus and bool(pins))


def _newest_states(vm_id: str, device_ids: Sequence[str]) -> sa.Select[Any]:
    """Return the query for the newest states of these devices of a guest.

    Each is one step in the index, however many states a device has had.
    """
    table, row = vm_device_history, vm_device
    state = vm_device_history.alias("state")
    same = (state.c.vm_id == row.c.vm_id, state.c.device_id == row.c.device_id)
    newest = sa.select(state.c.id).where(*same).order_by(state.c.id.desc()).limit(1)
    joined = row.join(table, table.c.id == newest.scalar_subquery())
    chosen = (row.c.vm_id == vm_id, row.c.device_id.in_(device_ids))
    return sa.select(table).select_from(joined).where(*chosen)


def unwritten(found: Sequence[VmDevice], states: States) -> tuple[VmDevice, ...]:
    """Return the FOUND devices of which the history has other STATES.

    An earlier release has found them so, and has written nothing of a pinned device into it.
    """
    pairs = ((states.get((device.vm_id, device.device_id)), device) for device in found)
    return tuple(device for state, device in pairs if state and not is_same(device, state))


def write_merged(
    connection: sa.Connection, merged: Iterable[Merged], record: int | None = None
) -> int | None:
    """Write what the MERGED guests changed, as a part of RECORD or of a new one.

    Return the record's number; that of RECORD, or None, where nothing new was found of any device.
    """
    parts = list(merged)
    dropped = [device for part in parts for device in part.dropped]
    versions = [device for part in parts for device in part.versions]
    _delete(connection, dropped)
    write_rows(connection, [device for part in parts for device in part.written])
    if not versions and not dropped:
        return record
    now = now_of(connection)
    number = record or _new_record(connection, now)
    history = [_version(device, now, _body(device)) for device in versions]
    history += [_version(device, now, None) for device in dropped]
    numbered = [{**row, "record_id": number} for row in history]
    connection.execute(sa.insert(vm_device_history), numbered)
    return number


def write_rows(connection: sa.Connection, devices: Sequence[VmDevice]) -> None:
    """Write the rows of DEVICES in the place of those they have, and nothing into the history."""
    _delete(connection, devices)
    if devices:
        now = now_of(connection)
        connection.execute(sa.insert(vm_device), [_row(device, now) for device in devices])


def _delete(connection: sa.Connection, devices: Sequence[VmDevice]) -> None:
    by_guest: dict[str, list[str]] = {}
    for device in devices:
        by_guest.setdefault(device.vm_id, []).append(device.device_id)
    for vm_id, ids in by_guest.items():
        chosen = (vm_device.c.vm_id == vm_id, vm_device.c.device_id.in_(ids))
        connection.execute(sa.delete(vm_device).where(*chosen))


def _row(device: VmDevice, now: datetime) -> dict[str, Any]:
    return {**asdict(device), "spec_params": _json(dict(device.spec_params)), "seen": now}


def _version(device: VmDevice, now: datetime, body: str | None) -> dict[str, Any]:
    return {"vm_id": device.vm_id, "device_id": device.device_id, "seen": now, "body": body}


def _body(device: VmDevice) -> str:
    return _json(asdict(device))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def utc_text(moment: datetime) -> str:
    """Return a time of a table as people read it: ``2026-11-21T03:00:12Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
