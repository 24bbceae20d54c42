"""Verdicts under KVM, held against what libvirt and QEMU did with KVM.

``samples/kvm`` has capability files, what became of each kind of `kvm_kinds` there, and of guests
that migrated, with libvirt 7.0, 9.0 and 11.3. libvirt and QEMU were real; to them /dev/kvm gave the
answers of an ordinary host with an EPYC (Milan) or a Xeon (Cascade Lake). Guests started paused. A
slow test tries some kinds with the KVM of this machine, whatever it can do.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree

from novadev.capabilities import file
from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.target import Outcome
from novadev.capabilities.verdicts import check, worst
from novadev.virt.domain import Domain
from tests.cached import CACHE
from tests.capabilities.kinds import capabilities_of, domain_of, is_wrong, tried
from tests.capabilities.kvm_kinds import kvm_kinds, of_kvm
from tests.hypervisor import GENERATIONS, PRIVILEGED, Hypervisor, pool, unsupported
from tests.templates import ROOT

RECORDED = ROOT / "tests/samples/kvm"
TOLD = json.loads((RECORDED / "kvm.json").read_text())
HOSTS = tuple(TOLD["outcomes"])
KINDS = {kind.name: kind for kind in kvm_kinds()}
LEFT_OUT = {"xeon": ("q35 hv evmcs",)}
"""What /dev/kvm only said that it had."""
POLICIES = {"+": "require", "-": "disable", "~": "disable-of-model"}


def saved(host: str) -> Capabilities:
    path = RECORDED / f"{host}.json"
    return file.loads(path.read_text(), path)


def outcomes(host: str) -> dict[str, Outcome]:
    """What became of each kind on a host."""
    left_out = LEFT_OUT.get(host.partition("-")[0], ())
    found: dict[str, Outcome] = {name: "fine" for name in KINDS if name not in left_out}
    for outcome, names in TOLD["outcomes"][host].items():
        found |= dict.fromkeys(names, outcome)
    return found


@pytest.mark.parametrize("host", HOSTS)
def test_the_verdict_is_what_happened(host: str) -> None:
    known, checked, wrong = saved(host), 0, []
    for name, outcome in outcomes(host).items():
        verdict = worst(check(KINDS[name].facts, known))
        checked += verdict != "not checked"
        if is_wrong(verdict, outcome):
            wrong.append(f"{name}: {verdict}, but {outcome}")
    assert not wrong, "\n".join(wrong)
    assert checked >= 215


@pytest.mark.parametrize("host", [name for name in HOSTS if not name.endswith("-7.0")])
def test_what_nova_writes_for_windows_is_checked(host: str) -> None:
    """libvirt 7.0 does not list the features of Hyper-V."""
    name = "q35 nova 34 windows "
    assert worst(check(KINDS[name].facts, saved(host))) == outcomes(host)[name] == "fine"


def running(guest: dict[str, Any]) -> Domain:
    """A definition as a migration sends it, with the processor of a recorded guest."""
    root = etree.fromstring(of_kvm("", domain_of("pc-q35-5.2", "")).xml)
    cpu = etree.SubElement(root, "cpu", mode=guest["mode"], match="exact", check=guest["check"])
    if guest["model"]:
        etree.SubElement(cpu, "model", fallback="forbid").text = guest["model"]
    if guest["cores"]:
        etree.SubElement(cpu, "topology", sockets="1", dies="1", cores="2", threads="2")
    for feature in guest["features"].split():
        etree.SubElement(cpu, "feature", policy=POLICIES[feature[0]], name=feature[1:])
    return Domain(root)


@pytest.mark.parametrize(("guest", "host", "arrived"), TOLD["migrations"])
def test_a_running_guest_arrives_where_the_verdict_is_fine(
    guest: str, host: str, arrived: bool
) -> None:
    carried = running(TOLD["guests"][guest])
    verdict = worst(check(facts_of_domain(carried, is_carried=True), saved(host)))
    if carried.root.find("cpu[@mode='host-passthrough']") is not None:
        assert verdict == "not checked"  # it arrives on any processor
    else:
        assert verdict in (("fine", "deprecated") if arrived else ("would not start",))


# This machine's own KVM

OF_ANY_KVM = (
    *("q35 cpu pentium", "q35 cpu Haswell", "q35 cpu SapphireRapids", "q35 cpu kvm64"),
    *("q35 pentium2 feature x2apic require", "q35 pentium2 feature avx512f require"),
    *("q35 pentium2 feature avx512f disable", "q35 pentium2 feature nosuch disable"),
    *("q35 features <ioapic driver='qemu'/>", "q35 iommu intel nova ioapic qemu"),
    *("q35 features <pmu state='off'/>", "q35 kvm hidden on", "q35 timer kvmclock yes"),
    *("pc-q35-5.2 255 vcpus eim", "pc-q35-5.2 289 vcpus eim", "q35 memory memfd shared"),
)
"""What does not depend on whether KVM has System Management Mode, Hyper-V and nested guests."""


if PRIVILEGED and os.access("/dev/kvm", os.R_OK | os.W_OK):  # elsewhere there is nothing to try

    @pytest.fixture(scope="module", params=GENERATIONS)
    def host_with_kvm(request: pytest.FixtureRequest) -> Iterator[Hypervisor]:
        """A host of a generation that sees this machine's /dev/kvm."""
        if reason := unsupported():
            pytest.skip(f"no namespaces for simulated hosts: {reason}")
        with pool(request.param) as hosts:
            host = hosts.take()[0]
            device = CACHE / f"generation-{request.param}/dev/kvm"
            give = ["sh", "-c", 'touch "$0" && mount --bind /dev/kvm "$0"', str(device)]
            subprocess.run([*host.enter("--mount"), *give], check=True)
            host.restart()
            yield host

    @pytest.mark.slow
    def test_the_verdict_is_what_happens(host_with_kvm: Hypervisor) -> None:
        known, checked, wrong = capabilities_of(host_with_kvm), 0, []
        assert "kvm" in (known.domain_types or {})["x86_64"]
        for name in OF_ANY_KVM:
            verdict = worst(check(KINDS[name].facts, known))
            found = tried(host_with_kvm, KINDS[name].xml)
            checked += verdict != "not checked"
            if is_wrong(verdict, found.outcome):
                wrong.append(f"{name}: {verdict}, but {found.outcome} {found.why}")
        assert not wrong, "\n".join(wrong)
        assert checked >= len(OF_ANY_KVM) - 4
