"""Verdicts on three generations of libvirt and QEMU, and what really happens there.

`tools/verdict_matrix.py` tries every kind of guest; here are those that were once judged wrong.
"""

import pytest

from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.verdicts import check, worst
from novadev.virt.domain import Domain
from tests.capabilities.kinds import Kind, capabilities_of, is_wrong, kinds, tried
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

KINDS = (
    *("q35 plain", "q35 watchdog ib700", "q35 tpm tpm-tis 1.2", "q35 tpm tpm-crb 2.0"),
    *("q35 loader OVMF_CODE.fd", "q35 loader OVMF_CODE_4M.fd with a template"),
    *("q35 firmware efi", "q35 secure boot", "pc secure boot", "q35 cpu EPYC-Genoa"),
    *("q35 cpu Icelake-Client", "q35 cpu NoSuchModel", "q35 cpu host-passthrough"),
    *("q35 channel tcp", "q35 channel qemu-vdagent", "q35 input evdev", "q35 disk sd"),
    *("pc iommu virtio", "q35 panic pvpanic", "q35 500 vcpus", "q35 nic igb"),
)


@pytest.fixture(scope="module")
def by_name() -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds()}


def test_the_verdict_is_what_happens(any_generation: Hypervisor, by_name: dict[str, Kind]) -> None:
    host, checked, wrong = capabilities_of(any_generation), 0, []
    for name in KINDS:
        kind = by_name[name]
        verdict, found = worst(check(kind.facts, host)), tried(any_generation, kind.xml)
        checked += verdict != "not checked"
        if is_wrong(verdict, found.outcome):
            wrong.append(f"{name}: {verdict}, but {found.outcome} {found.why}")
    assert not wrong, "\n".join(wrong)
    assert checked >= len(KINDS) - 6


def test_what_a_newer_libvirt_adds_is_no_need_of_the_guest(
    generations: dict[str, Hypervisor], by_name: dict[str, Kind]
) -> None:
    """The watchdog of q35 and the sound of SPICE go with no migration, and are not judged."""
    new, old = generations["trixie"], generations["bookworm"]
    xml = by_name["q35 graphics spice"].xml.replace('"q35"', '"pc-q35-7.2"')
    assert "pc-q35-7.2" in xml
    domain = new.define(xml)
    text = domain.XMLDesc(0)
    assert "itco" in text
    assert "<audio" in text
    domain.undefine()
    for host in (new, old):
        verdicts = check(facts_of_domain(Domain.from_xml(text)), capabilities_of(host))
        assert worst(verdicts) == "fine", [one for one in verdicts if one.outcome != "fine"]
    assert tried(old, tried(new, xml).moved).outcome == "fine"
