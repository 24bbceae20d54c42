"""Hosts whose nova-compute does not keep recorded addresses, though that of others does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from novadev.audit.finding import Finding
from novadev.config import Config
from novadev.state.keeping import HostKeeping, list_keeping
from novadev.text import many

CHECK = "not-keeping"


class Keeping:
    """What the hosts of an audit's guests say of recorded addresses; ``found`` when it was read."""

    def __init__(self, config: Config) -> None:
        self._url = config.state_connection
        self._hosts: set[str] = set()
        self.found: tuple[HostKeeping, ...] = ()

    def add(self, hosts: Iterable[str | None]) -> None:
        """Add HOSTS, of which guests were looked at."""
        self._hosts.update(host for host in hosts if host)

    def findings(self) -> Iterator[Finding]:
        """Yield the hosts that do not keep recorded addresses; none where no other host does.

        Of a host that has written nothing into a database of one machine alone nothing is known,
        and it is no finding. Raises as :func:`novadev.state.keeping.list_keeping`.
        """
        known = list_keeping(self._url)
        self.found = tuple(known.values())
        keep, is_shared = sum(one.keeps for one in self.found), not self._url.startswith("sqlite")
        for host in sorted(self._hosts if keep else ()):
            one = known.get(host)
            if (one is None and is_shared) or (one is not None and not one.keeps):
                details = (
                    f"{_why(one)}, and {many(keep, 'other host')} keep recorded addresses: a guest "
                    "that starts here gets its addresses from libvirt"
                )
                yield Finding(CHECK, "warning", None, host, details, None)


def _why(known: HostKeeping | None) -> str:
    if known is None:
        return "its nova-compute has not said that it keeps recorded addresses"
    if known.is_silent:
        return f"its nova-compute has said nothing since {known.seen:%Y-%m-%dT%H:%M:%SZ}"
    return f"keep_addresses is {known.mode} here"
