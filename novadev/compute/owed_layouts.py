"""Layouts that guests are owed: what a power-on took away for which no answer came in time.

Without that, what libvirt chose at such a power-on would be what the guest is next seen with, and
the record that was to be kept would be lost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import cast

from novadev.records.device import VmDevice

_LOST = 4
"""Power-ons without an answer, one after the other, that are remembered of a guest."""
_SKEW = 5.0
"""Seconds by which the clocks of hosts may differ: less than a guest takes to move."""
_REMEMBERED = 1024
"""Guests that are owed their layout at a time."""
Rows = tuple[VmDevice, ...]


class Held:
    """The layouts that guests of this host are owed; used by several threads."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, list[tuple[float, Rows | int | None]]] = OrderedDict()
        self._lock = Lock()

    def hold(self, uuid: str, rows: Rows | int | None, moment: float | None = None) -> None:
        """Note that the guest UUID is owed ROWS, or what was recorded of it then.

        A number is that of the newest state of its record, None what was recorded at that MOMENT,
        which is now where it is not given. What it is owed already is older, and goes before.
        """
        with self._lock:
            owed = self._rows.setdefault(uuid, [])
            del owed[_LOST - 1 :]
            owed.append((monotonic() if moment is None else moment, rows))
            if len(self._rows) > _REMEMBERED:
                self._rows.popitem(last=False)

    def outdate(self, uuid: str, moment: float) -> None:
        """Note that the guest had a layout elsewhere at that MOMENT: it is owed nothing before.

        MOMENT is of the monotonic clock, and as good as the clocks of two hosts agree.
        """
        with self._lock:
            left = [item for item in self._rows.get(uuid, ()) if item[0] > moment - _SKEW]
            if left:
                self._rows[uuid] = left
            else:
                self._rows.pop(uuid, None)

    def know(self, uuid: str, moment: float, state: int) -> None:
        """Note that STATE of the record is what the guest had at that MOMENT.

        It is owed that where a later power-on was lost, and what it was to be given is not known.
        """
        with self._lock:
            self._rows[uuid] = [
                (lost, rows if isinstance(rows, tuple) or lost < moment else state)
                for lost, rows in self._rows.get(uuid, ())
            ]
            if not self._rows[uuid]:
                del self._rows[uuid]

    def clear(self) -> None:
        """Note that no guest is owed anything."""
        with self._lock:
            self._rows.clear()

    def release(self, uuid: str) -> None:
        """Note that the guest has its layout."""
        with self._lock:
            self._rows.pop(uuid, None)

    def recorded_at(self, uuid: str, seen: float) -> float | int | None:
        """Return the moment (a float) or the state as of which the record has what UUID is owed.

        By what it lost before it was SEEN. None where it is owed nothing then, or is owed what was
        known when it was lost.
        """
        owed = self._owed(uuid, seen)
        if not owed or any(isinstance(rows, tuple) for _, rows in owed):
            return None
        moment, state = owed[0]
        return moment if state is None else cast(int, state)

    def applied(self, uuid: str, devices: Rows, recorded: Rows, seen: float) -> Rows:
        """Return DEVICES, what the guest is seen with, at the places that it is owed.

        By what it lost before it was SEEN. RECORDED, as of :meth:`recorded_at`, counts where that
        was not known when it was lost. Where the guest is owed nothing, DEVICES are the same.
        """
        owed = self._owed(uuid, seen)
        if not owed:
            return devices
        known = (rows for _, rows in owed if isinstance(rows, tuple))
        return _as_before(devices, next(known, recorded))

    def _owed(self, uuid: str, seen: float) -> list[tuple[float, Rows | int | None]]:
        with self._lock:
            return [item for item in self._rows.get(uuid, ()) if item[0] < seen]


def _as_before(devices: Rows, rows: Rows) -> Rows:
    """Return DEVICES where ROWS have them, with the controllers of ROWS.

    A device that is new loses its place where an old one is to be there.
    """
    if _root(devices) != _root(rows):
        return devices  # the machine is of another family
    known = {row.device_id: row for row in rows if row.is_plugged and row.address}
    there = {row.device_id for row in devices}
    more = [
        row for row in known.values() if row.type == "controller" and row.device_id not in there
    ]
    taken = {known[key].address for key in there & known.keys()} | {row.address for row in more}
    return (*(_placed(row, known.get(row.device_id), taken) for row in devices), *more)


def _placed(row: VmDevice, before: VmDevice | None, taken: set[str]) -> VmDevice:
    if before is not None and row.address:
        return replace(row, address=before.address)
    return replace(row, address="") if row.address in taken else row


def _root(rows: Sequence[VmDevice]) -> set[str | None]:
    """Return the models of bus 0, which tell i440fx from Q35."""
    roots = ("pci-root", "pcie-root")
    return {row.model for row in rows if row.type == "controller" and row.model in roots}
