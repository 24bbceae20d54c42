"""The part of a guest's forecast that is computed in the process of its host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from novadev.capabilities.settings import follows
from novadev.device.forecast.attached import is_pci_device
from novadev.device.forecast.decided import Decided
from novadev.device.forecast.devices import wanted_devices
from novadev.device.forecast.records import (
    Fate,
    Features,
    ForecastRecord,
    Prediction,
    changes,
)
from novadev.device.forecast.wanted import Wanted
from novadev.device.guests import get_definitions
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import Entry, Inventory, take_inventory
from novadev.device.orphans import why_no_port
from novadev.device.writable import is_rescued
from novadev.errors import BadInput, NotAsNeeded
from novadev.rules.machine_types import I440FX, Q35, X86, family_of, have_same_boards, may_be
from novadev.virt.capabilities import has_same_machine_types
from novadev.virt.device import Device
from novadev.virt.devices import Disk
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from novadev.virt.outline import Board
from novadev.virt.scratch import ADDED, Place

_LIBVIRTS_OWN = ("console", "audio", "panic", "nvram", "hub", "graphics", "controller")
"""What libvirt makes for a guest, or what the guest does not see as a device of its own."""
RESCUED = "is rescued: it runs with the hardware of the rescue image"


def predict_power_on(host: Host, instance: HostedInstance, decided: Decided) -> Prediction:
    """Return what DECIDED makes of the devices that INSTANCE has on HOST.

    Raises NotFound for a domain that is not there, BadInput for an XML that cannot be parsed and
    for rules of another architecture, and NotAsNeeded for a guest that is rescued, whatever Nova
    has of it.
    """
    inventory = _get_inventory(host, instance)
    now = _now(inventory)
    architecture, machine = now.os_type("arch") or "x86_64", now.os_type("machine")
    _check_architecture(instance, architecture, decided)
    outdated = _outdated(host, decided)
    after = _machine_after(machine, decided.alias if outdated else decided.machine)
    wanted = wanted_devices(inventory, decided, after or "")
    outlines = [item.outline for item in wanted if item.outline is not None]
    return Prediction(
        instance=instance.uuid,
        is_running=inventory.definitions.is_active,
        machine=machine,
        machine_after=after,
        board=Board(
            architecture=architecture,
            machine=_family(architecture, after or ""),
            outlines=tuple(outlines),
            has_graphics=_has_graphics(now, decided),
        ),
        fates=tuple(_fates(inventory, wanted)),
        controllers=tuple(_controllers(now)),
        notes=tuple(_notes(inventory)),
        about_host=outdated,
        libvirt=host.libvirt_version(),
    )


def _check_architecture(instance: HostedInstance, architecture: str, decided: Decided) -> None:
    """Raise BadInput where the rules are those of a host of another architecture."""
    known = decided.architecture
    if known is not None and not have_same_boards(architecture, known):
        raise BadInput(
            f"instance {instance.uuid} has the architecture {architecture}, but the capability "
            f"file of its host says {known}: save the file on its own host (novadev capabilities "
            "save)"
        )


def _outdated(host: Host, decided: Decided) -> str | None:
    """Return that HOST has another QEMU than the one by which the machine type was DECIDED."""
    found = host.qemu_version()
    if found is None or decided.qemu is None or has_same_machine_types(found, decided.qemu):
        return None
    return (
        f"host {host.name}: its capability file is from QEMU {decided.qemu}, but it has {found} "
        "now (novadev capabilities save). The forecast assumes that guests keep the version that "
        "an alias such as pc stood for"
    )


def predict_soft_reboot(host: Host, instance: HostedInstance) -> Prediction:
    """Return what a running guest has otherwise than its persistent definition.

    Nova's soft reboot starts it from that (``driver.py`` _soft_reboot). Raises as
    `predict_power_on`.
    """
    inventory = _get_inventory(host, instance)
    definitions = inventory.definitions
    if definitions.live is None or definitions.persistent is None:
        down = "suspended" if definitions.has_managed_save else "shut off"
        state = down if definitions.live is None else "transient"
        note = f"it is {state}: a soft reboot does not start it from its definition"
        return Prediction(instance.uuid, definitions.is_active, notes=(note,))
    return Prediction(
        instance=instance.uuid,
        is_running=True,
        machine=definitions.live.os_type("machine"),
        machine_after=definitions.persistent.os_type("machine"),
        records=tuple(
            record for entry in inventory.entries for record in _restarted(instance.uuid, entry)
        ),
    )


def _get_inventory(host: Host, instance: HostedInstance) -> Inventory:
    definitions = get_definitions(host, instance)
    if is_rescued(instance, definitions.persistent, definitions.live):
        raise NotAsNeeded(f"instance {instance.uuid} {RESCUED}")
    if definitions.has_managed_save and not definitions.is_active:
        definitions = replace(definitions, persistent=host.saved(instance.uuid))
    inventory = take_inventory(instance, definitions)
    return replace(inventory, entries=tuple(_not_added(inventory)))


def _not_added(inventory: Inventory) -> Iterator[Entry]:
    """Yield the entries but for what the host's libvirt adds to every such guest by itself."""
    now = _now(inventory)
    for entry in inventory.entries:
        if entry.device is None or not follows(entry.device.element, now):
            yield entry


