"""`device record`, `list`, `drift`, `history` on real hosts: what is kept, what counts as new."""

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import libvirt
import pytest

from novadev.records import record as records
from tests import domains
from tests.cloud import Cloud
from tests.device.bed import reach
from tests.device.rig import Terminal, mac, port_id, volume_id
from tests.device.site import Site
from tests.hypervisor import Hypervisor
from tests.state.places import journal_on_mariadb

pytestmark = pytest.mark.slow

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
BOTH = LIVE | CONFIG


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def guest(**more: Any) -> str:
    """A local disk, a volume, a port, a source of randomness."""
    return domains.domain(
        disks=[domains.disk("vda"), domains.disk("vdb", serial=volume_id(0))],
        interfaces=[domains.interface(mac(0), port=port_id(0))],
        devices=['<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'],
        **more,
    )


def ask(site: Site, verb: str, *arguments: str, code: int = 0) -> Any:
    """Run one of the commands for its records."""
    result = site.run("device", verb, "-f", "json", *arguments)
    assert result.code == code, result.out + result.err
    return result.json


def rows(site: Site) -> dict[str, dict[str, Any]]:
    """The rows of vm_device, by label."""
    with sqlite3.connect(site.cloud.folder / "state.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM vm_device").fetchall()
    return {row["label"]: dict(row) for row in found}


def written(site: Site) -> int:
    """How many states of devices were ever written."""
    with sqlite3.connect(site.cloud.folder / "state.sqlite") as connection:
        return int(connection.execute("SELECT COUNT(*) FROM vm_device_history").fetchone()[0])


def test_a_guest_that_another_process_records_meanwhile_is_looked_at_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the write a disk comes, and another record has it; and once more."""
    uuid = site.add(guest(), start=True)
    ask(site, "record", uuid)
    write_looks = records.write_looks
    pending = [(0, "vdc"), (1, "vdd")]

    def overtaken(*arguments: Any) -> Any:
        if pending:
            number, target = pending.pop()
            disk = domains.disk(target, serial=volume_id(8 + number))
            site.host.make_files(f"<x>{disk}</x>")
            site.handle(uuid).attachDeviceFlags(disk, BOTH)
            ask(site, "record", uuid)
        return write_looks(*arguments)

    site.handle(uuid).setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "new", None, None, CONFIG)
    monkeypatch.setattr(records, "write_looks", overtaken)
    ask(site, "record", "--all")
    assert {"disk vdc", "disk vdd"} <= rows(site).keys()
    assert ask(site, "drift", uuid) == []
    assert [change for change in ask(site, "history", uuid) if change["after"] is None] == []


def test_what_is_recorded(site: Site) -> None:
    uuid = site.add(guest(), start=True)
    (found,) = ask(site, "record", uuid)
    assert (found["instance"], found["host"], found["changed"]) == (uuid, "cmp1", True)
    assert found["previous_hash"] is None
    assert len(found["hash"]) == 64
    kept = rows(site)
    volume = kept["disk vdb"]
    assert volume["device_id"] == volume_id(0)
    assert (volume["type"], volume["device"]) == ("disk", "disk")
    live = site.live(uuid).device("disk vdb")
    assert live.address is not None
    assert volume["address"] == live.address.ovirt_text
    assert volume["address"].startswith("{type=pci, slot=0x")
    assert json.loads(volume["spec_params"]) == {
        "bus": "virtio",
        "target": "vdb",
        "serial": volume_id(0),
    }
    assert (volume["is_managed"], volume["is_plugged"], volume["is_readonly"]) == (1, 1, 0)
    assert (volume["vm_id"], volume["host"], volume["logical_name"]) == (uuid, "cmp1", None)
    port = next(row for label, row in kept.items() if label.startswith("interface"))
    assert port["device_id"] == port_id(0)
    assert json.loads(port["spec_params"]) == {"model": "virtio", "mac": mac(0)}
    assert {row["type"] for row in kept.values()} >= {"disk", "interface", "rng", "controller"}
    assert kept["rng virtio"]["is_managed"] == 1
    assert kept["controller pci 0"]["is_managed"] == 0
    assert len(kept) == len(site.live(uuid).devices) - 1  # audio


def test_a_first_record_is_no_change(site: Site) -> None:
    uuid = site.add(guest(), name="web-1")
    assert re.search(r"^web-1 \(.* -  +new  ", site.run("device", "list", uuid).out, re.MULTILINE)
    first = site.run("device", "record", uuid)
    assert re.search(r"^web-1 \(.* -  +new$", first.out, re.MULTILINE)
    assert first.err.startswith("1 recorded for the first time, 0 changed, 0 unchanged")
    site.handle(uuid).attachDeviceFlags('<input type="tablet" bus="usb"/>', CONFIG)
    assert site.run("device", "record", uuid).out.splitlines()[1].endswith("  yes")
    told = site.run("device", "history", uuid, "-c", "label", "-c", "before", "-c", "after").out
    assert re.search(r"^disk vda +- +recorded$", told, re.MULTILINE)
    assert re.findall(r"^(.*?) +- +appeared$", told, re.MULTILINE) == ["input tablet usb"]
    past = ask(site, "history", uuid)
    assert {item["label"] for item in past if not item["first"]} == {"input tablet usb"}
    assert {item["record"] for item in past if item["first"]} == {1}


def test_an_unchanged_guest_costs_no_write(site: Site) -> None:
    uuid = site.add(guest(), start=True)
    (first,) = ask(site, "record", uuid)
    before = site.journal_bytes()
    (second,) = ask(site, "record", uuid)
    assert second["hash"] == second["previous_hash"] == first["hash"]
    assert second["changed"] is False
    assert site.journal_bytes() == before


def test_the_hash_is_deaf_to_what_the_guest_cannot_see(site: Site) -> None:
    """A stop and a start: another id, generated aliases, ports, a tap; and another host's name."""
    uuid = site.add(guest(), start=True)
    (running,) = ask(site, "record", uuid)
    number = written(site)
    site.handle(uuid).destroy()
    (stopped,) = ask(site, "record", uuid)
    site.handle(uuid).create()
    (again,) = ask(site, "record", uuid)
    assert running["hash"] == stopped["hash"] == again["hash"]
    assert written(site) == number


