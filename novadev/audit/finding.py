"""A finding: what is wrong with one guest, host or cell, and the command that fixes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["warning", "failure"]
Needs = Literal["command", "stop", "wait", "decision"]
Comparison = Literal["new", "still there", "mended"]
ONCE = "reported once for all guests"
"""What the details say of a finding that is told of the first guest of many."""
_WAITS = ("; the server has to be stopped", "; the remedy has to wait")


def plain(details: str) -> str:
    """Return the DETAILS of a finding without what the state of its server adds to them."""
    for start in _WAITS:
        details = details.partition(start)[0]
    return details


@dataclass(frozen=True)
class Finding:
    """Something that an operator should know before the next upgrade or power-on.

    ``check`` is the name of the check that found it. ``instance`` is None of a whole host or
    cell. ``details`` is one line for people. ``remedy`` is the command that mends it, None where
    none can be given: then the details say what there is to decide. ``name``, ``cell``,
    ``project`` and ``machine_type`` are the instance's, empty where they are not known.

    ``needs`` is what ends it: the command; the command once the server is stopped, or its task has
    ended; or the decision of a person. ``acknowledged`` is the reason why somebody lives with it.
    ``comparison`` is with an earlier audit, None without one; what is mended is there no more.
    """

    check: str
    severity: Severity
    instance: str | None
    host: str | None
    details: str
    remedy: str | None
    name: str = ""
    cell: str = ""
    project: str = ""
    machine_type: str = ""
    needs: Needs = "decision"
    acknowledged: str | None = None
    comparison: Comparison | None = None

    @property
    def counts(self) -> bool:
        """Whether the finding exists and is not acknowledged."""
        return self.acknowledged is None and self.comparison != "mended"


@dataclass(frozen=True)
class Trouble:
    """A finding as a check has it, before it is said of which guest: see `Finding`.

    ``is_unasked`` says that the check could not be made: its question got no answer. ``instead`` is
    what else a person may do than to run the remedy, where nothing tells which of both is right.
    ``fault`` is the key of the rules' fault that the remedy has to end. ``after`` are the checks
    whose remedies have to be run before this one, and ``first`` is one of those remedies.
    """

    check: str
    severity: Severity
    details: str
    remedy: str | None = None
    is_unasked: bool = False
    instead: str | None = None
    fault: tuple[str, str] | None = None
    after: frozenset[str] = frozenset()
    first: str | None = None