def _now(inventory: Inventory) -> Domain:
    """Return the definition the guest runs with, or would be started with."""
    found = inventory.definitions.live or inventory.definitions.persistent
    assert found is not None
    return found


def _side(inventory: Inventory, entry: Entry) -> Device | None:
    return entry.live if inventory.definitions.is_active else entry.persistent


def _machine_after(now: str | None, decided: str | None) -> str | None:
    """Return the machine type; an alias of the same family may well be the one it has.

    Where the host's own list is not known, ``q35`` is taken for the versioned type it has.
    """
    if decided is None:
        return now
    return now if now and may_be(decided, now) else decided


def _family(architecture: str, machine: str) -> str:
    """Return the machine type that stands for all versions: they have the same addresses."""
    family = family_of(machine)
    if architecture in X86:
        return {Q35: "q35", I440FX: "pc"}.get(family, machine)
    return family or machine


def _has_graphics(now: Domain, decided: Decided) -> bool:
    if decided.has_display is not None:
        return decided.has_display
    return any(device.element.tag == "graphics" for device in now.devices)


def _fates(inventory: Inventory, wanted: list[Wanted]) -> Iterator[Fate]:
    kept = {id(item.entry) for item in wanted if item.entry is not None}
    number = -1
    for item in wanted:
        if item.outline is None:
            continue
        number += 1
        if item.outline.tag != "controller":
            yield _fate(inventory, item, number)
    for entry in inventory.entries:
        device = _side(inventory, entry)
        if device is not None and id(entry) not in kept and not _is_libvirts(device):
            yield Fate(entry.label, str(device.element.tag), _features(device), None)


def _fate(inventory: Inventory, item: Wanted, number: int) -> Fate:
    outline, device = item.outline, _side(inventory, item.entry) if item.entry else None
    assert outline is not None
    after = Features(
        bus=outline.get("target/@bus") or outline.get("@bus"),
        model=outline.get("model/@type") or outline.get("@model"),
        target=outline.get("target/@dev"),
    )
    now = None if device is None else _features(device)
    return Fate(item.label, outline.tag, now, number, after)


def _is_libvirts(device: Device) -> bool:
    return device.element.tag in _LIBVIRTS_OWN or device.bus == "ps2"


def _features(device: Device) -> Features:
    return Features(
        address=None if device.address is None else str(device.address),
        bus=device.bus,
        model=device.model,
        target=device.target if isinstance(device, Disk) else None,
    )


def _controllers(now: Domain) -> Iterator[Place]:
    for device in now.devices:
        if (tag := str(device.element.tag)) in ADDED:
            features = _features(device)
            yield Place(tag, device.short_name or "", features.address, features.model)


def _notes(inventory: Inventory) -> Iterator[str]:
    attachments = inventory.instance.attachments
    if inventory.definitions.has_managed_save:
        yield (
            "it has a managed save image, for example because it is suspended: a resume gives it "
            "the devices that it has now. The forecast is for the first power-on after that"
        )
    if attachments is None:
        yield (
            "without Nova's databases, the forecast does not know which devices will vanish "
            "or appear"
        )
    elif attachments.unfinished:
        yield f"the attachments in Nova may still change: its {attachments.unfinished}"
    for entry in inventory.entries:
        if reason := why_no_port(entry, inventory):
            yield (
                f"{entry.label} may belong to a port: {reason}, and Nova may fill it before "
                "the power-on"
            )
        if attachments is not None and entry.owner is None and is_pci_device(entry.device):
            yield (
                f"{entry.label} is in none of Nova's tables, so the forecast takes it for an "
                "accelerator"
            )


def _restarted(instance: str, entry: Entry) -> Iterator[ForecastRecord]:
    persistent, live = entry.persistent, entry.live
    if persistent is None or live is None:
        device = persistent or live
        if device is not None and not _is_libvirts(device):
            now, after = (None, entry.label) if live is None else (entry.label, None)
            yield ForecastRecord(instance, entry.label, "device", now, after)
        return
    yield from changes(instance, entry.label, _features(live), _features(persistent))
    alias = persistent.alias
    if alias is not None and alias != live.alias and not _is_shared(persistent):
        was = None if live.alias is None else str(live.alias)
        yield ForecastRecord(instance, entry.label, "alias", was, str(alias))


def _is_shared(device: Device) -> bool:
    """Whether its alias is another's: the first console is the serial port once more."""
    return device.element.tag == "console"
