"""A rehearsal: shapes of guests tried on one host, a few at a time, within a budget."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Literal, TypeVar

from novadev.errors import NotAsNeeded, NovadevError, Unreachable
from novadev.rehearsal.on_host import Stage, Unable, hold, prepare, rehearse
from novadev.rehearsal.shape import Shape
from novadev.runs.lease import Holder
from novadev.text import many
from novadev.virt.pool import Pool
from novadev.virt.trial import PREFIX, Fate, Marked, Trial, list_all, remove_marked

T = TypeVar("T")
MAX_PARALLEL = 5
"""Calls that libvirtd takes of one connection at a time (``max_client_requests``)."""
_LEAST_TIME = 60.0
"""Seconds a batch may take at least: QEMU under emulation starts slowly."""
_PAUSE = 1.0
"""Seconds between two looks at a host that may come back."""
_GRACE = timedelta(minutes=2)
"""How much longer than a batch a mark from another machine counts: clocks differ."""


@dataclass(frozen=True)
class Budget:
    """How much a rehearsal may take: shapes, seconds in all, and guests at a time."""

    max_shapes: int = 500
    seconds: float = 1800
    parallel: int = 2


@dataclass(frozen=True)
class Rehearsed:
    """What became of a shape on the host, in libvirt's and QEMU's words if it did not start.

    Of one that was not rehearsed the message says why.
    """

    shape: Shape
    fate: Fate | Literal["not rehearsed"]
    message: str = ""


class Rehearsal:
    """A rehearsal on HOST, which may have other guests only if that is allowed."""

    def __init__(self, hosts: Pool, host: str, budget: Budget, allow_busy: bool = False) -> None:
        self.host, self.budget = host, budget
        self._hosts, self._allow_busy = hosts, allow_busy
        self._limit = max(hosts.timeout, _LEAST_TIME)
        self._lock = str(uuid.uuid4())
        self.left: str | None = None
        """Why something may be left on the host, if so; the next rehearsal removes it."""
        self.stuck: dict[str, str] = {}
        """Why libvirt cannot end a guest of a rehearsal, by name; no rehearsal removes it."""
        self.unable: dict[str, str] = {}
        """What the host could give no guest, and why: the shapes with it are not rehearsed."""

    def check(self) -> tuple[Marked, ...]:
        """Return what a rehearsal that was killed has left on the host; changes nothing.

        Raises Unreachable, NotAsNeeded for a host with guests where that is not allowed, and for
        one where another rehearsal is going on.
        """
        found = self._hosts.call(self.host, list_all)
        for marked in found.marked:
            if reason := _why_alive(marked.mark):
                raise NotAsNeeded(
                    f"host {self.host}: another rehearsal is going on there: {reason}"
                )
        if found.others and not self._allow_busy:
            raise NotAsNeeded(
                f"host {self.host} has {many(len(found.others), 'guest')}: add --allow-busy to "
                "rehearse beside them"
            )
        return found.marked

    def run(self, shapes: Sequence[Shape]) -> Generator[Rehearsed, None, None]:
        """Yield what becomes of each of SHAPES, in their order but for those tried again.

        The host is held from the first to the last moment, so that no other rehearsal begins there.
        Nothing is left on it at the end, however it comes, as long as the host answers.
        Raises as `check`, and NotAsNeeded or Unreachable where the host can start nothing any
        more: the shapes that are left are then not rehearsed.
        """
        self._remove(self.check())
        try:
            self._call(hold, self._lock, self._mark())
            stage = self._call(prepare, self._free_names(), self._mark())
            yield from self._all(stage, shapes)
        finally:
            self._sweep()

    def _all(self, stage: Stage, shapes: Sequence[Shape]) -> Iterator[Rehearsed]:
        size, ends = len(stage.names), time.monotonic() + self.budget.seconds
        batches = deque(shapes[at : at + size] for at in range(0, len(shapes), size))
        while batches:
            batch = batches.popleft()
            if time.monotonic() > ends:
                over = f"the time limit was reached, --timeout is {self.budget.seconds:g}"
                yield from (Rehearsed(shape, "not rehearsed", over) for shape in batch)
                continue
            try:
                found = self._try(stage, batch)
            except Unreachable as error:
                self._recover(error)
                stage = replace(stage, names=self._free_names())
                if len(batch) == 1:
                    yield Rehearsed(batch[0], "not rehearsed", str(error))
                else:  # which of them it was shows when each is tried alone
                    batches.extendleft([shape] for shape in reversed(batch))
            else:
                pairs = zip(batch, found, strict=True)
                yield from (self._rehearsed(shape, one) for shape, one in pairs)

    def _rehearsed(self, shape: Shape, found: Trial | Unable) -> Rehearsed:
        """Return what was FOUND of SHAPE; one reason for all that the host is unable to have."""
        if isinstance(found, Trial):
            return Rehearsed(shape, found.fate, found.message)
        why = self.unable.setdefault(found.what, found.message)
        return Rehearsed(shape, "not rehearsed", why)

    def _try(self, stage: Stage, batch: Sequence[Shape]) -> list[Trial | Unable]:
        stage = replace(stage, mark=self._mark())
        self._call(hold, self._lock, stage.mark)
        return self._call(rehearse, stage, [shape.definition for shape in batch])

    def _call(self, function: Callable[..., T], *arguments: object) -> T:
        (answer,) = self._hosts.run(function, {self.host: [arguments]}, self._limit)
        return answer.result()

    def _recover(self, error: Unreachable) -> None:
        """Go on after a shape that hung or took libvirtd with it.

        Raises ERROR if the host does not come back within the time limit of a host.
        """
        ends = time.monotonic() + self._hosts.timeout
        while True:
            try:
                self._remove(self._guests())
            except NovadevError:
                if time.monotonic() > ends:
                    raise error from None
                time.sleep(_PAUSE)
                self._hosts.try_again(self.host)
            else:
                return

    def _free_names(self) -> tuple[str, ...]:
        """Return a name for each guest at a time: few, since libvirt keeps a log for each name."""
        found = self._hosts.call(self.host, list_all)
        taken = {*found.others, *(item.name for item in found.marked)}
        names = (f"{PREFIX}{number}" for number in range(1, len(taken) + MAX_PARALLEL + 1))
        return tuple(name for name in names if name not in taken)[: self.budget.parallel]

    def _mark(self) -> Mapping[str, str]:
        holder = Holder.of_this_process()
        until = datetime.now(timezone.utc) + timedelta(seconds=self._limit) + _GRACE
        return {
            "host": holder.host,
            "pid": str(holder.pid),
            "pid_started": holder.pid_started,
            "machine": holder.machine or "",
            "until": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _guests(self) -> list[Marked]:
        """Return what is left of this rehearsal but for its lock, and of those that have ended."""
        found = self._hosts.call(self.host, list_all).marked
        return [item for item in found if item.uuid != self._lock and _is_free(item.mark)]

    def _remove(self, marked: Sequence[Marked]) -> None:
        """Remove what is MARKED, but for what libvirt could not end before."""
        uuids = [item.uuid for item in marked if item.name not in self.stuck]
        if uuids:
            self.stuck |= self._call(remove_marked, uuids)

    def _sweep(self) -> None:
        """Remove what is left of this rehearsal, unless the host does not answer any more."""
        try:
            self._remove(self._guests())
            self._call(remove_marked, [self._lock])
        except NovadevError as error:
            self.left = str(error)


def _holder(mark: Mapping[str, str]) -> Holder:
    return Holder(mark["host"], int(mark["pid"]), mark["pid_started"], mark["machine"])


def _is_free(mark: Mapping[str, str]) -> bool:
    """Whether what has MARK is this process's own, or nobody's any more."""
    with suppress(KeyError, ValueError):
        if _holder(mark) == Holder.of_this_process():
            return True
    return _why_alive(mark) is None


def _why_alive(mark: Mapping[str, str]) -> str | None:
    """Return who holds MARK, if it may still be at work there; None of a mark that is left over."""
    with suppress(KeyError, ValueError):
        holder = _holder(mark)
        told = f"process {holder.pid} on {holder.host}"
        if holder.is_here:
            return told if holder.is_running else None
        until = datetime.strptime(mark["until"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        now = datetime.now(timezone.utc)
        if now < until < now + timedelta(hours=1):
            return f"{told}, until {mark['until']}"
    return None
