"""Decides which aliases of one guest change, in the process of its host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from novadev.device.alias import ACTION
from novadev.device.alias.notes import when_aliased
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import ONLY_LIVE, Entry, Inventory, take_inventory
from novadev.device.orphans import why_no_port
from novadev.device.redacted import difference, digest
from novadev.device.writable import check_guest
from novadev.errors import NotAsNeeded
from novadev.rules.server_states import way_to_stopped
from novadev.runs.change import Change
from novadev.runs.place import Kind, Place
from novadev.runs.plan import Plan, Planned, Skip
from novadev.value import ABSENT
from novadev.virt.alias import Alias
from novadev.virt.alias_writes import can_update
from novadev.virt.device import Device
from novadev.virt.devices import Disk
from novadev.virt.host import Host

OF_NOTHING = "ua-None"
"""What Nova makes of a volume without an id (``make_libvirt_device_alias``): it names nothing."""


@dataclass(frozen=True)
class Wish:
    """The options of the command other than its guests, and whether the host KEEPS aliases."""

    whole_definition: bool = False
    diff: bool = False
    keeps: bool = False


class Unsafe(NotAsNeeded):
    """The alias of a device must not be changed."""


class Unowned(Unsafe):
    """Nobody says what alias the device should have: nothing that was asked for is left undone."""


def plan_guest(host: Host, instance: HostedInstance, wish: Wish) -> tuple[Planned, ...]:
    """Return the plan for INSTANCE on HOST, if there is anything to do, and its skips.

    Raises NotFound without the domain, NotAsNeeded for a guest that must not be touched, and
    BadInput for a definition that cannot be parsed.
    """
    definitions = host.definitions_and_jobs(instance.uuid)
    if definitions.persistent is not None and definitions.persistent.nova is None:
        text = f"domain {definitions.name} on host {host.name} does not belong to Nova"
        if instance.attachments is None:
            return (
                Skip(instance.uuid, text, NotAsNeeded.exit_code * instance.named, instance.named),
            )
    check_guest(instance, definitions)
    return tuple(_plan(take_inventory(instance, definitions), wish))


def _plan(inventory: Inventory, wish: Wish) -> Iterator[Planned]:
    instance = inventory.instance
    wanted: dict[Device, Alias] = {}
    skips = []
    for entry in inventory.entries:
        try:
            wanted |= _wanted(entry, inventory, wish)
        except Unsafe as error:
            skips.append(_skip(instance, entry, error))
    if wanted:
        yield _make_plan(inventory, wanted, wish)
    elif not skips:
        text = f"nothing to do for instance {instance.uuid}: its aliases are correct"
        skips.append(Skip(instance.uuid, text, 0, instance.named))
    yield from skips


def _skip(instance: HostedInstance, entry: Entry, error: Unsafe) -> Skip:
    text = f"instance {instance.uuid}: {entry.label}: {error}"
    is_fine = instance.named and isinstance(error, Unowned)
    return Skip(instance.uuid, text, 0 if is_fine else error.exit_code, instance.named)


def _wanted(entry: Entry, inventory: Inventory, wish: Wish) -> Mapping[Device, Alias]:
    """Return the alias that the persistent device of ENTRY is to get; raises Unsafe."""
    if entry.device is None or not entry.is_detachable:
        return {}
    _check_owner(entry, inventory)
    if entry.expected_alias is None or entry.device.alias == entry.expected_alias:
        return {}
    if entry.persistent is None:
        raise Unsafe(ONLY_LIVE)
    _check_device(entry.persistent, entry, inventory)
    _check_way(entry.persistent, inventory, wish)
    return {entry.persistent: entry.expected_alias}


def _check_owner(entry: Entry, inventory: Inventory) -> None:
    """Raise Unsafe where the device's owner is not certain, or it has no alias to give."""
    if entry.doubts:
        raise Unsafe("; ".join(entry.doubts))
    owner = entry.owner
    if owner is None and inventory.instance.attachments is None:
        raise Unowned("nothing in its definition shows what it is")
    if reason := why_no_port(entry, inventory):
        raise Unsafe(f"it may be a port's: {reason}")
    if owner is None:
        raise Unowned("it matches nothing that Nova has attached")
    if owner.alias is None and owner.type != "local":
        raise Unsafe(f"{owner.label} has no UUID to make an alias from")


