"""The root ports of PCI Express that a guest takes on Q35, and those that stay free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from novadev.machine_type.gathering import Evidence
from novadev.rules.buses import name_index
from novadev.rules.defaults import default_of
from novadev.rules.device import GuestDevice
from novadev.rules.disks import GuestDisk
from novadev.rules.guest import Guest, property_value
from novadev.rules.hardware import Attached, hardware
from novadev.rules.image_meta import is_yes
from novadev.rules.osinfo import NO_RECOMMENDATION, Recommendation
from novadev.rules.slots import DEFAULT_NIC, SATA_UNITS, slot_of


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
    devices = _on_q35(guest, disks, evidence)
    slots = [slot_of(device, is_q35=True) for device in devices]
    has_bridge = "conventional" in slots
    return RootPorts(slots.count("express") + has_bridge, evidence.rules.num_pcie_ports, has_bridge)


def _on_q35(guest: Guest, disks: Sequence[GuestDisk], evidence: Evidence) -> Iterator[GuestDevice]:
    """Yield the devices, and the controllers that libvirt adds for them."""
    ports = evidence.attachments.ports
    attached = Attached(
        interfaces=sum(not _is_passed_through(port.vnic_type) for port in ports),
        host_devices=_passed_through(evidence),
        shares=len(evidence.attachments.shares),
        has_rng=is_yes(evidence.extra_specs.get("hw_rng:allowed", "True")),
    )
    devices = hardware(guest, evidence.rules, _recommended(guest, evidence), attached)
    yield from devices
    if any(device.tag == "channel" for device in devices):
        yield GuestDevice("controller virtio-serial 0", "controller", "virtio-serial")
    places = [name_index(disk.dev) or 0 for disk in disks if disk.bus == "sata"]
    for number in range(1, max(places, default=0) // SATA_UNITS + 1):
        yield GuestDevice(f"controller sata {number}", "controller", "sata")


def _is_passed_through(vnic_type: str | None) -> bool:
    """Whether a port of this kind is a device of the host, and not a card with a model."""
    return (vnic_type or "").startswith(("direct", "accelerator-direct", "remote-managed"))


def _passed_through(evidence: Evidence) -> int:
    """Return the devices of the host that the guest has: its ports', and the others."""
    ports = evidence.attachments.ports
    of_ports = {port.pci_address for port in ports if port.pci_address}
    others = [item for item in evidence.attachments.pci_devices if item.address not in of_ports]
    return sum(_is_passed_through(port.vnic_type) for port in ports) + len(others)


def nic_model(guest: Guest, evidence: Evidence) -> str:
    """Return the model of the guest's interfaces; libvirt's own default on x86 is rtl8139."""
    recommended = _recommended(guest, evidence)
    return default_of("hw_vif_model", guest, evidence.rules, recommended) or DEFAULT_NIC


def _recommended(guest: Guest, evidence: Evidence) -> Recommendation:
    if evidence.compute is None:
        return NO_RECOMMENDATION
    return evidence.compute.recommendation(property_value(guest, "os_distro"))
