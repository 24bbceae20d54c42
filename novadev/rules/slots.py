"""Which devices take a slot of PCI, and which of them are PCI Express devices.

This module imports nothing of Nova's records, so the processes of hosts can load it.
Source: libvirt, src/qemu/qemu_domain_address.c, qemuDomainDeviceCalculatePCIConnectFlags.
"""

from __future__ import annotations

from typing import Literal

from novadev.rules.device import GuestDevice

Slot = Literal["none", "conventional", "express"]
DEFAULT_USB, DEFAULT_NIC, DEFAULT_SCSI = "piix3-uhci", "rtl8139", "lsilogic"
"""What libvirt takes on x86 where a definition names no model."""
CONVENTIONAL_NICS = ("e1000", "rtl8139", "vmxnet3")
"""Models that libvirt 9.0.0 puts behind a bridge on q35; ne2k_pci and pcnet get a port each."""
SATA_UNITS, LSI_UNITS = 6, 7
"""Disks on one controller."""
_NOT_PCI = {
    "sound": ("sb16", "pcspk", "usb"),
    "memballoon": ("none",),
    "watchdog": ("ib700", "itco", "diag288"),
    "hostdev": ("usb", "scsi"),
}
_CONVENTIONAL = (
    *CONVENTIONAL_NICS,
    *("es1370", "ac97", "ich6", "i6300esb"),
    *("lsilogic", "buslogic", "lsisas1068", "lsisas1078", "vmpvscsi", "piix3-uhci", "ahci"),
)
"""The models that are no PCI Express devices."""


def slot_of(device: GuestDevice, is_q35: bool) -> Slot:
    """Return what DEVICE takes of PCI on x86; a PCI device of the host counts as PCI Express.

    A disk on another bus than virtio takes none: its controller does.
    """
    if not _is_on_pci(device, is_q35):
        return "none"
    return "conventional" if is_conventional(model_of(device)) else "express"


def is_conventional(model: str) -> bool:
    """Return whether a device of this model needs a conventional slot, behind a bridge on Q35."""
    return model in _CONVENTIONAL


def model_of(device: GuestDevice) -> str:
    """Return the model that libvirt takes where none is named; an empty one where there is none."""
    if device.tag == "interface" and device.device == "hostdev":
        return ""
    if device.tag == "controller":
        default = {"usb": DEFAULT_USB, "scsi": DEFAULT_SCSI, "sata": "ahci"}.get(
            device.device or "", ""
        )
    else:
        default = {"interface": DEFAULT_NIC, "watchdog": "i6300esb"}.get(device.tag, "")
    return device.model or default


def _is_on_pci(device: GuestDevice, is_q35: bool) -> bool:
    model = model_of(device)
    match device.tag:
        case "disk" | "input":
            return device.bus == "virtio"
        case "controller":
            return _controller(device.device, model, is_q35)
        case "hostdev":
            return device.device not in _NOT_PCI["hostdev"]
        case "sound":
            return model not in _NOT_PCI["sound"] and not (is_q35 and model == "ich9")
        case "filesystem" | "interface" | "rng" | "memballoon" | "watchdog":
            return model not in _NOT_PCI.get(device.tag, ())
    return False


def _controller(kind: str | None, model: str, is_q35: bool) -> bool:
    """Whether a controller takes a slot; what the board has of itself does not."""
    if kind == "usb":
        return model != "none" and (is_q35 or model != DEFAULT_USB)
    return kind in ("scsi", "sata", "virtio-serial")
