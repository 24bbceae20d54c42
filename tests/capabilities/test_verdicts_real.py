"""Verdicts against this host, and what its libvirt and QEMU then do: no false "fine"."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import libvirt
import pytest

from novadev.capabilities import file
from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.target import Outcome
from novadev.capabilities.verdicts import check, worst
from novadev.foreign_file import read_text
from novadev.virt.domain import Domain
from tests.capabilities.walking import Case, definition, odd, walked
from tests.command import novadev
from tests.device.bed import compute_host
from tests.hypervisor import CAPABILITIES, Hypervisor

pytestmark = pytest.mark.slow

UNCHECKED = {
    *("hw_sound_model=pcspk", "graphics sdl", "watchdog diag288", "video ramfb"),
    *("tpm passthrough tpm-tis", "tpm passthrough tpm-crb"),
    *("interface i82551", "interface rocker", "interface ne2k_isa", "interface usb-net"),
}
"""What novadev does not claim to know, by the labels of the cases."""
LACKING = {
    "am53c974": "am53c974",
    "bochs-display": "bochs-display",
    "cirrus-vga": "cirrus-vga",
    "ich9-ahci": "ich9-ahci",
    "ich9-intel-hda": "ich9-intel-hda",
    "ich9-usb-ehci1": "ich9-usb-ehci1",
    "lsi": "lsi53c895a",
    "megasas": "megasas",
    "mptsas1068": "mptsas1068",
    "nec-usb-xhci": "nec-usb-xhci",
    "pci-ohci": "pci-ohci",
    "piix4-usb-uhci": "piix4-usb-uhci",
    "pvscsi": "pvscsi",
    "qxl": "qxl-vga",
    "ramfb": "ramfb",
    "spice": "",
    "tpm-tis": "tpm-tis",
    "usb-audio": "usb-audio",
    "usb-kbd": "usb-kbd",
    "usb-storage": "usb-storage",
    "virtio-mouse": "virtio-mouse-pci",
    "virtio-tablet": "virtio-tablet-pci",
    "vmware-svga": "vmware-svga",
}
"""What libvirt calls a capability of QEMU, and the device of QEMU behind it."""
Cases = Callable[[str], Iterator[Case]]


def captured(hypervisor: Hypervisor, folder: Path) -> Capabilities:
    """The capabilities of the host, through the command and the file."""
    path = folder / "cmp1.json"
    config = compute_host(folder, hypervisor, timeout=30)
    result = novadev(config, "capabilities", "save", "--nova-release", "34", "-o", str(path))
    assert (result.code, result.err) == (0, "")
    return file.loads(read_text(path), path)


def tried(hypervisor: Hypervisor, xml: str) -> tuple[Outcome, str]:
    """What really becomes of a definition: defined, started, and taken away again."""
    try:
        domain = hypervisor.define(xml)
    except libvirt.libvirtError as error:
        return "cannot be defined", str(error)
    try:
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        domain.destroy()
    except libvirt.libvirtError as error:
        return "would not start", str(error)
    finally:
        domain.undefine()
    return "fine", ""


def disagreement(case: Case, host: Capabilities, hypervisor: Hypervisor) -> tuple[Outcome, str]:
    """The verdict, and how it is not what happened; a definition must give the same verdict."""
    xml = definition(case.facts)
    verdict = worst(check(case.facts, host))
    happened, why = tried(hypervisor, xml)
    again = worst(check(facts_of_domain(Domain.from_xml(xml)), host))
    if verdict != "not checked" and (verdict != happened or again not in (verdict, "not checked")):
        return verdict, f"{case.label}: {verdict}, as a definition {again}, but {happened} {why}"
    if again == "fine" != happened:
        return verdict, f"{case.label}: as a definition fine, but {happened} {why}"
    return verdict, ""


@pytest.mark.parametrize(
    ("cases", "machine"),
    [(walked, "pc"), (walked, "q35"), (odd, "pc-i440fx-2.0"), (odd, "pc-q35-2.4")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_value(hypervisor: Hypervisor, tmp_path: Path, cases: Cases, machine: str) -> None:
    """On the newest boards what properties ask for, on the oldest what else there is."""
    host = captured(hypervisor, tmp_path)
    counts: Counter[Outcome] = Counter()
    wrong, unchecked = [], []
    for case in cases(machine):
        verdict, difference = disagreement(case, host, hypervisor)
        counts[verdict] += 1
        wrong += [difference] if difference else []
        unchecked += [case.label] if verdict == "not checked" else []
    print(machine, cases.__name__, dict(counts), unchecked)
    assert not wrong, "\n".join(wrong)
    assert set(unchecked) == UNCHECKED & {case.label for case in cases(machine)}
    assert counts["fine"] >= 30
    assert counts["cannot be defined"] >= 15
    assert counts["would not start"] >= 3


@pytest.fixture
def poor(hypervisor: Hypervisor, tmp_path: Path) -> Iterator[Hypervisor]:
    """A host whose libvirt takes its QEMU for a poorer one: without LACKING and older boards."""
    folder = tmp_path / "capabilities"
    folder.mkdir()
    lacking = "|".join(map(re.escape, LACKING))
    for path in (hypervisor.folder / CAPABILITIES).iterdir():
        text = re.sub(rf"<flag name='({lacking})'/>", "", path.read_text())
        text = re.sub(r"<machine [^>]*name='pc-(i440fx|q35)-[2-5]\.[^>]*>", "", text)
        (folder / path.name).write_text(text)
    host = Hypervisor("poor", folder)
    try:
        host.wait()
        yield host
    finally:
        host.stop()


def refusal(hypervisor: Hypervisor, xml: str) -> str:
    """Why libvirt refuses to define it, empty if it does not."""
    try:
        hypervisor.define(xml).undefine()
    except libvirt.libvirtError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_poorer_host(poor: Hypervisor, tmp_path: Path, machine: str) -> None:
    """What libvirt refuses for want of a device is what "cannot be defined" says."""
    saved = captured(poor, tmp_path)
    there = saved.devices or {}
    host = replace(saved, devices={n: there[n] for n in there.keys() - set(LACKING.values())})
    counts: Counter[Outcome] = Counter()
    wrong = []
    for case in chain(walked(machine), odd(machine)):
        if machine == "q35" and "sata" in case.label:
            continue  # there is no q35 without SATA
        xml = definition(case.facts)
        verdict = worst(check(case.facts, host))
        why = refusal(poor, xml)
        counts[verdict] += 1
        if verdict != "not checked" and bool(why) != (verdict == "cannot be defined"):
            wrong.append(f"{case.label}: {verdict}, but {why or 'it was defined'}")
    print(machine, "of a poorer host", dict(counts))
    assert not wrong, "\n".join(wrong)
    assert counts["cannot be defined"] >= 60
