"""Versions of a host's programs: one that is not known makes nothing fine, and nothing refused."""

from dataclasses import replace

import pytest

from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.verdicts import check
from novadev.capabilities.versions import Version, VersionNotKnown
from novadev.virt.capabilities import MachineType
from novadev.virt.domain import Domain
from tests.capabilities.kinds import domain_of, kinds, with_parts
from tests.capabilities.test_processor import MODEL, NO_AVX, whole
from tests.capabilities.test_settings import with_processors

UNKNOWN = ("", "10", "10.0.0-rc1", "11.3.0-3.el9", "garbage", "10.", "-1.0", "\u0661.\u0662")


@pytest.mark.parametrize("text", [None, *UNKNOWN])
def test_what_is_no_release_is_compared_with_nothing(text: str | None) -> None:
    found = Version.of("QEMU", text)
    for compared in (found.__lt__, found.__le__, found.__gt__, found.__ge__):
        with pytest.raises(VersionNotKnown, match="which version of QEMU it has"):
            compared((10, 0))


@pytest.mark.parametrize("text", ["10.0", "10.0.13", "010.0.1"])
def test_a_release(text: str) -> None:
    found = Version.of("QEMU", text)
    assert found >= (10, 0)
    assert (9, 2) <= found < (10, 1)
    assert found > (9, 10)


def host_with(libvirt: str, qemu: str | None) -> Capabilities:
    known = with_processors("EPYC")
    versions = replace(known.versions, libvirt=libvirt, qemu=qemu)
    boards = {"x86_64": {"q35": MachineType("pc-q35-7.2")}}
    return replace(known, versions=versions, host_model=MODEL, machine_types=boards)


GUESTS = {kind.name: kind.xml for kind in kinds() if kind.name.startswith("q35 ")}
_CORES = "<topology sockets='1' dies='1' cores='2' threads='1'/>"
GUESTS["two cores"] = with_parts(
    domain_of("q35", ""), f"<vcpu>2</vcpu>{whole(NO_AVX).replace('</cpu>', _CORES + '</cpu>')}"
)


@pytest.mark.parametrize(("is_carried", "least"), [(False, 4), (True, 5)])
def test_what_goes_by_an_unknown_version_is_not_checked(is_carried: bool, least: int) -> None:
    """Of whatever differs between an old and a new one, nothing is fine and nothing refused."""
    old, new = host_with("6.0.0", "4.2.0"), host_with("12.0.0", "11.0.0")
    unknown, differ = host_with("10.0.0-rc1", "10"), 0
    for name, xml in GUESTS.items():
        facts = facts_of_domain(Domain.from_xml(xml), is_carried)
        verdicts = (check(facts, host) for host in (old, new, unknown))
        for before, after, found in zip(*verdicts, strict=True):
            if before.outcome != after.outcome:
                differ += 1
                assert found.outcome == "not checked", (name, found)
    assert differ >= least


def test_a_host_without_qemu_in_its_file() -> None:
    guest = Domain.from_xml(GUESTS["two cores"])
    found = check(facts_of_domain(guest, is_carried=True), host_with("11.3.0", None))
    (processor,) = (one for one in found if one.subject.startswith("cpu model"))
    assert processor.outcome == "not checked"
    assert "which version of QEMU" in processor.message
