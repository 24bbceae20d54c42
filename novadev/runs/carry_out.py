"""The one loop that carries plans out, batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from novadev.errors import NovadevError
from novadev.runs.journal import Journal
from novadev.runs.journal_rows import Journaled, Run
from novadev.runs.lease import Fence
from novadev.runs.plan import Outcome, Plan
from novadev.runs.second_look import SecondLook, Since, Waiting
from novadev.runs.states import BEGUN, State
from novadev.runs.undo import advised

_LOG = logging.getLogger("novadev.runs")
BATCH = 100
"""Instances in one transaction, at most."""
Apply = Callable[[Sequence[Plan], bool, Fence], list[Outcome]]
"""Writes plans of one cell and returns an outcome for each, in order.

True says that an earlier run was stopped while it wrote them, so that any of their parts may be
there already. The fence is asked just before each write, under the locks of what is written where
there are any; what it raises ends the batch.
"""


_NO_LOOK = SecondLook(lambda written, _: [outcome for _, outcome in written], 0)


def carry_out(
    journal: Journal,
    run: Run,
    apply: Apply,
    fence: Fence,
    stop: Callable[[], bool],
    max_failures: int | None = None,
    second_look: SecondLook = _NO_LOOK,
) -> Iterator[tuple[Plan, Outcome]]:
    """Apply the unfinished plans of RUN batch by batch; yield each plan with its outcome.

    A batch is in the journal before its first write. Ends early, between two batches, when STOP
    says so or more than MAX_FAILURES plans failed. What Nova may have been starting meanwhile gets
    the outcome of the SECOND LOOK, also where an earlier process wrote it and ended before its
    look. Raises TakenOver when another process has RUN.
    """
    waiting = Waiting(journal, run, second_look, stop)
    for batch in batched(journal.list_unseen(run), BATCH):
        waiting.add(batch, [_done(item) for item in batch], Since.PAST)
    failures = 0
    try:
        for resumed, batch in _batches(journal, run):
            if stop() or (max_failures is not None and failures > max_failures):
                break
            journal.mark_started(run, batch)
            outcomes = apply([item.plan for item in batch], resumed, fence)
            if run.undoes is not None:
                pairs = zip(batch, outcomes, strict=True)
                items = [(item.plan, item.undoes, outcome) for item, outcome in pairs]
                outcomes = advised(journal, items)
            journal.mark(run, batch, outcomes)
            for item, outcome in zip(batch, outcomes, strict=True):
                plan = item.plan
                server = f"{plan.name} ({plan.instance})" if plan.name else plan.instance
                told = (run.id, plan.action, server, str(outcome.state))
                _LOG.info("run %d: %s of instance %s: %s", *told)
            failures += sum(outcome.state != State.APPLIED for outcome in outcomes)
            waiting.add(batch, outcomes, Since.RESUME if resumed else Since.WRITE)
            yield from waiting.ready()
    except NovadevError:
        with suppress(NovadevError):  # the first error is the one to tell
            yield from waiting.rest()
        raise
    yield from waiting.rest()


def _done(item: Journaled) -> Outcome:
    return Outcome(item.state, item.error, vm_state=item.unseen)


def _batches(journal: Journal, run: Run) -> Iterator[tuple[bool, list[Journaled]]]:
    """Yield what RUN has left: first what an earlier process had begun, which True says."""
    for resumed, states in ((True, BEGUN), (False, (State.PLANNED,))):
        for batch in batched(journal.iter_plans(run, states), BATCH):
            yield resumed, batch


def batched(plans: Iterable[Journaled], size: int) -> Iterator[list[Journaled]]:
    """Yield lists of at most SIZE consecutive plans of one cell."""
    batch: list[Journaled] = []
    for item in plans:
        if batch and (len(batch) == size or item.plan.cell != batch[0].plan.cell):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
