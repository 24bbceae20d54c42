"""One function, carried through the work of many hosts by the children of a pool."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from novadev.errors import Busy, NovadevError, Unreachable
from novadev.virt.child import Raised, Ready, Returned
from novadev.virt.host import Host
from novadev.virt.process import Process
from novadev.virt.refusals import of_host

if TYPE_CHECKING:
    from novadev.virt.pool import Pool

START_LIMIT = 30.0
"""Seconds a child may take to start, beside the host's own time."""
MUCH = 8
"""Answers after which a host gets a second child: they take longer than to start it."""
T = TypeVar("T")
Arguments = tuple[Any, ...]
_Question = tuple[int, Arguments]
"""The arguments of a call, and their place among all that its host is asked."""


class Lane(NamedTuple):
    """One of the children that speak to a host side by side; the second has the number 1."""

    host: str
    number: int = 0


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


class _Work(Generic[T]):
    """What a host is asked, in order; its children take from it by turns."""

    def __init__(self, host: str, left: Iterable[Arguments]) -> None:
        self.host = host
        self.answered = 0
        self._left = enumerate(left)
        self._due = 0
        self._early: dict[int, Answer[T]] = {}

    def take(self) -> _Question | None:
        """Return what is to be asked next; None when there is nothing left."""
        return next(self._left, None)

    def give(self, question: _Question, answer: Answer[T]) -> Iterator[Answer[T]]:
        """Yield ANSWER, and those that it kept waiting; nothing before it is its turn."""
        place, _ = question
        self.answered += 1
        self._early[place] = answer
        while self._due in self._early:
            self._due += 1
            yield self._early.pop(self._due - 1)

    def give_up(self, error: NovadevError) -> Iterator[Answer[T]]:
        """Answer by ERROR what is left, without asking it."""
        for question in self._left:
            yield from self.give(
                question, Answer(self.host, question[1], error=error, was_asked=False)
            )


@dataclass
class _Job(Generic[T]):
    """A child at work: what it is asked now; None of one that only connects to the host yet."""

    work: _Work[T]
    lane: Lane
    process: Process
    question: _Question | None = None
    deadline: float = 0

    def answer(self, value: T | None = None, error: NovadevError | None = None) -> Answer[T]:
        """Return the answer to the question."""
        assert self.question is not None
        return Answer(self.work.host, self.question[1], value, error)


