"""One function, carried through the work of many hosts by the children of a pool."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from novadev.errors import Busy, NovadevError, Unreachable
from novadev.virt.child import Raised, Ready, Returned
from novadev.virt.process import Process

if TYPE_CHECKING:
    from novadev.virt.pool import Pool

START_LIMIT = 30.0
"""Seconds a child may take to start, beside the host's own time."""
T = TypeVar("T")
Arguments = tuple[Any, ...]


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


@dataclass
class _Job:
    """A host at work: what it does now, and what is left."""

    host: str
    arguments: Arguments
    left: Iterator[Arguments]
    process: Process
    deadline: float


class Run(Generic[T]):
    """One function, carried through the work of many hosts."""

    def __init__(self, pool: Pool, function: Callable[..., T], limit: float) -> None:
        self._pool, self._function, self._limit = pool, function, limit
        self._jobs: dict[str, _Job] = {}

    def answers(self, work: Mapping[str, Iterable[Arguments]]) -> Iterator[Answer[T]]:
        """Yield as :meth:`novadev.virt.pool.Pool.run`."""
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
