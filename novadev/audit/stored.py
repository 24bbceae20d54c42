"""What is stored of one instance, as the checks that need no host look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from novadev.audit.correction import value_instead
from novadev.audit.finding import Trouble
from novadev.audit.stashing import NotNow, Outlook
from novadev.errors import BadInput, InvalidValue
from novadev.image_property.decisions import Decision
from novadev.image_property.facts import Facts
from novadev.nova.image_properties import PROPERTIES
from novadev.rules.guest import DriverRules
from novadev.rules.image_meta import unreadable
from novadev.stash_defaults.sources import REMEMBERED, Alike


@dataclass(frozen=True)
class Stored:
    """What is stored of one instance, and the rules of the host that would build its guest.

    ``machine_type`` is the versioned one that the stored one stands for; None where none is known.
    ``release`` is the release of Nova that reads the values, None for that of the rules.
    ``are_assumed``: nothing is known of the host, and the rules are those of novadev's own
    configuration. ``outlook`` is what stash-defaults would record; None where no host was asked.
    ``taken_out`` are the decisions of operators to store a property no more, by its name.
    ``not_now`` says why stash-defaults would refuse a guest that was not read, if it would.
    """

    facts: Facts
    rules: DriverRules
    machine_type: str | None = None
    release: int | None = None
    are_assumed: bool = True
    outlook: Outlook | None = None
    taken_out: Mapping[str, Decision] = field(default_factory=dict)
    not_now: NotNow | None = None

    @property
    def uuid(self) -> str:
        """The instance's UUID."""
        return self.facts.instance.uuid

    @property
    def values(self) -> Mapping[str, str | None]:
        """The stored image properties."""
        return self.facts.instance.image_properties

    @cached_property
    def alike(self) -> Alike:
        """The guest as the rules see it: most of a fleet are one another's like."""
        return Alike.of(self.facts.guest)

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The values for which that release can read none of the properties."""
        return _unreadable(self.alike, self.nova_release)

    @cached_property
    def outside(self) -> Mapping[str, str]:
        """Those of the ten properties whose value is none of theirs, and what is wrong with it."""
        return dict(_outside(self.values))

    @cached_property
    def readable(self) -> Stored:
        """The same as the remedies of values that Nova cannot read leave it."""
        bad: dict[str, str | None] = dict.fromkeys(self.unreadable)
        bad |= {name: value_instead(name, self.values[name] or "") for name in self.outside}
        if not bad:
            return self
        left = {name: value for name, value in self.values.items() if name not in bad}
        left |= {name: value for name, value in bad.items() if value is not None}
        guest = replace(self.facts.guest, image_properties=left)
        instance = replace(self.facts.instance, image_properties=left)
        return replace(self, facts=replace(self.facts, guest=guest, instance=instance))

    @property
    def nova_release(self) -> int:
        """The release of Nova that reads the values."""
        return self.release or self.rules.release


def _outside(values: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for name, item in PROPERTIES.items():
        value = values.get(name)
        try:
            if value is not None:
                item.canonical(value)
        except InvalidValue as error:
            yield name, str(error)


@lru_cache(REMEMBERED)
def _unreadable(alike: Alike, release: int) -> Mapping[str, str]:
    return unreadable(alike.guest.image_properties, release)


def unread(stored: Stored, error: BadInput) -> Trouble:
    """Return that something stored cannot be read, and why."""
    details = str(error).removeprefix(f"instance {stored.uuid}: ")
    return Trouble("unreachable", "failure", details, is_unasked=True)
