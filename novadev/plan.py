"""What will be done, as plain values; and the one loop that does it.

One plan is one instance and lands whole. A planner only reads and yields plans and skips; an
apply function only writes what its plans say, checking every ``before`` as it writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from novadev import change
from novadev.change import Change
from novadev.errors import (
    BadInput,
    NotAsNeeded,
    NotFound,
    NovadevError,
    StalePlan,
    Unreachable,
)

if TYPE_CHECKING:
    from novadev.state.journal import Journal, Journaled, Run

NO_CELL = ""
"""The cell of a plan that was made without databases: its host alone knows the instance."""
BATCH = 100
"""Instances in one transaction, at most."""


@dataclass(frozen=True)
class Plan:
    """What will change for one instance.

    ``effects`` are what the guest will see of it at its next power-on, changed or not; ``guard``
    is what must still be so beside the changes' ``before`` (JSON values, read by the action).
    """

    action: str
    instance: str
    cell: str
    changes: tuple[Change, ...]
    name: str = ""
    host: str | None = None
    effects: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    guard: Mapping[str, Any] = field(default_factory=dict)
    diff: str = ""

    @property
    def inverse(self) -> Plan:
        """The plan that takes this one back."""
        return Plan(
            action=self.action,
            instance=self.instance,
            cell=self.cell,
            changes=tuple(item.inverse for item in self.changes),
            name=self.name,
            host=self.host,
            effects=tuple(item.inverse for item in self.effects),
            guard=self.guard,
        )


@dataclass(frozen=True)
class Skip:
    """What cannot be done, and why; ``instance`` None is a whole cell or host.

    ``named`` says that the instance was named on the command line: then ``exit_code`` counts.
    """

    instance: str | None
    reason: str
    exit_code: int = NotAsNeeded.exit_code
    named: bool = False

    @classmethod
    def of(cls, instance: str | None, error: NovadevError, named: bool) -> Skip:
        """Return the skip that ERROR stands for."""
        return cls(instance, str(error), error.exit_code, named)

    @property
    def error(self) -> NovadevError:
        """The error it stands for, for a command about one instance alone."""
        return _ERRORS.get(self.exit_code, NotAsNeeded)(self.reason)

    @property
    def failure(self) -> int:
        """The exit code it gives.

        A whole cell or host that failed counts, and so does what could not be reached, however it
        was chosen.
        """
        counts = self.named or self.instance is None or self.exit_code == Unreachable.exit_code
        return self.exit_code if counts else 0


_ERRORS: dict[int, type[NovadevError]] = {
    kind.exit_code: kind for kind in (NovadevError, NotFound, BadInput, StalePlan, Unreachable)
}

Planned = Plan | Skip


@dataclass(frozen=True)
class Outcome:
    """What became of a plan.

    ``state`` is ``applied``, ``stale`` or ``failed`` (nothing was written), or it is left for
    resume: ``planned`` (nothing was written) or ``started`` (one of two databases may be).
    """

    state: str
    error: str | None = None
    exit_code: int = 0


APPLIED = Outcome("applied")

Apply = Callable[[Sequence[Plan], bool], list[Outcome]]
"""Writes plans of one cell and returns an outcome for each, in order.

True says that an earlier run was stopped while it wrote them, so that any of their parts may be
there already.
"""


def encode(plan: Plan) -> dict[str, Any]:
    """Return PLAN as JSON values."""
    return {
        "action": plan.action,
        "instance": plan.instance,
        "name": plan.name,
        "host": plan.host,
        "cell": plan.cell,
        "changes": [_encode_change(item) for item in plan.changes],
        "effects": [_encode_change(item) for item in plan.effects],
        "notes": list(plan.notes),
        "guard": dict(plan.guard),
    }


def _encode_change(item: Change) -> dict[str, object]:
    return {
        "what": item.what,
        "before": change.to_json(item.before),
        "after": change.to_json(item.after),
    }


def decode(data: Mapping[str, Any]) -> Plan:
    """Return the plan that :func:`encode` wrote; raises ValueError when it is no such thing."""
    try:
        return Plan(
            action=str(data["action"]),
            instance=str(data["instance"]),
            cell=str(data["cell"]),
            changes=tuple(_decode_change(item) for item in data["changes"]),
            name=str(data["name"]),
            host=data["host"],
            effects=tuple(_decode_change(item) for item in data["effects"]),
            notes=tuple(str(note) for note in data["notes"]),
            guard=dict(data["guard"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a plan: {error}") from None


def _decode_change(data: Mapping[str, Any]) -> Change:
    before, after = change.from_json(data["before"]), change.from_json(data["after"])
    return Change(str(data["what"]), before, after)


def dumps(plan: Plan) -> str:
    """Return PLAN as one line of JSON."""
    return json.dumps(encode(plan), separators=(",", ":"), sort_keys=True)


def loads(text: str) -> Plan:
    """Return the plan of a line that :func:`dumps` wrote; raises ValueError."""
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not a plan")
    return decode(data)


def carry_out(
    journal: Journal,
    run: Run,
    apply: Apply,
    stop: Callable[[], bool],
    max_failures: int | None = None,
) -> Iterator[tuple[Plan, Outcome]]:
    """Apply what RUN has not finished, batch by batch, and yield each plan with its outcome.

    A batch is in the journal before its first write. Ends early, between two batches, when STOP
    says so or more than MAX_FAILURES plans failed.
    """
    failures = 0
    for resumed in (True, False):
        for batch in journal.iter_pending(run, started=resumed, size=BATCH):
            if stop() or (max_failures is not None and failures > max_failures):
                return
            outcomes = _carry_out_batch(journal, run, apply, batch, resumed)
            failures += sum(outcome.state != "applied" for outcome in outcomes)
            yield from zip((item.plan for item in batch), outcomes, strict=True)


def _carry_out_batch(
    journal: Journal, run: Run, apply: Apply, batch: Sequence[Journaled], resumed: bool
) -> list[Outcome]:
    journal.mark_started(run, batch)
    outcomes = apply([item.plan for item in batch], resumed)
    journal.mark(run, batch, outcomes)
    return outcomes


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