class Run(Generic[T]):
    """One function, carried through the work of many hosts."""

    def __init__(self, pool: Pool, function: Callable[..., T], limit: float) -> None:
        self._pool, self._function, self._limit = pool, function, limit
        self._jobs: dict[Lane, _Job[T]] = {}

    def answers(self, work: Mapping[str, Iterable[Arguments]]) -> Iterator[Answer[T]]:
        """Yield as :meth:`novadev.virt.pool.Pool.run`."""
        waiting = deque(_Work[T](host, arguments) for host, arguments in work.items())
        try:
            while waiting or any(job.question for job in self._jobs.values()):
                while waiting and len(self._jobs) < self._pool.workers:
                    yield from self._begin(waiting.popleft())
                if not waiting:
                    yield from self._begin_beside()
                yield from self._listen()
        finally:
            for lane in self._jobs:
                self._pool.drop(lane)

    def _begin(self, work: _Work[T], number: int = 0) -> Iterator[Answer[T]]:
        """Ask a host its next question; an answer comes only when it cannot be asked."""
        question = work.take()
        if question is None:
            return
        lane = Lane(work.host, number)
        try:
            process, starts = self._pool.process(lane, self._jobs)
        except NovadevError as error:
            answer = Answer[T](work.host, question[1], error=error, was_asked=False)
            yield from work.give(question, answer)
            yield from work.give_up(error)
            return
        self._jobs[lane] = job = _Job(work, lane, process)
        self._ask(job, question, START_LIMIT if starts else 0)

    def _begin_beside(self) -> Iterator[Answer[T]]:
        """Give hosts with much to do a second child, as far as there may be more children."""
        for job in list(self._jobs.values()):
            beside = Lane(job.work.host, 1)
            if len(self._jobs) >= self._pool.workers:
                return
            if beside in self._jobs or not self._pool.may_be_beside(beside):
                continue
            if self._pool.is_there(beside):
                yield from self._begin(job.work, beside.number)
            elif job.work.answered >= MUCH:
                self._connect(job.work, beside)

    def _connect(self, work: _Work[T], lane: Lane) -> None:
        """Start a second child, which takes nothing before it is connected.

        Where it cannot connect, the first one goes on alone.
        """
        process, _ = self._pool.process(lane, self._jobs)
        deadline = time.monotonic() + self._limit + START_LIMIT
        self._jobs[lane] = _Job(work, lane, process, None, deadline)
        process.ask(_connect, ())

    def _ask(self, job: _Job[T], question: _Question, extra: float = 0) -> None:
        job.question = question
        job.process.ask(self._function, question[1])
        job.deadline = time.monotonic() + self._limit + extra

    def _listen(self) -> Iterator[Answer[T]]:
        """Wait until a child has something to say or is overdue, and yield what comes of it.

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

    def _heard(self, job: _Job[T], message: object) -> Iterator[Answer[T]]:
        """Take a message of a child: None says that none will come."""
        if isinstance(message, Ready):
            job.deadline = time.monotonic() + self._limit
            job.process.is_alone = message.is_alone
        elif job.question is None and message is not Process.NOTHING:
            self._connected(job, isinstance(message, Returned))
        elif isinstance(message, Returned):
            yield from self._go_on(job, job.answer(message.value))
        elif isinstance(message, Raised) and type(message.error) is not Unreachable:
            yield from self._go_on(job, job.answer(error=message.error))
        elif message is not Process.NOTHING:
            error = message.error if isinstance(message, Raised) else self._lost(job)
            yield from self._lose(job, error)

    def _connected(self, job: _Job[T], is_connected: bool) -> None:
        """Let a second child begin, or do without it."""
        del self._jobs[job.lane]
        if not is_connected:
            self._pool.leave_alone(job.lane)
            return
        job.process.has_answered = True
        question = job.work.take()
        if question is not None:
            self._jobs[job.lane] = job
            self._ask(job, question)

    def _go_on(self, job: _Job[T], answer: Answer[T]) -> Iterator[Answer[T]]:
        """Ask the next question before ANSWER is looked at."""
        job.process.has_answered = True
        answered, question = job.question, job.work.take()
        assert answered is not None
        if question is None:
            del self._jobs[job.lane]
        else:
            self._ask(job, question)
        yield from job.work.give(answered, answer)

    def _lose(self, job: _Job[T], error: NovadevError) -> Iterator[Answer[T]]:
        """Answer by ERROR what the child owes, and by what it says of its host the rest, too.

        What a guest or a second child fails in says nothing of the rest.
        """
        assert job.question is not None
        del self._jobs[job.lane]
        self._pool.lose(job.lane, error)
        own = error if _subject(job.question[1]) else of_host(error)
        yield from job.work.give(job.question, job.answer(error=own))
        if job.lane.number:
            self._pool.leave_alone(job.lane)
        elif isinstance(error, Busy):
            yield from self._begin(job.work)
        else:
            yield from job.work.give_up(of_host(error))

    def _lost(self, job: _Job[T]) -> NovadevError:
        """Return what a child owes: an answer about one guest, where it has given others."""
        assert job.question is not None
        reason = job.process.epitaph() or f"no answer within {self._limit:g} s"
        host, subject = job.work.host, _subject(job.question[1])
        if job.process.has_answered and subject is not None:
            return Busy(f"host {host}: {subject}: {reason}")
        if reason.startswith("no answer"):
            reason += ". Is its libvirtd hung?"
        return Unreachable(f"host {host} could not be reached: {reason}")


def _connect(host: Host) -> None:
    """Connect to HOST, if it is not connected yet; raises Unreachable."""
    _ = host.connection


def _subject(arguments: Arguments) -> str | None:
    """Return the domain that a call is about, in words: its first argument is it, or names it."""
    first = arguments[0] if arguments else None
    uuid = getattr(first, "uuid", None) or getattr(first, "instance", None) or first
    return f"domain {uuid}" if isinstance(uuid, str) else None
