"""The recorded devices of guests, their addresses and history: oVirt's ``vm_device``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from novadev.database import Database
from novadev.state.devices import Merged, VmDevice, VmDynamic, merge
from novadev.state.tables import vm_device, vm_device_history, vm_dynamic

Change = Callable[[Sequence[VmDevice]], tuple[VmDynamic, Sequence[VmDevice]]]
_FIELDS = tuple(item.name for item in fields(VmDevice))


@dataclass(frozen=True)
class Version:
    """A state in which a device was recorded; ``device`` is None where it was forgotten.

    ``seen`` is when it was first found so, UTC: ``2026-11-21T03:00:12Z``.
    """

    vm_id: str
    device_id: str
    seen: str
    device: VmDevice | None


class VmDevices:
    """What the state database has recorded of guests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_dynamics(self, vm_ids: Sequence[str]) -> dict[str, VmDynamic]:
        """Return what is recorded of these guests as a whole, by their UUIDs."""
        chosen = vm_dynamic.c.vm_id.in_(vm_ids)
        columns = [vm_dynamic.c[item.name] for item in fields(VmDynamic)]
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(*columns).where(chosen))
            return {row.vm_id: VmDynamic(*row) for row in rows}

    def list_devices(self, vm_ids: Sequence[str]) -> dict[str, tuple[VmDevice, ...]]:
        """Return the recorded devices of each of these guests, plugged or not.

        A guest without any is not in the mapping.
        """
        with self._database.reading() as connection:
            return _devices(connection, vm_ids)

    def count(self, vm_ids: Sequence[str]) -> dict[str, int]:
        """Return how many plugged devices are recorded of each of these guests."""
        chosen = (vm_device.c.vm_id.in_(vm_ids), vm_device.c.is_plugged)
        query = sa.select(vm_device.c.vm_id, sa.func.count().label("number")).where(*chosen)
        with self._database.reading() as connection:
            found = connection.execute(query.group_by(vm_device.c.vm_id))
            return {row.vm_id: row.number for row in found}

    def list_names(self, vm_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return what these guests called their disks when last asked, by guest and device_id."""
        columns = (vm_device.c.vm_id, vm_device.c.device_id, vm_device.c.logical_name)
        chosen = (vm_device.c.vm_id.in_(vm_ids), vm_device.c.logical_name.is_not(None))
        found: dict[str, dict[str, str]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(sa.select(*columns).where(*chosen)):
                found.setdefault(row.vm_id, {})[row.device_id] = row.logical_name
        return found

    def iter_versions(self, vm_id: str, device_id: str | None = None) -> Iterator[Version]:
        """Yield every state in which devices of a guest were recorded, oldest first."""
        query = sa.select(vm_device_history).where(vm_device_history.c.vm_id == vm_id)
        if device_id is not None:
            query = query.where(vm_device_history.c.device_id == device_id)
        with self._database.reading() as connection:
            for row in connection.execute(query.order_by(vm_device_history.c.id)):
                device = None if row.body is None else VmDevice(**json.loads(row.body))
                yield Version(row.vm_id, row.device_id, _text(row.seen), device)

    def write(self, seen: Mapping[VmDynamic, Sequence[VmDevice]]) -> None:
        """Record these guests as they were SEEN, in one transaction.

        What is recorded is read again behind the lock on the guest's own row, so two records at a
        time do not mix. Raises Busy when another one is at it.
        """
        with self._database.writing() as connection:
            for dynamic in sorted(seen, key=lambda item: item.vm_id):
                _write_dynamic(connection, dynamic)
            vm_ids = [dynamic.vm_id for dynamic in seen]
            recorded = _devices(connection, vm_ids)
            merged = [
                merge(recorded.get(dynamic.vm_id, ()), devices) for dynamic, devices in seen.items()
            ]
            _write_merged(connection, merged)

    def replace(self, vm_id: str, change: Change) -> None:
        """Write what CHANGE makes of the recorded devices of one guest, in one transaction.

        CHANGE gets them as they are behind the lock, and returns all that there are to be, with
        the guest's own row; what it raises leaves everything as it was. Raises Busy as `write`.
        """
        with self._database.writing() as connection:
            _lock(connection, vm_id)
            recorded = _devices(connection, [vm_id]).get(vm_id, ())
            dynamic, devices = change(recorded)
            _write_dynamic(connection, dynamic)
            before = {device.device_id: device for device in recorded}
            after = {device.device_id: device for device in devices}
            written = [item for key, item in after.items() if before.get(key) != item]
            dropped = [item for key, item in before.items() if key not in after]
            _write_merged(connection, [Merged(tuple(written), tuple(dropped))])


def _devices(connection: sa.Connection, vm_ids: Sequence[str]) -> dict[str, tuple[VmDevice, ...]]:
    columns = [vm_device.c[name] for name in _FIELDS]
    query = sa.select(*columns).where(vm_device.c.vm_id.in_(vm_ids))
    found: dict[str, list[VmDevice]] = {}
    for row in connection.execute(query.order_by(vm_device.c.vm_id, vm_device.c.device_id)):
        values = {**row._mapping, "spec_params": json.loads(row.spec_params)}
        found.setdefault(row.vm_id, []).append(VmDevice(**values))
    return {vm_id: tuple(devices) for vm_id, devices in found.items()}


def _write_dynamic(connection: sa.Connection, dynamic: VmDynamic) -> None:
    """Write the row of a guest, behind its lock, which lasts until the transaction ends."""
    values: dict[str, Any] = {**asdict(dynamic), "seen": _now()}
    if _lock(connection, dynamic.vm_id):
        chosen = vm_dynamic.c.vm_id == dynamic.vm_id
        connection.execute(sa.update(vm_dynamic).where(chosen).values(values))
    else:
        connection.execute(sa.insert(vm_dynamic).values(values))


def _lock(connection: sa.Connection, vm_id: str) -> bool:
    """Lock the row of a guest; return whether there is one."""
    query = sa.select(vm_dynamic.c.vm_id).where(vm_dynamic.c.vm_id == vm_id)
    return connection.execute(query.with_for_update()).first() is not None


def _write_merged(connection: sa.Connection, merged: Iterable[Merged]) -> None:
    parts = list(merged)
    written = [device for part in parts for device in part.written]
    dropped = [device for part in parts for device in part.dropped]
    now = _now()
    _delete(connection, [*written, *dropped])
    if written:
        connection.execute(sa.insert(vm_device), [_row(device, now) for device in written])
    history = [_version(device, now, _body(device)) for device in written]
    history += [_version(device, now, None) for device in dropped]
    if history:
        connection.execute(sa.insert(vm_device_history), history)


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


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