def test_the_hash_is_the_same_on_another_host(
    sqlite_cloud: Cloud, hypervisors3: Sequence[Hypervisor]
) -> None:
    reach(sqlite_cloud, hypervisors3)
    first, second = (Site(sqlite_cloud, host) for host in hypervisors3[:2])
    text = guest()
    uuid = first.add(text)
    (here,) = ask(first, "record", uuid)
    definition = first.handle(uuid).XMLDesc(0)
    first.handle(uuid).undefine()
    second.host.define(definition)
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, host=second.host.name)
    (there,) = ask(second, "record", uuid)
    assert (here["host"], there["host"]) == ("cmp1", "cmp2")
    assert there["hash"] == here["hash"]
    assert there["changed"] is False


def test_a_device_that_goes_and_comes_back(site: Site) -> None:
    uuid = site.add(guest(), start=True)
    ask(site, "record", uuid)
    before = rows(site)
    rng, disk = (site.live(uuid).device(label) for label in ("rng virtio", "disk vdb"))
    site.handle(uuid).detachDeviceFlags(domains.text(disk.element), CONFIG)
    site.handle(uuid).detachDeviceFlags(domains.text(rng.element), CONFIG)
    site.handle(uuid).attachDeviceFlags('<input type="tablet" bus="usb"/>', CONFIG)
    site.handle(uuid).destroy()
    (gone,) = ask(site, "record", uuid)
    assert gone["changed"] is True
    after = rows(site)
    assert (after["disk vdb"]["is_plugged"], after["disk vdb"]["address"]) == (0, "")
    assert after["disk vdb"]["device_id"] == volume_id(0)
    assert (after["rng virtio"]["is_plugged"], after["rng virtio"]["address"]) == (0, "")
    tablet = next(label for label in after if label.startswith("input tablet"))
    assert after[tablet]["is_managed"] == 0

    attached = site.persistent(uuid).device(tablet)
    site.handle(uuid).detachDeviceFlags(domains.text(attached.element), CONFIG)
    site.handle(uuid).attachDeviceFlags(domains.text(disk.element), CONFIG)
    ask(site, "record", uuid)
    back = rows(site)
    assert tablet not in back
    same = {key: value for key, value in back["disk vdb"].items() if key != "seen"}
    assert (
        same.items()
        >= {key: before["disk vdb"][key] for key in ("device_id", "address", "is_plugged")}.items()
    )
    told = ask(site, "history", uuid)
    changes = [(item["field"], bool(item["before"]), bool(item["after"])) for item in told]
    of_disk = [
        change for change, item in zip(changes, told, strict=True) if item["label"] == "disk vdb"
    ]
    assert of_disk == [("device", False, True), ("device", True, False), ("device", False, True)]
    of_tablet = [item for item in told if item["label"] == tablet]
    assert [(item["before"], item["after"]) for item in of_tablet] == [
        (None, tablet),
        (tablet, None),
    ]


