"""What an audit was of: all that its report says beside the findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from novadev.audit.checks import Check
from novadev.audit.rehearsed import Rehearsals


@dataclass(frozen=True)
class About:
    """One audit that has ended.

    ``finished`` is in UTC. ``deployment`` and ``selection`` are texts for people, without secrets.
    ``versions`` is by what has them, such as novadev or the target of ``--capabilities``.
    ``guests`` is how many instances were looked at, ``checks`` what they were looked at for,
    ``unreachable`` why a cell, host or guest could not be asked, ``rehearsals`` what a rehearsal
    gave, if there was one.
    """

    finished: datetime
    deployment: str
    selection: str
    guests: int
    checks: Sequence[Check]
    unreachable: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    rehearsals: Rehearsals | None = None
