"""Plans, skips and outcomes as plain values.

One plan is one instance and lands whole. A planner only reads and yields plans and skips; an
apply function only writes what its plans say, checking every ``before`` as it writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from novadev.errors import (
    BadInput,
    NotAsNeeded,
    NotFound,
    NovadevError,
    StalePlan,
    Unreachable,
)
from novadev.runs.change import Change, Effect

SOURCE = "source"
"""The part of a guard that says where the values came from; taking them back asks for none."""
RELEASE = "release"
"""The part of a guard with the release of Nova that reads the values; taking back asks for none."""
AGAIN = "plan again"
"""What a writer advises where a plan is stale; :func:`novadev.runs.undo.advised` replaces it."""
EXPECTED = "the plan expected"
"""What a writer says of a value that somebody has changed; `advised` adds what to do by hand."""
UNDO = "undo"
"""The part of a guard that says that the plan takes another one back."""
NO_CELL = ""
"""The cell of a plan that was made without databases: its host alone knows the instance."""


@dataclass(frozen=True)
class Plan:
    """What will change for one instance.

    ``effects`` are what the guest will see of it at its next power-on, changed or not; ``guard``
    is what must still be so beside the changes' ``before`` (JSON values, read by the action).
    ``partly``: it takes back what may be there in part, so what holds another value than
    ``before`` is left as it is.
    """

    action: str
    instance: str
    cell: str
    changes: tuple[Change, ...]
    name: str = ""
    host: str | None = None
    effects: tuple[Effect, ...] = ()
    notes: tuple[str, ...] = ()
    guard: Mapping[str, Any] = field(default_factory=dict)
    diff: str = ""
    partly: bool = False

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
            guard={
                name: item for name, item in self.guard.items() if name not in (SOURCE, RELEASE)
            },
        )

    def without(self, left: Collection[str]) -> Plan:
        """Return the plan without the changes of LEFT, the texts of their places."""
        if not left:
            return self
        return replace(self, changes=tuple(item for item in self.changes if item.what not in left))


@dataclass(frozen=True)
class Skip:
    """What cannot be done, and why; ``instance`` None is a whole cell or host.

    ``named`` says that the instance was named on the command line: then ``exit_code`` counts.
    ``database`` is the name of the database that could not be read, where that is the reason.
    """

    instance: str | None
    reason: str
    exit_code: int = NotAsNeeded.exit_code
    named: bool = False
    database: str | None = None

    @classmethod
    def of(cls, instance: str | None, error: NovadevError, named: bool) -> Skip:
        """Return the skip that ERROR stands for."""
        return cls(instance, str(error), error.exit_code, named, error.database)

    @classmethod
    def remark(cls, text: str) -> Skip:
        """Return a remark, such as that a selection is empty: no failure of an instance."""
        return cls(None, text, 0)

    @property
    def is_remark(self) -> bool:
        """Whether it is only a remark, and nothing was skipped."""
        return self.instance is None and not self.exit_code

    @property
    def is_of_place(self) -> bool:
        """Whether a whole cell or host could not be read."""
        is_lost = self.exit_code == Unreachable.exit_code or self.database is not None
        return self.instance is None and is_lost

    @property
    def error(self) -> NovadevError:
        """The error it stands for, for a command about one instance alone."""
        return _ERRORS.get(self.exit_code, NotAsNeeded)(self.reason)

    @property
    def failure(self) -> int:
        """The exit code it gives.

        What could not be looked at counts, however it was chosen: a whole cell or host, and a
        guest that could not be reached or read.
        """
        counts = self.named or self.instance is None or self.exit_code in _NOT_LOOKED_AT
        return self.exit_code if counts else 0


class NothingChosen(Skip):
    """The remark that the selection has no server: then there is nothing else to say."""


_NOT_LOOKED_AT = {kind.exit_code for kind in (NovadevError, BadInput, Unreachable)}
_ERRORS: dict[int, type[NovadevError]] = {
    kind.exit_code: kind for kind in (NovadevError, NotFound, BadInput, StalePlan, Unreachable)
}

Planned = Plan | Skip


@dataclass(frozen=True)
class Outcome:
    """What became of a plan.

    ``state`` is the one that the plan gets (:mod:`novadev.runs.states`): ``applied``, ``stale`` or
    ``failed`` (nothing of it is there), ``half``, or what is left for resume: ``planned`` (nothing
    was written) or ``started`` (anything may be). ``vm_state`` is the state in which the server was
    when something was written that Nova reads to start it; None where nothing of that kind was.
    ``left`` says of each device that was not taken back why, by the text of the change's place.
    """

    state: str
    error: str | None = None
    exit_code: int = 0
    vm_state: str | None = None
    left: Mapping[str, str] = field(default_factory=dict)


APPLIED = Outcome("applied")


def taken_back(
    plan: Plan, left: Mapping[str, str], there: Collection[str] = (), is_preview: bool = False
) -> Outcome:
    """Return the outcome of PLAN, an undo of as much as possible; LEFT says why for the rest.

    LEFT has reasons such as "is gone" by the text of the change's place. THERE are the texts of
    those places that were as before the run already. IS_PREVIEW: the outcome that it would have.
    """
    if not left and not there:
        return APPLIED
    names = {item.what: item.place.name for item in plan.changes}
    be = "would be" if is_preview else "was"
    told = []
    if left:
        reasons = ", ".join(f"{names[what]} {why}" for what, why in left.items())
        told.append(f"{reasons}; this part {be} left as it is")
    if there:
        was = "was" if len(there) == 1 else "were"
        told.append(f"{', '.join(names[what] for what in there)} {was} as before the run already")
    others = ", ".join(name for what, name in names.items() if what not in {*left, *there})
    told.append(f"undone: {others}" if others else f"nothing {be} undone")
    return Outcome("applied", f"domain {plan.instance}: {'; '.join(told)}", left=left)


@dataclass(frozen=True)
class Draft:
    """A plan on its way into the journal; ``undoes`` is the id of the plan that it undoes.

    ``expected`` is what would become of it now, by the comparison that its writer makes, and
    ``resumed`` says that an earlier process had begun it.
    """

    plan: Plan
    undoes: int | None = None
    expected: Outcome = APPLIED
    resumed: bool = False
