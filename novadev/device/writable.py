"""Whether a guest's definition may be changed now, checked in the process of its host."""

from __future__ import annotations

from novadev.device.hosted_instance import HostedInstance
from novadev.errors import NotAsNeeded
from novadev.virt.devices import Disk
from novadev.virt.domain import Definitions, Domain
from novadev.virt.own_disks import own_disk_name


def check_guest(instance: HostedInstance, definitions: Definitions) -> None:
    """Raise NotAsNeeded where nothing of the guest must be changed now."""
    reason = _in_the_way(instance, definitions)
    if reason is not None:
        raise NotAsNeeded(f"instance {instance.uuid}: {reason}")


def _in_the_way(instance: HostedInstance, definitions: Definitions) -> str | None:
    if instance.task_state is not None:
        return f"it has a task in progress: {instance.task_state}"
    if instance.attachments is not None and instance.attachments.unfinished:
        return f"its {instance.attachments.unfinished}"
    if is_rescued(instance, definitions.persistent):
        return "it is rescued: its present definition is dropped when it is unrescued"
    if definitions.persistent is None:
        return "its domain is transient: there is no persistent definition"
    if definitions.has_managed_save:
        return "it has a managed save image, which contains its old definition"
    if definitions.jobs:
        return f"an operation is running: {', '.join(definitions.jobs)}"
    return None


def is_rescued(instance: HostedInstance, *domains: Domain | None) -> bool:
    """Whether Nova has INSTANCE in rescue, or one of DOMAINS has a rescue disk.

    Source: nova/virt/libvirt/driver.py, rescue.
    """
    disks = (disk for domain in domains if domain for disk in domain.of_class(Disk))
    names = (own_disk_name(instance.uuid, disk) or "" for disk in disks)
    return instance.vm_state == "rescued" or any(name.endswith("rescue") for name in names)
