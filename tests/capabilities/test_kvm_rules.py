"""Rules for guests of KVM that no recorded host shows: versions between, files without a key."""

from dataclasses import replace

import pytest
from lxml import etree

from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.verdicts import Verdict, check
from novadev.virt.domain import Domain
from novadev.virt.host_model import HostModel
from tests import domains
from tests.capabilities.samples import SAMPLE
from tests.capabilities.test_settings import WHOLE, with_processors

MODEL = HostModel(
    "kvm", ("aes", "fpu"), {"EPYC": ("avx",)}, ("aes", "avx", "fpu", "hle"), ("fpu", "mpx")
)
UNUSABLE = with_processors("EPYC")
USABLE = with_processors("EPYC", usable=("EPYC",))


def verdicts(part: str, host: Capabilities, is_carried: bool = False) -> list[Verdict]:
    """The verdicts on PART of a guest of KVM."""
    root = etree.fromstring(WHOLE.replace('type="qemu"', 'type="kvm"', 1))
    for element in etree.fromstring(f"<all>{part}</all>"):
        for old in root.findall(str(element.tag)):
            root.remove(old)
        (root.find("devices") if element.tag == "iommu" else root).append(element)  # type: ignore[union-attr]
    return list(check(facts_of_domain(Domain(root), is_carried), host))


def told(found: list[Verdict], subject: str) -> list[str]:
    return [one.outcome for one in found if one.subject.startswith(subject)]


def with_libvirt(host: Capabilities, version: str) -> Capabilities:
    return replace(host, versions=replace(host.versions, libvirt=version))


def cpu(inside: str = "", check: str = "partial") -> str:
    return f"<cpu mode='custom' check='{check}'><model>EPYC</model>{inside}</cpu>"


@pytest.mark.parametrize(
    ("host", "model", "libvirt", "check", "expected"),
    [
        (USABLE, MODEL, "9.0.0", "partial", "would not start"),
        (USABLE, MODEL, "9.8.0", "partial", "not checked"),
        (USABLE, MODEL, "11.3.0", "partial", "fine"),
        (USABLE, replace(MODEL, processor=None), "9.0.0", "partial", "fine"),
        (UNUSABLE, MODEL, "11.3.0", "partial", "would not start"),
        (UNUSABLE, MODEL, "11.3.0", "none", "not checked"),
        (UNUSABLE, replace(MODEL, processor=("avx",)), "9.0.0", "partial", "not checked"),
        (UNUSABLE, replace(MODEL, processor=None), "9.0.0", "partial", "would not start"),
        (UNUSABLE, None, "9.0.0", "partial", "would not start"),
    ],
)
def test_a_model_that_the_processor_or_qemu_has_not(
    host: Capabilities, model: HostModel | None, libvirt: str, check: str, expected: str
) -> None:
    known = with_libvirt(replace(host, host_model=model), libvirt)
    assert told(verdicts(cpu(check=check), known), "cpu model EPYC") == [expected]


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (("avx",), "fine"),
        (("avx", "hle"), "fine"),
        (("hle",), "would not start"),
    ],
)
def test_a_model_without_what_the_guest_switches_off(
    features: tuple[str, ...], expected: str
) -> None:
    off = "".join(f"<feature policy='disable' name='{name}'/>" for name in features)
    found = verdicts(cpu(off), replace(UNUSABLE, host_model=MODEL))
    assert told(found, "cpu model EPYC") == [expected]


@pytest.mark.parametrize(
    ("name", "check", "processor", "expected"),
    [
        ("aes", "partial", ("fpu",), "fine"),
        ("hle", "partial", ("fpu",), "would not start"),
        ("hle", "partial", ("hle",), "not checked"),
        ("hle", "partial", None, "not checked"),
        ("hle", "none", ("fpu",), "not checked"),
        ("topoext", "partial", ("topoext",), "fine"),
        ("topoext", "partial", ("fpu",), "would not start"),
        ("topoext", "none", None, "fine"),
        ("novelty", "none", None, "would not start"),
    ],
)
def test_a_feature_that_the_guest_requires(
    name: str, check: str, processor: tuple[str, ...] | None, expected: str
) -> None:
    """libvirt compares only with ``check='partial'``; QEMU gives topoext on any processor."""
    known = (*(MODEL.known or ()), "topoext")
    model = replace(MODEL, processor=processor, known=known)
    part = cpu(f"<feature policy='require' name='{name}'/>", check)
    assert told(verdicts(part, replace(USABLE, host_model=model)), "cpu feature") == [expected]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("<cpu mode='host-model' check='full'/>", ["not checked"]),
        ("<cpu mode='host-model'/>", []),
        (cpu("<vendor>AMD</vendor>"), ["not checked"]),
        (cpu("<vendor>AMD</vendor>", check="none"), []),
    ],
)
def test_what_the_host_may_refuse(part: str, expected: list[str]) -> None:
    found = verdicts(part, USABLE)
    assert told(found, "cpu mode host-model check") + told(found, "cpu vendor") == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("<cpu mode='host-passthrough' check='none'/>", ["not checked"]),
        ("<cpu mode='maximum' migratable='off'/>", ["not checked"]),
        (cpu("<feature policy='require' name='invtsc'/>"), ["would not start"]),
        (cpu("<feature policy='disable' name='invtsc'/>"), []),
        (
            cpu("<feature policy='require' name='invtsc'/>")
            + "<clock offset='utc'><timer name='tsc' frequency='2000000000'/></clock>",
            [],
        ),
    ],
)
def test_what_no_migration_should_take_along(part: str, expected: list[str]) -> None:
    found = [one for one in verdicts(part, USABLE, is_carried=True) if "migration" in one.subject]
    assert [one.outcome for one in found] == expected
    assert not [one for one in verdicts(part, USABLE) if "migration" in one.subject]


