"""The checks that look at guests on real hosts, and whether their remedies mend what they find."""

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import libvirt
import pytest

from novadev.device.inventory import ONLY_LIVE, ONLY_PERSISTENT
from tests import domains
from tests.audit.auditing import STASHED, audit, checks
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.bed import reach
from tests.device.rig import mac, port_id, volume_id
from tests.device.site import Site
from tests.hypervisor import Hypervisor
from tests.state.places import place_journal

pytestmark = pytest.mark.slow

CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
OBSERVED = {**STASHED, "hw_cdrom_bus": None, "hw_video_model": "cirrus"}
"""What is stored of a guest of tests.domains that agrees with its definition."""


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def aliased(uuid: str | None = None, *more: str, number: int = 0) -> str:
    """A guest with a disk of its own, a volume and a port that have their aliases."""
    return domains.domain(
        uuid,
        disks=[
            domains.disk("vda"),
            domains.disk("vdb", serial=volume_id(number), alias=f"ua-{volume_id(number)}"),
            *more,
        ],
        interfaces=[
            domains.interface(mac(number), port=port_id(number), alias=f"ua-{port_id(number)}")
        ],
    )


def of(site: Site, *names: str, code: int = 0) -> list[dict[str, Any]]:
    """What these checks find in the whole deployment."""
    words = [word for name in names for word in ("--check", name)]
    return audit(site.cloud, "--all", *words, code=code)


def test_nothing_is_found_of_a_healthy_guest(site: Site) -> None:
    for number, running in enumerate((True, False)):
        uuid = site.add(aliased(number=number), start=running, **OBSERVED)
        assert novadev(site.cloud, "device", "record", uuid).code == 0
    assert [item for item in audit(site.cloud) if item["check"] != "forecast"] == []


def test_the_keyboard_that_each_new_server_gets_is_no_finding(site: Site) -> None:
    uuid = site.add(aliased(), start=True, **{**OBSERVED, "hw_input_bus": "usb"})
    records = novadev(site.cloud, "device", "forecast", uuid, "-f", "json").json
    others = [item for item in records if item["label"] != "input keyboard usb"]
    assert len(records) > len(others) == 3
    (item,) = of(site, "forecast")
    assert "keyboard" not in item["details"]
    assert "more" not in item["details"]


def test_aliases(site: Site) -> None:
    text = (
        aliased()
        .replace(f"ua-{volume_id(0)}", "ua-None")
        .replace(f'<alias name="ua-{port_id(0)}"/>', "")
    )
    stray = domains.disk("vdx", source="/var/lib/nova/mnt/stray", alias="ua-stray")
    uuid = site.add(aliased(None, number=1))
    site.handle(uuid).attachDeviceFlags(stray, CONFIG)
    wrong = site.add(text)
    first, second = sorted(of(site, "alias"), key=lambda item: item["remedy"] is None)
    assert first["instance"] == wrong
    assert "disk vdb, interface" in first["details"]
    assert first["remedy"] == f"novadev device alias-migrate --yes {wrong}"
    assert second["instance"] == uuid
    assert "disk vdx has the alias ua-stray" in second["details"]
    assert novadev(site.cloud, *shlex.split(first["remedy"])[1:], "--yes").code == 0
    assert [item["instance"] for item in of(site, "alias")] == [uuid]


def test_ghosts_and_orphans_and_no_detach(site: Site) -> None:
    ghost = site.add(aliased())
    site.cloud.add_volume(ghost, volume_id(7), "/dev/vdz", disk_bus="virtio", device_type="disk")
    orphan = site.add(aliased(None, number=1))
    stray = domains.disk("vdx", source="/var/lib/nova/mnt/stray")
    site.handle(orphan).attachDeviceFlags(stray, CONFIG)
    found = {item["check"]: item for item in of(site, "ghost", "orphan", code=3)}
    assert found["ghost"]["instance"] == ghost
    assert f"volume {volume_id(7)} is attached in Nova" in found["ghost"]["details"]
    assert found["orphan"]["instance"] == orphan
    assert "Nova knows no owner of disk vdx" in found["orphan"]["details"]
    assert [item["remedy"] for item in found.values()] == [None, None]


