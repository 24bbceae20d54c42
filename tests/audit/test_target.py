"""The audit against a host that is not there yet, by its capability file."""

import json
import re
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from novadev.capabilities import file
from tests import domains
from tests.audit.auditing import STASHED, audit
from tests.capabilities.kinds import capabilities_of, tried
from tests.capabilities.samples import SAMPLE, saved
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.rig import mac, port_id
from tests.device.site import Site
from tests.hypervisor import Hypervisor

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "capabilities"
EL9, DEBIAN = (str(EXAMPLES / name) for name in ("el9.json", "debian-12.json"))


def against(cloud: Cloud, *words: str, code: int = 0) -> list[dict[str, str]]:
    """What is found against the capability files among WORDS; the others are options."""
    words = tuple(
        part
        for word in words
        for part in (("--capabilities", word) if word.endswith(".json") else (word,))
    )
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


GUEST = {**STASHED, "hw_machine_type": "pc-q35-7.2", "hw_cdrom_bus": "sata"}
MIGRATABLE = libvirt.VIR_DOMAIN_XML_MIGRATABLE


@pytest.mark.slow
def test_going_back_to_an_older_host(
    sqlite_cloud: Cloud, generations: dict[str, Hypervisor], tmp_path: Path
) -> None:
    """What a live migration carries from 11.3 is judged, and 9.0 really takes it or not."""
    new, old = generations["trixie"], generations["bookworm"]
    site, saved = Site.of(sqlite_cloud, new), tmp_path / "old.json"
    saved.write_text(file.dumps(capabilities_of(old)))
    parts = {"disks": [domains.disk("vda")], "machine": "pc-q35-7.2"}
    spice = "<graphics type='spice'/>"
    fine = site.add(domains.domain(**parts, devices=[spice]), start=True, host=new.name, **GUEST)
    sound = domains.domain(**parts, devices=["<sound model='virtio'/>"])
    newer = site.add(sound, start=True, host=new.name, **GUEST)
    watchdog = domains.domain(**parts, devices=["<watchdog model='i6300esb' action='poweroff'/>"])
    two_dogs = site.add(watchdog, start=True, host=new.name, **GUEST)
    guests = (fine, newer, two_dogs)
    outcomes = {uuid: tried(old, site.handle(uuid).XMLDesc(MIGRATABLE)) for uuid in guests}
    by_migration = against(site.cloud, str(saved), "--move", "live-migration", code=3)
    new.empty()
    assert "itco" not in outcomes[fine].moved
    assert {uuid: one.outcome for uuid, one in outcomes.items()} == {
        fine: "fine",
        newer: "cannot be defined",
        two_dogs: "cannot be defined",
    }
    failing = [item for item in by_migration if item["severity"] == "failure"]
    assert {item["instance"]: item["details"] for item in failing} == {
        uuid: f"on {old.name} it cannot be defined: {why}"
        for uuid, why in (
            (newer, "sound virtio: virtio sound needs libvirt 10.4"),
            (two_dogs, "watchdog itco: itco needs q35 and libvirt 9.1"),
        )
    }


@pytest.mark.slow
def test_nova_builds_nothing_at_a_live_migration(site: Site) -> None:
    """What is stored counts for a guest that does not run."""
    stored = {**STASHED, "hw_vif_model": "igb"}
    running, stopped = (
        site.add(domains.domain(disks=[domains.disk("vda")]), start=start, **stored)
        for start in (True, False)
    )
    failing = {}
    for move in ("power-on", "live-migration"):
        found = against(site.cloud, DEBIAN, "--move", move, code=3)
        failing[move] = {item["instance"] for item in found if "igb" in item["details"]}
    assert failing == {"power-on": {running, stopped}, "live-migration": {stopped}}


