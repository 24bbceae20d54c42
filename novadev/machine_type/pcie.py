"""The root ports of PCI Express that a guest takes on Q35, and those that stay free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from novadev.machine_type.gathering import Evidence
from novadev.nova.image_properties import PROPERTIES
from novadev.rules.buses import CONVENTIONAL_NICS
from novadev.rules.defaults import default_of, keyboard_bus
from novadev.rules.disks import GuestDisk
from novadev.rules.guest import DriverRules, Guest, property_value
from novadev.rules.osinfo import NO_RECOMMENDATION

_YES = ("1", "t", "true", "on", "y", "yes")
_SATA_PLACES = 6
_CONVENTIONAL_SOUND = ("ac97", "es1370", "ich6")
_EXPRESS_SCSI = "virtio-scsi"


@dataclass(frozen=True)
class RootPorts:
    """How many root ports the devices take, and how many Nova writes into the definition.

    ``has_bridge`` says that conventional devices share a bridge, which takes one of the ports.
    """

    taken: int
    written: int
    has_bridge: bool

    @property
    def free(self) -> int:
        """How many volumes or ports can be attached while the guest runs.

        Where the definition has none libvirt adds one more than the devices need; where it has
        some, libvirt adds what they lack, and one for the bridge; seen with libvirt 9.0.0.
        Source: libvirt, src/qemu/qemu_domain_address.c, qemuDomainAssignPCIAddresses.
        """
        if not self.written:
            return 1
        return max(0, self.written + self.has_bridge - self.taken)


def root_ports(guest: Guest, disks: Sequence[GuestDisk], evidence: Evidence) -> RootPorts:
    """Return the root ports of GUEST with these DISKS on Q35.

    What only the host knows is left out (mediated devices), and a PCI device of the host counts
    as one of PCI Express. Source: nova/virt/libvirt/driver.py, _get_guest_config; libvirt,
    src/qemu/qemu_domain_address.c, qemuDomainDeviceCalculatePCIConnectFlags.
    """
    rules = evidence.rules
    conventional = [
        *[nic_model(guest, evidence) in CONVENTIONAL_NICS] * _interfaces(evidence),
        *_devices_by_property(guest),
        *_scsi_controllers(guest, disks),
        *_usb_controllers(guest, disks, rules),
        *[True] * (sum(disk.bus == "sata" for disk in disks) > _SATA_PLACES),
    ]
    express = [
        conventional.count(False),
        sum(disk.bus == "virtio" for disk in disks),
        _passed_through(evidence),
        len(evidence.attachments.shares),
        _inputs(guest, rules).count("virtio"),
        _has_rng(evidence),
        _has_serial(guest, rules),
        rules.mem_stats_period_seconds > 0,  # else Nova leaves the memory balloon out
    ]
    has_bridge = any(conventional)
    return RootPorts(sum(express) + has_bridge, rules.num_pcie_ports, has_bridge)


def _is_passed_through(vnic_type: str | None) -> bool:
    """Whether a port of this kind is a device of the host, and not a card with a model."""
    return (vnic_type or "").startswith(("direct", "accelerator-direct", "remote-managed"))


def _interfaces(evidence: Evidence) -> int:
    ports = evidence.attachments.ports
    return sum(not _is_passed_through(port.vnic_type) for port in ports)


def _passed_through(evidence: Evidence) -> int:
    """Return the devices of the host that the guest has: its ports', and the others."""
    ports = evidence.attachments.ports
    of_ports = {port.pci_address for port in ports if port.pci_address}
    others = [item for item in evidence.attachments.pci_devices if item.address not in of_ports]
    return sum(_is_passed_through(port.vnic_type) for port in ports) + len(others)


def nic_model(guest: Guest, evidence: Evidence) -> str:
    """Return the model of the guest's interfaces; libvirt's own default on x86 is rtl8139."""
    recommended = NO_RECOMMENDATION
    if evidence.compute is not None:
        recommended = evidence.compute.recommendation(property_value(guest, "os_distro"))
    return default_of("hw_vif_model", guest, evidence.rules, recommended) or "rtl8139"


def _has_rng(evidence: Evidence) -> bool:
    return evidence.extra_specs.get("hw_rng:allowed", "True").lower() in _YES


def _has_serial(guest: Guest, rules: DriverRules) -> bool:
    """Whether there is a channel: the guest agent's, or that of SPICE."""
    agent = (property_value(guest, "hw_qemu_guest_agent") or "").lower() in _YES
    return agent or (rules.spice_enabled and rules.spice_agent_enabled)


def _inputs(guest: Guest, rules: DriverRules) -> list[str]:
    """Return the buses of the tablet and the keyboard that Nova adds."""
    if not (rules.vnc_enabled or rules.spice_enabled):
        return []
    found = (default_of("hw_input_bus", guest, rules), keyboard_bus(guest, rules))
    return [bus for bus in found if bus]


def _devices_by_property(guest: Guest) -> list[bool]:
    """Return, of each PCI device that a property asks for, whether it is a conventional one."""
    sound = property_value(guest, "hw_sound_model")
    found = [sound in _CONVENTIONAL_SOUND] if sound in (*_CONVENTIONAL_SOUND, "virtio") else []
    if (property_value(guest, "hw_watchdog_action") or "disabled") != "disabled":
        found.append(True)
    return found


def _scsi_controllers(guest: Guest, disks: Sequence[GuestDisk]) -> list[bool]:
    """Return, of each SCSI controller, whether it is conventional: all but virtio-scsi are."""
    model = PROPERTIES["hw_scsi_model"].spelling(property_value(guest, "hw_scsi_model") or "")
    if model == _EXPRESS_SCSI:
        return [False]
    return [True] if model or any(disk.bus == "scsi" for disk in disks) else []


def _usb_controllers(guest: Guest, disks: Sequence[GuestDisk], rules: DriverRules) -> list[bool]:
    """Return, of the USB controller, whether it is conventional: without a model it is piix3.

    Source: nova/virt/libvirt/driver.py, _guest_add_usb_root_controller.
    """
    if "usb" in (*_inputs(guest, rules), *(disk.bus for disk in disks)):
        return [True]
    return [False] if property_value(guest, "hw_usb_model") in ("nec-xhci", "qemu-xhci") else []
