"""What another machine type means for the guest: what it will see, what the operator must know."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.image_property.effects import disk_effects
from novadev.machine_type.gathering import Evidence
from novadev.machine_type.objections import canonical, known_names
from novadev.machine_type.pcie import nic_model, root_ports
from novadev.rules.buses import UnsupportedBus, bus_for_device_type
from novadev.rules.defaults import with_properties
from novadev.rules.disks import GuestDisk, guest_disks
from novadev.rules.guest import ComputeRules, Guest, machine_type, property_value
from novadev.rules.machine_types import I440FX, Q35, family_of
from novadev.runs.change import Effect

_MACHINE = "machine type"

ADDRESSES = (
    "every PCI device gets another address. Linux will rename network interfaces (ens3 becomes "
    "enp1s0) unless the guest pins their names by MAC address"
)
VIRTIO = (
    "on q35, virtio devices support only virtio 1.0. A guest with older drivers (Linux before 4.0 "
    "without a backport, such as RHEL 6) finds no virtio disks and no virtio network"
)
"""QEMU, hw/virtio/virtio-pci.c, virtio_pci_realize: no legacy interface on a PCI Express port."""
FIRMWARE = (
    "it boots with UEFI, and Nova keeps the firmware files of the definition on its host. Check "
    "that they fit the new machine type (firmware that needs SMM works only on q35)"
)
"""nova/virt/libvirt/driver.py, _copy_guest_firmware_elements; QEMU, docs/interop/firmware.json."""
SCSI_MODEL = (
    "hw_scsi_model is not stored, so libvirt chooses the SCSI controller on both machine types: "
    "novadev stash-defaults records the present one"
)

RESCUE = (
    "a rescue by an image without hw_machine_type replaces it with {default}, by the host's "
    "configuration, for good: after such a rescue, set it again"
)
"""nova/virt/libvirt/driver.py, _configure_guest_by_virt_type: it stores what a rescue has."""


def effects(
    before: str, wanted: str, old: Guest, new: Guest, evidence: Evidence
) -> tuple[Effect, ...]:
    """Return what the guest will see: its machine, and each disk's bus and name.

    Raises UnsupportedBus or TooManyDisks where Nova could not start the changed guest.
    """
    machine = Effect(_MACHINE, _told(before, evidence), _told(wanted, evidence))
    defaults = _changed_default(old, new, evidence.rules)
    return (machine, *defaults, *disk_effects(old, new, evidence.rules))


def _told(name: str, evidence: Evidence) -> str:
    stands_for = canonical(name, evidence)
    return name if stands_for == name else f"{name} ({stands_for})"


def _changed_default(old: Guest, new: Guest, rules: ComputeRules) -> Iterator[Effect]:
    """Yield the bus of cdroms where no property says it: the one default that changes.

    Source: nova/virt/libvirt/blockinfo.py, get_disk_bus_for_device_type.
    """
    if property_value(new, "hw_cdrom_bus") is not None:
        return
    try:
        before = bus_for_device_type("cdrom", old, rules)
    except UnsupportedBus:
        return
    after = bus_for_device_type("cdrom", new, rules)
    if before != after:
        yield Effect("new cdroms", before, after)


def notes(before: str, wanted: str, new: Guest, evidence: Evidence) -> Iterator[str]:
    """Yield what the operator has to know about the new machine type, apart from faults."""
    families = [family_of(canonical(name, evidence)) for name in (before, wanted)]
    disks = guest_disks(new, evidence.rules)
    if evidence.facts.instance.image_properties.get("hw_machine_type") is None:
        yield f"no machine type is stored: by Nova's rules it was {before}"
    if not known_names(evidence):
        yield _unchecked(wanted, evidence)
    default = machine_type(with_properties(new, {"hw_machine_type": None}), evidence.rules)
    if default is not None and canonical(default, evidence) != canonical(wanted, evidence):
        yield RESCUE.format(default=default)
    if families[0] == families[1]:
        return
    yield ADDRESSES
    if families == [I440FX, Q35]:
        yield from _about_q35(new, disks, evidence)
    if property_value(new, "hw_firmware_type") == "uefi":
        yield FIRMWARE
    if any(disk.bus == "scsi" for disk in disks) and not property_value(new, "hw_scsi_model"):
        yield SCSI_MODEL


def _unchecked(wanted: str, evidence: Evidence) -> str:
    if evidence.host is None:
        return f"it is not known whether a host has {wanted}, because the server is on no host"
    return (
        f"it is not known whether {evidence.host} has {wanted}: there is no capability file of the "
        "host (novadev capabilities save)"
    )


def _about_q35(new: Guest, disks: tuple[GuestDisk, ...], evidence: Evidence) -> Iterator[str]:
    """Yield what is otherwise on Q35, which has PCI Express."""
    ports = root_ports(new, disks, evidence)
    where = f"on {evidence.host}" if _has_own_options(evidence) else "in novadev's configuration"
    reason = evidence.attachments.why_no_ports
    yield (
        f"PCI Express: its devices take {ports.taken} ports, {ports.free} more "
        f"{'is' if ports.free == 1 else 'are'} left to attach a device while it runs ([libvirt] "
        f"num_pcie_ports is {ports.written} {where})"
        f"{f'. Not all network cards are counted: {reason}' if reason else ''}"
    )
    if _needs_virtio(new, disks, evidence):
        yield VIRTIO
    if (
        property_value(new, "os_secure_boot") == "optional"
        and property_value(new, "hw_firmware_type") == "uefi"
    ):
        yield "secure boot, which is optional for this server, will be on if the host supports it"


def _has_own_options(evidence: Evidence) -> bool:
    """Whether the options of Nova's driver are those of the host, and not of another machine."""
    compute = evidence.compute
    if compute is None:
        return False
    return compute.capabilities is None or not compute.capabilities.is_from_elsewhere


def _needs_virtio(new: Guest, disks: tuple[GuestDisk, ...], evidence: Evidence) -> bool:
    """Whether the guest has a disk or an interface of virtio, or may have one."""
    if nic_model(new, evidence) == "virtio":  # with no port recorded, there may be one
        return True
    if any(disk.bus == "virtio" for disk in disks):
        return True
    model = property_value(new, "hw_scsi_model") == "virtio-scsi"
    return model and any(disk.bus == "scsi" for disk in disks)
