"""Records guests as soon as they change: the work behind ``device watch``.

libvirt's events come over one connection to each host, all of them in this process. One thread,
the caller's, decides what is to be done, and waits for nobody. Whatever may hang has a thread of
its own (a connection that is opened, a job that records), and comes back by one queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from novadev.config import Config
from novadev.deployment import Deployment
from novadev.errors import NovadevError, Unreachable
from novadev.records.drift import Drift
from novadev.records.watch_glances import Digests, Glances
from novadev.records.watch_jobs import Recorded, Recorder, Result
from novadev.records.watch_schedule import SETTLE, Flapping, Schedule, Unnamed
from novadev.records.watch_troubles import LONGEST_PAUSE, Troubles, of_all
from novadev.virt.connections import Beat, Connections, HostLost, HostNews, HostOpened
from novadev.virt.guest_events import GuestEvent

__all__ = ["Flapping", "HostLost", "HostOpened", "Unnamed", "Watch"]

SLOW = 5.0
"""Seconds after which a job does not count among those that may run at a time: its host hangs."""
MOST = 4
"""How many times as many jobs may run at a time if hosts hang."""
LISTING = 3600.0
"""Seconds between two looks for new hosts."""
ENDING = 5.0
"""Seconds that jobs under way have at the end."""


@dataclass(frozen=True)
class Written:
    """A guest was recorded because it had changed."""

    host: str
    guest: Recorded


@dataclass(frozen=True)
class Swept:
    """Every guest of a host was looked at, because events may have been missed."""

    host: str
    written: tuple[Recorded, ...]


@dataclass(frozen=True)
class Held:
    """Pinned devices of a guest are not at their pinned addresses; reported once per change."""

    host: str
    guest: Recorded


@dataclass(frozen=True)
class Trouble:
    """Something that records need does not answer; reported once until it does."""

    error: NovadevError


@dataclass(frozen=True)
class Mended:
    """It gives answers again: what has waited is recorded."""

    error: NovadevError


@dataclass(frozen=True)
class Alive:
    """How many of the hosts are connected, and how many guests are to be recorded."""

    connected: int
    hosts: int
    waiting: int


News = (
    Written | Swept | Held | Trouble | Mended | Alive | HostLost | HostOpened | Flapping | Unnamed
)


@dataclass(frozen=True)
class _Job:
    """What a thread does.

    It may ``sweep`` a host, ``record`` guests, ``ask`` one, list ``hosts``, or ``glance`` at the
    definitions of a host, with what reads their ``digests``.
    """

    kind: str
    host: str
    uuids: tuple[str, ...]
    began: float
    digests: Callable[[], Digests] = dict


@dataclass(frozen=True)
class _Done:
    """A job that has ended: with results, hosts or digests, or with an error."""

    job: _Job
    results: tuple[Result, ...] = ()
    hosts: tuple[str, ...] | None = None
    digests: Digests | None = None
    error: NovadevError | None = None


class Watch:
    """Records the guests of some hosts as they change; with ASKS_GUEST the names of their disks.

    HOSTS are those to watch; without any it is all of the deployment, or this host where no
    database of Nova's is used. Every EVERY seconds all guests of a host are looked at, and the
    definitions of those that are shut off more often: see `Glances`. Raises as
    :meth:`novadev.records.watch_jobs.Recorder.list_hosts`.
    """

    def __init__(
        self,
        config: Config,
        hosts: Iterable[str] = (),
        asks_guest: bool = False,
        no_database: bool = False,
        every: float = 3600,
    ) -> None:
        self._wanted, self._asks_guest, self._every = tuple(hosts), asks_guest, every
        self._recorder = Recorder(config, no_database)
        self._news: SimpleQueue[object] = SimpleQueue()
        self._schedule = Schedule(asks_guest)
        self._sweeps: dict[str, float] = {}
        self._glances = Glances()
        self._jobs: dict[tuple[str, str], tuple[_Job, Thread]] = {}
        self._room = {"sweep": -(-config.workers // 2), "ask": -(-config.workers // 2)}
        self._room |= {"record": config.workers, "glance": config.workers, "hosts": 1}
        self._troubles = Troubles()
        self._held: dict[str, tuple[Drift, ...]] = {}
        found = self._recorder.list_hosts(self._wanted)
        self._uris = Deployment(config)
        self._connections = Connections(self._uris.host_uri, config.host_timeout, self._news.put)
        self._connections.keep(found)
        self._list_due = monotonic() + LISTING

    def stop(self) -> None:
        """End `run`; may be called by a signal handler."""
        self._news.put(None)

    def run(self) -> Iterator[News]:
        """Watch until `stop`, and yield what is of note."""
        try:
            item: object = Beat()
            while item is not None:
                now = monotonic()
                yield from self._take(item, now)
                for news in self._connections.tend(now):
                    yield from self._connected(news, now)
                self._begin(now)
                item = self._next()
        finally:
            self._connections.close()
            end = monotonic() + ENDING
            for _, thread in self._jobs.values():
                thread.join(max(0.0, end - monotonic()))

    def _next(self) -> object:
        due = min(self._connections.due(), self._due())
        try:
            return self._news.get(timeout=min(max(0.0, due - monotonic()), LONGEST_PAUSE))
        except Empty:
            return ()

    def _take(self, item: object, now: float) -> Iterator[News]:
        """Take note of what came by the queue."""
        if isinstance(item, GuestEvent):
            yield from self._schedule.changed(item, now)
        elif isinstance(item, Beat):
            yield self._alive()
        elif isinstance(item, _Done):
            del self._jobs[item.job.kind, item.job.host]
            yield from self._ended(item, now)
        else:
            for news in self._connections.take(item, now):
                yield from self._connected(news, now)

    def _alive(self) -> Alive:
        connections = self._connections
        return Alive(len(connections.open_hosts), len(connections.hosts), self._schedule.waiting)

    def _connected(self, news: HostNews, now: float) -> Iterator[News]:
        """Look at a host that comes as a whole; of one that is lost nothing is known.

        First at its definitions: what changes after that is found by the next glance.
        """
        self._sweeps.pop(news.host, None)
        if isinstance(news, HostOpened):
            self._glances.begin(news.host, now)
            if ("glance", news.host) in self._jobs:  # over the connection that was lost
                self._sweeps[news.host] = now
        else:
            self._glances.forget(news.host)
            self._schedule.forget(news.host)
        yield news

    def _due(self) -> float:
        """Return when a job is to be begun."""
        if self._troubles.hold > 0:
            return inf if self._jobs else self._troubles.hold
        times = [due for host, due in self._sweeps.items() if self._is_free("sweep", host)]
        times.append(self._schedule.due(self._may_record, self._may_ask))
        times.append(self._glances.due(self._may_glance))
        times += [self._list_due] * self._is_free("hosts", "")
        full = [kind for kind in self._room if self._left(kind) <= 0]
        times += [job.began + SLOW for job, _ in self._jobs.values() if job.kind in full]
        return min(times, default=inf)

    def _begin(self, now: float) -> None:
        """Begin the jobs that are due and that there is room for.

        One alone while a database gives no answer: it is the one that finds out.
        """
        if now < self._troubles.hold or (self._troubles.hold > 0 and self._jobs):
            return
        for job in self._due_jobs(now):
            self._start(job)
            if self._troubles.hold > 0:
                return
        for host in self._glances.take(now, self._may_glance):
            self._start(_Job("glance", host, (), now, self._connections.digests(host)))

    def _due_jobs(self, now: float) -> Iterator[_Job]:
        most = 1 if self._troubles.hold > 0 else self._room["record"] * MOST
        room = min(most, self._left("record"))
        for host, uuids in self._schedule.take_records(now, self._may_record, room).items():
            yield _Job("record", host, tuple(uuids), now)
        for host in [host for host, due in self._sweeps.items() if due <= now]:
            if self._left("sweep") > 0 and self._is_free("sweep", host):
                del self._sweeps[host]
                yield _Job("sweep", host, (), now)
        room = min(most, self._left("ask"))
        for host, uuid in self._schedule.take_asks(now, self._may_ask, room).items():
            yield _Job("ask", host, (uuid,), now)
        if self._list_due <= now and self._is_free("hosts", ""):
            self._list_due = now + LISTING
            yield _Job("hosts", "", (), now)

    def _left(self, kind: str) -> int:
        """Return how many more jobs of KIND may be begun; those of hosts that hang do not count."""
        ages = [monotonic() - job.began for job, _ in self._jobs.values() if job.kind == kind]
        room = self._room[kind] - sum(age < SLOW for age in ages)
        return min(room, MOST * self._room[kind] - len(ages))

    def _is_free(self, kind: str, host: str) -> bool:
        is_there = kind == "hosts" or self._connections.is_open(host)
        return is_there and (kind, host) not in self._jobs

    def _may_record(self, host: str) -> bool:
        return self._left("record") > 0 and self._is_free("record", host)

    def _may_glance(self, host: str) -> bool:
        return self._left("glance") > 0 and self._is_free("glance", host)

    def _may_ask(self, host: str) -> bool:
        return self._left("ask") > 0 and self._is_free("ask", host)

    def _start(self, job: _Job) -> None:
        thread = Thread(target=self._work, args=(job,), name=f"novadev {job.kind}", daemon=True)
        self._jobs[job.kind, job.host] = job, thread
        thread.start()

    def _work(self, job: _Job) -> None:
        """Do JOB, in its thread; whatever happens there, its end is told."""
        done = _Done(job, error=NovadevError("unexpected error: its traceback follows"))
        try:
            done = self._outcome(job)
        finally:
            self._news.put(done)

    def _outcome(self, job: _Job) -> _Done:
        try:
            if job.kind == "glance":
                return _Done(job, digests=job.digests())
            if job.kind == "hosts":
                return _Done(job, hosts=self._recorder.list_hosts(self._wanted))
            if job.kind == "sweep":
                return _Done(job, tuple(self._recorder.sweep(job.host, self._asks_guest)))
            asks, wait = job.kind == "ask", SETTLE if job.kind == "record" else 0
            return _Done(job, tuple(self._recorder.record(job.host, job.uuids, asks, wait)))
        except NovadevError as error:
            return _Done(job, error=error)

    def _ended(self, done: _Done, now: float) -> Iterator[News]:
        """Take note of what a job came to."""
        if done.job.kind == "glance":
            yield from self._glanced(done, now)
            return
        job, error = done.job, done.error or of_all(done.results)
        if isinstance(done.error, Unreachable):
            self._troubles.hold_back(now)
        elif done.error is None:
            self._troubles.release()
        if error is not None:
            missing = set(job.uuids) - {result.uuid for result in done.results}
            pause = 1.0 if isinstance(error, Unreachable) else LONGEST_PAUSE
            self._schedule.failed(job.host, missing, now + pause, job.kind == "ask")
            yield from map(Trouble, self._troubles.failed(job.host, error))
        else:
            yield from map(Mended, self._troubles.succeeded(job.host))
        yield from self._results(done, error, now)

    def _glanced(self, done: _Done, now: float) -> Iterator[News]:
        """Record the guests whose definitions have changed, after the first look all of the host.

        A host that gave no answer is told by its connection.
        """
        host = done.job.host
        is_first, changed = self._glances.ended(host, done.digests, now)
        if is_first:
            self._sweeps[host] = now
        for uuid in changed:
            yield from self._schedule.redefined(host, uuid, now)

    def _results(self, done: _Done, error: NovadevError | None, now: float) -> Iterator[News]:
        job = done.job
        written = tuple(item for item in done.results if isinstance(item, Recorded) and item.record)
        if job.kind == "hosts":
            self._list_due = now + (LONGEST_PAUSE if error else LISTING)
            if done.hosts is not None:
                self._connections.keep(done.hosts)
        elif job.kind == "sweep":
            pause = LONGEST_PAUSE if error else self._every
            is_held = isinstance(done.error, Unreachable)
            self._sweeps.setdefault(job.host, now + (0 if is_held else pause))
            self._schedule.recorded(job.host, done.results, now)
            self._schedule.tidy(now)
            if not error:
                yield Swept(job.host, written)
        elif job.kind == "record":
            self._schedule.recorded(job.host, done.results, now)
            yield from (Written(job.host, item) for item in written)
        else:
            yield from (Written(job.host, item) for item in written)
            yield from self._schedule.asked(job.host, done.results, now)
        yield from self._news_of_pins(done)

    def _news_of_pins(self, done: _Done) -> Iterator[Held]:
        """Yield the guests whose pinned devices are elsewhere than at the last look."""
        for item in done.results:
            if not isinstance(item, Recorded) or item.is_outdated:
                continue
            known = self._held.pop(item.uuid, ())
            if item.held:
                self._held[item.uuid] = item.held
            if item.held and item.held != known:
                yield Held(done.job.host, item)
