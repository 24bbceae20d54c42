"""The definitions of guests that are shut off: looked at now and then, for libvirt tells nobody.

A device that is attached to or detached from a definition alone fires no event in libvirt 7.0 and
9.0. In 11.3 it is ``VIR_DOMAIN_EVENT_DEFINED``, as of a definition that was written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import inf

GLANCE = 30.0
"""Seconds between two looks at the definitions of a host."""
Digests = Mapping[str, int]
"""A number for the devices of each guest that is shut off, by its UUID."""


class Glances:
    """When the definitions of which host are looked at, and what they were the last time."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._known: dict[str, Digests] = {}

    def begin(self, host: str, now: float) -> None:
        """Look at HOST from NOW on."""
        self._known.pop(host, None)
        self._due[host] = now

    def forget(self, host: str) -> None:
        """Do not look at HOST any more: it is not connected."""
        self._due.pop(host, None)
        self._known.pop(host, None)

    def due(self, is_free: Callable[[str], bool]) -> float:
        """Return when a host that is free for it is to be looked at next."""
        return min((due for host, due in self._due.items() if is_free(host)), default=inf)

    def take(self, now: float, is_free: Callable[[str], bool]) -> Iterator[str]:
        """Yield the hosts that are due and free, each to be looked at by who takes it."""
        for host in [host for host, due in self._due.items() if due <= now]:
            if is_free(host):
                self._due[host] = inf
                yield host

    def ended(self, host: str, found: Digests | None, now: float) -> tuple[bool, tuple[str, ...]]:
        """Return whether this was the first look at HOST, and the guests that changed since.

        FOUND is None where there was no answer. A guest that was not shut off before counts as
        changed: since its stop was told, its definition may be another one. The first look finds
        nothing changed: every guest has to be recorded after it.
        """
        if host not in self._due:
            return False, ()
        self._due[host] = now + GLANCE
        before = self._known.get(host)
        if found is not None:
            self._known[host] = found
        if before is None or found is None:
            return before is None, ()
        return False, tuple(uuid for uuid, digest in found.items() if before.get(uuid) != digest)
