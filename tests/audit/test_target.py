"""The audit against a host that is not there yet, by its capability file."""

from pathlib import Path

import pytest

from tests import domains
from tests.audit.auditing import STASHED, audit
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.rig import mac, port_id
from tests.device.site import Site
from tests.hypervisor import Hypervisor

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "capabilities"
EL9, DEBIAN = (str(EXAMPLES / name) for name in ("el9.json", "debian-12.json"))


def against(cloud: Cloud, *files: str, code: int = 0) -> list[dict[str, str]]:
    """What is found against these files alone."""
    words = [word for name in files for word in ("--capabilities", name)]
    return audit(cloud, "--all", "--check", "target", *words, code=code)


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


@pytest.mark.slow
def test_a_guest_that_the_new_host_cannot_have(site: Site) -> None:
    """Enterprise Linux 9 has machine types of its own, and no qxl."""
    text = domains.domain(
        disks=[domains.disk("vda")],
        interfaces=[domains.interface(mac(0), port=port_id(0), model="e1000")],
    )
    uuid = site.add(text, **{**STASHED, "hw_vif_model": "e1000", "hw_video_model": "qxl"})
    found = against(site.cloud, EL9, code=3)
    assert {item["instance"] for item in found} == {uuid}
    told = " / ".join(item["details"] for item in found if item["severity"] == "failure")
    assert "machine type pc-i440fx-7.2" in told
    assert all(item["remedy"] is None or uuid in item["remedy"] for item in found)


@pytest.mark.slow
def test_a_guest_that_the_new_host_can_have(site: Site) -> None:
    text = domains.domain(disks=[domains.disk("vda")])
    site.add(text, **{**STASHED, "hw_cdrom_bus": None})
    failures = [item for item in against(site.cloud, DEBIAN) if item["severity"] == "failure"]
    assert failures == []


def test_what_is_stored_alone_is_held_against_it_too(sqlite_cloud: Cloud) -> None:
    """A guest on no host: there is no definition."""
    stored = {**STASHED, "hw_video_model": "cirrus"}
    uuid = sqlite_cloud.add_instance(vm_state="shelved_offloaded", host=None, **stored)
    found = against(sqlite_cloud, EL9, code=3)
    assert {item["instance"] for item in found} == {uuid}
    assert any("machine type pc-i440fx-7.2" in item["details"] for item in found)


def test_two_files_are_told_apart(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(vm_state="shelved_offloaded", host=None, **STASHED)
    found = against(sqlite_cloud, EL9, DEBIAN, code=3)
    failing = {item["details"].split()[1] for item in found if item["severity"] == "failure"}
    assert len(failing) == 1


@pytest.mark.parametrize("text", ["", "{", '{"format": 99}', "[1]", "x" * 100])
def test_a_file_that_is_none(sqlite_cloud: Cloud, tmp_path: Path, text: str) -> None:
    file = tmp_path / "target.json"
    file.write_text(text)
    result = novadev(sqlite_cloud, "audit", "--all", "--capabilities", str(file))
    assert result.code == 4
    assert str(file) in result.err
    assert result.out == ""


def test_a_target_is_needed_for_its_check(sqlite_cloud: Cloud) -> None:
    result = novadev(sqlite_cloud, "audit", "--all", "--check", "target")
    assert result.code == 4
    assert "--capabilities FILE" in result.err
