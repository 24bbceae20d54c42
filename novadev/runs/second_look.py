"""Checks servers once more some seconds after they were written.

Nova may have been starting one of them: it reads the properties, novadev commits, and Nova starts
the guest with what it has read. Nobody can prevent that from outside, but it can be seen.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from novadev.runs.journal import Journal
from novadev.runs.journal_rows import Journaled, Run
from novadev.runs.plan import Outcome, Plan
from novadev.runs.states import State

Written = tuple[Plan, Outcome]


class Since(Enum):
    """Since when a plan is known to be stored."""

    WRITE = "this process has written it"
    RESUME = "this process has written it, or has found that an earlier one had"
    PAST = "an earlier process wrote it some time ago"


Look = Callable[[Sequence[Written], Since], list[Outcome]]
"""Looks at the servers of plans of one cell, and returns an outcome for each, in order."""
_NAP = 0.1
"""Seconds after which a wait looks whether it is to end."""


@dataclass(frozen=True)
class SecondLook:
    """What looks at servers again, and how many seconds after they were written."""

    look: Look
    delay: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class _Batch:
    due: float
    items: Sequence[Journaled]
    outcomes: Sequence[Outcome]
    since: Since


class Waiting:
    """Batches that were carried out, and wait for their second look; each is looked at once."""

    def __init__(
        self, journal: Journal, run: Run, second: SecondLook, stop: Callable[[], bool]
    ) -> None:
        self._journal, self._run, self._second, self._stop = journal, run, second, stop
        self._batches: deque[_Batch] = deque()

    def add(
        self,
        items: Sequence[Journaled],
        outcomes: Sequence[Outcome],
        since: Since = Since.WRITE,
    ) -> None:
        """Add a batch that is stored SINCE then."""
        waits = any(outcome.vm_state for outcome in outcomes)
        due = self._second.clock() + self._second.delay * waits
        self._batches.append(_Batch(due, items, outcomes, since))

    def ready(self) -> Iterator[Written]:
        """Yield the plans whose time has come, each with its outcome."""
        while self._batches and self._batches[0].due <= self._second.clock():
            yield from self._looked(self._batches.popleft())

    def rest(self) -> Iterator[Written]:
        """Yield the others too, and wait for them unless the run is to stop."""
        while self._batches:
            while not self._stop() and (left := self._batches[0].due - self._second.clock()) > 0:
                self._second.sleep(min(left, _NAP))
            yield from self._looked(self._batches.popleft())

    def _looked(self, batch: _Batch) -> Iterator[Written]:
        plans = [item.plan for item in batch.items]
        found = list(batch.outcomes)
        places = [place for place, outcome in enumerate(found) if outcome.vm_state]
        if places:
            written = [(plans[place], found[place]) for place in places]
            looked = self._second.look(written, batch.since)
            later = self._changed_later([batch.items[place] for place in places], looked)
            for place, outcome in zip(places, looked, strict=True):
                found[place] = found[place] if batch.items[place].id in later else outcome
            self._note(batch, found)
        yield from zip(plans, found, strict=True)

    def _changed_later(
        self, items: Sequence[Journaled], looked: Sequence[Outcome]
    ) -> frozenset[int]:
        """Return which of ITEMS are half because a later run has written the same places."""
        pairs = zip(items, looked, strict=True)
        half = {item.plan.instance: item for item, found in pairs if found.state == State.HALF}
        landed = self._journal.list_landed(half) if half else []
        return frozenset(
            half[later.plan.instance].id
            for later in landed
            if _is_written_again(half[later.plan.instance], later)
        )

    def _note(self, batch: _Batch, found: Sequence[Outcome]) -> None:
        """Write into the journal what the second look has found."""
        news = {
            item.id: after
            for item, before, after in zip(batch.items, batch.outcomes, found, strict=True)
            if after.error and after.error != before.error
        }
        self._journal.note_look(self._run, batch.items, news)


def _is_written_again(item: Journaled, later: Journaled) -> bool:
    places = {change.place for change in item.plan.changes}
    return later.id > item.id and any(change.place in places for change in later.plan.changes)