def test_what_one_side_alone_has(site: Site) -> None:
    """A volume that only runs, one that is only defined: said alike wherever devices are shown."""
    uuid = site.add(aliased(), start=True)
    site.add(aliased(None, number=1), start=True)
    kept = site.persistent(uuid).device("disk vdb")
    site.handle(uuid).detachDeviceFlags(domains.text(kept.element), CONFIG)
    late = volume_id(7)
    site.cloud.add_volume(uuid, late, "/dev/vdc", disk_bus="virtio", device_type="disk")
    disk = domains.disk("vdc", serial=late, alias=f"ua-{late}")
    site.handle(uuid).attachDeviceFlags(disk, CONFIG)

    lacking, dropped = sorted(of(site, "one-sided", "ghost", code=3), key=lambda i: i["severity"])
    assert [item["instance"] for item in (lacking, dropped)] == [uuid, uuid]
    assert (lacking["severity"], dropped["severity"]) == ("failure", "warning")
    assert f"disk vdc (volume {late}): only the persistent definition has it" in lacking["details"]
    assert f"disk vdb (volume {volume_id(0)}): only the running guest" in dropped["details"]
    for item in (lacking, dropped):
        assert f"openstack server reboot --hard {uuid}" in item["details"]

    shown = novadev(site.cloud, "device", "show", uuid, "-f", "json").json
    told = {item["label"]: item["disagreements"] for item in shown if item["disagreements"]}
    assert told == {"disk vdb": [ONLY_LIVE], "disk vdc": [ONLY_PERSISTENT]}
    table = novadev(site.cloud, "device", "show", uuid).out
    alias = {line.split()[1]: line.split()[-1] for line in table.splitlines() if "disk " in line}
    assert (alias["vdb"], alias["vdc"]) == ("live", "next")
    for label, (text,) in told.items():
        assert table.count(f"! {label}: {text}") == 1
        assert text in novadev(site.cloud, "device", "show", uuid, label).out
    site.handle(uuid).destroy()
    assert of(site, "one-sided") == []


def test_duplicate_macs(site: Site) -> None:
    interfaces = [domains.interface(mac(0), port=port_id(number)) for number in range(2)]
    uuid = site.add(domains.domain(disks=[domains.disk("vda")], interfaces=interfaces))
    (item,) = of(site, "duplicate-mac", code=3)
    assert item["instance"] == uuid
    assert f"2 network cards have the MAC address {mac(0)}" in item["details"]


def test_no_port_is_free(site: Site) -> None:
    """A disk more and a disk less: libvirt adds ports that are lacking, and none to spare."""
    found = {}
    for number in range(8, 13):
        disks = [domains.disk(f"vd{name}") for name in "abcdefghijkl"[:number]]
        uuid = site.add(domains.domain(machine="q35", disks=disks), name=f"web-{number}")
        found[number] = _free_ports(site, uuid)
    named = {item["name"] for item in of(site, "pcie-ports")}
    assert named == {f"web-{number}" for number, free in found.items() if not free}
    assert 0 < len(named) < len(found)


def _free_ports(site: Site, uuid: str) -> int:
    definition = site.persistent(uuid).text
    ports = set(re.findall(r'index="(\d+)" model="pcie-root-port"', definition))
    taken = {str(int(bus, 16)) for bus in re.findall(r'bus="0x([0-9a-f]+)" slot', definition)}
    return len(ports - taken)


