"""Connections to many hosts, kept open in one process for what their libvirt has to say.

``virConnectOpen`` cannot be bounded from inside a process, and a host that hangs can hold it for
ever. So each connection is opened by a thread of its own, which holds nobody else. One that is
overdue is left to itself: it goes on when its host does. A host that went away without a word
(power, network) would never let it go on. That host is asked now and then by a child process,
which has a time limit; once it answers there, another thread opens another connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from threading import Thread

from novadev.errors import NovadevError, Unreachable
from novadev.virt.binding import libvirt
from novadev.virt.events import start_events
from novadev.virt.guest_events import Lost, Subscription
from novadev.virt.host import Host
from novadev.virt.pool import Pool

OPENINGS = 16
"""Connections that are opened at a time, beside those that are overdue."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a host is tried again, doubled each time."""
BEAT = 10
"""Seconds between two signs of life."""
_CLOSING = 2.0
"""Seconds that all hosts together have to let their connections be closed."""


@dataclass(frozen=True)
class HostOpened:
    """A host is connected; events from before are not known."""

    host: str


@dataclass(frozen=True)
class HostLost:
    """A host is not connected, and why; reported once until it is connected again."""

    host: str
    error: NovadevError


@dataclass(frozen=True)
class Beat:
    """The thread of libvirt's events is alive."""


HostNews = HostOpened | HostLost


@dataclass(frozen=True)
class _Result:
    """What a thread came to: an open subscription, an error, or an answer of the host alone."""

    host: str
    attempt: int
    subscription: Subscription | None = None
    error: NovadevError | None = None


class _State(Enum):
    WAITING = "not connected, until due"
    OPENING = "being connected; overdue when due"
    STUCK = "its opening is overdue; asked when due"
    ASKING = "its opening is overdue; a child asks it"
    OPEN = "connected"


@dataclass
class _Line:
    """A host, how far its connection is, and when that has to be looked at again.

    Of one that is connected, ``due`` is when it has lasted: until then its pauses go on growing.
    """

    host: str
    state: _State = _State.WAITING
    due: float = 0.0
    attempt: int = 0
    pause: float = FIRST_PAUSE
    is_told_lost: bool = False
    subscription: Subscription | None = None


def answer(host: Host) -> bool:
    """Return whether HOST answers; raises Unreachable."""
    with host.translated():
        return bool(host.connection.getLibVersion())


