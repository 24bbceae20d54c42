"""What a plan of ``device alias-migrate`` says: when aliases take effect, what takes them away."""

from __future__ import annotations

from collections.abc import Iterator

_RUNS_ON = (
    "The guest keeps running. The aliases take effect at its next soft reboot, which Nova turns "
    "into a hard reboot after wait_soft_reboot_seconds."
)
_LOST = (
    "A start, hard reboot or cold migration keeps only the aliases of volumes, and a live "
    "migration drops those of interfaces. Run this command again afterwards, or enable "
    "novadev-alias-migrate.timer."
)
_GIVES = (
    "a start, hard reboot, cold migration or resize gives these again, on each host whose "
    "nova-compute keeps aliases with this state database. A live migration drops those of "
    "interfaces until the next start."
)
_KEPT = f"The nova-compute of its host keeps aliases: {_GIVES}"
_KEPT_ONCE_LIVE = (
    "Soft-reboot it before its next stop, hard reboot or migration. The nova-compute of its host "
    f"keeps the aliases that the running guest has: {_GIVES}"
)
"""``_aliases`` of :mod:`novadev.keep.definition`: what Nova's definition does not show to be a
port's or a mediated device has the alias that the guest was last seen with."""


def when_aliased(is_active: bool, volumes_only: bool, keeps: bool, is_shown: bool) -> Iterator[str]:
    """Yield the notes for a guest that runs or is shut off, on a host that KEEPS aliases or not.

    IS_SHOWN: the definition alone shows what the aliases are made of. Nova itself gives volumes
    theirs.
    """
    if is_active:
        yield _RUNS_ON
    if volumes_only:
        return
    if not keeps:
        yield _LOST
    else:
        yield _KEPT if is_shown or not is_active else _KEPT_ONCE_LIVE