def test_what_is_stored_is_not_what_the_guest_has(site: Site) -> None:
    stored = {**OBSERVED, "hw_video_model": "virtio", "hw_vif_model": None}
    uuid = site.add(aliased(), **stored)
    found = {item["check"]: item for item in of(site, "definition", "stash-null")}
    assert (
        "hw_video_model is stored as virtio, and the guest has cirrus"
        in (found["definition"]["details"])
    )
    assert (
        "hw_vif_model is stored as null, and the guest has virtio"
        in (found["stash-null"]["details"])
    )
    assert found["definition"]["remedy"] is None
    details = found["definition"]["details"]
    assert "to give the guest what is stored, run openstack server start; " in details
    keep = details.partition("; to keep what the guest has, run ")[2]
    for remedy in (keep, found["stash-null"]["remedy"]):
        result = novadev(site.cloud, *shlex.split(remedy)[1:])
        assert result.code == 0, result.out + result.err
    assert site.cloud.system_metadata(uuid)["image_hw_video_model"] == "cirrus"
    assert of(site, "definition", "stash-null") == []


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ("active", "openstack server reboot --hard"),
        ("stopped", "openstack server start"),
        ("resized", "openstack server resize confirm or resize revert; then openstack server"),
    ],
)
def test_what_a_run_has_stored_comes_with_the_next_power_on(
    site: Site, state: str, way: str
) -> None:
    """A start in flight and an unshelve make a guest that has less than what was just stored."""
    uuid = site.add(aliased(), **OBSERVED)
    line = ("image-property", "set", "--yes", "--property", "hw_vif_model=rtl8139", uuid)
    run = novadev(site.cloud, *line, "-f", "json").json["run"]
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state=state)
    (item,) = of(site, "definition")
    assert (item["remedy"], item["needs"]) == (None, "decision")
    start = "hw_vif_model is stored as rtl8139, and the guest has virtio: "
    assert item["details"].startswith(f"{start}run {run} stored it for the next power-on ({way}")
    assert "image-property set" not in item["details"]


UNSTASHED = {name: value for name, value in OBSERVED.items() if name != "hw_vif_model"}
"""… and what is stored of it before somebody sets its model of network cards."""


def _took_out(site: Site, uuid: str) -> str:
    """Take the model of network cards that the guest has out of what is stored; say the run."""
    unset = ("image-property", "unset", "--yes", "--property", "hw_vif_model", uuid)
    return str(novadev(site.cloud, *unset, "-f", "json").json["run"])


def _took_back(site: Site, uuid: str) -> str:
    """Store the model of network cards that the guest has, and undo it; say the run."""
    line = ("image-property", "set", "--yes", "--property", "hw_vif_model=virtio", uuid)
    run = novadev(site.cloud, *line, "-f", "json").json["run"]
    return str(novadev(site.cloud, "undo", str(run), "--yes", "-f", "json").json["run"])


@pytest.mark.parametrize(
    ("take_out", "stored", "check"),
    [
        (_took_out, OBSERVED, "not-stashed"),
        (_took_back, UNSTASHED, "not-stashed"),
        (_took_back, {**UNSTASHED, "hw_vif_model": None}, "stash-null"),
    ],
    ids=["unset", "undo to absent", "undo to null"],
)
def test_no_remedy_puts_back_what_a_run_took_out_while_the_guest_has_it(
    site: Site, take_out: Callable[[Site, str], str], stored: dict[str, str | None], check: str
) -> None:
    """A start in flight makes a guest by the stored values that an operator has just taken out."""
    uuid = site.add(aliased(), **stored)
    run = take_out(site, uuid)
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    (item,) = of(site, "not-stashed", "stash-null")
    assert (item["check"], item["remedy"], item["needs"]) == (check, None, "decision")
    is_stored = "stored as null" if check == "stash-null" else "not stored"
    assert item["details"] == (
        f"hw_vif_model is {is_stored}: run {run} took virtio out, "
        "and the guest has it; novadev does not know which value a power-on (openstack server "
        "reboot --hard) gives the guest; to store virtio again, run novadev stash-defaults "
        f"--property hw_vif_model {uuid}"
    )


