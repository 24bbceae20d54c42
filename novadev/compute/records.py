"""The records of the guests of one nova-compute: what counts as one, and what becomes one."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import TypeVar

from novadev.compute.owed_layouts import Held
from novadev.compute.state_database import Failed, StateDatabase
from novadev.device.hosted_instance import HostedInstance
from novadev.errors import Busy, NotAsNeeded, NovadevError, Unreachable
from novadev.keep.definition import MOST, Record
from novadev.records.addresses import outdated_pins
from novadev.records.device import Pins, VmDevice
from novadev.records.on_host import Question, Seen, see_text
from novadev.records.rows import Newest
from novadev.records.store import VmDevices

T = TypeVar("T")
_REMEMBERED = 1024
"""Guests from elsewhere, and guests recorded here, that are remembered."""
_TRIES = 3
_LATE = 1.0
"""Seconds after which what a guest was seen with is recorded late: it may be elsewhere by then, and
be recorded there."""
_SECOND = 1.0
"""How far the times of two looks in a table, which has whole seconds, may be off."""
_FRESH = 30.0
"""Seconds for which what was read when a guest was seen is good: it may be pinned meanwhile.

Nova's hard reboot takes three to twelve on a busy host until it has the definition.
"""
Rows = tuple[VmDevice, ...]


@dataclass(frozen=True)
class _Recorded:
    """What is recorded of a guest, its pins, and the host of the newest record.

    ``before`` is what was recorded when a power-on of the guest was lost; ``rows`` where none was.
    ``found`` is what was last found, beside the pins.
    """

    rows: Rows = ()
    pins: Pins = field(default_factory=dict)
    host: str = ""
    before: Rows = ()
    found: Rows = ()


@dataclass(frozen=True)
class _Look:
    """What a guest was seen with by a TEXT, and what was recorded of it then.

    ``at`` is the moment of that, where it is known; ``is_read``: the state database could be read.
    """

    text: str
    seen: Seen
    recorded: _Recorded
    at: float = math.inf
    is_read: bool = True
    time: float = field(default_factory=monotonic)

    @property
    def is_fresh(self) -> bool:
        return monotonic() - self.time < _FRESH


class Crowded(NotAsNeeded):
    """So much is recorded of a guest that to read it would make the other guests wait."""


class Older(Busy):
    """What is recorded of a guest is newer than what was seen here: nothing of it is missing."""


class Records:
    """What is recorded in the state database at URL; ``special`` kinds of devices are managed.

    ``host`` is the name of this host.

    FAILED is called, by another thread, for each write that does not land.
    """

    def __init__(self, url: str, failed: Failed) -> None:
        self.database = StateDatabase(url, failed)
        self.special: tuple[str, ...] = ()
        self.host = ""
        self._arrived: OrderedDict[str, None] = OrderedDict()
        self._states: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._looks: dict[str, _Look] = {}
        self.held = Held()

    def get(self, uuid: str, seen: str | None, again: bool) -> Record:
        """Return what counts as the record of the guest UUID.

        What it was SEEN with by the request that makes it anew, as XML, is newer than any record;
        then the state database is only asked for pins, and for who is who, and not even for that
        where it was when the guest was seen. While it was rescued, what it was seen with is not its
        own, and the record counts. AGAIN: it is made anew on the host it was on. Raises NotAsNeeded
        where nothing counts, and Unreachable.
        """
        look = None if seen is None else self._look_of(uuid, seen)
        if look is not None:
            before = look.recorded.before
            devices = self.held.applied(uuid, look.seen.devices, before, look.at)
            pins = _in_use(look.recorded, devices)
            return Record(_with_pins(devices, look.recorded.rows, pins), pins, look.is_read)
        if seen is None and not again:
            self._arrives(uuid)
        found = self._read(uuid)
        if uuid in self._arrived:
            raise NotAsNeeded(
                "what is recorded on this host alone does not count for a guest that may come from "
                "elsewhere: set [novadev] state_connection to a database that all hosts share"
            )
        if not found.rows:
            raise NotAsNeeded("nothing is recorded of it")
        return Record(found.rows, found.pins, is_of_host=found.host in ("", self.host))

    def _arrives(self, uuid: str) -> None:
        """Note that the guest comes from elsewhere, where what is recorded here is not known."""
        if self.database.is_own:
            _remember(self._arrived, uuid, None)
            self.held.release(uuid)

    def lose(self, uuid: str, given: Rows | None, moment: float, again: bool) -> None:
        """Note that the guest UUID was made without what it was GIVEN, if that is known.

        That was at that MOMENT; AGAIN as for `get`.
        """
        if given is None and not again and self.database.is_own:
            self._arrives(uuid)
        else:
            known = self._state_at(uuid, moment) if given is None else given
            self.held.hold(uuid, known, moment)

    def _state_at(self, uuid: str, moment: float) -> int | None:
        """Return the state in which the guest was recorded for a power-on at that MOMENT, if so."""
        seen, state = self._states.get(uuid, (-math.inf, 0))
        return state if seen <= moment < seen + _FRESH else None

    def write(self, uuid: str, text: str, host: str, at: float) -> None:
        """Record, some time soon, what the guest UUID had by TEXT on HOST.

        AT is the moment of that, by this machine's monotonic clock.
        """
        looks = self._looks.copy().items()
        self._looks = {key: look for key, look in looks if key != uuid and look.is_fresh}
        self.database.write(uuid, lambda: self._write(uuid, text, host, at))

    def _look_of(self, uuid: str, text: str) -> _Look | None:
        """Return what the guest was seen with by TEXT; None where that is not its own."""
        look = self._looks.get(uuid)
        if look is not None and look.text == text and look.is_fresh:
            return look
        is_read, found = True, _Recorded()
        try:
            found = self._read(uuid)
        except NovadevError:
            is_read = False
        try:
            return replace(self._look(uuid, text, "", found), is_read=is_read)
        except NotAsNeeded:  # it was rescued
            return None

    def _look(
        self, uuid: str, text: str, host: str, recorded: _Recorded, at: float = math.inf
    ) -> _Look:
        last = recorded.host if recorded.host != self.host else ""
        question = Question(self.special, recorded.found, recorded_on=last)
        return _Look(text, see_text(HostedInstance(uuid, "", host), question, text), recorded, at)

    def _read(self, uuid: str) -> _Recorded:
        try:
            return self.database.ask(lambda: self._read_now(uuid))
        except Crowded:
            raise
        except NotAsNeeded as error:  # it is of another release of novadev
            raise Unreachable(str(error)) from error

    def _read_now(self, uuid: str) -> _Recorded:
        store = self._store()
        if store.count([uuid]).get(uuid, 0) > MOST:
            raise Crowded(f"more than {MOST} devices are recorded of it")
        last = store.list_dynamics([uuid]).get(uuid)
        rows = store.list_devices([uuid], is_present=True).get(uuid, ())
        return self._recorded(store, uuid, rows, last.host if last else "")

    def _recorded(
        self, store: VmDevices, uuid: str, rows: Rows, host: str, seen: float = math.inf
    ) -> _Recorded:
        pins = store.list_pins([uuid]).get(uuid, {})
        before, then = rows, self.held.recorded_at(uuid, seen)
        if isinstance(then, int):
            before = store.list_devices_until(uuid, then)
        elif then is not None:
            before = store.list_devices_ago(uuid, monotonic() - then)
        found = store.list_found({uuid: rows}, {uuid: pins})[uuid]
        return _Recorded(rows, pins, host, before or rows, found)

    def _write(self, uuid: str, text: str, host: str, at: float) -> None:
        store = self._store()
        for left in reversed(range(_TRIES)):
            newest = store.list_newest([uuid])
            newest = {uuid: _looked(newest[uuid], monotonic() - at)}
            elsewhere = _recorded_elsewhere(newest[uuid], host)
            if monotonic() - at > _LATE:
                if at < elsewhere:
                    raise Older("another host has recorded it since it was seen here")
                if at < self._seen_by_others(uuid, newest[uuid]) - _SECOND:
                    raise Older("novadev device record or device watch has looked at it since")
            self.held.outdate(uuid, elsewhere)
            last = newest[uuid].dynamic
            rows = store.list_devices([uuid]).get(uuid, ())
            recorded = self._recorded(store, uuid, rows, last.host if last else "", at)
            try:
                look = self._look(uuid, text, host, recorded, at)
            except NotAsNeeded:  # it is rescued: its devices are not its own
                return
            self._looks[uuid] = look  # its definition may be asked for before it is written
            devices = self.held.applied(uuid, look.seen.devices, recorded.before, at)
            try:
                store.write({look.seen.dynamic: devices}, newest=newest)
                self._arrived.pop(uuid, None)
                state = store.list_newest([uuid])[uuid].state
                _remember(self._states, uuid, (at, state))
                self.held.know(uuid, at, state)
                return
            except Busy:
                if not left:
                    raise

    def _seen_by_others(self, uuid: str, newest: Newest) -> float:
        """Return when another process of this host looked at the guest that it has recorded since.

        By this machine's monotonic clock; minus infinity where the newest state is written here.
        Within a second nobody knows who looked first. What is seen here is written then: with the
        fingerprint of that, so the next look reads a guest that is another one in full.
        """
        _, own = self._states.get(uuid, (0.0, 0))
        if newest.age is None or newest.state == own:
            return -math.inf
        return monotonic() - newest.age

    def _store(self) -> VmDevices:
        return VmDevices(self.database.opened())


def _remember(known: OrderedDict[str, T], uuid: str, value: T) -> None:
    known[uuid] = value
    known.move_to_end(uuid)
    while len(known) > _REMEMBERED:
        known.popitem(last=False)


def _looked(newest: Newest, ago: float) -> Newest:
    """Return what was recorded last when the guest was looked at, which was AGO seconds."""
    if newest.read is None:
        return newest
    then = newest.read - timedelta(seconds=ago)
    return replace(newest, read=then.replace(microsecond=0))


def _recorded_elsewhere(newest: Newest, host: str) -> float:
    """Return when another host than HOST has recorded the guest last; minus infinity for never.

    That is by this machine's monotonic clock; how long ago it was says the database's.
    """
    if newest.dynamic is None or newest.age is None or newest.dynamic.host == host:
        return -math.inf
    return monotonic() - newest.age


def _in_use(recorded: _Recorded, devices: Rows) -> Pins:
    """Return the pins of what is RECORDED, but for those where DEVICES cannot be any more."""
    outdated = outdated_pins(recorded.rows, devices, recorded.pins)
    return {key: place for key, place in recorded.pins.items() if key not in outdated}


def _with_pins(devices: Rows, recorded: Rows, pins: Pins) -> Rows:
    """Return DEVICES with the pinned ones where they are pinned, there or not."""
    known = {row.device_id: row for row in (*recorded, *devices)}
    pinned = [
        replace(known[key], is_plugged=True, address=address)
        for key, address in pins.items()
        if key in known
    ]
    return (*(row for row in devices if row.device_id not in pins), *pinned)
