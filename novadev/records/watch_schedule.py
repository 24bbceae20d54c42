"""When a watch checks which guest: pure rules that get the time as an argument.

A guest is recorded shortly after it changed, so that what changes at once is one record; at most
so often a minute, so that one that flaps costs no more. Its agent is asked when a disk came, and
again with growing pauses: the guest may have seen the disk, and its agent not. vdsm asks in its own
rhythm, and leaves a disk without a name that came back between two rounds (its issue 396).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from novadev.errors import NotAsNeeded, Unreachable
from novadev.records.watch_jobs import NotRecorded, Recorded, Result
from novadev.virt.guest_events import GuestEvent, News

SETTLE = 0.2
"""Seconds from a change until it is recorded: others follow at once."""
WINDOW, PER_WINDOW = 60.0, 12
"""Seconds, and how often in them a guest is recorded because it changed, and its agent asked."""
CALM = 2 * WINDOW
"""Seconds that so many records must have taken until a guest flaps no more."""
NAME_PAUSES = (1.0, 1, 2, 4, 8, 15, 30, 60, 120, 300)
"""Seconds before each question to an agent, from the coming of a disk on: nine minutes in all."""
SILENT = 4
"""Questions to an agent that gave no answer at all; libvirt tells when it connects."""
RETRIES = (1.0, 2, 4, 8, 16, 32, 60)
"""Seconds until a guest is looked at again that could not be."""
_KEPT = 600.0
"""Seconds that a guest is remembered for which nothing is to be done: a job may be at it."""


@dataclass(frozen=True)
class Flapping:
    """A guest changes so often that it is recorded later than it changes."""

    host: str
    uuid: str
    name: str = ""


@dataclass(frozen=True)
class Unnamed:
    """A guest answers, and has no name for some of its disks: it is not asked any more."""

    host: str
    uuid: str
    disks: tuple[str, ...]
    name: str = ""


@dataclass
class _Guest:
    """What is to be done for a guest, and when: to record it (``due``), to ask its agent.

    ``look`` is when the job looks at it that was begun last: what happens before is seen by that.
    ``name`` is what a job said that it is called.
    """

    host: str
    uuid: str
    name: str = ""
    due: float = inf
    look: float = -inf
    ask_due: float = inf
    asked: int = 0
    failures: int = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=PER_WINDOW))
    asks: deque[float] = field(default_factory=lambda: deque(maxlen=PER_WINDOW))
    is_flapping: bool = False
    touched: float = -inf


class Schedule:
    """The guests for which something is to be done; with ASKS_GUEST their agents are asked."""

    def __init__(self, asks_guest: bool) -> None:
        self._asks_guest = asks_guest
        self._guests: dict[tuple[str, str], _Guest] = {}

    @property
    def waiting(self) -> int:
        """How many guests are to be recorded."""
        return sum(guest.due < inf for guest in self._guests.values())

    def due(self, is_free: Callable[[str], bool], is_ask_free: Callable[[str], bool]) -> float:
        """Return when there is something to do next on a host that is free for it."""
        times = [guest.due - SETTLE for guest in self._guests.values() if is_free(guest.host)]
        times += [guest.ask_due for guest in self._guests.values() if is_ask_free(guest.host)]
        return min(times, default=inf)

    def changed(self, event: GuestEvent, now: float) -> Iterator[Flapping]:
        """Take note of EVENT."""
        if event.news is News.GONE:
            self._guests.pop((event.host, event.uuid), None)
            return
        guest = self._guest(event.host, event.uuid)
        if event.news in (News.PLUGGED, News.AGENT):
            self._begin_asking(guest, now)
        if now < guest.look:
            return
        allowed = _allowed(guest.recent, now)
        guest.is_flapping = guest.is_flapping and _allowed(guest.recent, now, CALM) > now
        if allowed > now and not guest.is_flapping:
            guest.is_flapping = True
            yield Flapping(guest.host, guest.uuid, guest.name)
        guest.due = min(guest.due, max(now + SETTLE, allowed))

    def redefined(self, host: str, uuid: str, now: float) -> Iterator[Flapping]:
        """Take note that a guest has another definition, which no event told."""
        yield from self.changed(GuestEvent(host, uuid, News.CHANGED), now)

    def take_records(
        self, now: float, is_free: Callable[[str], bool], room: int
    ) -> dict[str, list[str]]:
        """Return the guests that are due on ROOM hosts that are free for it, by their hosts.

        The job is begun a little before it may look at them: its process has to start.
        """
        found: dict[str, list[str]] = {}
        for guest in sorted(self._guests.values(), key=lambda guest: guest.due):
            is_in = guest.host in found or (len(found) < room and is_free(guest.host))
            if guest.due <= now + SETTLE and is_in:
                guest.look, guest.due, guest.touched = now + SETTLE, inf, now
                guest.recent.append(now)
                found.setdefault(guest.host, []).append(guest.uuid)
        return found

    def take_asks(self, now: float, is_free: Callable[[str], bool], room: int) -> dict[str, str]:
        """Return a guest whose agent is to be asked for each of ROOM hosts that are free for it.

        Who is asked, or recorded, too often is put off: an answer may be one more record.
        """
        found: dict[str, str] = {}
        for guest in self._guests.values():
            if guest.ask_due <= now:
                guest.ask_due = max(_allowed(times, now) for times in (guest.asks, guest.recent))
        for guest in sorted(self._guests.values(), key=lambda guest: guest.ask_due):
            is_in = guest.host not in found and len(found) < room and is_free(guest.host)
            if guest.ask_due <= now and is_in:
                guest.ask_due, guest.touched = inf, now
                guest.asks.append(now)
                found[guest.host] = guest.uuid
        return found

    def recorded(self, host: str, results: Iterable[Result], now: float) -> None:
        """Take note of what came of guests of HOST that were to be recorded, or of all there."""
        for result in results:
            known = self._guests.get((host, result.uuid or ""))
            if isinstance(result, NotRecorded):
                if known is not None:
                    known.due = min(known.due, self._again(known, result, now))
                continue
            if result.is_outdated:
                known = self._guest(host, result.uuid)
                known.due = min(known.due, now + SETTLE)
            if known is not None:
                known.failures, known.name = 0, result.name or known.name
            if result.unnamed and result.is_running is not False:
                self._missed_names(host, result, now)

    def asked(self, host: str, results: Iterable[Result], now: float) -> Iterator[Unnamed]:
        """Take note of what came of guests of HOST whose agents were asked."""
        for result in results:
            guest = self._guests.get((host, result.uuid or ""))
            if guest is None:
                continue
            if isinstance(result, Recorded) and result.is_written:
                guest.recent.append(now)
            if isinstance(result, NotRecorded):
                guest.ask_due = min(guest.ask_due, self._again(guest, result, now))
            elif result.is_outdated:
                guest.ask_due = now + NAME_PAUSES[0]
            elif result.unnamed and result.is_running:
                yield from self._ask_again(guest, result, now)

    def failed(self, host: str, uuids: Iterable[str], due: float, asked: bool = False) -> None:
        """Put off these guests, of which nothing was learnt, until DUE; ASKED: their agents."""
        for uuid in uuids:
            guest = self._guests.get((host, uuid))
            if guest is not None and asked:
                guest.ask_due = min(guest.ask_due, due)
            elif guest is not None:
                guest.due = min(guest.due, due)
                guest.recent.clear()

    def forget(self, host: str) -> None:
        """Do nothing more for the guests of HOST: all of it is to be looked at instead."""
        for key in [key for key in self._guests if key[0] == host]:
            del self._guests[key]

    def tidy(self, now: float) -> None:
        """Forget the guests for which nothing is to be done, and was for a while."""
        self._guests = {
            key: guest
            for key, guest in self._guests.items()
            if min(guest.due, guest.ask_due) < inf or guest.touched > now - _KEPT
        }

    def _guest(self, host: str, uuid: str) -> _Guest:
        return self._guests.setdefault((host, uuid), _Guest(host, uuid))

    def _begin_asking(self, guest: _Guest, now: float) -> None:
        """Ask from now on, as often as a disk that comes deserves."""
        if self._asks_guest:
            guest.asked, guest.ask_due = 0, min(guest.ask_due, now + NAME_PAUSES[0])

    def _missed_names(self, host: str, result: Recorded, now: float) -> None:
        """Ask a guest that has disks without a name; once, where nothing of it is new."""
        guest = self._guest(host, result.uuid)
        if guest.ask_due < inf:
            return
        if result.is_written:
            self._begin_asking(guest, now)
        elif result.is_running is None and self._asks_guest:
            guest.asked, guest.ask_due = len(NAME_PAUSES), now

    def _ask_again(self, guest: _Guest, result: Recorded, now: float) -> Iterator[Unnamed]:
        guest.asked += 1
        if guest.asked < (len(NAME_PAUSES) if result.has_answered else SILENT):
            guest.ask_due = min(guest.ask_due, now + NAME_PAUSES[guest.asked])
        elif result.has_answered and guest.asked == len(NAME_PAUSES):
            yield Unnamed(guest.host, guest.uuid, result.unnamed, result.name or guest.name)

    def _again(self, guest: _Guest, result: NotRecorded, now: float) -> float:
        """Return when to look again at a guest that could not be looked at.

        As long as it takes where its host or a database gave no answer, and some times where the
        guest may be on its way: it is started, or Nova has it on another host still.
        """
        if result.exit_code not in _AGAIN:
            return inf
        if result.exit_code != Unreachable.exit_code and guest.failures >= len(RETRIES):
            return inf
        guest.failures += 1
        if guest.recent:
            guest.recent.pop()
        return now + RETRIES[min(guest.failures, len(RETRIES)) - 1]


_AGAIN = (0, NotAsNeeded.exit_code, Unreachable.exit_code)


def _allowed(times: deque[float], now: float, window: float = WINDOW) -> float:
    """Return from when on there may be one more of what was done at TIMES, the newest few."""
    is_full = len(times) == times.maxlen
    return max(now, times[0] + window) if is_full else now