@pytest.mark.parametrize("more", [(), ("definition",)], ids=["databases", "hosts"])
def test_no_remedy_stores_a_scsi_model_that_a_run_took_out(
    site: Site, more: tuple[str, ...]
) -> None:
    disks, controllers = [domains.disk("sda", "scsi")], [domains.scsi_controller("virtio-scsi")]
    stored = {**OBSERVED, "hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"}
    uuid = site.add(domains.domain(disks=disks, devices=controllers), **stored)
    line = ("image-property", "unset", "--force", "--yes", "--property", "hw_scsi_model", uuid)
    run = novadev(site.cloud, *line, "-f", "json").json["run"]
    (item,) = of(site, "combination", *more, code=3)
    assert item["remedy"] is None
    assert item["details"].endswith(
        f"; run {run} took virtio-scsi out; to store it again, run novadev stash-defaults "
        f"--property hw_scsi_model {uuid}"
    )


def _on_scsi(site: Site, model: str, running: bool = False) -> str:
    """Add a guest whose disk is on a controller of this MODEL: that and more is not stored."""
    disks, controllers = [domains.disk("sda", "scsi")], [domains.scsi_controller(model)]
    text = domains.domain(disks=disks, devices=controllers)
    left = {name: value for name, value in OBSERVED.items() if name != "hw_machine_type"}
    return site.add(text, start=running, **{**left, "hw_disk_bus": "scsi"})


@pytest.mark.parametrize("running", [True, False], ids=["active", "stopped"])
def test_a_person_decides_of_a_scsi_model_that_nobody_chose(site: Site, running: bool) -> None:
    uuid = _on_scsi(site, "lsilogic", running)
    items = of(site, "combination", "not-stashed", "definition", code=3)
    found = {item["check"]: item for item in items}
    keep = f"novadev stash-defaults --yes --property hw_scsi_model {uuid}"
    better = f"novadev image-property set --yes --property hw_scsi_model=virtio-scsi {uuid}"
    first = "openstack server stop; then " * running
    assert found["combination"]["remedy"] is None
    assert found["combination"]["details"].endswith(
        f"; to give the guest virtio-scsi, run {first}{better}; to keep what the guest has, run "
        f"{keep}"
    )
    stash = found["not-stashed"]["remedy"]
    assert "hw_scsi_model" not in stash
    assert novadev(site.cloud, *shlex.split(stash)[1:]).code == 0
    assert checks(of(site, "combination", "not-stashed", code=3)) == ["combination"]


def test_a_scsi_model_that_the_guest_can_use_is_recorded(site: Site) -> None:
    uuid = _on_scsi(site, "virtio-scsi")
    items = of(site, "combination", "not-stashed", "definition", code=3)
    assert {item["check"]: item["remedy"] for item in items} == {
        "combination": f"novadev stash-defaults --yes --property hw_scsi_model {uuid}",
        "not-stashed": f"novadev stash-defaults --yes --versioned {uuid}",
    }


@pytest.mark.parametrize("model", ["lsilogic", "virtio-scsi"])
def test_no_scsi_model_is_recorded_unseen(site: Site, model: str) -> None:
    _on_scsi(site, model)
    (item,) = of(site, "combination", code=3)
    assert item["remedy"] is None
    assert "hw_scsi_model=virtio-scsi" in item["details"]


def test_what_a_run_took_out_and_the_guest_has_no_more_is_a_default_as_any(site: Site) -> None:
    uuid = site.add(aliased(), **{**OBSERVED, "hw_vif_model": "e1000"})
    _took_out(site, uuid)
    (item,) = of(site, "not-stashed", "definition")
    assert item["remedy"] == f"novadev stash-defaults --yes --versioned {uuid}"


def test_what_a_run_has_stored_and_somebody_has_changed_since(site: Site) -> None:
    uuid = site.add(aliased(), **OBSERVED)
    line = ("image-property", "set", "--yes", "--property", "hw_vif_model=rtl8139", uuid)
    assert novadev(site.cloud, *line).code == 0
    where = {"instance_uuid": uuid, "key": "image_hw_vif_model"}
    site.cloud.update("instance_system_metadata", "cell1", where, value="e1000")
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    (item,) = of(site, "definition")
    assert item["remedy"] is None
    command = f"novadev image-property set --yes --property hw_vif_model=virtio {uuid}"
    assert item["details"].endswith(
        "to give the guest what is stored, run openstack server reboot --hard; to keep what the "
        f"guest has, run openstack server stop; then {command}"
    )


