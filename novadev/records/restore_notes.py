"""What a plan of ``device restore`` says: when addresses take effect, and who makes room."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.records.restore_layout import Layout, named
from novadev.virt.domain import Domain

_RUNS_ON = (
    "The guest keeps its present addresses until its next soft reboot, which starts it from this "
    "definition with the recorded addresses. (After wait_soft_reboot_seconds Nova turns a soft "
    "reboot into a hard one.)",
    "After a start, hard reboot, cold migration, resize or unshelve, which write a new "
    "definition with newly chosen addresses, restore again. Also restore again after a live "
    "migration, which keeps the addresses of the running guest.",
)
"""``nova/virt/libvirt/driver.py``: ``_soft_reboot`` launches the domain as it is defined,
``_hard_reboot`` (which is ``power_on`` too) undefines it; ``guest.py`` ``migrate`` makes the
persistent definition there of the live one here."""
_SHUT_OFF = (
    "A start by Nova writes a new definition with newly chosen addresses. The recorded addresses "
    "take effect only if something other than Nova starts the guest from this definition. With "
    "Nova, restore a running guest and soft-reboot it.",
)
_KEEPS_RUNNING = (
    _RUNS_ON[0],
    "Soft-reboot it before its next stop, hard reboot or migration: the nova-compute of its host "
    "keeps the addresses that the running guest has.",
)
_KEEPS_SHUT_OFF = (
    "The nova-compute of its host keeps recorded addresses: the next start gives the guest these.",
)
"""``novadev-nova-compute`` reads what a guest has just before Nova makes it anew."""


def when_restored(is_active: bool, keeps: bool) -> tuple[str, ...]:
    """Return the notes for a guest that runs or is shut off, on a host that KEEPS addresses."""
    if is_active:
        return _KEEPS_RUNNING if keeps else _RUNS_ON
    return _KEEPS_SHUT_OFF if keeps else _SHUT_OFF


def who_makes_room(domain: Domain, layout: Layout, as_of: str) -> Iterator[str]:
    """Yield a note for each device of DOMAIN that LAYOUT moves because it is not recorded.

    AS_OF says as of when, where that is not the newest record.
    """
    names = {device: name for name, device in named(domain).items()}
    unknown = f"was not recorded as of {as_of}" if as_of else "is not recorded"
    for device, mover in layout.displaced.items():
        yield (
            f"{names[device]} {unknown}. It gets another address, because {names[mover]} is "
            "recorded there."
        )