def test_what_is_stored_alone_is_held_against_it_too(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """A guest on no host: there is no definition. What is mended of it is called so.

    A file of another host mends nothing, and the same file says another thing once it is replaced.
    """
    stored = {**STASHED, "hw_video_model": "cirrus"}
    uuid = sqlite_cloud.add_instance(vm_state="shelved_offloaded", host=None, **stored)
    target = tmp_path / "target.json"
    target.write_text(Path(EL9).read_text())
    found = against(sqlite_cloud, str(target), code=3)
    assert {item["instance"] for item in found} == {uuid}
    assert any("machine type pc-i440fx-7.2" in item["details"] for item in found)
    last = tmp_path / "last"
    last.write_text(json.dumps(found))
    details = sorted(item["details"] for item in found)
    for name in (DEBIAN, EL9):
        other = against(sqlite_cloud, name, "--compare-with", str(last), code=3 * (name == EL9))
        left = [item["details"] for item in other if item["comparison"] == "not checked"]
        assert sorted(left) == details
    machine_types = file.loads(Path(DEBIAN).read_text(), "").machine_types
    upgraded = replace(file.loads(Path(EL9).read_text(), ""), machine_types=machine_types)
    target.write_text(file.dumps(upgraded))
    after = against(sqlite_cloud, str(target), "--compare-with", str(last))
    mended = [item["details"] for item in after if item["comparison"] == "mended"]
    assert [text.partition(": ")[2][:25] for text in mended] == ["machine type pc-i440fx-7."]


def test_two_files_are_told_apart(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(vm_state="shelved_offloaded", host=None, **STASHED)
    found = against(sqlite_cloud, EL9, DEBIAN, code=3)
    failing = {item["details"].split()[1] for item in found if item["severity"] == "failure"}
    assert len(failing) == 1


@pytest.mark.parametrize("text", ["", "{", '{"format": 99}', "[1]", "x" * 100])
def test_a_file_that_is_none(sqlite_cloud: Cloud, tmp_path: Path, text: str) -> None:
    path = tmp_path / "target.json"
    path.write_text(text)
    result = novadev(sqlite_cloud, "audit", "--all", "--capabilities", str(path))
    assert result.code == 4
    assert str(path) in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("saved_at", "age"),
    [("2020-01-01T00:00:00Z", r"\d+ days ago"), ("2990-01-01", r"\d+ days in the future")],
)
def test_the_age_of_a_file_is_said(
    sqlite_cloud: Cloud, tmp_path: Path, saved_at: str, age: str
) -> None:
    name, page = str(saved(tmp_path, "target.json", saved_at=saved_at)), tmp_path / "page.html"
    words = ("audit", "--all", "--check", "target", "--capabilities", name, "--report", str(page))
    result = novadev(sqlite_cloud, *words)
    said = [line for line in result.err.splitlines() if line.startswith("Capability file")]
    assert len(said) == 1
    assert re.fullmatch(rf"Capability file {re.escape(name)} of cmp1: saved {age}\.", said[0])
    assert re.search(rf"saved {age}", page.read_text())


@pytest.mark.parametrize("saved_at", ["", "long ago", "2026-13-01T00:00:00Z"])
def test_a_file_without_a_date_is_refused(
    sqlite_cloud: Cloud, tmp_path: Path, saved_at: str
) -> None:
    path = saved(tmp_path, "target.json", saved_at=saved_at)
    result = novadev(sqlite_cloud, "audit", "--all", "--capabilities", str(path))
    assert result.code == 4
    assert "saved_at is not a date" in result.err
    assert result.out == ""


@pytest.mark.parametrize("words", [("--check", "target"), ("--move", "live-migration")])
def test_a_target_is_needed(sqlite_cloud: Cloud, words: tuple[str, str]) -> None:
    result = novadev(sqlite_cloud, "audit", "--all", *words)
    assert result.code == 4
    assert "--capabilities FILE" in result.err


def test_what_the_flavor_of_an_offloaded_server_asks_for(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    """No definition tells of it: what no file says of a host is not checked."""
    uuid = sqlite_cloud.add_instance(vm_state="shelved_offloaded", host=None, **STASHED)
    sqlite_cloud.add_disk(uuid, disk_bus="virtio")
    place = ("instance_extra", sqlite_cloud.cell_of(uuid))
    kept = json.loads(sqlite_cloud.rows(*place, instance_uuid=uuid)[0]["flavor"])
    kept["cur"]["nova_object.data"]["extra_specs"] = {
        "hw:tpm_version": "2.0",
        "hw:tpm_model": "tpm-crb",
        "hw:mem_page_size": "1GB",
        "hw:mem_encryption": "false",
        "hw:watchdog_action": "reset",
        "pci_passthrough:alias": "gpu:1",
    }
    sqlite_cloud.update(*place, {"instance_uuid": uuid}, flavor=json.dumps(kept))
    machine = STASHED["hw_machine_type"]
    known = {machine: replace(next(iter((SAMPLE.domain_capabilities or {}).values())), tpm=())}
    name = str(saved(tmp_path, "target.json", domain_capabilities=known))
    told = " ".join(item["details"] for item in against(sqlite_cloud, name, code=3))
    assert "hw:tpm_version=2.0" in told
    assert "flavor hw:mem_page_size=1GB" in told
    assert "flavor pci_passthrough:alias=gpu:1" in told
    assert "mem_encryption" not in told
    assert "watchdog_action" not in told
