"""What QEMU cannot send to another host, though that has the device."""

from dataclasses import replace

import pytest

from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import GuestFacts, facts_of_domain
from novadev.capabilities.target import Outcome
from novadev.capabilities.verdicts import check
from novadev.rules.device import GuestDevice
from novadev.virt.domain import Domain
from tests import domains
from tests.capabilities.samples import SAMPLE

USB_SOUND = GuestDevice("x", "sound", model="usb")
AM53C974 = GuestDevice("x", "controller", "scsi", model="am53c974")
NAMES = (
    *("usb-audio", "usb-serial", "am53c974", "AC97", "virtio-9p-pci", "virtserialport"),
    *("virtio-sound-pci", "virtio-scsi-pci"),
)


def host(qemu: str) -> Capabilities:
    """A host that has every device here."""
    versions = replace(SAMPLE.versions, libvirt="11.3.0", qemu=qemu)
    devices = {**(SAMPLE.devices or {}), **dict.fromkeys(NAMES)}
    return replace(SAMPLE, versions=versions, devices=devices)


def outcome(device: GuestDevice, is_carried: bool, qemu: str) -> str:
    facts = GuestFacts("x86_64", "kvm", "pc-i440fx-7.2", (device,), is_carried=is_carried)
    return check(facts, host(qemu))[-1].outcome


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (USB_SOUND, "would not start"),
        (GuestDevice("x", "serial", "pty", model="usb-serial"), "would not start"),
        (GuestDevice("x", "console", "pty", model="usb-serial"), "would not start"),
        (GuestDevice("x", "sound", model="virtio"), "not checked"),
        (GuestDevice("x", "filesystem", "path"), "not checked"),
        (GuestDevice("x", "channel", "qemu-vdagent", model="virtio"), "not checked"),
        (AM53C974, "not checked"),
        (GuestDevice("x", "sound", model="ac97"), "fine"),
        (GuestDevice("x", "controller", "scsi", model="virtio-scsi"), "fine"),
        (GuestDevice("x", "channel", "unix", model="virtio"), "fine"),
    ],
    ids=str,
)
def test_only_a_live_migration_asks_for_the_state(device: GuestDevice, expected: Outcome) -> None:
    assert outcome(device, True, "10.0.8") == expected
    assert outcome(device, False, "10.0.8") == "fine"


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (GuestDevice("x", "crypto", "qemu", model="virtio"), "would not start"),
        (GuestDevice("x", "disk", "disk", "nvme"), "would not start"),
        (GuestDevice("x", "controller", "nvme"), "would not start"),
    ],
    ids=str,
)
def test_what_this_host_may_lack_as_well(device: GuestDevice, expected: Outcome) -> None:
    assert outcome(device, True, "10.0.8") in (expected, "cannot be defined")


@pytest.mark.parametrize(
    ("qemu", "expected"),
    [("5.2.0", "fine"), ("7.2.22", "fine"), ("8.0.0", "not checked"), ("10.0.8", "not checked")],
)
def test_a_state_that_a_later_qemu_does_not_read(qemu: str, expected: Outcome) -> None:
    assert outcome(AM53C974, True, qemu) == expected


def test_a_definition_that_is_sent_says_so() -> None:
    domain = Domain.from_xml(domains.domain(devices=["<sound model='usb'/>"]))
    assert facts_of_domain(domain, is_carried=True).is_carried
    assert not facts_of_domain(domain).is_carried
