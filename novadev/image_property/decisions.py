"""What operators have stored, or taken out, for the next power-on of servers, by the journal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.nova.image_properties import PROPERTIES
from novadev.nova.instances import Instance
from novadev.runs.journal_rows import Journaled
from novadev.runs.place import Kind
from novadev.runs.states import State
from novadev.value import ABSENT, Value

ACTIONS = frozenset(("image-property set", "image-property unset", "machine-type set"))
"""What changes the guest's next hardware on purpose; other actions store what it has."""


@dataclass(frozen=True)
class Decision:
    """A RUN of novadev that replaced the value ``before`` of a property.

    ``is_default_known``: what a power-on gives instead is known, and it is another value.
    """

    run: int
    before: Value
    is_default_known: bool = False

    @property
    def told(self) -> str:
        """Which run took the value out, in words."""
        return f"run {self.run} took {self.before} out"


class Decisions:
    """The decisions of operators, by the journal of DEPLOYMENT; of None there are none.

    A journal that cannot be read knows of none.
    """

    def __init__(self, deployment: Deployment | None) -> None:
        self._deployment = deployment
        self._known: dict[str, Sequence[Journaled]] = {}

    def read(self, uuids: Collection[str]) -> None:
        """Read the runs of these instances in one go, and forget those of others."""
        self._known = dict.fromkeys(uuids, ())
        if self._deployment is None or not uuids:
            return
        try:
            found = self._deployment.journal.list_landed(uuids)
        except NovadevError:
            return
        for item in found:
            uuid = item.plan.instance
            self._known[uuid] = (*self._known[uuid], item)

    def plans_of(self, uuid: str) -> Sequence[Journaled]:
        """Return the plans of an instance that may be there, newest first."""
        return self._known.get(uuid, ())

    def find(self, instance: Instance, name: str) -> Decision | None:
        """Return the decision by which the property NAME of an instance is as it is stored now.

        None where somebody else has stored it so, or stash-defaults, or the instance's runs were
        not read.
        """
        now: Value = instance.image_properties.get(name, ABSENT)
        for item in self._known.get(instance.uuid, ()):
            for change in item.plan.changes:
                if change.place.kind is not Kind.PROPERTY or change.place.name != name:
                    continue
                if change.after != now:
                    if item.state is State.APPLIED:
                        return None
                elif item.plan.action in ACTIONS:
                    return Decision(item.run, change.before)
                elif now not in (ABSENT, None):
                    return None
        return None

    def taken_out(self, instance: Instance) -> Mapping[str, Decision]:
        """Return the decisions that took values of an instance out which are still out, by name.

        A value that is none of Nova's was no decision: no guest can have it.
        """
        items = self._known.get(instance.uuid, ())
        places = {change.place for item in items for change in item.plan.changes}
        names = sorted(place.name for place in places if place.kind is Kind.PROPERTY)
        missing = [name for name in names if instance.image_properties.get(name) is None]
        found = {name: self.find(instance, name) for name in missing}
        return {
            name: decision
            for name, decision in found.items()
            if decision is not None and _is_value(name, decision.before)
        }


def _is_value(name: str, value: Value) -> bool:
    """Whether VALUE is one that a guest can have by the property NAME."""
    if not isinstance(value, str) or not value.strip():
        return False
    known = PROPERTIES.get(name)
    return known is None or known.has(known.spelling(value))
