"""What an audit has checked: a finding is fixed only if it was checked again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from novadev.audit.checks import CHECKS
from novadev.audit.finding import Earlier, Move
from novadev.audit.guest import Inspection
from novadev.errors import NotFound, NovadevError
from novadev.nova.instances import Instance
from novadev.residence import SharedDatabase
from novadev.runs.plan import Skip

_NEEDS = {check.name: check.needs for check in CHECKS}
_WITHOUT_DOMAIN = frozenset(("missing-domain", "target"))
"""Checks beyond those of the databases that are also made of a server that has no domain."""
_ELSEWHERE = ("target", "rehearsal")
"""Checks of what another host would do: the findings are about that host alone."""
_OF_STATE = frozenset(("drift", "not-keeping"))
"""The checks that read the state database."""
_TYPES = ("machine type ", "domain type ")
"""What is judged of a guest even where the other host lacks its machine type."""
OTHER_TARGET = (
    "about another --capabilities file, --rehearse host or --move than those of this audit"
)
NO_TARGET = "from an older novadev, which did not write against which host it had checked"
NOT_AGAIN = "about what this audit did not check"


@dataclass(frozen=True)
class Unjudged:
    """What of a guest was not judged for another host: these ``subjects``, however they are called.

    ``is_all``: nothing but its machine type and domain type was.
    """

    subjects: frozenset[str] = frozenset()
    is_all: bool = False

    def has(self, details: str) -> bool:
        """Whether a finding with these DETAILS is about something that was not judged."""
        if self.is_all and not any(f": {name}" in details for name in _TYPES):
            return True
        return any(f": {subject}: " in details for subject in self.subjects)

    def has_any(self, details: str) -> bool:
        """Whether the DETAILS of what is told once for many guests name something of these."""
        return self.is_all or any(subject in details for subject in self.subjects)


@dataclass
class Coverage:
    """The servers that were looked at, and the hosts.

    ``unseen`` are the servers whose host did not tell of them, or was not asked. ``bare`` are those
    that have no domain: they are on no host, or their host answered that it has none. ``placed``
    are the hosts that these servers are on, ``hosts`` those of them that answered, and
    ``asks_hosts`` says that hosts were asked. ``unmade`` are checks of single guests, or of hosts,
    that were not made. ``lacks_cell`` says that two cells lead to one database: that of one of them
    may be missing.

    ``targets`` are the other hosts that guests were held against, each with its capability file or,
    of a rehearsal, None; ``move`` is how guests would get there, and ``carried`` are the servers
    that a live migration would take there. ``unjudged`` is by server, host and capability file.
    """

    guests: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    placed: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    unmade: set[tuple[str, str | None]] = field(default_factory=set)
    checks: Collection[str] = ()
    is_whole: bool = False
    lacks_cell: bool = False
    asks_hosts: bool = False
    targets: Collection[tuple[str, str | None]] = ()
    move: Move = "power-on"
    carried: set[str] = field(default_factory=set)
    unjudged: Mapping[tuple[str, str | None, str | None], Unjudged] = field(default_factory=dict)

    def see(self, instance: Instance, found: Inspection | NovadevError | None) -> None:
        """Note that INSTANCE was looked at; FOUND is what its host has of it, None if not asked."""
        uuid = instance.uuid
        self.guests.add(uuid)
        self.placed |= {instance.host} if instance.host else set()
        if isinstance(found, NotFound) or (found is None and instance.host is None):
            self.bare.add(uuid)
        elif found is None or isinstance(found, NovadevError):
            self.unseen.add(uuid)
        elif found.is_carried:
            self.carried.add(uuid)

    def miss(self, skip: Skip) -> None:
        """Note a server that is in two cells, or a cell whose own database may be another one."""
        if skip.instance:
            self.unmade.add(("unreachable", skip.instance))
        self.lacks_cell |= isinstance(skip, SharedDatabase)

    def why_not(self, found: Earlier) -> str | None:
        """Return why this audit cannot say that what was FOUND is mended; None if it can."""
        if found.check in _ELSEWHERE and found.target is None:
            return NO_TARGET
        if found.target is not None and not self._is_same_target(found):
            return OTHER_TARGET
        return None if self._has(found) else NOT_AGAIN

    def _is_same_target(self, found: Earlier) -> bool:
        """Whether the guest was held against the same host, and for the same way to get there.

        One that cannot be migrated live, as it does not run, is checked for a power-on whatever
        ``move`` is.
        """
        if (found.target, found.target_file) not in self.targets:
            return False
        is_carried = found.instance in self.carried
        return found.move in (None, self.move) or (found.move == "power-on" and not is_carried)

    def _has(self, found: Earlier) -> bool:
        """Whether the check was made of the server again, or of the host where there is none.

        A server that a whole audit did not come by is no longer there.
        """
        check, instance, about = found.check, found.instance, found.instance or found.host
        if check not in self.checks or {(check, about), ("unreachable", about)} & self.unmade:
            return False
        if found.is_once:
            return self.is_whole and not self.unseen and not self._is_left(found)
        if instance is None:
            return self._has_host(found)
        if instance not in self.guests:
            return self.is_whole
        key = (instance, found.target, found.target_file)
        if key in self.unjudged and self.unjudged[key].has(found.details):
            return False
        if _NEEDS.get(check) == "databases" and not found.is_by_host:
            return True
        is_made = instance not in self.bare or check in _WITHOUT_DOMAIN or found.is_by_host
        return is_made and instance not in self.unseen

    def _is_left(self, found: Earlier) -> bool:
        """Whether the check was not made of some server, or is still open for one."""
        target = (found.target, found.target_file)
        return any(name == found.check for name, _ in self.unmade) or any(
            key[1:] == target and item.has_any(found.details) for key, item in self.unjudged.items()
        )

    def _has_host(self, found: Earlier) -> bool:
        """Whether the check was made again of the host, the cell or the deployment.

        Nothing is left to ask a silent host for once it has no server any more.
        """
        if found.check == "not-keeping":
            return found.host in self.placed
        if found.host is None:
            is_of_state = found.check == "unreachable" and not found.cell
            return self.is_whole and not (is_of_state and _OF_STATE.difference(self.checks))
        if found.target is not None:
            return self.is_whole
        has_no_servers = self.is_whole and self.asks_hosts and found.host not in self.placed
        return found.host in self.hosts or (found.check == "unreachable" and has_no_servers)
