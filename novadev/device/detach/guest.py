"""Decides what a detach would remove from a guest, in the process of its host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from novadev.device.detach import ACTION
from novadev.device.guests import get_definitions_and_jobs
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import Entry, Inventory, take_inventory
from novadev.device.named import find_named
from novadev.device.orphans import why_no_orphan
from novadev.device.owners import keys_of
from novadev.device.writable import is_rescued
from novadev.errors import NotAsNeeded
from novadev.runs.change import Change
from novadev.runs.place import Kind, Place
from novadev.runs.plan import Plan
from novadev.value import ABSENT
from novadev.virt.device import Device
from novadev.virt.host import Host


@dataclass(frozen=True)
class Wish:
    """What was asked for: the device by any of its names, seconds, and whatever it is."""

    device: str
    timeout: int
    force: bool


def plan_device(host: Host, instance: HostedInstance, wish: Wish) -> Plan:
    """Return the plan for the device of INSTANCE; raises as ``plan_detach``."""
    inventory = take_inventory(instance, get_definitions_and_jobs(host, instance))
    entry = find_named(inventory.entries, wish.device, f"instance {instance.uuid}")
    if entry.device is None:
        raise NotAsNeeded(f"instance {instance.uuid}: {_ghost_text(entry)}")
    if not entry.is_detachable:
        kinds = "disks, interfaces, hostdevs and filesystems"
        raise NotAsNeeded(f"instance {instance.uuid}: {entry.label}: only {kinds} can be detached")
    check_guest(inventory)
    objection = why_no_orphan(entry, inventory)
    if objection is not None and not wish.force:
        raise NotAsNeeded(
            f"instance {instance.uuid}: {entry.label} is not known to be an orphan: {objection}. "
            "Use Nova to detach what Nova has attached (openstack server remove volume, port …); "
            "--force detaches it without Nova's knowledge"
        )
    return _plan(inventory, entry, wish, objection)


def _ghost_text(entry: Entry) -> str:
    """Return what a ghost is and what becomes of it (``compute/manager.py``)."""
    if entry.owner is None or entry.owner.type != "volume":
        return (
            f"{entry.label} has no device to detach: Nova gives the guest one at its next start or "
            "hard reboot"
        )
    return (
        f"{entry.label} has no device to detach: at the next reboot Nova deletes its row in "
        "block_device_mapping if Cinder no longer has the attachment (_delete_dangling_bdms); "
        "otherwise a start or hard reboot gives the guest the volume again"
    )


def check_guest(inventory: Inventory) -> None:
    """Raise NotAsNeeded where nothing of the guest must be detached now, forced or not."""
    reason = next(_in_the_way(inventory), None)
    if reason is not None:
        raise NotAsNeeded(f"instance {inventory.instance.uuid}: {reason}")


def _in_the_way(inventory: Inventory) -> Iterator[str]:
    """Yield what Nova or libvirt does with the guest, so that what is attached may change."""
    instance, definitions = inventory.instance, inventory.definitions
    if instance.task_state is not None:
        yield f"it has a task in progress: {instance.task_state}"
    if is_rescued(instance, definitions.persistent, definitions.live):
        yield "it is rescued: its present devices are not those that Nova has attached"
    if definitions.jobs:
        yield f"an operation is running: {', '.join(definitions.jobs)}"
    if definitions.has_managed_save:
        yield "it has a managed save image that contains the device"


def _plan(inventory: Inventory, entry: Entry, wish: Wish, objection: str | None) -> Plan:
    instance = inventory.instance
    return Plan(
        action=ACTION,
        instance=instance.uuid,
        cell=instance.cell,
        changes=(Change(Place(Kind.DETACH, entry.label), _sides_text(entry), ABSENT),),
        name=inventory.name,
        host=instance.host,
        notes=tuple(_notes(inventory, entry, objection)),
        guard={
            "persistent": seen(entry.persistent),
            "live": seen(entry.live),
            "timeout": wish.timeout,
            "force": wish.force,
        },
    )


def _sides_text(entry: Entry) -> str:
    sides = {"the definition": entry.persistent, "the running guest": entry.live}
    return "in " + " and ".join(name for name, device in sides.items() if device is not None)


def _notes(inventory: Inventory, entry: Entry, objection: str | None) -> Iterator[str]:
    yield "A detach cannot be undone."
    if entry.device is not None:
        yield ", ".join(f"{name} {value}" for name, value in keys_of(entry.device).items())
    if objection is not None:
        yield f"FORCED although {objection}."
    else:
        yield "Nova has no block device mapping, port, PCI device or share for it."
    if inventory.definitions.is_active:
        yield "The guest has to release the device. Data that the guest still uses may be lost."


def seen(device: Device | None) -> dict[str, str] | None:
    """Return by what DEVICE is recognised when the plan is carried out; None of no device."""
    if device is None:
        return None
    place = {"address": str(device.address)} if device.address else {}
    return {"label": device.label, **keys_of(device), **place}
