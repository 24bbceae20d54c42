"""The recorded devices of guests, their addresses and history: oVirt's ``vm_device``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta

import sqlalchemy as sa

from novadev.database import Database, now_of
from novadev.errors import BadInput, Busy, NotFound
from novadev.records import rows
from novadev.records.device import AsOf, Merged, Pins, VmDevice, VmDynamic, hash_of, merge
from novadev.records.rows import Newest, Version
from novadev.state.tables import vm_device, vm_device_history, vm_record

__all__ = ["Newest", "Overtaken", "Version", "VmDevices"]

Change = Callable[[Sequence[VmDevice]], tuple[VmDynamic, Sequence[VmDevice]]]


class Overtaken(Busy):
    """Another writer has recorded some guests since they were looked at; ``vm_ids`` are theirs."""

    def __init__(self, vm_ids: Sequence[str]) -> None:
        super().__init__(f"instance {vm_ids[0]}: another novadev is recording it at the same time")
        self.vm_ids = tuple(vm_ids)


class VmDevices:
    """What the state database has recorded of guests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_dynamics(self, vm_ids: Sequence[str]) -> dict[str, VmDynamic]:
        """Return what is recorded of these guests as a whole, by their UUIDs."""
        with self._database.reading() as connection:
            return rows.list_dynamics(connection, vm_ids)

    def list_newest(self, vm_ids: Sequence[str]) -> dict[str, Newest]:
        """Return what is recorded last of each of these guests, recorded or not."""
        with self._database.reading() as connection:
            return rows.list_newest(connection, vm_ids)

    def list_devices(
        self, vm_ids: Sequence[str], is_present: bool = False
    ) -> dict[str, tuple[VmDevice, ...]]:
        """Return the recorded devices of each of these guests, plugged or not.

        If IS_PRESENT, those that are plugged or pinned. A guest without any is not in the mapping.
        """
        with self._database.reading() as connection:
            return rows.list_devices(connection, vm_ids, is_present)

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
                yield rows.version_of(row)

    def list_devices_as_of(
        self, vm_ids: Sequence[str], as_of: AsOf
    ) -> dict[str, tuple[VmDevice, ...]]:
        """Return the devices of each of these guests as they were recorded AS OF a moment.

        A guest of which nothing was recorded by then is not in the mapping.
        """
        return self._as_of(vm_ids, rows.until(as_of, vm_ids))

    def _as_of(
        self, vm_ids: Sequence[str], then: sa.ColumnElement[bool]
    ) -> dict[str, tuple[VmDevice, ...]]:
        """Return the devices in the last of their states for which THEN holds."""
        table = vm_device_history
        latest = sa.select(sa.func.max(table.c.id)).where(table.c.vm_id.in_(vm_ids), then)
        latest = latest.group_by(table.c.vm_id, table.c.device_id)
        query = sa.select(table).where(table.c.id.in_(latest))
        found: dict[str, list[VmDevice]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(query.order_by(table.c.vm_id, table.c.device_id)):
                device = rows.version_of(row).device
                found.setdefault(row.vm_id, []).extend([device] if device else [])
        return {vm_id: tuple(devices) for vm_id, devices in found.items()}

    def list_devices_until(self, vm_id: str, state: int) -> tuple[VmDevice, ...]:
        """Return what was recorded of a guest when STATE was its newest: see `Newest.state`."""
        return self._as_of([vm_id], vm_device_history.c.id <= state).get(vm_id, ())

    def list_devices_ago(self, vm_id: str, seconds: float) -> tuple[VmDevice, ...]:
        """Return what was recorded of a guest SECONDS ago, by the database's own clock.

        A table has whole seconds: what was recorded within the next one may be in it too.
        """
        with self._database.reading() as connection:
            then = now_of(connection) - timedelta(seconds=seconds - 1)
        return self.list_devices_as_of([vm_id], AsOf(time=then)).get(vm_id, ())

    def check(self, as_of: AsOf) -> None:
        """Raise NotFound where there is no such record, and BadInput for a time to come."""
        with self._database.reading() as connection:
            if as_of.time is not None and as_of.time > now_of(connection):
                raise BadInput(f"{as_of} is in the future: nothing can be recorded as of that time")
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
            return rows.version_of(row) if row else None

    def list_found(
        self, recorded: Mapping[str, tuple[VmDevice, ...]], pins: Mapping[str, Pins]
    ) -> dict[str, tuple[VmDevice, ...]]:
        """Return the RECORDED devices of guests, with those PINS, as they were last found."""
        if not any(pins.values()):
            return dict(recorded)
        with self._database.reading() as connection:
            return rows.list_found(connection, recorded, pins)

    def list_pins(self, vm_ids: Sequence[str]) -> dict[str, Pins]:
        """Return the pinned addresses of these guests, by guest and device_id."""
        with self._database.reading() as connection:
            return rows.list_pins(connection, vm_ids)

    def write(
        self,
        seen: Mapping[VmDynamic, Sequence[VmDevice]],
        record: int | None = None,
        newest: Mapping[str, Newest] | None = None,
    ) -> int | None:
        """Record these guests as they were SEEN, in one transaction; return the record's number.

        It is a new one, or a part of RECORD; RECORD, or None, where no device of them has changed,
        and only their own rows are written. What is recorded is read again behind the lock on the
        guest's own row, so two records at a time do not mix. A guest with a device that is not
        where it is pinned gets no fingerprint, so it is read in full again. NEWEST is what was
        recorded of these guests before they were looked at, and when that was: with it nothing is
        written, and Overtaken raised, where more has been recorded since. Raises Busy when another
        one is at it.
        """
        with self._database.writing() as connection:
            ordered = sorted(seen, key=lambda item: item.vm_id)
            vm_ids = [dynamic.vm_id for dynamic in ordered]
            known = [rows.lock(connection, vm_id) for vm_id in vm_ids]
            if newest is not None:
                _check_newest(connection, newest, vm_ids)
            for dynamic, is_known in zip(ordered, known, strict=True):
                looked = newest[dynamic.vm_id].read if newest else None
                rows.write_dynamic(connection, dynamic, is_known, looked)
            recorded = rows.list_devices(connection, vm_ids)
            pins = rows.list_pins(connection, vm_ids)
            last: dict[str, list[VmDevice]] = {}
            for (vm_id, _), device in rows.list_states(connection, recorded, pins).items():
                last.setdefault(vm_id, []).append(device)
            merged = {
                key: merge(recorded.get(key, ()), devices, pins.get(key), last.get(key, ()))
                for key, devices in ((item.vm_id, devices) for item, devices in seen.items())
            }
            number = rows.write_merged(connection, merged.values(), record)
            held = [vm_id for vm_id, part in merged.items() if part.is_held]
            rows.forget_fingerprints(connection, held)
        return number

    def replace(self, vm_id: str, change: Change) -> None:
        """Write what CHANGE makes of the recorded devices of one guest, in one transaction.

        CHANGE gets them as they are behind the lock, and returns all that there are to be, with
        the guest's own row; what it raises leaves everything as it was. The history gets the change
        alone, so it keeps where a device was found beside its pin; the hash is that of this. Raises
        Busy as `write`.
        """
        with self._database.writing() as connection:
            is_known = rows.lock(connection, vm_id)
            recorded = rows.list_devices(connection, [vm_id]).get(vm_id, ())
            pins = rows.list_pins(connection, [vm_id])
            states = rows.list_states(connection, {vm_id: recorded}, pins)
            found = rows.list_found(connection, {vm_id: recorded}, pins)[vm_id]
            dynamic, devices = change(recorded)
            merged, now = _replaced(recorded, devices, found, states)
            rows.write_dynamic(connection, replace(dynamic, hash=hash_of(now)), is_known)
            rows.write_merged(connection, [merged])


def _replaced(
    recorded: Sequence[VmDevice],
    devices: Sequence[VmDevice],
    found: Sequence[VmDevice],
    states: rows.States,
) -> tuple[Merged, Sequence[VmDevice]]:
    """Return what to write so that the RECORDED rows are DEVICES, and what then counts as FOUND.

    STATES are what the history has of pinned devices.
    """
    last = {device.device_id: device for device in found}
    before = {device.device_id: device for device in recorded}
    after = {device.device_id: device for device in devices}
    now = {
        key: _changed(last[key], before[key], item) if key in before else item
        for key, item in after.items()
    }
    written = tuple(item for key, item in after.items() if before.get(key) != item)
    dropped = tuple(item for key, item in before.items() if key not in after)
    gone = {item.device_id for item in dropped}
    news = {item.device_id: now[item.device_id] for item in written}
    missing = {item.device_id: item for item in rows.unwritten(found, states)}
    versions = {key: item for key, item in (missing | news).items() if key not in gone}
    return Merged(written, dropped, tuple(versions.values())), list(now.values())


def _changed(found: VmDevice, before: VmDevice, after: VmDevice) -> VmDevice:
    """Return FOUND with what AFTER has otherwise than BEFORE."""
    values = {item.name: getattr(after, item.name) for item in fields(VmDevice)}
    return replace(
        found, **{name: new for name, new in values.items() if new != getattr(before, name)}
    )


def _check_newest(
    connection: sa.Connection, newest: Mapping[str, Newest], vm_ids: Sequence[str]
) -> None:
    """Raise Overtaken where something else than NEWEST is recorded, behind the guests' locks."""
    now = rows.list_newest(connection, vm_ids)
    overtaken = [vm_id for vm_id in vm_ids if now[vm_id] != newest.get(vm_id)]
    if overtaken:
        raise Overtaken(overtaken)
