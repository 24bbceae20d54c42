"""Processors: what is read of a host, and whether it has all of a guest's."""

from dataclasses import replace

import pytest
from lxml import etree

from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.verdicts import Verdict, check
from novadev.virt.domain import Domain
from novadev.virt.host_model import HostModel
from novadev.virt.sent_processor import OF_MODEL, with_processor_of
from tests.capabilities.samples import SAMPLE
from tests.capabilities.test_settings import WHOLE, with_processors

MODEL = HostModel("qemu", ("aes", "fpu"), {"EPYC": ("avx",)}, ("aes", "avx", "fpu", "hle"))
OLD_MODEL = replace(MODEL, known=None)


def verdicts_on(cpu: str, model: HostModel | None, is_carried: bool = True) -> list[Verdict]:
    root = etree.fromstring(WHOLE)
    root.append(etree.fromstring(cpu))
    host: Capabilities = replace(with_processors("EPYC"), host_model=model)
    found = check(facts_of_domain(Domain(root), is_carried), host)
    return [one for one in found if one.subject.startswith("cpu")]


def whole(*features: tuple[str, str], model: str = "EPYC") -> str:
    told = [f"<feature policy='{policy}' name='{name}'/>" for policy, name in features]
    head = f"<model fallback='forbid'>{model}</model>"
    return f"<cpu mode='custom' match='exact' check='full'>{head}{''.join(told)}</cpu>"


NO_AVX = ("disable", "avx")


@pytest.mark.parametrize(
    ("features", "model", "expected", "why"),
    [
        ((NO_AVX,), MODEL, "fine", ""),
        ((NO_AVX, ("require", "aes"), ("disable", "hle")), MODEL, "fine", ""),
        ((), MODEL, "would not start", "the host's processor has no avx"),
        ((NO_AVX, ("require", "hle")), MODEL, "would not start", "has no hle"),
        ((NO_AVX, ("force", "hle")), MODEL, "would not start", "has no hle"),
        ((NO_AVX, ("require", "new")), MODEL, "would not start", "does not know the feature new"),
        ((NO_AVX, ("disable", "new")), MODEL, "would not start", "does not know the feature new"),
        ((NO_AVX, ("disable", "new")), OLD_MODEL, "not checked", "libvirt knows new"),
        ((NO_AVX,), OLD_MODEL, "fine", ""),
        ((NO_AVX, (OF_MODEL, "new")), MODEL, "fine", ""),
        ((NO_AVX, (OF_MODEL, "new")), OLD_MODEL, "fine", ""),
        (((OF_MODEL, "avx"),), MODEL, "fine", ""),
        ((NO_AVX,), None, "not checked", "save it again"),
        ((NO_AVX,), replace(MODEL, domain_type="kvm"), "not checked", "guests of type kvm"),
    ],
)
def test_all_of_a_processor(
    features: tuple[tuple[str, str], ...], model: HostModel | None, expected: str, why: str
) -> None:
    (found,) = verdicts_on(whole(*features), model)
    assert (found.subject, found.outcome) == ("cpu model EPYC with its features", expected)
    assert why in found.message