def test_an_undo_has_stored_what_was_there_before(site: Site) -> None:
    uuid = site.add(aliased(), **{**OBSERVED, "hw_vif_model": "e1000"})
    line = ("image-property", "set", "--yes", "--property", "hw_vif_model=rtl8139", uuid)
    run = novadev(site.cloud, *line, "-f", "json").json["run"]
    undo = novadev(site.cloud, "undo", str(run), "--yes", "-f", "json").json["run"]
    (item,) = of(site, "definition")
    assert f"is stored as e1000, and the guest has virtio: run {undo} stored it" in item["details"]


def test_a_machine_type_of_another_family_is_not_made_that_of_the_guest(site: Site) -> None:
    uuid = site.add(aliased(), **{**OBSERVED, "hw_machine_type": "q35"})
    found = of(site, "definition", "machine-type")
    assert checks(found) == ["definition", "machine-type"]
    assert [item["remedy"] for item in found] == [None, None]
    details = {item["check"]: item["details"] for item in found}
    assert "choose a machine type with a version" in details["machine-type"]
    assert (
        "; to keep what the guest has, run novadev machine-type set --yes pc-"
        in (details["definition"])
    )
    assert uuid in details["definition"]


def test_drift(site: Site) -> None:
    uuid = site.add(aliased(), **OBSERVED)
    assert of(site, "drift") == []
    assert novadev(site.cloud, "device", "record", uuid).code == 0
    assert of(site, "drift") == []
    site.handle(uuid).attachDeviceFlags('<input type="tablet" bus="usb"/>', CONFIG)
    (item,) = of(site, "drift")
    assert item["instance"] == uuid
    assert "since the last record, input tablet usb is new" in item["details"]
    assert novadev(site.cloud, *shlex.split(item["remedy"])[1:]).code == 0
    assert of(site, "drift") == []


def test_what_the_next_power_on_moves(site: Site) -> None:
    """A card that was plugged in has the last place; Nova puts it before the disks."""
    uuid = site.add(aliased(), **OBSERVED)
    assert of(site, "forecast") == []
    site.cloud.add_port(uuid, port_id(5), mac(5))
    site.handle(uuid).attachDeviceFlags(domains.interface(mac(5), port=port_id(5)), CONFIG)
    (item,) = of(site, "forecast")
    assert (item["instance"], item["severity"], item["remedy"]) == (uuid, "warning", None)
    assert item["details"].startswith("at the next power-on: ")
    moved = "the address of disk vda changes from 0000:00:04.0 to 0000:00:05.0"
    assert moved in item["details"]
    assert "novadev device forecast" in item["details"]


def test_domains_that_nova_does_not_know_and_the_other_way_round(site: Site) -> None:
    known = site.add(aliased())
    site.host.define(domains.domain(name="stranger"))
    lost = site.cloud.add_instance(name="lost", vm_state="active")
    site.cloud.add_instance(name="failed", vm_state="error")
    found = of(site, "unknown-domain", "missing-domain", code=3)
    assert checks(found) == ["missing-domain", "unknown-domain"]
    missing = next(item for item in found if item["check"] == "missing-domain")
    assert (missing["instance"], missing["severity"]) == (lost, "failure")
    unknown = next(item for item in found if item["check"] == "unknown-domain")
    assert (unknown["instance"], unknown["host"]) == (None, "cmp1")
    assert "domain stranger" in unknown["details"]
    assert of(site, "unknown-domain") == [unknown]
    named = audit(site.cloud, known, "--check", "unknown-domain")
    assert named == []


def test_a_domain_on_its_way_is_no_stranger(
    sqlite_cloud: Cloud, hypervisors3: Sequence[Hypervisor]
) -> None:
    """During a migration two hosts have it; without one, the host that Nova does not name."""
    reach(sqlite_cloud, hypervisors3)
    here, there = (Site(sqlite_cloud, host) for host in hypervisors3[:2])
    text = aliased()
    uuid = here.add(text, host="cmp1")
    there.host.define(text)
    other = domains.domain(disks=[domains.disk("vda")])
    there.add(other, host="cmp2")
    (item,) = of(here, "unknown-domain")
    assert item["host"] == "cmp2"
    assert "Nova has it on cmp1" in item["details"]
    sqlite_cloud.add_migration(uuid)
    assert of(here, "unknown-domain") == []


