"""The pins of recorded addresses in the state database, and who pinned what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from novadev.database import Database, now_of
from novadev.errors import NotAsNeeded
from novadev.records import rows
from novadev.records.addresses import place_of
from novadev.records.device import Merged, Pins, VmDevice, merge, root_model
from novadev.state.tables import vm_device_pin, vm_device_pin_history


@dataclass(frozen=True)
class PinChange:
    """A device was pinned at an address, or unpinned; ``made`` is when, UTC, and USER by whom.

    ``address`` is the one that is pinned from then on, or no longer. ``host`` is the compute host
    on which the device was recorded.
    """

    device_id: str
    label: str
    host: str
    address: str
    is_pinned: bool
    made: str
    user: str


class PinStore:
    """The pins that the state database has."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pin(self, vm_id: str, shown: Pins, user: str) -> None:
        """Pin devices of a guest where they are recorded, for USER.

        SHOWN are their addresses as USER has seen them. Raises NotAsNeeded, and pins none, where
        one is recorded elsewhere by now, where another is pinned at its address, or where pins are
        for a former machine type; and Busy where another process is at the same guest.
        """
        with self._database.writing() as connection:
            rows.lock(connection, vm_id)
            recorded = rows.list_devices(connection, [vm_id]).get(vm_id, ())
            known = rows.list_pins(connection, [vm_id]).get(vm_id, {})
            places = {item.device_id: item.address for item in recorded if item.is_plugged}
            new = {item: place for item, place in shown.items() if item not in known}
            if any(places.get(item) != place for item, place in new.items()):
                raise NotAsNeeded(
                    f"instance {vm_id}: its devices were recorded again meanwhile. "
                    "Run the command again"
                )
            found = rows.list_found(connection, {vm_id: recorded}, {vm_id: known})[vm_id]
            _check_machine(recorded, found, new)
            _check_apart(recorded, known, new)
            _insert(connection, vm_id, new)
            _remember(connection, recorded, new, user, is_pinned=True)

    def unpin(self, vm_id: str, device_ids: Sequence[str], user: str) -> None:
        """Have these devices recorded where they were last found, for USER; Busy as `pin`.

        A device that is gone stays recorded until the next record finds it so. That reads the
        guest in full.
        """
        table = vm_device_pin
        with self._database.writing() as connection:
            rows.lock(connection, vm_id)
            recorded = rows.list_devices(connection, [vm_id]).get(vm_id, ())
            known = rows.list_pins(connection, [vm_id]).get(vm_id, {})
            states = rows.list_states(connection, {vm_id: recorded}, {vm_id: known})
            found = rows.list_found(connection, {vm_id: recorded}, {vm_id: known})[vm_id]
            chosen = (table.c.vm_id == vm_id, table.c.device_id.in_(device_ids))
            connection.execute(sa.delete(table).where(*chosen))
            old = {key: address for key, address in known.items() if key in device_ids}
            left = {key: address for key, address in known.items() if key not in old}
            there = [device for device in found if device.is_plugged]
            written = merge(recorded, there, left, found).written
            news = Merged(written, dropped=(), versions=rows.unwritten(found, states))
            rows.write_merged(connection, [news])
            rows.forget_fingerprints(connection, [vm_id])
            _remember(connection, recorded, old, user, is_pinned=False)

    def list_changes(self, vm_id: str) -> Iterator[PinChange]:
        """Yield what was pinned and unpinned of a guest, oldest first."""
        table = vm_device_pin_history
        query = sa.select(table).where(table.c.vm_id == vm_id).order_by(table.c.id)
        with self._database.reading() as connection:
            for row in connection.execute(query):
                yield PinChange(
                    device_id=row.device_id,
                    label=row.label,
                    host=row.host,
                    address=row.address,
                    is_pinned=row.is_pinned,
                    made=rows.utc_text(row.made),
                    user=row.user,
                )


def _check_machine(recorded: Sequence[VmDevice], found: Sequence[VmDevice], new: Pins) -> None:
    """Raise NotAsNeeded where pins of a former machine type hold what is RECORDED of PCI bus 0.

    A NEW pin on PCI would count as one for that machine, and would be used by nobody.
    """
    if root_model(recorded) != root_model(found) and any("type=pci" in to for to in new.values()):
        raise NotAsNeeded(
            f"instance {found[0].vm_id}: its machine type has changed since other devices were "
            "pinned. Unpin them first (novadev device unpin)"
        )


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
                f"at {place[2]}. Unpin one of them (novadev device unpin)"
            )


def _insert(connection: sa.Connection, vm_id: str, pins: Pins) -> None:
    values = {"vm_id": vm_id, "pinned": now_of(connection)}
    added = [{**values, "device_id": key, "address": place} for key, place in pins.items()]
    if added:
        connection.execute(sa.insert(vm_device_pin), added)


def _remember(
    connection: sa.Connection,
    recorded: Sequence[VmDevice],
    pins: Pins,
    user: str,
    is_pinned: bool,
) -> None:
    """Write down that USER has pinned, or unpinned, those of the RECORDED devices in PINS."""
    common = {"made": now_of(connection), "user": user, "is_pinned": is_pinned}
    changes = [
        {
            **common,
            "vm_id": device.vm_id,
            "device_id": device.device_id,
            "label": device.label,
            "host": device.host,
            "address": pins[device.device_id],
        }
        for device in recorded
        if device.device_id in pins
    ]
    if changes:
        connection.execute(sa.insert(vm_device_pin_history), changes)
