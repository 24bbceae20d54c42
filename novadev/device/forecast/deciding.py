"""What Nova's rules decide for a guest's next power-on, from stored values and host rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from novadev.capabilities.compute_hosts import ComputeHost
from novadev.device.forecast.decided import Decided, DecidedDisk
from novadev.image_property.facts import Facts
from novadev.nova.image_properties import PROPERTIES
from novadev.rules.buses import is_valid
from novadev.rules.defaults import (
    balloon_model,
    default_of,
    keyboard_bus,
    os_type_of,
    with_recommended_bus,
)
from novadev.rules.disks import guest_disks
from novadev.rules.guest import (
    DriverRules,
    Guest,
    known_value,
    machine_type,
    property_value,
    rows_of,
)
from novadev.rules.hardware import has_display, has_spice_agent, video_model
from novadev.rules.image_meta import check_readable

_BY_RULE = ("hw_video_model", "hw_vif_model", "hw_input_bus")


def decide(facts: Facts, compute: ComputeHost | None) -> Decided:
    """Return Nova's decisions for the next power-on.

    COMPUTE None: nothing is known of the host's rules, and only what is stored counts. Raises one
    of ``rules.defaults.REFUSALS`` where Nova fails, and NotAsNeeded for a broken libosinfo.
    """
    guest, rules = facts.guest, compute.rules if compute else DriverRules(is_assumed=True)
    check_readable(guest, rules.release)
    models = _models(facts, compute) if compute else dict(_stored(guest, _BY_RULE))
    disks_of = guest
    if compute is not None:
        distro = property_value(guest, "os_distro")
        disks_of = with_recommended_bus(guest, compute.recommendation(distro))
    return Decided(
        machine=_machine(guest, compute),
        alias=machine_type(guest, rules),
        qemu=compute.qemu if compute else None,
        disks=tuple(_disks(disks_of, rules, assumed=compute is None)),
        models={
            **models,
            "hw_scsi_model": dict(_stored(guest, ("hw_scsi_model",))).get("hw_scsi_model"),
        },
        keyboard=keyboard_bus(guest, rules),
        usb_model=known_value(guest, "hw_usb_model", rules.release),
        architecture=_architecture(guest, compute),
        **(_by_configuration(rules) if compute else {}),
    )


def _architecture(guest: Guest, compute: ComputeHost | None) -> str | None:
    if compute is None or compute.capabilities is None:
        return None
    is_emulated = property_value(guest, "hw_emulation_architecture") is not None
    return None if is_emulated else compute.capabilities.architecture


def _by_configuration(rules: DriverRules) -> dict[str, Any]:
    """Return what the host's configuration alone decides.

    Source: nova/virt/libvirt/driver.py, _guest_add_video_device, _guest_add_spice_channel,
    _guest_add_pcie_root_ports and _guest_add_memory_balloon.
    """
    return {
        "has_display": has_display(rules),
        "has_spice_agent": has_spice_agent(rules),
        "root_ports": rules.num_pcie_ports,
        "balloon": balloon_model(rules),
    }


def _models(facts: Facts, compute: ComputeHost) -> dict[str, str | None]:
    """Return what each property comes to on COMPUTE; None leaves a device out, or its model."""
    guest, rules = facts.guest, compute.rules
    recommended = compute.recommendation(property_value(guest, "os_distro"))
    os_type = os_type_of(facts.instance.vm_mode, rules)
    found = {name: default_of(name, guest, rules, recommended, os_type) for name in _BY_RULE}
    return {**found, "hw_video_model": video_model(guest, rules)}


def _stored(guest: Guest, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield those of NAMES that have a value, as libvirt spells it."""
    for name in names:
        value = property_value(guest, name)
        if value is not None:
            yield name, PROPERTIES[name].spelling(value)


def _machine(guest: Guest, compute: ComputeHost | None) -> str | None:
    """Return the machine type, canonical where the host's are known."""
    if compute is None:
        return property_value(guest, "hw_machine_type")
    asked = machine_type(guest, compute.rules)
    return compute.machine_types.get(asked, asked) if asked else None


def _disks(guest: Guest, rules: DriverRules, assumed: bool) -> Iterator[DecidedDisk]:
    """Yield the disks in the order of Nova's definition: the guest's own, then volumes.

    Source: nova/virt/libvirt/driver.py, _get_guest_storage_config.
    """
    rows = rows_of(guest)
    by_id = {row.id: row for row in guest.block_devices}
    order = {row.id: number for number, row in enumerate(rows.volumes)}
    found = guest_disks(guest, rules)
    for disk in sorted(found, key=lambda disk: order.get(disk.block_device or -1, -1)):
        row = by_id.get(disk.block_device or -1)
        yield DecidedDisk(
            name=disk.name,
            bus=disk.bus,
            dev=disk.dev,
            type=disk.type,
            row=disk.block_device,
            is_volume=disk.block_device in order,
            is_boot_volume=disk.block_device in order and row is not None and row.boot_index == 0,
            is_assumed=assumed and (row is None or not is_valid(row.disk_bus, rules)),
        )
