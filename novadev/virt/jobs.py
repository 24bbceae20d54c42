"""What runs on a domain: block jobs, a migration, a save."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from novadev.virt.binding import libvirt
from novadev.virt.devices import Disk
from novadev.virt.domain import Domain

_NO_ANSWER = (
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_NO_SUPPORT,
)


def jobs_of(handle: Any, live: Domain) -> Iterator[str]:
    """Yield what runs on a running domain, in words: it may write the definition when it ends.

    Its QEMU is asked. Raises libvirt's errors.
    """
    for disk in live.of_class(Disk):
        if disk.mirrored or (disk.target and ask(handle.blockJobInfo, disk.target, 0)):
            yield _job_on(disk)
    job = ask(handle.jobInfo)
    if job and job[0] != libvirt.VIR_DOMAIN_JOB_NONE:
        yield "migration or save"


def mirrors_of(live: Domain) -> Iterator[str]:
    """Yield the block jobs that the XML of a running domain shows."""
    return (_job_on(disk) for disk in live.of_class(Disk) if disk.mirrored)


def _job_on(disk: Disk) -> str:
    return f"block job on {disk.target}"


def ask(question: Callable[..., Any], *arguments: object) -> Any:
    """Return the answer; None when there is none to give: an empty drive, a guest that ended.

    Raises libvirt's other errors.
    """
    try:
        return question(*arguments)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _NO_ANSWER:
            raise
        return None
