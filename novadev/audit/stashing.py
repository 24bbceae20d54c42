"""What stash-defaults would record for a guest and what it would not, from its own planner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novadev.audit.finding import Trouble
from novadev.audit.remedies import stash
from novadev.errors import NovadevError
from novadev.rules.defaults import REFUSALS, REGISTERED
from novadev.stash_defaults.effects import HARMLESS
from novadev.stash_defaults.planning import outlook
from novadev.stash_defaults.sources import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUT = frozenset({"hw_input_bus", "hw_pointer_model"})
"""What stash-defaults leaves out where storing it would give the guest a device more."""


@dataclass(frozen=True)
class Outlook:
    """The names of the properties that would be recorded, and why others would not be.

    ``undecided`` is by reason, those left out because that adds a device not among them.
    """

    recorded: frozenset[str] = frozenset()
    undecided: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Evidence) -> Outlook:
        """Return what stash-defaults would do of the guest that EVIDENCE is of."""
        try:
            found, undecided = outlook(evidence)
        except NovadevError as error:
            prefix = f"instance {evidence.facts.instance.uuid}: "
            return cls(undecided={str(error).removeprefix(prefix): REGISTERED})
        except REFUSALS as error:
            return cls(undecided={f"Nova's rules fail: {error}": REGISTERED})
        told = {why: tuple(names) for why, names in undecided.items() if why not in HARMLESS}
        return cls(frozenset(found), told)


def not_stashed(
    uuid: str, values: Mapping[str, str | None], known: Outlook | None
) -> Iterator[Trouble]:
    """Yield the properties of Nova's own list that are not stored.

    Where storing one would change the guest, nothing is to be done, and nothing is said; what is
    not KNOWN to be so, as no host was asked, is taken to be so of the input devices.
    """
    missing = [name for name in REGISTERED if name not in values]
    if known is None:
        if not INPUT.issuperset(missing):
            yield Trouble("not-stashed", "warning", _details(missing), stash(uuid))
        return
    recorded = [name for name in missing if name in known.recorded]
    if recorded:
        yield Trouble("not-stashed", "warning", _details(recorded), stash(uuid))
    for why, names in known.undecided.items():
        left = [name for name in missing if name in names]
        if left:
            details = f"{_details(left)}; stash-defaults cannot record {_it(left)}: {why}"
            yield Trouble("not-stashed", "warning", details)


def _details(names: list[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} {verb} not stored: a new default would change the guest"


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"