class Connections:
    """One connection to each of some hosts; URI gives a host's address from its name.

    TELL gets what comes of them, from other threads: GuestEvents and Beats are for the caller, and
    anything else is to be given to `take`. All methods are for one thread, and none but `close`
    waits for a host. NOW is a time of ``time.monotonic``.
    """

    def __init__(
        self, uri: Callable[[str], str], timeout: float, tell: Callable[[object], None]
    ) -> None:
        start_events()
        self._uri, self._timeout, self._tell = uri, timeout, tell
        self._lines: dict[str, _Line] = {}
        self._beat = libvirt.virEventAddTimeout(BEAT * 1000, lambda *_: tell(Beat()), None)

    @property
    def open_hosts(self) -> list[str]:
        """The hosts that are connected."""
        return [line.host for line in self._lines.values() if line.state is _State.OPEN]

    @property
    def hosts(self) -> Collection[str]:
        """The hosts that are to be connected."""
        return self._lines.keys()

    def is_open(self, host: str) -> bool:
        """Whether HOST is connected."""
        return host in self._lines and self._lines[host].state is _State.OPEN

    def digests(self, host: str) -> Callable[[], dict[str, int]]:
        """Return what reads the digests of HOST, which is connected; for any thread to call.

        See :meth:`novadev.virt.guest_events.Subscription.digests`.
        """
        subscription = self._lines[host].subscription
        assert subscription is not None
        return subscription.digests

    def keep(self, hosts: Collection[str]) -> None:
        """Connect to these hosts from now on, and to no others."""
        for host in self._lines.keys() - set(hosts):
            line = self._lines.pop(host)
            if line.subscription is not None:
                _in_thread(line.subscription.close)
        for host in hosts:
            self._lines.setdefault(host, _Line(host))

    def due(self) -> float:
        """Return when `tend` has something to do next."""
        times = [line.due for line in self._lines.values() if line.state in _TIMED]
        return min(times, default=float("inf"))

    def tend(self, now: float) -> Iterator[HostNews]:
        """Begin what is due, and yield the hosts whose opening is overdue."""
        for line in self._lines.values():
            if line.state is _State.OPENING and line.due <= now:
                yield from self._overdue(line, now)
        busy = sum(line.state in (_State.OPENING, _State.ASKING) for line in self._lines.values())
        for line in sorted(self._lines.values(), key=lambda line: line.due):
            if line.state in (_State.WAITING, _State.STUCK) and line.due <= now:
                if busy >= OPENINGS:
                    line.due = now + FIRST_PAUSE
                    continue
                busy += 1
                self._begin(line, now)

    def take(self, result: object, now: float) -> Iterator[HostNews]:
        """Yield what RESULT means for a host."""
        if isinstance(result, Lost):
            yield from self._lost(result, now)
        elif isinstance(result, _Result):
            line = self._lines.get(result.host)
            if line is None or line.attempt != result.attempt or line.state is _State.OPEN:
                if result.subscription is not None:
                    _in_thread(result.subscription.close)
            elif result.subscription is not None:
                yield from self._opened(line, result.subscription, now)
            elif result.error is not None:
                yield from self._failed(line, result.error, now)
            elif line.state is _State.ASKING:
                line.state, line.due = _State.WAITING, now

    def close(self) -> None:
        """Close all connections; those to hosts that hang are left to the end of the process."""
        libvirt.virEventRemoveTimeout(self._beat)
        subscriptions = [line.subscription for line in self._lines.values() if line.subscription]
        threads = [_in_thread(item.close) for item in subscriptions]
        self._lines.clear()
        for thread in threads:
            thread.join(_CLOSING / len(threads))

    def _begin(self, line: _Line, now: float) -> None:
        work = self._ask
        if line.state is _State.STUCK:
            line.state = _State.ASKING
        else:
            line.state, line.due = _State.OPENING, now + self._timeout
            line.attempt += 1
            work = self._open
        host, attempt = line.host, line.attempt
        _in_thread(lambda: self._tell(work(host, attempt)))

    def _open(self, host: str, attempt: int) -> _Result:
        try:
            subscription = Subscription(
                Host(host, self._uri(host), self._timeout), attempt, self._tell
            )
            subscription.open()
        except NovadevError as error:
            return _Result(host, attempt, error=error)
        return _Result(host, attempt, subscription)

    def _ask(self, host: str, attempt: int) -> _Result:
        try:
            with Pool(self._uri, self._timeout, workers=1) as pool:
                pool.call(host, answer)
        except NovadevError as error:
            return _Result(host, attempt, error=error)
        return _Result(host, attempt)

    def _overdue(self, line: _Line, now: float) -> Iterator[HostNews]:
        reason = f"no answer within {self._timeout:g} s. Is its libvirtd hung?"
        error = Unreachable(f"host {line.host} could not be reached: {reason}")
        line.state = _State.STUCK
        yield from self._put_off(line, error, now)

    def _opened(self, line: _Line, subscription: Subscription, now: float) -> Iterator[HostNews]:
        line.subscription, line.state = subscription, _State.OPEN
        line.due, line.is_told_lost = now + LONGEST_PAUSE, False
        yield HostOpened(line.host)
        if not subscription.is_alive:
            yield from self._lost(Lost(line.host, line.attempt, "the connection broke"), now)

    def _failed(self, line: _Line, error: NovadevError, now: float) -> Iterator[HostNews]:
        """Take note that a host could not be opened, or that a child could not reach it."""
        line.state = _State.STUCK if line.state is _State.ASKING else _State.WAITING
        yield from self._put_off(line, error, now)

    def _lost(self, lost: Lost, now: float) -> Iterator[HostNews]:
        line = self._lines.get(lost.host)
        if line is None or line.attempt != lost.attempt or line.subscription is None:
            return
        _in_thread(line.subscription.close)
        if now >= line.due:
            line.pause = FIRST_PAUSE
        line.subscription, line.state = None, _State.WAITING
        error = Unreachable(f"host {lost.host} was lost: {lost.reason}")
        yield from self._put_off(line, error, now)

    def _put_off(self, line: _Line, error: NovadevError, now: float) -> Iterator[HostNews]:
        line.due = now + line.pause
        line.pause = min(2 * line.pause, LONGEST_PAUSE)
        if not line.is_told_lost:
            line.is_told_lost = True
            yield HostLost(line.host, error)


_TIMED = (_State.WAITING, _State.OPENING, _State.STUCK)


def _in_thread(work: Callable[[], None]) -> Thread:
    thread = Thread(target=work, name="novadev host", daemon=True)
    thread.start()
    return thread
