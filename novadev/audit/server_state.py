"""The checks of what Nova itself has given up or not finished: ERROR, and a task without an end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from novadev.audit.finding import Trouble
from novadev.audit.guest import RESCUED_IN_ERROR, Inspection
from novadev.errors import NotFound, NovadevError
from novadev.nova.instances import Instance

ERROR, TASK = "error-state", "stuck-task"
AT_WORK = timedelta(hours=1)
"""How long after its last change a row of ``instances`` may belong to a task that goes on.

A live migration writes its progress there every few seconds. The upload of a large snapshot and
the copy of a large disk write nothing, so an older task may still go on.
"""


def error_state(instance: Instance, found: Inspection | NovadevError | None) -> Iterator[Trouble]:
    """Yield that INSTANCE is in ERROR; FOUND is what its host has of it, None if not asked.

    Nova starts, resizes and migrates none in this state. A hard reboot is allowed, builds the guest
    anew and makes the server active (``ALLOW_HARD_REBOOT`` in nova/compute/vm_states.py,
    ``_reboot_instance`` in nova/compute/manager.py).
    """
    if instance.vm_state != "error":
        return
    why = (
        f"openstack server event list {instance.uuid} and openstack server migration list --server "
        f"{instance.uuid} show what failed"
    )
    refused = "it is in ERROR: Nova does not start, resize or migrate it"
    details = f"{refused}; {why}; {_next_step(instance, found)}"
    yield Trouble(ERROR, "failure", details)


def _next_step(instance: Instance, found: Inspection | NovadevError | None) -> str:
    """Return what the server's host has of it, what was not checked for that, and what to do."""
    reboot = f"openstack server reboot --hard {instance.uuid}"
    host = instance.host
    if host is None:
        return (
            "it is on no host, so its devices were not checked. Do not reboot it: without a host "
            "this is an error of Nova's API, and leaves a task in progress"
        )
    if isinstance(found, Inspection):
        return (
            f"{host} has its definition. If its disks are on {host} too and it runs on no other "
            f"host, {reboot} builds the guest anew. Until then its other findings may be wrong"
        )
    if str(found) == RESCUED_IN_ERROR:
        return (
            f"{host} has the guest of its rescue, so its devices were not checked. Nova cannot "
            f"unrescue it in this state. If its disks are on {host} and it runs on no other host, "
            f"{reboot} builds its own guest anew"
        )
    if isinstance(found, NotFound):
        return (
            f"{host} has no definition of it, so its devices were not checked. First find the host "
            "that has its disks, and make sure that it runs on no other host: a hard reboot could "
            "start a second guest on the same disks"
        )
    asked = "was not asked" if found is None else "did not say"
    return f"{host} {asked} whether it has a definition of it, so its devices were not checked"


def stuck_task(instance: Instance, now: datetime | None = None) -> Iterator[Trouble]:
    """Yield that the task of INSTANCE has written nothing for `AT_WORK`; NOW is aware.

    At its start nova-compute ends or repeats tasks such as a stop, a start or a deletion, and
    leaves a server in ERROR as it is (``_init_instance`` in nova/compute/manager.py).
    """
    task, changed = instance.task_state, instance.updated_at
    if task is None or changed is None:
        return
    last = changed.replace(tzinfo=timezone.utc)
    if (now or datetime.now(timezone.utc)) - last < AT_WORK:
        return
    where = "" if instance.host is None else f" and the log of nova-compute on {instance.host}"
    details = (
        f"its task {task} has written nothing since {last:%Y-%m-%d %H:%M} UTC. Until it ends, Nova "
        f"refuses most commands. openstack server event list {instance.uuid}{where} show whether "
        "somebody is still at work on it. If not, a restart of nova-compute ends or repeats some "
        "tasks"
    )
    yield Trouble(TASK, "warning", details)
