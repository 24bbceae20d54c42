"""QEMU's names for libvirt's devices: what ``-device help`` has to list for each.

Sources: libvirt, ``src/qemu/qemu_command.c`` (the qemuBuild…DevProps and qemuBuild…DevStr of each
device, and qemuControllerModelSCSI, qemuControllerModelUSB, qemuDeviceVideo, qemuVideo) and
``src/qemu/qemu_capabilities.c`` (virQEMUCapsObjectTypes); QEMU, the TypeInfo names under ``hw/``.
"""

from __future__ import annotations

from collections.abc import Mapping

from novadev.rules.device import GuestDevice
from novadev.rules.machine_types import X86

Names = tuple[str, ...]
"""Any of these will do; empty for what the board has of itself."""

BOARD: Names = ()
_KINDS_OF_VIRTIO = {
    "virtio": "",
    "virtio-transitional": "-transitional",
    "virtio-non-transitional": "-non-transitional",
}


def _virtio(name: str) -> dict[str, Names]:
    """Return the models of a virtio device, of which the older and the newer kind have names."""
    return {model: (f"virtio-{name}-pci{end}",) for model, end in _KINDS_OF_VIRTIO.items()}


SCSI: Mapping[str, Names] = {
    "am53c974": ("am53c974",),
    "dc390": ("dc-390",),  # as libvirt spells it; QEMU's is dc390, so it never starts
    "ibmvscsi": ("spapr-vscsi",),
    "lsilogic": ("lsi53c895a",),
    "lsisas1068": ("mptsas1068",),
    "lsisas1078": ("megasas",),
    "virtio-scsi": ("virtio-scsi-pci",),
    "virtio-transitional": ("virtio-scsi-pci-transitional",),
    "virtio-non-transitional": ("virtio-scsi-pci-non-transitional",),
    "vmpvscsi": ("pvscsi",),
}
USB: Mapping[str, Names] = {
    "ehci": ("usb-ehci",),
    "ich9-ehci1": ("ich9-usb-ehci1",),
    "ich9-uhci1": ("ich9-usb-uhci1",),
    "ich9-uhci2": ("ich9-usb-uhci2",),
    "ich9-uhci3": ("ich9-usb-uhci3",),
    "nec-xhci": ("nec-usb-xhci",),
    "none": BOARD,
    "pci-ohci": ("pci-ohci",),
    "piix3-uhci": ("piix3-usb-uhci",),
    "piix4-uhci": ("piix4-usb-uhci",),
    "qemu-xhci": ("qemu-xhci",),
    "vt82c686b-uhci": ("vt82c686b-usb-uhci",),
}
_PCI: Mapping[str, Names] = {
    "dmi-to-pci-bridge": ("i82801b11-bridge",),
    "pci-bridge": ("pci-bridge",),
    "pci-expander-bus": ("pxb",),
    "pci-root": BOARD,
    "pcie-expander-bus": ("pxb-pcie",),
    "pcie-root": BOARD,
    "pcie-root-port": ("pcie-root-port", "ioh3420"),
    "pcie-switch-downstream-port": ("xio3130-downstream",),
    "pcie-switch-upstream-port": ("x3130-upstream",),
    "pcie-to-pci-bridge": ("pcie-pci-bridge",),
}
_MODELS: Mapping[str, Mapping[str, Names]] = {
    "interface": {
        **_virtio("net"),
        "virtio-net": ("virtio-net-pci",),  # QEMU's own short name, which libvirt passes on
        **{
            name: (name,)
            for name in (
                *("e1000", "e1000e", "igb", "lan9118", "ne2k_pci", "netfront", "pcnet"),
                *("rtl8139", "spapr-vlan", "sriov", "vmxnet", "vmxnet3"),
            )
        },
    },
    "memballoon": {**_virtio("balloon"), "none": BOARD},
    "rng": _virtio("rng"),
    "sound": {
        "ac97": ("AC97",),
        "es1370": ("ES1370",),
        "ich6": ("intel-hda",),
        "ich9": ("ich9-intel-hda",),
        "sb16": ("sb16",),
        "usb": ("usb-audio",),
        "virtio": ("virtio-sound-pci",),
    },
    "iommu": {
        "intel": ("intel-iommu",),
        "smmuv3": BOARD,
        "virtio": ("virtio-iommu-pci",),
    },
    "panic": {
        "hyperv": BOARD,
        "isa": ("pvpanic",),
        "pseries": BOARD,
        "pvpanic": ("pvpanic-pci",),
        "s390": BOARD,
    },
    "tpm": {"tpm-crb": ("tpm-crb",), "tpm-spapr": ("tpm-spapr",), "tpm-tis": ("tpm-tis",)},
    "video": {
        "bochs": ("bochs-display",),
        "cirrus": ("cirrus-vga",),
        "none": BOARD,
        "qxl": ("qxl-vga", "qxl"),
        "ramfb": ("ramfb",),
        "vga": ("VGA",),
        "virtio": ("virtio-vga", "virtio-gpu-pci"),
        "vmvga": ("vmware-svga",),
    },
    "watchdog": {"i6300esb": ("i6300esb",), "ib700": ("ib700",), "itco": BOARD},
}
_CONTROLLERS: Mapping[str, Mapping[str, Names]] = {"pci": _PCI, "scsi": SCSI, "usb": USB}
_PLAIN_CONTROLLERS: Mapping[str, Names] = {
    "ccid": ("usb-ccid",),
    "fdc": ("isa-fdc",),
    "ide": BOARD,
    "sata": ("ich9-ahci",),
    "virtio-serial": ("virtio-serial-pci",),
}
_INPUTS: Mapping[tuple[str, str], Names] = {
    ("usb", "keyboard"): ("usb-kbd",),
    ("usb", "mouse"): ("usb-mouse",),
    ("usb", "tablet"): ("usb-tablet",),
    ("virtio", "keyboard"): ("virtio-keyboard-pci",),
    ("virtio", "mouse"): ("virtio-mouse-pci",),
    ("virtio", "tablet"): ("virtio-tablet-pci",),
}
_SERIAL: Mapping[str, Names] = {
    "isa-serial": ("isa-serial",),
    "pci-serial": ("pci-serial",),
    "serial": BOARD,  # the first console is the serial port once more
    "system-serial": BOARD,
    "usb-serial": ("usb-serial",),
    "virtio": ("virtserialport", "virtconsole"),
}
_DISKS: Mapping[str, Mapping[str, Names]] = {
    "fdc": {"floppy": ("floppy",)},
    "ide": {"cdrom": ("ide-cd",), "disk": ("ide-hd",)},
    "sata": {"cdrom": ("ide-cd",), "disk": ("ide-hd",)},
    "scsi": {"cdrom": ("scsi-cd",), "disk": ("scsi-hd",), "lun": ("scsi-block",)},
    "usb": {"cdrom": ("usb-storage",), "disk": ("usb-storage",)},
    "virtio": {"disk": ("virtio-blk-pci",), "lun": ("virtio-blk-pci",)},
}
_VIRTIO_DISKS = _virtio("blk")