def test_an_alias_is_brought_up_to_date_and_is_no_drift(site: Site) -> None:
    uuid = site.add(guest())
    ask(site, "record", uuid)
    before, number = ask(site, "history", uuid), written(site)
    site.migrate(uuid)
    (found,) = ask(site, "record", uuid)
    assert (found["changed"], found["hash"]) == (False, found["previous_hash"])
    assert rows(site)["disk vdb"]["alias"] == f"ua-{volume_id(0)}"
    assert written(site) == number + 2  # the volume and the port
    assert ask(site, "history", uuid) == before
    exported = json.loads(site.run("device", "export", uuid).out)["instances"][0]["devices"]
    assert {item["alias"] for item in exported} > {f"ua-{volume_id(0)}", f"ua-{port_id(0)}"}
    kept = site.journal_bytes()
    ask(site, "record", uuid)
    assert site.journal_bytes() == kept


def test_drift(site: Site) -> None:
    uuid = site.add(guest())
    other = site.add(domains.domain(disks=[domains.disk("vda")]))
    ask(site, "record", uuid, other)
    assert ask(site, "drift", uuid, other) == []
    moved = guest(uuid=uuid).replace('dev="vdb" bus="virtio"', 'dev="sdb" bus="sata"')
    moved = moved.replace('<model type="virtio"/>', '<model type="e1000"/>')
    moved = moved.replace("</devices>", '<watchdog model="i6300esb"/></devices>')
    recorded = site.persistent(uuid)
    site.handle(uuid).undefine()
    site.host.define(moved)
    found = ask(site, "drift", "--all", code=3)
    told = {(item["label"].split()[0], item["field"]): item for item in found}
    assert {item["instance"] for item in found} == {uuid}
    assert (told["disk", "bus"]["recorded"], told["disk", "bus"]["found"]) == ("virtio", "sata")
    assert told["disk", "bus"]["label"] == "disk sdb"
    old = recorded.device("disk vdb").address
    assert told["disk", "address"]["recorded"] == str(old)
    assert told["interface", "model"]["found"] == "e1000"
    assert told["watchdog", "device"]["recorded"] is None
    ask(site, "record", uuid)
    assert ask(site, "drift", "--all") == []


def test_drift_of_what_was_never_recorded(site: Site) -> None:
    uuid = site.add(guest())
    result = site.run("device", "drift", uuid)
    assert result.code == 3
    assert f"({uuid}): run novadev device record {uuid}" in result.err
    assert "differs" not in result.err
    assert site.run("device", "drift", "--all").code == 0


def test_list(site: Site) -> None:
    same, other, new = (
        site.add(
            guest(uuid=None)
            .replace(volume_id(0), volume_id(n))
            .replace(port_id(0), port_id(n))
            .replace(mac(0), mac(n))
        )
        for n in range(3)
    )
    ask(site, "record", same, other)
    site.handle(other).attachDeviceFlags('<input type="tablet" bus="usb"/>', CONFIG)
    listed = {item["instance"]: item for item in ask(site, "list", "--all")}
    assert {uuid: item["changed"] for uuid, item in listed.items()} == {
        same: False,
        other: True,
        new: True,
    }
    assert listed[same]["hash"] == listed[same]["recorded_hash"]
    assert listed[other]["hash"] != listed[other]["recorded_hash"]
    assert listed[new]["recorded_hash"] is None
    assert listed[other]["devices"] == listed[same]["devices"] + 1
    ids = site.run("device", "list", "--all", "--changed", "--ids")
    assert sorted(ids.out.split()) == sorted([other, new])
    long = ask(site, "list", "--long", "--changed", "--all")
    assert {item["instance"] for item in long} == {other, new}
    assert sum(item["instance"] == other for item in long) == listed[other]["devices"]
    assert site.run("device", "list", "--all", "--ids", "--long").code == 4


