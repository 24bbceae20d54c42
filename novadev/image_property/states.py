"""In which states an instance may be planned for what changes nothing of its guest."""

from __future__ import annotations

from novadev.errors import NotAsNeeded
from novadev.nova.instances import Instance

AT_REST = frozenset(
    (
        *("active", "paused", "suspended", "stopped", "rescued", "resized", "soft-delete"),
        *("error", "shelved", "shelved_offloaded"),
    )
)
"""Every state but building and deleted."""


def check_at_rest(instance: Instance) -> None:
    """Raise NotAsNeeded for an INSTANCE in transition."""
    if instance.vm_state not in AT_REST:
        raise NotAsNeeded(f"instance {instance.uuid} is {instance.vm_state}")
    if instance.task_state is not None:
        raise NotAsNeeded(f"instance {instance.uuid} has a task in progress: {instance.task_state}")
