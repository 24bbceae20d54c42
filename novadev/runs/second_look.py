"""Checks servers once more some seconds after they were written.

Nova may have been starting one of them: it reads the properties, novadev commits, and Nova starts
the guest with what it has read. Nobody can prevent that from outside, but it can be seen.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from novadev.runs.journal import Journal
from novadev.runs.journal_rows import Journaled, Run
from novadev.runs.plan import Outcome, Plan

Written = tuple[Plan, Outcome]
Look = Callable[[Sequence[Written], bool], list[Outcome]]
"""Looks at the servers of plans of one cell, and returns an outcome for each, in order.

True says that an earlier process may have written them, some time ago.
"""
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
    resumed: bool


class Waiting:
    """Batches that were carried out, and wait for their second look; each is looked at once."""

    def __init__(
        self, journal: Journal, run: Run, second: SecondLook, stop: Callable[[], bool]
    ) -> None:
        self._journal, self._run, self._second, self._stop = journal, run, second, stop
        self._batches: deque[_Batch] = deque()

    def add(
        self, items: Sequence[Journaled], outcomes: Sequence[Outcome], resumed: bool = False
    ) -> None:
        """Add a batch that has just been written; RESUMED: by an earlier process, perhaps."""
        waits = any(outcome.vm_state for outcome in outcomes)
        due = self._second.clock() + self._second.delay * waits
        self._batches.append(_Batch(due, items, outcomes, resumed))

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
            looked = self._second.look(written, batch.resumed)
            for place, outcome in zip(places, looked, strict=True):
                found[place] = outcome
            self._note(batch, found)
        yield from zip(plans, found, strict=True)

    def _note(self, batch: _Batch, found: Sequence[Outcome]) -> None:
        """Write into the journal what the second look has found."""
        news = {
            item.id: after
            for item, before, after in zip(batch.items, batch.outcomes, found, strict=True)
            if after.error and after.error != before.error
        }
        self._journal.note_look(self._run, batch.items, news)
