"""Capabilities of a made-up host."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from novadev.capabilities import file
from novadev.capabilities.content import Capabilities, Versions
from novadev.config import Config, DriverOptions
from novadev.rules.osinfo import Recommendation
from novadev.virt.capabilities import MachineType
from novadev.virt.domain_capabilities import DomainCapabilities

PC = DomainCapabilities(
    channel=("pty", "unix"),
    disk_bus=("ide", "virtio"),
    graphics=("vnc",),
    rng=("virtio",),
    tpm=("tpm-tis",),
    tpm_backend=("emulator",),
    video=("vga", "virtio", "none"),
)
_BUSES = ("fdc", "scsi", "virtio", "usb", "sata")
DEBIAN_12: dict[str, Any] = {
    "domain_capabilities": {
        **dict.fromkeys(("pc-i440fx-1.4", "pc-i440fx-7.2"), replace(PC, disk_bus=("ide", *_BUSES))),
        "pc-q35-7.2": replace(PC, disk_bus=_BUSES),
    },
    "devices": None,
}
"""The buses that libvirt 9.0 really has; SAMPLE has few buses and devices, so that some lack."""
WINDOWS = Recommendation(None, "e1000")
SAMPLE = Capabilities(
    host="cmp1",
    saved_on="cmp1",
    saved_at="2026-11-21T03:07:45Z",
    novadev="0.1.0",
    architecture="x86_64",
    versions=Versions("1.10.0", "9.0.0", 34, "20221203", "7.2.22"),
    driver=DriverOptions(virt_type="qemu", hw_machine_type=("x86_64=q35",), pointer_model=None),
    machine_types={
        "aarch64": {"virt": MachineType("virt-7.2")},
        "x86_64": {
            "pc": MachineType("pc-i440fx-7.2"),
            "pc-i440fx-1.4": MachineType("pc-i440fx-1.4", deprecated=True),
            "pc-i440fx-7.2": MachineType("pc-i440fx-7.2"),
            "pc-q35-7.2": MachineType("pc-q35-7.2"),
        },
    },
    recommendations={"http://microsoft.com/win/10": WINDOWS, "win10": WINDOWS},
    domain_types={"x86_64": ("kvm", "qemu")},
    emulator="/usr/bin/qemu-system-x86_64",
    domain_capabilities={
        "pc-i440fx-1.4": PC,
        "pc-i440fx-7.2": PC,
        "pc-q35-7.2": replace(PC, disk_bus=("virtio",)),
    },
    devices={"e1000": "PCI", "ne2k_isa": "ISA", "tpm-tis": None, "virtio-net-pci": "PCI"},
)


def saved(folder: Path, name: str, **changes: Any) -> Path:
    """A capability file in FOLDER, of the host cmp1 unless the changes say another one."""
    path = folder / name
    path.write_text(file.dumps(replace(SAMPLE, **changes)))
    return path


def configured(folder: Path | None) -> Config:
    """A configuration with this compute_config_dir."""
    return Config(
        api_database_connection=None,
        database_connection=None,
        state_connection="sqlite://",
        compute_config_dir=None if folder is None else str(folder),
    )
