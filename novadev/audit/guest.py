"""Compares a guest's definitions with Nova's attachments, in the process of its host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from novadev.audit.finding import Move, Trouble
from novadev.audit.remedies import alias_migrate
from novadev.capabilities.facts import GuestFacts, facts_of_domain
from novadev.device.guests import get_definitions
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import (
    ONLY_LIVE,
    ONLY_PERSISTENT,
    Entry,
    Inventory,
    take_inventory,
)
from novadev.device.orphans import why_no_orphan, why_no_port
from novadev.device.writable import is_rescued
from novadev.errors import NotAsNeeded, NotFound
from novadev.records.on_host import fingerprint
from novadev.rehearsal.shape import Shape, shape_of
from novadev.rules.server_states import way_to_stored_hardware
from novadev.stash_defaults.hardware import Hardware, hardware_of
from novadev.virt.alias_writes import can_update
from novadev.virt.devices import Controller, Disk, Interface
from novadev.virt.host import Host

GUEST_CHECKS = frozenset(
    {"alias", "ghost", "one-sided", "orphan", "duplicate-mac", "pcie-ports", "definition"}
    | {"volume-name"}
)
"""The checks that are made here."""
RESCUED = "it is rescued: its own devices can be checked after it is unrescued"
RESCUED_IN_ERROR = "it is rescued and in ERROR: its own devices can be checked after a hard reboot"
"""Nova unrescues no server in ERROR (nova/compute/api.py, ``unrescue``)."""
_ROOT_PORT = "pcie-root-port"


@dataclass(frozen=True)
class Examined:
    """What to examine in a guest: the checks, Nova's name of its root disk, the recorded digest.

    ``move`` is how it is to get to another host, None where what it needs there is not asked;
    ``for_rehearsal``: also its shape.
    """

    wanted: frozenset[str]
    root_device_name: str | None
    fingerprint: str | None
    move: Move | None = None
    for_rehearsal: bool = False


@dataclass(frozen=True)
class Inspection:
    """What one look at a guest gave; ``is_new`` says that its text is not the recorded one.

    ``needs`` is what it needs of a host, of whatever host, and ``shape`` what of it can be
    rehearsed there, if that was asked for. ``is_carried`` says that a live migration takes just
    those needs along, and that Nova builds nothing.
    """

    hardware: Hardware
    needs: GuestFacts | None
    is_carried: bool
    troubles: tuple[Trouble, ...]
    is_new: bool
    shape: Shape | None = None


def inspect(host: Host, instance: HostedInstance, asked: Examined) -> Inspection:
    """Return what HOST has of INSTANCE, and what the checks find in it.

    Raises NotFound without its domain, BadInput for a definition that cannot be parsed, and
    NotAsNeeded for a guest in rescue, whose devices are not its own.
    """
    definitions = get_definitions(host, instance)
    if is_rescued(instance, definitions.persistent):
        raise NotAsNeeded(RESCUED_IN_ERROR if instance.vm_state == "error" else RESCUED)
    inventory = take_inventory(instance, definitions)
    found = [
        trouble
        for name, check in _CHECKS.items()
        if name in asked.wanted
        for trouble in check(inventory)
    ]
    chosen = definitions.persistent or definitions.live
    if chosen is None:
        raise NotFound(f"domain {definitions.uuid} ended while it was read")
    is_migrated = asked.move == "live-migration" and definitions.is_active
    carried = host.migratable(definitions.uuid) if is_migrated else None
    return Inspection(
        hardware=replace(
            hardware_of(definitions, asked.root_device_name), qemu=host.qemu_version()
        ),
        needs=facts_of_domain(carried or chosen, carried is not None) if asked.move else None,
        is_carried=carried is not None,
        troubles=tuple(found),
        is_new=_is_new(host, instance, asked.fingerprint),
        shape=shape_of(chosen) if asked.for_rehearsal else None,
    )


def _is_new(host: Host, instance: HostedInstance, recorded: str | None) -> bool:
    return recorded is not None and fingerprint(host.text(instance.uuid)) != recorded


def _aliases(inventory: Inventory) -> Iterator[Trouble]:
    """Yield what alias-migrate would have to do, and aliases that are nobody's."""
    wrong = [entry for entry in inventory.entries if _lacks_alias(entry)]
    if wrong:
        labels = ", ".join(entry.label for entry in wrong)
        details = f"devices with no alias or a wrong one: {labels}"
        alone = all(can_update(entry.persistent) for entry in wrong if entry.persistent)
        remedy = alias_migrate(inventory.instance.uuid, whole=not alone)
        yield Trouble("alias", "warning", details, remedy)
    for entry in inventory.entries:
        if entry.expected_alias is None and entry.is_detachable and _is_odd(entry):
            assert entry.device is not None
            told = f"{entry.label} has the alias {entry.device.alias}"
            yield Trouble(
                "alias", "warning", f"{told}, which belongs to nothing that Nova has attached"
            )


def _lacks_alias(entry: Entry) -> bool:
    """Whether the persistent definition should say another alias: Nova looks a device up by it."""
    device, wanted = entry.persistent, entry.expected_alias
    return device is not None and wanted is not None and not entry.doubts and device.alias != wanted


def _is_odd(entry: Entry) -> bool:
    alias = entry.device.alias if entry.device else None
    return alias is not None and alias.is_user_defined


