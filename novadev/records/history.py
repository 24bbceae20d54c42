"""When the devices of a guest changed, or were pinned: the work behind ``device history``."""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from novadev.deployment import Deployment
from novadev.errors import NotFound
from novadev.records.baseline import nameless
from novadev.records.device import VmDevice
from novadev.records.drift import Drift, compare, short_place
from novadev.records.pin_store import PinChange, PinStore
from novadev.records.store import Version, VmDevices
from novadev.selection import get_instance


@dataclass(frozen=True)
class PastChange:
    """A change of a device that a record has found; ``seen`` is the time of the record, in UTC.

    The change itself came between this record and the one before it. ``record`` is its number,
    which ``--as-of`` takes. ``field``, ``before`` and ``after`` are as in a drift: field, recorded
    and found. Or an operator, the ``user``, pinned or unpinned a device: then ``field`` is ``pin``,
    with the pinned address ``before`` and ``after`` in the short form; that is no record, and
    ``record`` is None. ``first`` says that it is the guest's first record: it has every device as
    a new one, and nothing had changed.
    """

    seen: str
    host: str
    label: str
    field: str
    before: str | None
    after: str | None
    record: int | None
    user: str | None = None
    first: bool = False


def list_changes(deployment: Deployment, name: str) -> Iterator[PastChange]:
    """Yield every recorded change of the devices of the instance NAME, and pins, oldest first.

    By its UUID also of one that is deleted. Raises NotFound where nothing was ever recorded of
    it, and for a name as :func:`novadev.selection.get_instance`.
    """
    vm_id = _vm_id(deployment, name)
    recorded = _recorded_changes(deployment, vm_id)
    pins = map(_pin, _in_order(PinStore(deployment.state).list_changes(vm_id)))
    yield from heapq.merge(recorded, pins, key=lambda change: change.seen)


def _in_order(changes: Iterable[PinChange]) -> Iterator[PinChange]:
    """Yield CHANGES; those that one command has made are in the order of their labels."""
    for _, together in groupby(changes, lambda item: (item.made, item.user, item.is_pinned)):
        yield from sorted(together, key=lambda item: item.label)


def _recorded_changes(deployment: Deployment, vm_id: str) -> Iterator[PastChange]:
    before: dict[str, VmDevice | None] = {}
    first: int | None = None
    for version in VmDevices(deployment.state).iter_versions(vm_id):
        first = version.record if first is None else first
        earlier = before.get(version.device_id)
        before[version.device_id] = version.device
        for drift in compare(_plugged(earlier), _plugged(version.device)):
            yield _change(version, version.device or earlier, drift, version.record == first)
    if not before:
        raise NotFound(f"nothing was ever recorded of instance {vm_id}: run novadev device record")


def _vm_id(deployment: Deployment, name: str) -> str:
    try:
        return str(uuid.UUID(name))
    except ValueError:
        if not deployment.has_databases:
            raise nameless(name) from None
        return get_instance(deployment, name).uuid


def _plugged(device: VmDevice | None) -> tuple[VmDevice, ...]:
    return (device,) if device and device.is_plugged else ()


def _change(version: Version, device: VmDevice | None, drift: Drift, is_first: bool) -> PastChange:
    host = device.host if device else ""
    change = (drift.label, drift.field, drift.recorded, drift.found)
    return PastChange(version.seen, host, *change, version.record, first=is_first)


def _pin(change: PinChange) -> PastChange:
    address = short_place(change.address)
    before, after = (None, address) if change.is_pinned else (address, None)
    return PastChange(
        change.made, change.host, change.label, "pin", before, after, None, change.user
    )
