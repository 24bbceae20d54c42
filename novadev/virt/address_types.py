"""The types of address that a device can have, by what it is.

libvirt refuses some others when a guest is defined (``qemu_validate.c``), and takes some with which
QEMU then does not start. Those on PCI are what ``qemuDomainDeviceCalculatePCIConnectFlags``
(``qemu_domain_address.c``) gives a slot, ``qemuDomainPrimeVirtioDeviceAddresses`` and
``qemuDomainAssignSpaprVIOAddresses`` tell those of other machines.
"""

from __future__ import annotations

from collections.abc import Mapping

Types = frozenset[str]

SYSTEM: Types = frozenset(("pci", "ccw", "virtio-mmio", "virtio-s390"))
"""Where virtio devices are, by architecture."""
_NOWHERE: Types = frozenset()
_PCI: Types = frozenset(("pci",))
_USB: Types = frozenset(("usb",))
_SPAPR: Types = frozenset(("spapr-vio",))
_ISA: Types = frozenset(("isa",))
_DRIVE: Types = frozenset(("drive",))
_SERIAL_PORT: Types = frozenset(("virtio-serial",))
_BY_TYPE: Mapping[str, Types] = {
    **dict.fromkeys(("balloon", "filesystem", "iommu", "rng", "shmem", "video", "vsock"), SYSTEM),
    **dict.fromkeys(("hub", "redir"), _USB),
    "channel": _SERIAL_PORT,
    "console": SYSTEM | _SERIAL_PORT | _SPAPR,
    "controller": SYSTEM | _SPAPR | _USB,
    "hostdev": SYSTEM | _USB | _DRIVE | {"unassigned"},
    "interface": SYSTEM | _SPAPR | _USB,
    "memory": SYSTEM | {"dimm"},
    "parallel": _ISA,
    "serial": SYSTEM | _ISA | _USB | _SPAPR,
    "smartcard": frozenset(("ccid",)),
    "sound": SYSTEM | _USB,
}
"""Where a device may be of which no more is known; any address will do for a type not here."""
_BUSES: Mapping[str, Types] = {
    "virtio": SYSTEM,
    **dict.fromkeys(("ide", "sata", "scsi", "fdc"), _DRIVE),
    "usb": _USB,
    **dict.fromkeys(("ps2", "sd"), _NOWHERE),
}
"""By the bus of a disk or of an input device."""
_MODELS: Mapping[str, Mapping[str, Types]] = {
    "interface": {"usb-net": _USB, "spapr-vlan": _SPAPR},
    "memory": {**dict.fromkeys(("dimm", "nvdimm"), frozenset(("dimm",))), "sgx-epc": _NOWHERE},
    "panic": {"isa": _ISA, "pvpanic": _PCI},
    "sound": {"usb": _USB, "sb16": _NOWHERE, "pcspk": _NOWHERE},
    "tpm": {"tpm-spapr": _SPAPR},
    "video": dict.fromkeys(("none", "ramfb"), _NOWHERE),
    "watchdog": {"i6300esb": _PCI},
}
"""By the model; what is not virtio and not here is where `_OTHER_MODELS` say."""
_OTHER_MODELS: Mapping[str, Types] = {
    **dict.fromkeys(("interface", "sound", "video"), _PCI),
    "memory": SYSTEM,
    **dict.fromkeys(("panic", "tpm", "watchdog"), _NOWHERE),
}
_CONTROLLERS: Mapping[str, Types] = {
    **dict.fromkeys(("ide", "isa", "nvme", "pci", "sata", "usb", "xenbus"), _PCI),
    **dict.fromkeys(("virtio-scsi", "virtio-serial"), SYSTEM | _SPAPR),
    "ccid": _USB,
    "fdc": _NOWHERE,
}
_HOSTDEVS: Mapping[str, Types] = {
    "pci": _PCI | {"unassigned"},
    "scsi": _DRIVE,
    "scsi_host": SYSTEM,
    "usb": _USB,
}
_TARGETS: Mapping[str, Types] = {
    "isa-serial": _ISA,
    "pci-serial": _PCI,
    "spapr-vio-serial": _SPAPR,
    "usb-serial": _USB,
    "virtio": _SERIAL_PORT,
    **dict.fromkeys(("sclp", "sclplm", "sclp-serial", "system-serial"), _NOWHERE),
}
"""By the type of target of a serial port or a console."""


def address_types(
    type_: str,
    device: str | None = None,
    model: str | None = None,
    bus: str | None = None,
    target_type: str | None = None,
) -> Types | None:
    """Return the types of address that a device of TYPE, in oVirt's words, can have.

    DEVICE, MODEL, BUS and the type of its target say more, where they are known. None where any
    address may do.
    """
    found = None
    if type_ in ("disk", "input"):
        found = _BUSES.get(bus or "")
    elif type_ in ("serial", "console"):
        found = _TARGETS.get(target_type or "")
    elif type_ == "hostdev":
        found = _HOSTDEVS.get(device or "")
    elif type_ == "controller":
        found = _of_controller(device or "", model or "")
    elif model and type_ in _OTHER_MODELS:
        is_virtio = model.startswith("virtio") and type_ != "memory"
        found = SYSTEM if is_virtio else _MODELS[type_].get(model, _OTHER_MODELS[type_])
    return _BY_TYPE.get(type_) if found is None else found


def _of_controller(device: str, model: str) -> Types | None:
    if device == "scsi" and model:
        if model.startswith("virtio"):
            return SYSTEM
        return _SPAPR if model == "ibmvscsi" else _PCI
    return _CONTROLLERS.get(device)
