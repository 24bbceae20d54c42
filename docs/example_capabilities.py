"""Write the example capability files under ``docs/examples/capabilities``.

That of Debian 12 is a capture: give the file that ``novadev capabilities save`` wrote there. The
others are made from public facts, named with each; what is not certain is left out, so that the
verdict on it is "not checked". ``.venv/bin/python docs/example_capabilities.py [CAPTURE]``
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from novadev import __version__
from novadev.capabilities import file
from novadev.capabilities.content import Capabilities, Example, Versions
from novadev.config import DriverOptions
from novadev.virt.capabilities import MachineType
from novadev.virt.domain_capabilities import DomainCapabilities

FOLDER = Path(__file__).resolve().parent / "examples" / "capabilities"
DATE = "2026-11-21T00:00:00Z"
_RHEL_Q35 = (
    *("7.6.0", "8.0.0", "8.1.0", "8.2.0", "8.3.0", "8.4.0", "8.5.0", "8.6.0", "9.0.0", "9.2.0"),
)
_UBUNTU_RELEASES = (
    *("bionic", "cosmic", "disco", "eoan", "focal", "groovy", "hirsute", "impish", "jammy"),
    *("kinetic", "lunar", "mantic"),
)
_UBUNTU_Q35 = (
    *("xenial", "yakkety", "zesty", "artful", "noble", "noble-v2"),
    *_UBUNTU_RELEASES,
    *(f"{name}-hpb" for name in _UBUNTU_RELEASES),
    *("jammy-maxcpus", "jammy-hpb-maxcpus", "mantic-maxcpus", "mantic-hpb-maxcpus"),
    *("2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "2.12", "3.0", "3.1", "4.0"),
    *("4.0.1", "4.1", "4.2", "5.0", "5.1", "5.2", "6.0", "6.1", "6.2", "7.0", "7.1", "7.2"),
    *("8.0", "8.1", "8.2"),
)
_UBUNTU_I440FX = (
    *("xenial", "zesty", "focal", "hirsute", "impish-hpb", "disco-hpb", "jammy-hpb", "mantic"),
    *("mantic-maxcpus", "noble-v2", "2.5", "2.12", "4.2", "6.2"),
)
_VIRTIO = ("balloon", "blk", "net", "rng", "scsi", "serial")
_KINDS = ("pci", "pci-transitional", "pci-non-transitional")


def _empty(host: str, libvirt: str, qemu: str) -> Capabilities:
    return Capabilities(
        host=host,
        saved_on=host,
        saved_at=DATE,
        novadev=__version__,
        architecture="x86_64",
        versions=Versions(None, libvirt, None, None, qemu),
        driver=DriverOptions(),
        machine_types={},
        recommendations=None,
    )


def el9() -> Capabilities:
    """EL 9, about 9.2: libvirt 9.0.0, qemu-kvm 7.2.0."""
    names = {f"pc-q35-rhel{v}": MachineType(f"pc-q35-rhel{v}", v < "9") for v in _RHEL_Q35}
    i440fx = MachineType("pc-i440fx-rhel7.6.0", deprecated=True)
    machines = {
        **names,
        "pc": i440fx,
        "pc-i440fx-rhel7.6.0": i440fx,
        "q35": MachineType("pc-q35-rhel9.2.0"),
    }
    q35 = DomainCapabilities(
        disk_bus=("fdc", "scsi", "virtio", "usb", "sata"),
        disk_device=("disk", "cdrom", "floppy", "lun"),
        graphics=("vnc", "egl-headless"),
        video=("vga", "cirrus", "virtio", "none", "bochs", "ramfb"),
    )
    pc = replace(q35, disk_bus=("ide", *(q35.disk_bus or ())))
    return replace(
        _empty("example-el9", "9.0.0", "7.2.0"),
        machine_types={"x86_64": dict(sorted(machines.items()))},
        emulator="/usr/libexec/qemu-kvm",
        domain_capabilities={name: pc if "i440fx" in name else q35 for name in versioned(machines)},
        devices=_el9_devices(),
        example=Example(
            "Machine types: qemu-kvm -machine ? of qemu-kvm-core-8.0.0-5.el9, as quoted in the "
            "design proposal mass_machine_type_transition.md of kubevirt/community. Domain "
            "capabilities: virsh domcapabilities --machine q35 on Rocky Linux 9.2, as quoted in a "
            "public course on virtualisation, which leaves rng, tpm and channels out; that "
            "pc-i440fx has IDE as well is libvirt's virQEMUCapsFillDomainDeviceDiskCaps. Devices: "
            "Red Hat's patch Enable/disable devices for RHEL of 7 December 2022, for QEMU 7.2 "
            "(x86_64-rh-devices.mak), as far as novadev looks for them.",
            has_every_machine_type=True,
        ),
    )


def versioned(machines: dict[str, MachineType]) -> list[str]:
    """Return the versioned names, sorted."""
    return sorted({machine.canonical for machine in machines.values()})


def _el9_devices() -> dict[str, str | None]:
    """Return what the options of x86_64-rh-devices.mak and rh-virtio.mak build."""
    pci = [
        *("VGA", "bochs-display", "cirrus-vga"),  # VGA_PCI, BOCHS_DISPLAY, VGA_CIRRUS
        *("e1000", "e1000e", "rtl8139"),
        *("i6300esb", "ich9-ahci", "intel-hda", "ich9-intel-hda", "pci-serial"),
        *("ich9-usb-ehci1", "ich9-usb-ehci2", "usb-ehci", "nec-usb-xhci", "qemu-xhci"),
        *(f"ich9-usb-uhci{number}" for number in range(1, 7)),
        *("piix3-usb-uhci", "piix4-usb-uhci", "vfio-pci", "virtio-vga", "virtio-gpu-pci"),
        *("i82801b11-bridge", "ioh3420", "pci-bridge", "pcie-pci-bridge", "pcie-root-port"),
        *("pxb", "pxb-pcie", "x3130-upstream", "xio3130-downstream"),
        *(f"virtio-{name}-{kind}" for name in _VIRTIO for kind in _KINDS),
        *(f"virtio-{name}-pci" for name in ("keyboard", "mouse", "tablet")),
    ]
    others = {
        **dict.fromkeys(("floppy",), "floppy-bus"),
        **dict.fromkeys(("ib700", "isa-fdc", "isa-serial", "tpm-tis"), "ISA"),
        **dict.fromkeys(("ide-cd", "ide-hd"), "IDE"),
        **dict.fromkeys(("scsi-block", "scsi-cd", "scsi-generic", "scsi-hd"), "SCSI"),
        **dict.fromkeys(
            ("usb-ccid", "usb-kbd", "usb-mouse", "usb-storage", "usb-tablet"), "usb-bus"
        ),
        **dict.fromkeys(("virtconsole", "virtserialport"), "virtio-serial-bus"),
        **dict.fromkeys(("ramfb",), "System"),
        "tpm-crb": None,
    }
    return dict(sorted({**dict.fromkeys(pci, "PCI"), **others}.items()))


def ubuntu_24_04() -> Capabilities:
    """Ubuntu 24.04: libvirt 10.0.0, QEMU 8.2.2."""
    names = [f"pc-q35-{name}" for name in _UBUNTU_Q35]
    names += [f"pc-i440fx-{name}" for name in _UBUNTU_I440FX]
    machines = {name: MachineType(name) for name in names} | {
        "pc-i440fx-2.0": MachineType("pc-i440fx-2.0", deprecated=True),
        "q35": MachineType("pc-q35-noble"),
        "ubuntu": MachineType("pc-i440fx-noble-v2"),
        "ubuntu-q35": MachineType("pc-q35-noble-v2"),
    }
    q35 = DomainCapabilities(
        disk_bus=("fdc", "scsi", "virtio", "usb", "sata"),
        disk_device=("disk", "cdrom", "floppy", "lun"),
        graphics=("vnc",),
        rng=("virtio", "virtio-transitional", "virtio-non-transitional"),
        video=("vga", "cirrus", "vmvga", "virtio", "none", "bochs", "ramfb"),
    )
    pc = replace(q35, disk_bus=("ide", *(q35.disk_bus or ())))
    return replace(
        _empty("example-ubuntu-24.04", "10.0.0", "8.2.2"),
        machine_types={"x86_64": dict(sorted(machines.items()))},
        emulator="/usr/bin/qemu-system-x86_64",
        domain_capabilities={name: pc if "i440fx" in name else q35 for name in versioned(machines)},
        example=Example(
            "Machine types: qemu-system-x86_64 -machine help of 1:8.2.2+ds-0ubuntu1.16 (all of "
            "q35) and the first lines of virsh capabilities of such a host (some of i440fx), both "
            "as quoted in public repositories. Domain capabilities: libvirt's "
            "tests/domaincapsdata/qemu_8.2.0-q35.x86_64.xml without qxl and spice, which are "
            "in the package qemu-system-modules-spice there and come with no other (Launchpad "
            "2097529); of consoles only vnc and spice are told. QEMU's devices are left out.",
            has_every_machine_type=False,
        ),
    )


def debian_12(capture: Path) -> Capabilities:
    """Debian 12, as CAPTURE has it, but for what is that one machine's own."""
    found = file.loads(capture.read_text(), capture)
    return replace(
        _empty("example-debian-12", found.versions.libvirt, found.versions.qemu or ""),
        machine_types=found.machine_types,
        emulator=found.emulator,
        domain_capabilities=found.domain_capabilities,
        devices=found.devices,
        processors=found.processors,
        example=Example(
            "novadev capabilities save on Debian 12 with qemu-system-x86 1:7.2+dfsg-7+deb12u18 and "
            "libvirt 9.0.0-4+deb12u2, without the options of a driver, libosinfo, accelerators, "
            "the firmware and the sizes of pages of that machine.",
            has_every_machine_type=True,
        ),
    )


def main() -> None:
    """Write the files; that of Debian 12 only from a capture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = {"el9.json": el9(), "ubuntu-24.04.json": ubuntu_24_04()}
    if len(sys.argv) > 1:
        made["debian-12.json"] = debian_12(Path(sys.argv[1]))
    for name, found in made.items():
        (FOLDER / name).write_text(file.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
