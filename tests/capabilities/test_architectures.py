"""Verdicts off x86, by what `tools/architecture_samples.py` recorded of Debian's QEMU."""

import gzip

import pytest

from novadev.capabilities import file
from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.verdicts import check, worst
from novadev.rules.device import GuestDevice
from novadev.rules.machine_types import FAMILIES
from tests.templates import ROOT

SAMPLES = ROOT / "tests" / "samples" / "capabilities"
VIRTIO = (
    GuestDevice("disk vda", "disk", "disk", bus="virtio"),
    GuestDevice("interface", "interface", model="virtio"),
    GuestDevice("rng", "rng", model="virtio"),
    GuestDevice("balloon", "memballoon", model="virtio"),
)


def host(architecture: str) -> Capabilities:
    path = SAMPLES / f"{architecture}.json.gz"
    return file.loads(gzip.decompress(path.read_bytes()).decode(), path)


def needs(architecture: str, *devices: GuestDevice, machine: str | None = None) -> GuestFacts:
    machine = machine or next(iter(host(architecture).machine_types[architecture]))
    return GuestFacts(architecture, "qemu", machine, devices)


def of_last(architecture: str, device: GuestDevice) -> tuple[str, str]:
    last = check(needs(architecture, device), host(architecture))[-1]
    return last.outcome, last.message


@pytest.mark.parametrize("architecture", ["aarch64", "ppc64le", "s390x"])
def test_virtio_is_fine_everywhere(architecture: str) -> None:
    """On s390x QEMU's devices end with -ccw."""
    assert worst(check(needs(architecture, *VIRTIO), host(architecture))) == "fine"


def test_a_board_that_novadev_does_not_know_is_not_checked() -> None:
    assert "riscv64" not in FAMILIES
    verdicts = check(needs("riscv64", *VIRTIO, machine="virt"), host("riscv64"))
    assert {one.outcome for one in verdicts[2:]} == {"not checked"}


@pytest.mark.parametrize(
    ("architecture", "model"), [("aarch64", "tpm-tis"), ("ppc64le", "tpm-spapr")]
)
def test_a_tpm_is_what_libvirt_says(architecture: str, model: str) -> None:
    """Off x86 the device of QEMU is tpm-tis-device, and libvirt's yes is not overruled."""
    found = host(architecture)
    devices = found.devices or {}
    assert ("tpm-tis-device" if architecture == "aarch64" else model) in devices
    assert "tpm-tis" not in devices
    tpm = GuestDevice("tpm", "tpm", "emulator", model=model)
    listed = next(iter((found.domain_capabilities or {}).values()))
    assert model in (listed.tpm or ())
    told = of_last(architecture, tpm)
    has_emulator = "emulator" in (listed.tpm_backend or ())
    assert told[0] == ("fine" if has_emulator else "cannot be defined")
    assert "QEMU" not in told[1]


@pytest.mark.parametrize("architecture", ["aarch64", "ppc64le", "s390x"])
def test_what_the_architecture_lacks_is_never_fine(architecture: str) -> None:
    """libvirt lists what QEMU has on that board, whoever needs it there: vmvga is among it."""
    for device in (
        GuestDevice("video", "video", model="xen"),
        GuestDevice("tpm", "tpm", "emulator", model="tpm-crb"),
        GuestDevice("input", "input", "tablet", bus="ps2"),
        GuestDevice("interface", "interface", model="igb"),
    ):
        assert of_last(architecture, device)[0] != "fine", device


@pytest.mark.parametrize("architecture", ["aarch64", "ppc64le", "s390x"])
def test_a_guest_of_x86_cannot_be_defined_there(architecture: str) -> None:
    guest = GuestFacts("x86_64", "qemu", "pc-q35-7.2", VIRTIO)
    assert worst(check(guest, host(architecture))) == "cannot be defined"
