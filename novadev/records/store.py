"""The recorded devices of guests, their addresses and history: oVirt's ``vm_device``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from novadev.database import Database
from novadev.errors import BadInput, Busy, NotAsNeeded, NotFound
from novadev.records.addresses import place_of
from novadev.records.device import AsOf, Merged, Pins, VmDevice, VmDynamic, merge
from novadev.state.tables import (
    vm_device,
    vm_device_history,
    vm_device_pin,
    vm_dynamic,
    vm_record,
)

Change = Callable[[Sequence[VmDevice]], tuple[VmDynamic, Sequence[VmDevice]]]
_FIELDS = tuple(item.name for item in fields(VmDevice))


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

    The number grows with every state that is recorded, so one that comes back has another.
    """

    dynamic: VmDynamic | None = None
    state: int = 0


class Overtaken(Busy):
    """Another writer has recorded some guests since they were looked at; ``vm_ids`` are theirs."""

    def __init__(self, vm_ids: Sequence[str]) -> None:
        super().__init__(f"instance {vm_ids[0]}: another novadev records it at the same time")
        self.vm_ids = tuple(vm_ids)


class VmDevices:
    """What the state database has recorded of guests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_dynamics(self, vm_ids: Sequence[str]) -> dict[str, VmDynamic]:
        """Return what is recorded of these guests as a whole, by their UUIDs."""
        with self._database.reading() as connection:
            return _dynamics(connection, vm_ids)

    def list_newest(self, vm_ids: Sequence[str]) -> dict[str, Newest]:
        """Return what is recorded last of each of these guests, recorded or not."""
        with self._database.reading() as connection:
            return _newest(connection, vm_ids)

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
                yield _version_of(row)

    def list_devices_as_of(
        self, vm_ids: Sequence[str], as_of: AsOf
    ) -> dict[str, tuple[VmDevice, ...]]:
        """Return the devices of each of these guests as they were recorded AS OF a moment.

        A guest of which nothing was recorded by then is not in the mapping.
        """
        table = vm_device_history
        latest = sa.select(sa.func.max(table.c.id)).where(table.c.vm_id.in_(vm_ids), _until(as_of))
        latest = latest.group_by(table.c.vm_id, table.c.device_id)
        query = sa.select(table).where(table.c.id.in_(latest))
        found: dict[str, list[VmDevice]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(query.order_by(table.c.vm_id, table.c.device_id)):
                device = _version_of(row).device
                found.setdefault(row.vm_id, []).extend([device] if device else [])
        return {vm_id: tuple(devices) for vm_id, devices in found.items()}

    def check(self, as_of: AsOf) -> None:
        """Raise NotFound where there is no such record, and BadInput for a time to come."""
        if as_of.time is not None and as_of.time > _now():
            raise BadInput(f"{as_of} is still to come: nothing is recorded as of then")
        with self._database.reading() as connection:
            newest = connection.scalar(sa.select(sa.func.max(vm_record.c.id)))
            query = sa.select(vm_record.c.id).where(vm_record.c.id == as_of.record)
            if as_of.time is None and connection.scalar(query) is None:
                told = f"the newest is {newest}" if newest else "nothing was ever recorded"
                raise NotFound(f"there is no {as_of}: {told}")

    def find_first(self, vm_id: str) -> Version | None:
        """Return the first state in which any device of a guest was recorded."""
        query = sa.select(vm_device_history).where(vm_device_history.c.vm_id == vm_id)
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(vm_device_history.c.id).limit(1)).first()
            return _version_of(row) if row else None

    def list_pins(self, vm_ids: Sequence[str]) -> dict[str, Pins]:
        """Return the pinned addresses of these guests, by guest and device_id."""
        with self._database.reading() as connection:
            return _pins(connection, vm_ids)

    def pin(self, vm_id: str, device_ids: Iterable[str]) -> None:
        """Pin these devices of a guest where they are recorded.

        Raises NotAsNeeded, and pins none, where one is not recorded with an address any more, or
        where another is pinned at it; and Busy as `write`.
        """
        with self._database.writing() as connection:
            _lock(connection, vm_id)
            recorded = _devices(connection, [vm_id]).get(vm_id, ())
            places = {item.device_id: item.address for item in recorded if item.is_plugged}
            known = _pins(connection, [vm_id]).get(vm_id, {})
            new = [device_id for device_id in device_ids if device_id not in known]
            if not all(places.get(device_id) for device_id in new):
                raise NotAsNeeded(f"instance {vm_id}: its devices were recorded anew: pin again")
            _check_apart(recorded, known, {item: places[item] for item in new})
            values = {"vm_id": vm_id, "pinned": _now()}
            rows = [{**values, "device_id": item, "address": places[item]} for item in new]
            if rows:
                connection.execute(sa.insert(vm_device_pin), rows)

    def unpin(self, vm_id: str, device_ids: Sequence[str]) -> None:
        """Let the next record store where these devices are; raises Busy as `write`."""
        table = vm_device_pin
        with self._database.writing() as connection:
            _lock(connection, vm_id)
            chosen = (table.c.vm_id == vm_id, table.c.device_id.in_(device_ids))
            connection.execute(sa.delete(table).where(*chosen))

    def write(
        self,
        seen: Mapping[VmDynamic, Sequence[VmDevice]],
        record: int | None = None,
        newest: Mapping[str, Newest] | None = None,
    ) -> int:
        """Record these guests as they were SEEN, in one transaction; return the record's number.

        It is a new one, or a part of RECORD. What is recorded is read again behind the lock on the
        guest's own row, so two records at a time do not mix. A guest with a device that is not
        where it is pinned gets no fingerprint, so it is read in full again. NEWEST is what was
        recorded of these guests before they were looked at: with it nothing is written, and
        Overtaken raised, where more has been recorded since. Raises Busy when another one is at it.
        """
        with self._database.writing() as connection:
            ordered = sorted(seen, key=lambda item: item.vm_id)
            vm_ids = [dynamic.vm_id for dynamic in ordered]
            known = [_lock(connection, vm_id) for vm_id in vm_ids]
            if newest is not None:
                _check_newest(connection, newest, vm_ids)
            for dynamic, is_known in zip(ordered, known, strict=True):
                _write_dynamic(connection, dynamic, is_known)
            recorded, pins = _devices(connection, vm_ids), _pins(connection, vm_ids)
            merged = {
                item.vm_id: merge(recorded.get(item.vm_id, ()), devices, pins.get(item.vm_id))
                for item, devices in seen.items()
            }
            number = record or _new_record(connection)
            _write_merged(connection, merged.values(), number)
            _forget_fingerprints(connection, [key for key, part in merged.items() if part.is_held])
        return number

    def replace(self, vm_id: str, change: Change) -> None:
        """Write what CHANGE makes of the recorded devices of one guest, in one transaction.

        CHANGE gets them as they are behind the lock, and returns all that there are to be, with
        the guest's own row; what it raises leaves everything as it was. Raises Busy as `write`.
        """
        with self._database.writing() as connection:
            is_known = _lock(connection, vm_id)
            recorded = _devices(connection, [vm_id]).get(vm_id, ())
            dynamic, devices = change(recorded)
            _write_dynamic(connection, dynamic, is_known)
            before = {device.device_id: device for device in recorded}
            after = {device.device_id: device for device in devices}
            written = [item for key, item in after.items() if before.get(key) != item]
            dropped = [item for key, item in before.items() if key not in after]
            merged = Merged(tuple(written), tuple(dropped))
            _write_merged(connection, [merged], _new_record(connection))


def _check_apart(recorded: Sequence[VmDevice], known: Pins, new: Pins) -> None:
    """Raise NotAsNeeded where one of the RECORDED devices has a NEW pin where another has one."""
    pins = {**known, **new}
    taken: dict[tuple[str, str, str], VmDevice] = {}
    for device in (item for item in recorded if item.device_id in pins):
        place = place_of(replace(device, address=pins[device.device_id]))
        other = taken.setdefault(place, device) if place else device
        if (
            place
            and other is not device
            and not {device.device_id, other.device_id}.isdisjoint(new)
        ):
            raise NotAsNeeded(
                f"instance {device.vm_id}: {other.label} and {device.label} would both be pinned "
                f"at {place[2]}: novadev device unpin gives one of them up"
            )


def _devices(connection: sa.Connection, vm_ids: Sequence[str]) -> dict[str, tuple[VmDevice, ...]]:
    columns = [vm_device.c[name] for name in _FIELDS]
    query = sa.select(*columns).where(vm_device.c.vm_id.in_(vm_ids))
    found: dict[str, list[VmDevice]] = {}
    for row in connection.execute(query.order_by(vm_device.c.vm_id, vm_device.c.device_id)):
        values = {**row._mapping, "spec_params": json.loads(row.spec_params)}
        found.setdefault(row.vm_id, []).append(VmDevice(**values))
    return {vm_id: tuple(devices) for vm_id, devices in found.items()}


def _dynamics(connection: sa.Connection, vm_ids: Sequence[str]) -> dict[str, VmDynamic]:
    columns = [vm_dynamic.c[item.name] for item in fields(VmDynamic)]
    rows = connection.execute(sa.select(*columns).where(vm_dynamic.c.vm_id.in_(vm_ids)))
    return {row.vm_id: VmDynamic(*row) for row in rows}


def _newest(connection: sa.Connection, vm_ids: Sequence[str]) -> dict[str, Newest]:
    table = vm_device_history
    query = sa.select(table.c.vm_id, sa.func.max(table.c.id)).where(table.c.vm_id.in_(vm_ids))
    states = {row[0]: row[1] for row in connection.execute(query.group_by(table.c.vm_id))}
    dynamics = _dynamics(connection, vm_ids)
    return {vm_id: Newest(dynamics.get(vm_id), states.get(vm_id, 0)) for vm_id in vm_ids}


def _check_newest(
    connection: sa.Connection, newest: Mapping[str, Newest], vm_ids: Sequence[str]
) -> None:
    """Raise Overtaken where something else than NEWEST is recorded, behind the guests' locks."""
    now = _newest(connection, vm_ids)
    overtaken = [vm_id for vm_id in vm_ids if now[vm_id] != newest.get(vm_id)]
    if overtaken:
        raise Overtaken(overtaken)


