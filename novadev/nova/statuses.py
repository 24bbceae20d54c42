"""The status of a server, as the API shows it, by its vm_state and its task_state.

Source: nova/api/openstack/common.py, _STATE_MAP.
"""

from __future__ import annotations

import sqlalchemy as sa

from novadev.nova.tables import instances

_RESIZE = dict.fromkeys(
    ("resize_prep", "resize_migrating", "resize_migrated", "resize_finish"), "RESIZE"
)
_REBUILD = dict.fromkeys(
    ("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"), "REBUILD"
)
DEFAULTS = {
    "active": "ACTIVE",
    "building": "BUILD",
    "stopped": "SHUTOFF",
    "resized": "VERIFY_RESIZE",
    "paused": "PAUSED",
    "suspended": "SUSPENDED",
    "rescued": "RESCUE",
    "error": "ERROR",
    "soft-delete": "SOFT_DELETED",
    "shelved": "SHELVED",
    "shelved_offloaded": "SHELVED_OFFLOADED",
}
"""The status of each vm_state, unless a task below says another one."""
TASKS: dict[str, dict[str, str]] = {
    "active": {
        **dict.fromkeys(("rebooting", "reboot_pending", "reboot_started"), "REBOOT"),
        **dict.fromkeys(
            ("rebooting_hard", "reboot_pending_hard", "reboot_started_hard"), "HARD_REBOOT"
        ),
        "updating_password": "PASSWORD",
        "migrating": "MIGRATING",
        **_REBUILD,
        **_RESIZE,
    },
    "stopped": {**_RESIZE, **_REBUILD},
    "resized": {"resize_reverting": "REVERT_RESIZE"},
    "paused": {"migrating": "MIGRATING"},
    "error": _REBUILD,
}
"""By vm_state, the status that a task_state gives."""
STATUSES = tuple(
    sorted({*DEFAULTS.values(), *(status for tasks in TASKS.values() for status in tasks.values())})
)


def has_status(status: str) -> sa.ColumnElement[bool]:
    """Return whether an instance has this STATUS."""
    state, task = instances.c.vm_state, instances.c.task_state
    found: list[sa.ColumnElement[bool]] = []
    for vm_state, default in DEFAULTS.items():
        tasks = TASKS.get(vm_state, {})
        giving = [name for name, own in tasks.items() if own == status]
        if giving:
            found.append(sa.and_(state == vm_state, task.in_(giving)))
        if default == status:
            no_other = sa.or_(task.is_(None), task.not_in(list(tasks)))
            found.append(sa.and_(state == vm_state, no_other))
    return sa.or_(*found)