@pytest.mark.parametrize(
    ("features", "qemu", "libvirt", "kind", "expected"),
    [
        ((NO_AVX,), "7.2.22", "11.3.0", "qemu", "fine"),
        ((NO_AVX,), "10.0.0", "11.3.0", "qemu", "would not start"),
        ((NO_AVX,), "10.0.0", "11.4.0", "qemu", "not checked"),
        ((NO_AVX,), "10.0.0", "11.3.0", "kvm", "would not start"),
        ((NO_AVX,), "10.0.0", "11.4.0", "kvm", "not checked"),
        ((NO_AVX, ("require", "ht")), "10.0.0", "11.3.0", "qemu", "fine"),
        ((NO_AVX, ("require", "ht")), "7.2.22", "9.0.0", "qemu", "would not start"),
    ],
)
def test_several_processors_in_a_socket(
    features: tuple[tuple[str, str], ...], qemu: str, libvirt: str, kind: str, expected: str
) -> None:
    """QEMU adds a feature to such a guest since 10.0, seen in live migrations."""
    cpu = etree.fromstring(whole(*features))
    etree.SubElement(cpu, "topology", sockets="1", cores="2", threads="1")
    root = etree.fromstring(WHOLE)
    root.set("type", kind)
    root.append(cpu)
    known = with_processors("EPYC")
    versions = replace(known.versions, qemu=qemu, libvirt=libvirt)
    host = replace(known, versions=versions, host_model=replace(MODEL, domain_type=kind))
    found = check(facts_of_domain(Domain(root), is_carried=True), host)
    assert [one.outcome for one in found if one.subject.startswith("cpu")] == [expected]


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ((NO_AVX,), "not checked"),
        ((), "would not start"),
        ((NO_AVX, ("require", "hle")), "would not start"),
    ],
)
def test_a_definition_that_did_not_come_from_a_guest_that_runs(
    features: tuple[tuple[str, str], ...], expected: str
) -> None:
    """It does not list what QEMU adds to the model, which libvirt then refuses."""
    (found,) = verdicts_on(whole(*features), MODEL, is_carried=False)
    assert found.outcome == expected


def test_a_model_that_the_host_does_not_have() -> None:
    (found,) = verdicts_on(whole(model="Nehalem"), MODEL)
    assert found.outcome == "would not start"


def test_a_long_list_of_features_is_cut_short() -> None:
    features = tuple(("require", f"new{number}") for number in range(9))
    (found,) = verdicts_on(whole(NO_AVX, *features), OLD_MODEL)
    assert found.message.endswith("has no new0, new1, new2, new3, new4, 4 more")


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (("require", "fpu"), "fine"),
        (("require", "hle"), "not checked"),
        (("disable", "hle"), "fine"),
        (("disable", "new"), "would not start"),
    ],
)
def test_a_feature_beside_a_model(feature: tuple[str, str], expected: str) -> None:
    cpu = whole(feature).replace("check='full'", "check='none'")
    (found,) = (one for one in verdicts_on(cpu, MODEL) if one.subject.startswith("cpu feature"))
    assert found.outcome == expected


@pytest.mark.parametrize(("check", "is_sent"), [("full", True), ("none", False)])
def test_a_migration_sends_the_processor_of_which_libvirt_knows_all(
    check: str, is_sent: bool
) -> None:
    root = etree.fromstring(WHOLE)
    root.append(etree.fromstring("<cpu mode='custom'><model>EPYC</model></cpu>"))
    sent, running = Domain(root), Domain.from_xml(WHOLE)
    running.root.append(etree.fromstring(whole(NO_AVX).replace("full", check)))
    cpu = with_processor_of(running, sent).root.find("cpu")
    assert cpu is not None
    assert (cpu.find("feature") is not None) is is_sent


def test_a_feature_that_only_the_model_has_is_told_from_one_that_is_named() -> None:
    sent, running = Domain.from_xml(WHOLE), Domain.from_xml(WHOLE)
    sent.root.append(etree.fromstring(whole(NO_AVX, ("require", "vmx"))))
    running.root.append(etree.fromstring(whole(NO_AVX, ("disable", "hle"), ("require", "fpu"))))
    cpu = with_processor_of(running, sent).root.find("cpu")
    assert cpu is not None
    assert {one.get("name"): one.get("policy") for one in cpu.findall("feature")} == {
        "avx": "disable",
        "hle": OF_MODEL,
        "fpu": "require",
    }


def test_a_mode_is_told_of_the_best_accelerator_alone() -> None:
    """SAMPLE is a host with KVM, and the guest is emulated."""
    (found,) = verdicts_on("<cpu mode='host-passthrough'/>", MODEL, is_carried=False)
    assert (found.outcome, found.message) == (
        "not checked",
        "the file says it only for guests of type kvm",
    )
    assert SAMPLE.domain_types == {"x86_64": ("kvm", "qemu")}