def _write_dynamic(connection: sa.Connection, dynamic: VmDynamic, is_known: bool) -> None:
    """Write the row of a guest, behind its lock, which lasts until the transaction ends."""
    values: dict[str, Any] = {**asdict(dynamic), "seen": _now()}
    if is_known:
        chosen = vm_dynamic.c.vm_id == dynamic.vm_id
        connection.execute(sa.update(vm_dynamic).where(chosen).values(values))
    else:
        connection.execute(sa.insert(vm_dynamic).values(values))


def _lock(connection: sa.Connection, vm_id: str) -> bool:
    """Lock the row of a guest; return whether there is one."""
    query = sa.select(vm_dynamic.c.vm_id).where(vm_dynamic.c.vm_id == vm_id)
    return connection.execute(query.with_for_update()).first() is not None


def _forget_fingerprints(connection: sa.Connection, vm_ids: Sequence[str]) -> None:
    if vm_ids:
        chosen = vm_dynamic.c.vm_id.in_(vm_ids)
        connection.execute(sa.update(vm_dynamic).where(chosen).values(fingerprint=""))


def _new_record(connection: sa.Connection) -> int:
    """Return the number of a new record."""
    made = connection.execute(sa.insert(vm_record).values(made=_now()))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def _until(as_of: AsOf) -> sa.ColumnElement[bool]:
    """Return the condition on a state that it was recorded by then."""
    if as_of.time is not None:
        return vm_device_history.c.seen <= as_of.time
    return vm_device_history.c.record_id <= as_of.record


def _version_of(row: sa.Row[Any]) -> Version:
    device = None if row.body is None else VmDevice(**json.loads(row.body))
    return Version(row.vm_id, row.device_id, _text(row.seen), device, row.record_id)


def _pins(connection: sa.Connection, vm_ids: Sequence[str]) -> dict[str, Pins]:
    query = sa.select(vm_device_pin).where(vm_device_pin.c.vm_id.in_(vm_ids))
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.vm_id, {})[row.device_id] = row.address
    return dict(found)


def _write_merged(connection: sa.Connection, merged: Iterable[Merged], record: int) -> None:
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
        rows = [{**row, "record_id": record} for row in history]
        connection.execute(sa.insert(vm_device_history), rows)


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
