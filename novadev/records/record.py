"""Store what the guests have: the work behind ``device record``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from novadev.deployment import Deployment
from novadev.errors import Busy
from novadev.records.addresses import outdated_pins
from novadev.records.comparison import Look, iter_looks
from novadev.records.drift import short_address, short_place
from novadev.records.store import Overtaken, VmDevices
from novadev.runs.plan import Skip
from novadev.selection import Selection

_TRIES = 5


@dataclass(frozen=True)
class RecordedGuest:
    """A guest and its hash, now and before; ``changed`` says whether these differ.

    The hash before is that of the record before, or what an import has made of it; pins are in
    neither. What the guest does not
    see, such as an alias, is written too where it has changed. ``record`` is the number of the
    record that wrote any of its devices, None where none was written.
    ``notes`` are what the guest's agent had to say, or why it said nothing.
    """

    instance: str
    host: str
    hash: str
    previous_hash: str | None
    changed: bool
    notes: tuple[str, ...]
    record: int | None


_HELD = (
    "a pinned device is not at its pinned address; the record keeps that address, and its history "
    "has the present one: novadev device drift shows the difference, novadev device restore puts "
    "the device back, novadev device unpin removes the pin"
)
_UNFIT = (
    "{} is pinned at {}, where it can no longer be, because its bus, its model or the machine type "
    "is another one now: novadev device unpin removes the pin"
)
_ABSENT = (
    "{} is pinned at {}, but the guest no longer has the device: the record keeps the address "
    "until novadev device unpin removes the pin"
)


def record_devices(
    deployment: Deployment,
    selection: Selection,
    asks_guest: bool = False,
    no_database: bool = False,
) -> Iterator[RecordedGuest | Skip]:
    """Yield the selected guests as they were recorded; an unchanged one costs no write.

    A guest that is being started or migrated in, or is rescued, is a skip. One that another
    process has recorded since it was looked at is looked at again. Raises as
    :func:`novadev.records.comparison.iter_looks`, and Unreachable when nothing can be written.
    """
    record: int | None = None
    look_at = partial(iter_looks, deployment, asks_guest=asks_guest, no_database=no_database)
    for looks in look_at(selection):
        record, left = yield from _record(deployment, looks, record)
        for _ in range(_TRIES if left else 0):
            again = _look_again(look_at, left, selection.is_named)
            record, left = yield from _record(deployment, list(again), record)
        yield from (Skip.of(uuid, Overtaken([uuid]), selection.is_named) for uuid in left)


def _record(
    deployment: Deployment, looks: Sequence[Look | Skip], record: int | None
) -> Generator[RecordedGuest | Skip, None, tuple[int | None, tuple[str, ...]]]:
    """Yield what was recorded, and return the record's number and the guests that are left."""
    found = [look for look in looks if isinstance(look, Look)]
    new = [look for look in found if look.is_new]
    record, left = write_looks(VmDevices(deployment.state), new, record)
    yield from (look for look in looks if isinstance(look, Skip))
    done = [look for look in found if look.instance.uuid not in left]
    yield from (_recorded(look, record if look.has_news else None) for look in done)
    return record, left


def _look_again(
    look_at: Callable[[Selection], Iterator[list[Look | Skip]]], uuids: Sequence[str], named: bool
) -> Iterator[Look | Skip]:
    """Yield a look at each of these guests; NAMED: they were on the command line."""
    for looks in look_at(Selection(names=uuids)) if uuids else ():
        for look in looks:
            yield replace(look, named=named) if isinstance(look, Skip) else look


def write_looks(
    vm_devices: VmDevices, looks: Sequence[Look], record: int | None
) -> tuple[int | None, tuple[str, ...]]:
    """Write the records; retry a few times if another process records the same guests.

    Return the number of the record, of which RECORD has a part already, if so, and the guests that
    another one has recorded since they were looked at: nothing of these was written.
    """
    left: tuple[str, ...] = ()
    tries = _TRIES
    while fresh := [look for look in looks if look.instance.uuid not in left]:
        seen = {look.seen.dynamic: look.seen.devices for look in fresh if look.seen is not None}
        newest = {look.instance.uuid: look.newest for look in fresh}
        try:
            return vm_devices.write(seen, record, newest), left
        except Overtaken as error:
            left += error.vm_ids
        except Busy:
            tries -= 1
            if not tries:
                raise
    return record, left


def _recorded(look: Look, record: int | None) -> RecordedGuest:
    return RecordedGuest(
        instance=look.instance.uuid,
        host=str(look.instance.host),
        hash=look.hash,
        previous_hash=look.found_hash,
        changed=look.hash != look.found_hash,
        notes=(*look.notes, *pin_notes(look)),
        record=record,
    )


def pin_notes(look: Look) -> Iterator[str]:
    """Yield what an operator should know of the pinned devices that are elsewhere, or gone."""
    outdated = outdated_pins(look.devices, look.seen.devices if look.seen else (), look.pins)
    unfit = [item for item in look.held if item.device_id in outdated]
    if len(look.held) > len(unfit):
        yield _HELD
    yield from (_UNFIT.format(item.label, short_place(look.pins[item.device_id])) for item in unfit)
    yield from (_ABSENT.format(item.label, short_address(item)) for item in look.absent)
