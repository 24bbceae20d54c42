"""What an audit has examined: everything that the report says apart from the findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from novadev.audit.checks import Check
from novadev.audit.rehearsal import Rehearsals
from novadev.selection import Selection
from novadev.state.keeping import HostKeeping


@dataclass(frozen=True)
class About:
    """One audit that has ended.

    ``finished`` is in UTC. ``deployment`` and ``selection`` are texts for people, without secrets.
    ``versions`` is by what has them, such as novadev or the target of ``--capabilities``.
    ``guests`` is how many instances were looked at, ``unseen`` at how many of them in the databases
    alone, as their hosts did not tell of them. ``checks`` is what they were looked at for,
    ``unreachable`` why a cell, host or guest could not be asked, ``rehearsals`` what a rehearsal
    gave, if there was one. ``keeping`` is what hosts say of recorded addresses.
    """

    finished: datetime
    deployment: str
    selection: str
    guests: int
    checks: Sequence[Check]
    unreachable: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    rehearsals: Rehearsals | None = None
    keeping: Sequence[HostKeeping] = ()
    unseen: int = 0


def in_words(selection: Selection) -> str:
    """Return in words which instances were chosen."""
    if selection.is_named:
        return "the named instances"
    narrow = selection.narrow
    chosen = {"cell": selection.cell, "host": " or ".join(narrow.hosts)}
    chosen |= {"name": " or ".join(narrow.names), "project": narrow.project}
    chosen |= {"status": narrow.status, "vm_state": narrow.vm_state}
    parts = [f"{name} {value}" for name, value in chosen.items() if value]
    parts += [f"{name}={value}" for name, value in narrow.where]
    parts += [f"without {name}" for name in narrow.without]
    if selection.limit is not None:
        parts.append(f"at most {selection.limit}")
    return ", ".join(parts) or "all instances"