def test_the_tables_fit_a_hundred_columns(site: Site) -> None:
    """And the name of the server beside its UUID."""
    uuid = site.add(guest(), start=True)
    for arguments in (("record",), ("list",), ("list", "--long"), ("drift",)):
        result = site.run("device", *arguments, uuid)
        assert result.code == 0
        room = 100 + len(f"instance-{uuid[:8]} ()")
        assert all(len(line) <= room for line in result.out.splitlines()), result.out
    long = site.run("device", "list", "--long", uuid).out
    assert long.startswith(f"instance-{uuid[:8]} ({uuid}) on cmp1\n")


def test_a_host_that_is_down(sqlite_cloud: Cloud, hypervisors3: Sequence[Hypervisor]) -> None:
    reach(sqlite_cloud, hypervisors3)
    up, down = (Site(sqlite_cloud, host) for host in hypervisors3[:2])
    here = up.add(domains.domain(disks=[domains.disk("vda")]), host="cmp1")
    there = down.add(domains.domain(disks=[domains.disk("vda")]), host="cmp2")
    ask(up, "record", "--all")
    down.host.kill()
    up.handle(here).attachDeviceFlags('<input type="tablet" bus="usb"/>', CONFIG)
    result = up.run("device", "record", "--all", "-f", "json")
    assert result.code == 8
    assert [item["instance"] for item in result.json if item["changed"]] == [here]
    assert there not in {item["instance"] for item in result.json}
    assert "host cmp2 could not be reached" in result.err


def test_an_instance_without_its_domain(site: Site) -> None:
    uuid = site.add(guest())
    ask(site, "record", uuid)
    site.handle(uuid).undefine()
    before = rows(site)
    result = site.run("device", "record", uuid)
    assert result.code == 2
    called = f"instance-{uuid[:8]} ({uuid})"
    assert f"has no domain {called}, although Nova has the instance there" in result.err
    assert rows(site) == before


def test_a_guest_that_is_being_started_is_passed_over(site: Site) -> None:
    """A domain that libvirt has paused to start: its XML is not whole yet."""
    uuid = site.add(guest())
    ask(site, "record", uuid)
    handle = site.handle(uuid)
    handle.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    (paused,) = ask(site, "record", uuid)
    assert paused["changed"] is False


@pytest.mark.parametrize("backend", ["sqlite", "mariadb"])
def test_the_state_database_of_several_controllers(
    make_cloud: Callable[[str, str], Cloud], hypervisor: Hypervisor, backend: str
) -> None:
    cloud = make_cloud(backend, "34")
    with journal_on_mariadb(cloud) if backend == "mariadb" else nullcontext():
        _goes_and_comes(Site.of(cloud, hypervisor))


def _goes_and_comes(site: Site) -> None:
    uuid = site.add(guest())
    assert ask(site, "record", uuid)[0]["changed"] is True
    assert ask(site, "record", uuid)[0]["changed"] is False
    disk = site.persistent(uuid).device("disk vdb")
    site.handle(uuid).detachDeviceFlags(domains.text(disk.element), CONFIG)
    (item,) = ask(site, "drift", uuid, code=3)
    assert (item["label"], item["recorded"], item["found"]) == ("disk vdb", "disk vdb", None)
    assert ask(site, "record", uuid)[0]["changed"] is True
    assert len(ask(site, "history", uuid)) > 10


@pytest.mark.parametrize("command", ["list", "record"])
@pytest.mark.parametrize(
    ("width", "more", "has_hash"), [(80, "", False), (80, "-c", True), (240, "", True)]
)
def test_a_guest_has_one_line_however_narrow(
    site: Site, command: str, width: int, more: str, has_hash: bool
) -> None:
    """A hash is shown where it has room, and where it is asked for."""
    ids = [site.add(guest(), name=f"web-{n}") for n in range(2)]
    chosen = ["-c", "instance", "-c", "hash"] if more else []
    typed = ("-q", "--color", "never", "device", command, "--all", *chosen)
    header, *rows = Terminal(site.cloud, *typed, columns=width).text.splitlines()
    assert len(rows) == 2
    assert [uuid in row for uuid, row in zip(ids, rows, strict=True)] == [True, True]
    assert ("hash" in header) == has_hash