def test_a_cell_that_is_down_and_its_hosts(site: Site) -> None:
    """Its own domains are not called strangers, and the report of the others is whole."""
    uuid = site.add(aliased(None, number=1).replace(f"ua-{volume_id(1)}", "ua-None"))
    site.host.define(domains.domain(name="of-the-other-cell"))
    (site.cloud.folder / "cell2.sqlite").unlink()
    found = of(site, "alias", "unknown-domain", code=8)
    assert checks(found) == ["alias", "unreachable"]
    assert {item["instance"] for item in found} == {uuid, None}


def test_recorded_devices_that_cannot_be_read(site: Site) -> None:
    uuid = site.add(aliased(None, number=1).replace(f"ua-{volume_id(1)}", "ua-None"))
    place_journal(site.cloud, "sqlite:////proc/none/state.sqlite")
    reach(site.cloud, [site.host])
    found = of(site, "alias", "drift", code=8)
    assert checks(found) == ["alias", "unreachable"]
    assert "state database" in next(item["details"] for item in found if not item["instance"])
    assert uuid in {item["instance"] for item in found}


def test_a_guest_without_a_forecast_is_not_fine(site: Site) -> None:
    uuid = site.add(aliased(), **{**OBSERVED, "hw_disk_bus": "xen"})
    site.cloud.update("block_device_mapping", "cell1", {"instance_uuid": uuid}, disk_bus="xen")
    (item,) = of(site, "forecast")
    assert item["instance"] == uuid
    assert item["details"].startswith("no forecast is possible: ")


def test_a_host_that_is_down(sqlite_cloud: Cloud, hypervisors3: Sequence[Hypervisor]) -> None:
    """One finding, not one for each guest; the others are looked at."""
    reach(sqlite_cloud, hypervisors3)
    up, down = (Site(sqlite_cloud, host) for host in hypervisors3[:2])
    here = up.add(domains.domain(disks=[domains.disk("vda", serial=volume_id(0))]), host="cmp1")
    for number in (1, 2, 3):
        text = domains.domain(disks=[domains.disk("vda", serial=volume_id(number))])
        down.add(text, host="cmp2")
    down.host.kill()
    found = of(up, "alias", code=8)
    assert checks(found) == ["alias", "unreachable"]
    lost = next(item for item in found if item["check"] == "unreachable")
    assert (lost["host"], lost["instance"], lost["severity"]) == ("cmp2", None, "failure")
    assert "host cmp2 could not be reached" in lost["details"]
    assert next(item for item in found if item["check"] == "alias")["instance"] == here


def test_it_reads_only(site: Site) -> None:
    uuid = site.add(aliased(), start=True, hw_disk_bus="scsi", hw_rng_model="virtio")
    novadev(site.cloud, "device", "record", uuid)
    before = (site.persistent(uuid).text, site.live(uuid).text, site.journal_bytes())
    rows = site.cloud.rows("instance_system_metadata", "cell1", instance_uuid=uuid)
    novadev(site.cloud, "audit", "--all")
    assert (site.persistent(uuid).text, site.live(uuid).text, site.journal_bytes()) == before
    assert site.cloud.rows("instance_system_metadata", "cell1", instance_uuid=uuid) == rows


def test_a_rescued_guest_says_itself_why_it_is_not_checked(site: Site) -> None:
    """So no other command is named that would find the cause."""
    site.add(aliased(), vm_state="rescued", **OBSERVED)
    result = novadev(site.cloud, "audit", "--all", "--check", "definition", "-f", "json")
    (item,) = [item for item in result.json if item["check"] == "unreachable"]
    assert "it is rescued" in item["details"]
    assert "doctor" not in result.err