def _check_device(device: Device, entry: Entry, inventory: Inventory) -> None:
    """Raise Unsafe where another alias than the device has would change or break something."""
    assert entry.owner is not None
    _check_references(entry, inventory)
    alias, names = device.alias, (*entry.owner.values.get("alias", ()), OF_NOTHING)
    if alias and alias.name not in names and entry.owner.type not in ("mdev", "pci"):
        raise Unsafe(
            f"its alias {alias} was not set by Nova: it names nothing that this instance has"
        )
    if isinstance(device, Disk) and device.bus == "scsi" and not (device.serial or device.is_lun):
        raise Unsafe("it has no serial, so the guest sees its alias as its name in /dev/disk/by-id")


def _check_references(entry: Entry, inventory: Inventory) -> None:
    """Raise Unsafe where ``<teaming>``, ``qemu:override`` or ``-set`` may name the device."""
    for domain in (inventory.definitions.persistent, inventory.definitions.live):
        names = domain.alias_references if domain else frozenset[str]()
        sides = (entry.persistent, entry.live)
        if names & {side.alias.name for side in sides if side and side.alias}:
            raise Unsafe("another part of the definition refers to its present alias")
        if entry.live is None and any(not Alias(name).is_user_defined for name in names):
            raise Unsafe(
                "a part of the definition refers to devices by aliases that libvirt generates"
            )


def _check_way(device: Device, inventory: Inventory, wish: Wish) -> None:
    """Raise Unsafe for a device that libvirt cannot change alone, unless all of it may be."""
    if can_update(device):
        return
    state = inventory.instance.vm_state
    if not wish.whole_definition:
        stop = "" if state == "stopped" else f"stop the server{_way(state)} and "
        raise Unsafe(
            f"libvirt can change it only together with the whole definition: {stop}add "
            "--whole-definition"
        )
    if inventory.definitions.is_active or state != "stopped":
        told = f"{state}{_way(state)}" if state else "in a state that only Nova's databases know"
        raise Unsafe(f"--whole-definition is for a stopped server; this one is {told}")


def _way(state: str | None) -> str:
    """Return how a server in this STATE is stopped, in brackets; nothing if that is not known."""
    return f" ({way_to_stopped(state)})" if state not in (None, "stopped") else ""


def _make_plan(inventory: Inventory, wanted: Mapping[Device, Alias], wish: Wish) -> Plan:
    instance, persistent = inventory.instance, inventory.definitions.persistent
    assert persistent is not None
    changes = (
        Change(
            Place(Kind.ALIAS, device.label),
            device.alias.name if device.alias else ABSENT,
            alias.name,
        )
        for device, alias in wanted.items()
    )
    return Plan(
        action=ACTION,
        instance=instance.uuid,
        cell=instance.cell,
        changes=tuple(changes),
        name=inventory.name,
        host=instance.host,
        notes=tuple(_notes(inventory, wanted, wish)),
        guard={
            "definition": digest(persistent),
            "whole_definition": any(not can_update(device) for device in wanted),
        },
        diff=difference(persistent, persistent.with_aliases(wanted)) if wish.diff else "",
    )


def _notes(inventory: Inventory, wanted: Mapping[Device, Alias], wish: Wish) -> Iterator[str]:
    """Yield from when the aliases count, and what takes them away or gives them again."""
    others = {device: alias for device, alias in wanted.items() if not isinstance(device, Disk)}
    is_shown = wish.keeps and _are_shown(inventory, others)
    yield from when_aliased(inventory.definitions.is_active, not others, wish.keeps, is_shown)


def _are_shown(inventory: Inventory, wanted: Mapping[Device, Alias]) -> bool:
    """Whether the definition alone shows what the WANTED aliases are made of, as Nova writes it."""
    bare = HostedInstance(inventory.instance.uuid, "", inventory.instance.host)
    alone = take_inventory(bare, replace(inventory.definitions, live=None))
    shown = {entry.device: entry.expected_alias for entry in alone.entries if not entry.doubts}
    return all(shown.get(device) == alias for device, alias in wanted.items())
