"""What an audit has checked: a finding is fixed only if it was checked again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from novadev.audit.checks import CHECKS

_NEEDS = {check.name: check.needs for check in CHECKS}
_WITHOUT_DOMAIN = frozenset(("missing-domain", "target"))
"""Checks beyond those of the databases that are also made of a server that has no domain."""


@dataclass
class Coverage:
    """The servers that were looked at, and the hosts.

    ``unseen`` are the servers whose host did not tell of them. ``bare`` are those that have no
    domain: they are on no host, or their host answered that it has none. ``unmade`` are checks of
    single guests, or of hosts, that were not made.
    """

    guests: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    unmade: set[tuple[str, str | None]] = field(default_factory=set)
    checks: Collection[str] = ()
    is_whole: bool = False

    def has(self, check: str, instance: str | None, host: str | None) -> bool:
        """Whether CHECK was made of the server INSTANCE, or of HOST where that is None.

        A server that a whole audit did not come by is no longer there.
        """
        about = instance or host
        if check not in self.checks or {(check, about), ("unreachable", about)} & self.unmade:
            return False
        if instance is None:
            return self.is_whole or host in self.hosts
        if instance not in self.guests:
            return self.is_whole
        if _NEEDS.get(check) == "databases":
            return True
        is_made = instance not in self.bare or check in _WITHOUT_DOMAIN
        return is_made and instance not in self.unseen
