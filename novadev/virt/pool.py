"""Many hosts, each in a process of its own, so that a time limit holds whatever libvirt does.

``virConnectOpen`` cannot be bounded from inside a process: keepalive begins after it, and no
Python signal handler runs in it. So every host gets a child, which is killed when an answer is
overdue. A child is a new interpreter, not a fork: neither libvirt's threads nor the parent's
databases are in it. multiprocessing would import the parent's ``__main__`` into each (all of the
command line); this imports libvirt and lxml only: 0.15 s of processor time and 26 MB of its own. A
question to a running child costs 0.04 ms more than a call. Children are kept for the next question,
at most as many as may work at a time. One that has answered all that its host was asked speaks to
the next host: to start another would cost more than to ask it.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from novadev.errors import BadInput, Busy, NovadevError, Unreachable
from novadev.virt.child import Raised, Ready, Returned
from novadev.virt.host import Host
from novadev.virt.process import Process

if TYPE_CHECKING:
    from typing_extensions import Self


START_LIMIT = 30.0
"""Seconds a child may take to start, beside the host's own time."""
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_LOG = logging.getLogger("novadev.hosts")
T = TypeVar("T")
P = ParamSpec("P")
Arguments = tuple[Any, ...]


def host_uri(template: str, host: str) -> str:
    """Return TEMPLATE with ``{host}`` filled in; raises BadInput for a name no host can have.

    A name with other characters could turn into another URI.
    """
    if "{host}" in template and not _HOST.fullmatch(host):
        raise BadInput(
            f"{host!r} cannot be put into a URI as the name of a host: give the full name of one "
            "host, not a pattern"
        )
    return template.replace("{host}", host)


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What one call on one host gave: a value, or the error that it raised.

    ``was_asked`` is False when the call certainly never reached the host's child: the host had
    been given up before, or has no URI. An Unreachable with True may come from before, amid or
    after the work of the function.
    """

    host: str
    arguments: Arguments
    value: T | None = None
    error: NovadevError | None = None
    was_asked: bool = True

    def result(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Pool:
    """Asks hosts, at most WORKERS at a time; URI gives a host's address from its name.

    To be used in a ``with``: at its end every child is killed, whatever it does. One run at a
    time: a caller that takes the answers of one asks nothing else of the pool until it is done.

    A host that is lost before its child has given any answer is given up: what the pool is asked
    of it later is answered by the same error at once, so that a host that hangs costs its time
    limit once. One that had answered (its libvirtd was restarted) gets another child, and so it
    does where it owes one answer: that may be one guest's fault, and the others are asked.
    """

    def __init__(self, uri: Callable[[str], str], timeout: float = 30, workers: int = 4) -> None:
        self._uri, self.timeout, self.workers = uri, timeout, workers
        self._processes: dict[str, Process] = {}
        self._given_up: dict[str, NovadevError] = {}
        self._spare: Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill every child."""
        for host in list(self._processes):
            self.drop(host)
        if self._spare is not None:
            self._spare.kill()
            self._spare = None

    def warm(self) -> None:
        """Start a child now, for whatever host is asked first: it takes as long as a query."""
        self._spare = self._spare or Process()

    def call(
        self,
        host: str,
        function: Callable[Concatenate[Host, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what ``function(host, *args)`` returns in the host's child, or raise its error.

        FUNCTION is a module's own, without keyword arguments; its arguments and value can be
        pickled. Raises Unreachable for a host that is down or does not answer in time.
        """
        assert not kwargs, "arguments go by position"
        (answer,) = self.run(function, {host: [args]})
        return answer.result()

    def run(
        self,
        function: Callable[Concatenate[Host, ...], T],
        work: Mapping[str, Iterable[Arguments]],
        timeout: float | None = None,
    ) -> Iterator[Answer[T]]:
        """Yield an answer for each tuple of arguments in WORK, host by host, as they come.

        Those of one host come in order, and its next tuple is taken only when it is idle. A call
        may take TIMEOUT seconds, by default the pool's. When a host is unreachable, the rest of
        its work is answered so without trying it, as is all its work once it was given up. A call
        that is overdue, or kills its child, after others were answered raises Busy, and costs
        itself alone.
        """
        limit = self.timeout if timeout is None else timeout
        yield from _Run(self, function, limit).answers(work)

    def process(self, host: str, busy: Collection[str]) -> tuple[Process, bool]:
        """Return the host's child and whether it is starting; it may be another host's until now.

        Raises what the host's URI raises, and the error of a host that was given up.
        """
        if host in self._given_up:
            raise self._given_up[host]
        process = self._processes.get(host)
        if process is not None and process.is_alive():
            return process, False
        self.drop(host)
        uri = self._uri(host)
        process = self._free(busy)
        if process is None:
            process, self._spare = self._spare or Process(), None
        process.speak_to(host, uri, self.timeout)
        text = "host %s: a child process connects to it; each call may take %g s"
        _LOG.info(text, host, self.timeout)
        self._processes[host] = process
        return process, True

    def _free(self, busy: Collection[str]) -> Process | None:
        """Return the child of a host that is done with, where no other may be started beside it."""
        idle = [name for name in self._processes if name not in busy]
        if len(self._processes) < self.workers or not idle:
            return None
        process = self._processes.pop(idle[0])
        if process.has_answered and process.is_alive() and self._spare is None:
            return process
        process.kill()
        return None

    def lose(self, host: str, error: NovadevError) -> None:
        """Kill the child of a host lost by ERROR; give the host up if the child never answered."""
        _LOG.info("host %s: lost: %s", host, error)
        process = self._processes.get(host)
        if process is not None and not process.has_answered:
            self._given_up[host] = error
        self.drop(host)

    def try_again(self, host: str) -> None:
        """Ask a host that was given up once more when the next question comes."""
        self._given_up.pop(host, None)

    def drop(self, host: str) -> None:
        """Kill the host's child, if it has one."""
        process = self._processes.pop(host, None)
        if process is not None:
            process.kill()


@dataclass
class _Job:
    """A host at work: what it does now, and what is left."""

    host: str
    arguments: Arguments
    left: Iterator[Arguments]
    process: Process
    deadline: float


class _Run(Generic[T]):
    """One function, carried through the work of many hosts."""

    def __init__(self, pool: Pool, function: Callable[..., T], limit: float) -> None:
        self._pool, self._function, self._limit = pool, function, limit
        self._jobs: dict[str, _Job] = {}

    def answers(self, work: Mapping[str, Iterable[Arguments]]) -> Iterator[Answer[T]]:
        waiting = deque((host, iter(arguments)) for host, arguments in work.items())
        try:
            while waiting or self._jobs:
                while waiting and len(self._jobs) < self._pool.workers:
                    yield from self._begin(*waiting.popleft())
                yield from self._listen()
        finally:
            for host in self._jobs:
                self._pool.drop(host)

    def _begin(self, host: str, left: Iterator[Arguments]) -> Iterator[Answer[T]]:
        """Ask HOST its first question; an answer comes only when it cannot be asked."""
        for arguments in left:
            try:
                process, starts = self._pool.process(host, self._jobs)
            except NovadevError as error:
                yield Answer(host, arguments, error=error, was_asked=False)
                yield from _unasked(host, left, error)
                return
            self._jobs[host] = job = _Job(host, arguments, left, process, 0)
            self._ask(job, START_LIMIT if starts else 0)
            return

    def _ask(self, job: _Job, extra: float = 0) -> None:
        job.process.ask(self._function, job.arguments)
        job.deadline = time.monotonic() + self._limit + extra

    def _listen(self) -> Iterator[Answer[T]]:
        """Wait until a host has something to say or is overdue, and yield what comes of it.

        Who has answered is never overdue, however late we come to listen.
        """
        jobs = list(self._jobs.values())
        soonest = min((job.deadline for job in jobs), default=0)
        channels = [job.process.channel for job in jobs]
        ready = wait(channels, max(0.0, soonest - time.monotonic()))
        now = time.monotonic()
        for job in jobs:
            if job.process.channel in ready:
                yield from self._heard(job, job.process.receive())
            elif now >= job.deadline:
                yield from self._heard(job, None)

    def _heard(self, job: _Job, message: object) -> Iterator[Answer[T]]:
        """Take a message of the job's host: None says that none will come."""
        if isinstance(message, Ready):
            job.deadline = time.monotonic() + self._limit
            job.process.is_alone = message.is_alone
        elif isinstance(message, Returned):
            yield from self._go_on(job, Answer(job.host, job.arguments, value=message.value))
        elif isinstance(message, Raised) and type(message.error) is not Unreachable:
            yield from self._go_on(job, Answer(job.host, job.arguments, error=message.error))
        elif message is not Process.NOTHING:
            error = message.error if isinstance(message, Raised) else self._lost(job)
            del self._jobs[job.host]
            self._pool.lose(job.host, error)
            yield Answer(job.host, job.arguments, error=error)
            if isinstance(error, Busy):
                yield from self._begin(job.host, job.left)
            else:
                yield from _unasked(job.host, job.left, error)

    def _go_on(self, job: _Job, answer: Answer[T]) -> Iterator[Answer[T]]:
        """Ask the next question before ANSWER is looked at."""
        job.process.has_answered = True
        arguments = next(job.left, None)
        if arguments is None:
            del self._jobs[job.host]
        else:
            job.arguments = arguments
            self._ask(job)
        yield answer

    def _lost(self, job: _Job) -> NovadevError:
        """Return what a child owes: an answer about one guest, where it has given others."""
        reason = job.process.epitaph() or f"no answer within {self._limit:g} s"
        subject = _subject(job.arguments)
        if job.process.has_answered and subject is not None:
            return Busy(f"host {job.host}: {subject}: {reason}")
        if reason.startswith("no answer"):
            reason += ". Is its libvirtd hung?"
        return Unreachable(f"host {job.host} could not be reached: {reason}")


def _subject(arguments: Arguments) -> str | None:
    """Return the domain that a call is about, in words: its first argument is it, or names it."""
    first = arguments[0] if arguments else None
    uuid = getattr(first, "uuid", None) or getattr(first, "instance", None) or first
    return f"domain {uuid}" if isinstance(uuid, str) else None


def _unasked(host: str, left: Iterator[Arguments], error: NovadevError) -> Iterator[Answer[T]]:
    for arguments in left:
        yield Answer(host, arguments, error=error, was_asked=False)
