"""The devices that Nova gives a guest: by example, and against what Nova's own driver writes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from novadev.capabilities.facts import facts_of_domain
from novadev.rules.defaults import REFUSALS
from novadev.rules.device import GuestDevice
from novadev.rules.guest import DriverRules
from novadev.rules.hardware import Attached, hardware
from novadev.rules.image_meta import check_readable
from novadev.virt.domain import Domain
from tests.nova_process import NovaProcess
from tests.rules.guests import guest, image
from tests.rules.test_defaults import CPUS, Case, as_driver_case, random_rows, random_rules

PROPERTIES: dict[str, tuple[str, ...]] = {
    "hw_disk_bus": ("virtio", "scsi", "sata", "ide", "usb"),
    "hw_cdrom_bus": ("ide", "sata", "scsi", "usb"),
    "hw_input_bus": ("usb", "virtio"),
    "hw_pointer_model": ("usbtablet",),
    "hw_scsi_model": ("virtio-scsi", "lsilogic", "LsiLogicSAS"),
    "hw_video_model": ("vga", "cirrus", "virtio", "none"),
    "hw_vif_model": ("virtio", "e1000", "VirtualE1000e", "rtl8139"),
    "hw_machine_type": ("pc", "q35", "virt"),
    "hw_architecture": ("x86_64", "aarch64", "ppc64le"),
    "hw_emulation_architecture": ("aarch64", "ppc64le", "AMD64"),
    "hw_qemu_guest_agent": ("yes", "no"),
    "hw_redirected_usb_ports": ("0", "2"),
    "hw_sound_model": ("ich6", "ich9", "virtio"),
    "hw_usb_model": ("qemu-xhci", "nec-xhci", "none"),
    "hw_watchdog_action": ("reset", "disabled", "none"),
}
NOT_LISTED = ("graphics", "serial", "console", "tpm", "emulator")
"""What the worker does not add, or what novadev's list leaves out: consoles are the host's."""


def test_a_keyboard_for_an_emulated_aarch64() -> None:
    found = hardware(guest(image(1), hw_emulation_architecture="aarch64"), DriverRules())
    assert GuestDevice("input keyboard usb", "input", "keyboard", "usb") in found


@pytest.mark.slow
@pytest.mark.parametrize("release", ["34", "28"])
def test_the_list_is_that_of_nova_s_own_driver(
    nova_of: Callable[[str], NovaProcess], release: str
) -> None:
    """Of many guests on hosts of many configurations."""
    real_nova = nova_of(release)
    random = Random(7)
    cases = [random_case(random, int(real_nova.release)) for _ in range(400)]
    asked = [{**as_driver_case(case), "whole": True} for case in cases]
    for one in asked:
        del one["os_type"]
        one["instance"].pop("vm_mode")
        one["config"]["libvirt"]["mem_stats_period_seconds"] = 10
        one["vifs"] = [{"port": "90270000-1111-4a01-8b01-0a0b0c0d0e01", "mac": "fa:16:3e:00:00:01"}]
    answers = real_nova.call("guest_xml_many", cases=asked)
    compared = 0
    for case, answer in zip(cases, answers, strict=True):
        ours = we_say(case)
        if "error" in answer or ours is None:
            continue  # the worker's own limits: what is refused is held by test_disks
        compared += 1
        assert ours == nova_says(answer), (case, answer["xml"])
    assert compared > 150


def random_case(random: Random, release: int) -> Case:
    stored: dict[str, Any] = {
        name: random.choice(values) for name, values in PROPERTIES.items() if random.random() < 0.2
    }
    made = guest(*random_rows(random), root="/dev/vda", **stored)
    rows = tuple(replace(row, connected=True) for row in made.block_devices)
    rules = replace(random_rules(random, release), virt_type=random.choice(("kvm", "qemu")))
    specs = {"hw_rng:allowed": "false"} if random.random() < 0.2 else {}
    rules = replace(rules, host_arch=random.choice(("x86_64", "x86_64", "aarch64", *CPUS[:1])))
    return Case(replace(made, block_devices=rows), rules, None, None, specs)


def we_say(case: Case) -> Counter[tuple[str | None, ...]] | None:
    attached = Attached(has_rng="hw_rng:allowed" not in case.extra_specs)
    try:
        check_readable(case.guest, case.rules.release)
        found = hardware(case.guest, case.rules, attached=attached)
    except REFUSALS:
        return None
    return counted(found)


def counted(devices: tuple[GuestDevice, ...]) -> Counter[tuple[str | None, ...]]:
    """What is compared: an interface by its model alone, no controller that libvirt adds."""
    found: Counter[tuple[str | None, ...]] = Counter()
    for device in devices:
        added = device.subject == "controller scsi 0" and device.model is None
        if device.tag in NOT_LISTED or added:
            continue
        kind = None if device.tag in ("interface", "rng", "memballoon") else device.device
        found[device.tag, kind, device.bus, device.model] += 1
    return found


def nova_says(answer: dict[str, Any]) -> Counter[tuple[str | None, ...]]:
    domain = Domain.from_xml(answer["xml"])
    devices = facts_of_domain(domain).devices
    return counted(tuple(device for device in devices if device.device != "pci"))