def names_of(fact: GuestDevice, architecture: str) -> Names | None:
    """Return what QEMU must list for the device; None where novadev does not know that."""
    found = _names(fact)
    if fact.model == "tpm-tis" and architecture not in X86:
        return ("tpm-tis-device",)
    if found is None or architecture != "s390x":
        return found
    return tuple(
        name.replace("-pci", "-ccw") if name.startswith("virtio") else name for name in found
    )


def _names(fact: GuestDevice) -> Names | None:
    match fact.tag:
        case "hub":
            return ("usb-hub",)
        case "redirdev":
            return ("usb-redir",)
        case "filesystem":
            return ("virtio-9p-pci",)
        case "disk":
            if fact.bus == "virtio" and fact.model:
                return _VIRTIO_DISKS.get(fact.model)
            return _DISKS.get(fact.bus or "", {}).get(fact.device or "")
        case "controller":
            kind = fact.device or ""
            if kind in _CONTROLLERS:
                return _CONTROLLERS[kind].get(fact.model or "")
            return _PLAIN_CONTROLLERS.get(kind)
        case "input":
            return BOARD if fact.bus == "ps2" else _INPUTS.get((fact.bus or "", fact.device or ""))
        case "serial" | "console" | "channel":
            return _SERIAL.get(fact.model or "")
    return _MODELS.get(fact.tag, {}).get(fact.model or "")