IOMMU = "<iommu model='{}'><driver {}/></iommu>"


@pytest.mark.parametrize(
    ("device", "libvirt", "kind", "expected"),
    [
        ("", "9.0.0", "kvm", "cannot be defined"),
        ("", "10.10.0", "kvm", "fine"),
        ("", "10.10.0", "qemu", "would not start"),
        (IOMMU.format("intel", "intremap='on'"), "10.10.0", "kvm", "fine"),
        (IOMMU.format("intel", "intremap='on' eim='off'"), "10.10.0", "kvm", "cannot be defined"),
        (IOMMU.format("virtio", ""), "10.10.0", "kvm", "cannot be defined"),
        (IOMMU.format("intel", "intremap='on' eim='on'"), "9.0.0", "kvm", "fine"),
    ],
)
def test_more_processors_than_an_old_interrupt_controller_knows(
    device: str, libvirt: str, kind: str, expected: str
) -> None:
    boards = {
        name: replace(board, vcpu_max=288)
        for name, board in (SAMPLE.domain_capabilities or {}).items()
    }
    host = with_libvirt(replace(SAMPLE, domain_capabilities=boards), libvirt)
    text = domains.domain(machine="pc-q35-7.2", devices=[device] if device else [])
    text = text.replace('type="qemu"', f'type="{kind}"', 1).replace(">1</vcpu>", ">256</vcpu>")
    found = check(facts_of_domain(Domain.from_xml(text)), host)
    assert told(list(found), "256 vcpus") == [expected]


@pytest.mark.parametrize(
    ("apic", "libvirt", "expected"),
    [
        ("<ioapic driver='qemu'/>", "9.0.0", []),
        ("<ioapic driver='kvm'/>", "11.3.0", ["cannot be defined"]),
        ("", "9.0.0", ["cannot be defined"]),
        ("", "10.10.0", ["not checked"]),
        ("", "11.3.0", ["fine"]),
    ],
)
def test_remapped_interrupts_need_the_io_apic_of_qemu(
    apic: str, libvirt: str, expected: list[str]
) -> None:
    part = f"<features>{apic}</features>" + IOMMU.format("intel", "intremap='on'")
    found = verdicts(part, with_libvirt(SAMPLE, libvirt))
    assert told(found, "iommu intremap=on") == expected
    assert told(found, "feature ioapic") == (["fine"] if apic else [])


@pytest.mark.parametrize(
    ("known", "expected", "timer"),
    [
        (("relaxed", "vapic"), "fine", "fine"),
        (("relaxed",), "would not start", "fine"),
        (("spinlocks", "vendor_id"), "not checked", "not checked"),
        (None, "not checked", "not checked"),
    ],
)
def test_hyper_v_is_of_the_kernel(known: tuple[str, ...] | None, expected: str, timer: str) -> None:
    boards = {
        name: replace(board, hyperv=known)
        for name, board in (SAMPLE.domain_capabilities or {}).items()
    }
    host = replace(SAMPLE, domain_capabilities=boards)
    part = "<features><hyperv><vapic state='on'/></hyperv></features>"
    part += "<clock offset='localtime'><timer name='hypervclock' present='yes'/></clock>"
    found = verdicts(part, host)
    assert told(found, "feature hyperv vapic") == [expected]
    assert told(found, "timer hypervclock") == [timer]


def test_memory_of_a_libvirt_that_lists_no_kinds() -> None:
    part = "<memoryBacking><source type='{}'/><allocation mode='immediate'/></memoryBacking>"
    for kind, expected in (("memfd", "fine"), ("novelty", "not checked")):
        found = verdicts(part.format(kind), SAMPLE)
        assert told(found, "memory backing") == [expected]