def _ghosts(inventory: Inventory) -> Iterator[Trouble]:
    for entry in inventory.ghosts:
        yield Trouble(
            "ghost",
            "failure",
            f"{entry.label} is attached in Nova, and the guest has no device for it: the next hard "
            "reboot gives it one, or drops the attachment if its volume is gone",
        )


def _one_sided(inventory: Inventory) -> Iterator[Trouble]:
    """Yield what Nova has attached and the running guest or its definition lacks.

    A soft reboot starts the definition that is there, a hard one makes it anew of what Nova has
    attached (``nova/virt/libvirt/driver.py`` ``_soft_reboot``, ``_hard_reboot``), and a live
    migration makes it of the running guest (``guest.py`` ``migrate``). A detach that the guest did
    not allow leaves the device live only.
    """
    reboot = f"openstack server reboot --hard {inventory.instance.uuid}"
    for entry in inventory.one_sided:
        if entry.owner is None or entry.doubts:
            continue
        name = f"{entry.label} ({entry.owner.label})"
        if entry.live is None:
            details = f"{name}: {ONLY_PERSISTENT}: {reboot} gives it to the guest"
            yield Trouble("one-sided", "failure", details)
        else:
            details = (
                f"{name}: {ONLY_LIVE}: a soft reboot takes it from the guest; {reboot} or a live "
                "migration puts it into the definition; if the guest has refused its detach, "
                "detach it again after that"
            )
            yield Trouble("one-sided", "warning", details)


def _renamed_volumes(inventory: Inventory) -> Iterator[Trouble]:
    """Yield volumes that have another name in their rows than in the definition that Nova reads.

    For the consequences see :func:`novadev.rules.outcome.outcome_notes`. A running guest counts, as
    ``guest.get_config`` reads its live definition. A start and a hard reboot make the definition
    of the rows.
    """
    is_running = inventory.definitions.live is not None
    names = [
        f"{device.target} is {entry.owner.told['target']} in Nova"
        for entry in inventory.entries
        if entry.owner and entry.owner.type == "volume" and not entry.doubts
        if isinstance(device := entry.live if is_running else entry.persistent, Disk)
        if entry.owner.told.get("target", device.target) != device.target
    ]
    if names:
        way = way_to_stored_hardware(inventory.instance.vm_state)
        details = (
            f"volumes have other names in Nova than in the definition ({', '.join(names)}): a "
            "resize and a cold migration can end in ERROR, and a volume may be attached under a "
            f"name that is taken, until the guest has the names of Nova ({way})"
        )
        yield Trouble("volume-name", "warning", details)


def _orphans(inventory: Inventory) -> Iterator[Trouble]:
    for entry in inventory.entries:
        if reason := why_no_port(entry, inventory):
            yield Trouble(
                "orphan",
                "failure",
                f"it is not known whether Nova has a port for {entry.label}: {reason}. Until Nova "
                "has filled the cache from Neutron, a power-on builds the guest without it",
            )
        elif entry.is_detachable and why_no_orphan(entry, inventory) is None:
            yield Trouble(
                "orphan",
                "failure",
                f"Nova knows no owner of {entry.label}: the next power-on builds the guest "
                "without it",
            )


def _duplicate_macs(inventory: Inventory) -> Iterator[Trouble]:
    definition = inventory.definitions.persistent or inventory.definitions.live
    cards = definition.of_class(Interface) if definition else ()
    macs = Counter((card.mac or "").lower() for card in cards)
    for mac, number in macs.items():
        if mac and number > 1:
            details = (
                f"{number} network cards have the MAC address {mac}: novadev device detach "
                "does not detach any of them"
            )
            yield Trouble("duplicate-mac", "failure", details)


def _ports(inventory: Inventory) -> Iterator[Trouble]:
    """Yield where every PCI Express port has a device: none can be plugged in while it runs."""
    definition = inventory.definitions.live or inventory.definitions.persistent
    controllers = definition.of_class(Controller) if definition else ()
    ports = {int(item.index or 0) for item in controllers if item.model == _ROOT_PORT}
    devices = definition.devices if definition else ()
    places = [item.address for item in devices if item.address and item.address.type == "pci"]
    busy = {int(place.values.get("bus", "0"), 16) for place in places}
    if ports and ports <= busy:
        details = (
            f"all of its {len(ports)} PCI Express ports are in use: no volume or port can be "
            "attached while it runs. A higher [libvirt] num_pcie_ports on its host adds ports at "
            "the next power-on"
        )
        yield Trouble("pcie-ports", "warning", details)


def _luns_with_serial(inventory: Inventory) -> Iterator[Trouble]:
    """Yield LUNs that QEMU refuses to start: ``scsi-block`` has no serial."""
    for entry in inventory.entries:
        disk = entry.device
        if isinstance(disk, Disk) and disk.is_lun and disk.serial and disk.bus == "scsi":
            details = (
                f"{entry.label} is a LUN with a serial, with which QEMU does not start a guest"
            )
            yield Trouble("definition", "failure", details)


_CHECKS: dict[str, Callable[[Inventory], Iterator[Trouble]]] = {
    "alias": _aliases,
    "ghost": _ghosts,
    "one-sided": _one_sided,
    "orphan": _orphans,
    "duplicate-mac": _duplicate_macs,
    "pcie-ports": _ports,
    "definition": _luns_with_serial,
    "volume-name": _renamed_volumes,
}
