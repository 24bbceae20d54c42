"""A finding: what is wrong with one guest, host or cell, and the command that fixes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Severity = Literal["warning", "failure"]
Needs = Literal["command", "stop", "wait", "decision"]
Comparison = Literal["new", "still there", "mended", "not checked"]
Move = Literal["power-on", "live-migration"]
"""How a guest gets to another host: Nova builds it there, or libvirt carries what runs."""
ONCE = "reported once for all guests"
"""What the details say, for people, of a finding that is told of the first guest of many."""
_ONCE_OF_OLD = re.compile(
    rf"(not checked for \S+, because its file does not say: .* \({ONCE} with the same"
    rf"|on \S+ it starts; parts that were not rehearsed: .* \({ONCE} with the same parts)\)"
)
"""The whole details of such a finding in a file of a novadev that did not write ``once``.

Nothing that a guest's owner has chosen stands at their beginning.
"""
UNREAD = "what the guest has was not read"
"""What they say of properties that are not stored, where no host was asked."""
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
    ended, or its host answers; or the decision of a person. ``acknowledged`` is the reason why
    somebody lives with it. ``comparison`` is with an earlier audit, None without one; what is
    mended is there no more, and what is not checked was found by the earlier audit alone.
    ``target`` is the other host that the guest was held against, ``target_file`` its capability
    file, and ``move`` how the guest would get there; None where the check is about no other host,
    and of a rehearsal the latter two.
    ``once`` says that it is about all guests of a kind, of which it names the first.
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
    target: str | None = None
    target_file: str | None = None
    move: Move | None = None
    once: bool = False

    @property
    def counts(self) -> bool:
        """Whether this audit has found it, and it is not acknowledged."""
        return self.acknowledged is None and self.comparison not in ("mended", "not checked")


@dataclass(frozen=True)
class Earlier:
    """A finding of an earlier audit, with the fields of `Finding` that its comparison needs."""

    check: str
    severity: Severity
    instance: str | None
    host: str | None
    details: str
    name: str = ""
    cell: str = ""
    project: str = ""
    machine_type: str = ""
    acknowledged: str | None = None
    comparison: str | None = None
    target: str | None = None
    target_file: str | None = None
    move: Move | None = None
    once: bool | None = None

    @property
    def is_once(self) -> bool:
        """Whether it is about all guests of a kind, of which it names the first.

        An older novadev has written that into the details only.
        """
        if self.once is not None:
            return self.once
        return _ONCE_OF_OLD.fullmatch(self.details) is not None

    @property
    def is_by_host(self) -> bool:
        """Whether it takes the server's host to say that it is gone, though databases tell of it.

        A check of theirs leaves out, where no host was asked, what only the guest shows.
        """
        is_seen = self.check == "not-stashed" and UNREAD not in self.details
        return is_seen or self.check == "unreachable"


@dataclass(frozen=True)
class Trouble:
    """A finding as a check has it, before it is said of which guest: see `Finding`.

    ``is_unasked`` says that the check could not be made: its question got no answer. ``instead`` is
    what else a person may do than to run the remedy, where nothing tells which of both is right;
    the remedy then keeps what ``keeps`` says, and an accepted command that stores the property
    ``settled_by`` leaves nothing to decide.
    ``fault`` is the key of the rules' fault that the remedy has to end. ``after`` are the checks
    whose remedies have to be run before this one, and ``first`` is one of those remedies.
    ``waits_for_host``: its remedy is known when the host answers again. ``target``,
    ``target_file``, ``move`` and ``once`` are as in `Finding`.
    """

    check: str
    severity: Severity
    details: str
    remedy: str | None = None
    is_unasked: bool = False
    instead: str | None = None
    keeps: str = "what the guest has"
    settled_by: str | None = None
    fault: tuple[str, str] | None = None
    after: frozenset[str] = frozenset()
    first: str | None = None
    waits_for_host: bool = False
    target: str | None = None
    target_file: str | None = None
    move: Move | None = None
    once: bool = False
