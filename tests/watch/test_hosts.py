"""Many hosts: they hang, their libvirtd is restarted, their events come, the state is away."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import pytest

from novadev.config import load
from novadev.records import watch_glances
from novadev.records.watch import Swept
from novadev.records.watch_jobs import Recorded, Recorder
from tests import domains
from tests.cloud import Cloud
from tests.device.rig import Rig, volume_id
from tests.device.site import record
from tests.hypervisor import Hypervisor
from tests.watch.watching import Watching, watching

pytestmark = pytest.mark.slow

BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
MANY = 50


def guest_on(rig: Rig, host: Hypervisor) -> str:
    """A guest that runs on HOST; its UUID comes back."""
    text = domains.domain(disks=[domains.disk("vda")])
    uuid: str = host.define(text).UUIDString()
    host.start(uuid)
    return record(rig.cloud, text, vm_state="active", host=host.name)


def plug(host: Hypervisor, uuid: str, target: str) -> None:
    disk = domains.disk(target, serial=volume_id(int(target[-1], 36) - 10))
    host.make_files(f"<x>{disk}</x>")
    host.connection.lookupByUUIDString(uuid).attachDeviceFlags(disk, BOTH)


def recorded(rig: Rig, uuid: str) -> set[str]:
    with sqlite3.connect(rig.cloud.folder / "state.sqlite") as connection:
        query = "SELECT label FROM vm_device WHERE type = 'disk' AND is_plugged AND vm_id = ?"
        return {label for (label,) in connection.execute(query, [uuid])}


def children() -> list[str]:
    """The processes of this one that speak to hosts."""
    lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in " ".join(lists).split()]
    return [line for line in lines if "child.serve" in line]


def swept(watch: Watching, host: str) -> int:
    return sum(item.host == host for item in watch.of(Swept))


def test_a_host_that_hangs_or_is_restarted_stops_no_other(
    sqlite_cloud: Cloud, hypervisors3: list[Hypervisor]
) -> None:
    rig = Rig(sqlite_cloud, hypervisors3, timeout=6)
    calm, killed, hung = hypervisors3
    guests = {host.name: guest_on(rig, host) for host in hypervisors3}
    hung.pause()
    with watching(sqlite_cloud) as watch:
        watch.wait(lambda: swept(watch, "cmp1") and swept(watch, "cmp2"))
        watch.wait(lambda: "cmp3" in watch.lost())
        killed.kill()
        watch.wait(lambda: "cmp2" in watch.lost())
        plug(calm, guests["cmp1"], "vdb")
        watch.wait(lambda: watch.changes("device").get("disk vdb"))
        assert recorded(rig, guests["cmp1"]) == {"disk vda", "disk vdb"}
        killed.restart()
        plug(killed, guests["cmp2"], "vdc")  # perhaps before the watch is there again
        watch.wait(lambda: swept(watch, "cmp2") == 2)
        watch.wait(lambda: "disk vdc" in recorded(rig, guests["cmp2"]))
        hung.resume()
        watch.wait(lambda: swept(watch, "cmp3"))
        calm.pause()  # one that was connected
        watch.wait(lambda: "cmp1" in watch.lost())
        plug(hung, guests["cmp3"], "vdd")
        watch.wait(lambda: watch.changes("device").get("disk vdd"))
    calm.resume()
    assert sorted(watch.lost()) == ["cmp1", "cmp2", "cmp3"]
    assert recorded(rig, guests["cmp3"]) == {"disk vda", "disk vdd"}


def test_a_definition_that_changes_without_an_event_is_recorded(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nova attaches a volume to a stopped server: libvirt 7.0 and 9.0 tell nobody."""
    monkeypatch.setattr(watch_glances, "GLANCE", 0.5)
    rig = Rig(sqlite_cloud, [hypervisor])
    text = domains.domain(disks=[domains.disk("vda")])
    domain = hypervisor.define(text)
    uuid = record(rig.cloud, text, host=hypervisor.name)
    disk = domains.disk("vdb", serial=volume_id(1))
    hypervisor.make_files(f"<x>{disk}</x>")
    with watching(sqlite_cloud) as watch:
        watch.wait(lambda: swept(watch, "cmp1"))
        domain.attachDeviceFlags(disk, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        watch.wait(lambda: watch.changes("device").get("disk vdb"))
        domain.detachDeviceFlags(disk, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        watch.wait(lambda: recorded(rig, uuid) == {"disk vda"})
    assert swept(watch, "cmp1") == 1
    assert watch.lost() == []


@pytest.mark.parametrize(
    ("file", "is_folder"),
    [("state.sqlite", True), ("state.sqlite", False), ("cell1.sqlite", False)],
    ids=["state unusable", "state gone", "cell gone"],
)
def test_what_changes_while_a_database_is_away_is_recorded_when_it_is_back(
    file: str, is_folder: bool, sqlite_cloud: Cloud, hypervisor: Hypervisor
) -> None:
    """It is told once; a state database that was there is not made anew."""
    rig = Rig(sqlite_cloud, [hypervisor])
    uuid = guest_on(rig, hypervisor)
    state, away = (sqlite_cloud.folder / name for name in (file, "away"))
    with watching(sqlite_cloud) as watch:
        watch.wait(lambda: swept(watch, "cmp1"))
        state.rename(away)
        if is_folder:
            state.mkdir()
        plug(hypervisor, uuid, "vdb")
        watch.wait(watch.troubles)
        plug(hypervisor, uuid, "vdc")
        if is_folder:
            state.rmdir()
        assert not state.exists()
        away.rename(state)
        watch.wait(lambda: "disk vdc" in recorded(rig, uuid))
    assert recorded(rig, uuid) == {"disk vda", "disk vdb", "disk vdc"}
    assert len(watch.troubles()) == 1
    assert watch.lost() == []


class Overtaken(Recorder):
    """One whose first job is overtaken, between its look at a guest and its write."""

    def __init__(self, cloud: Cloud, between: Callable[[Recorder], object]) -> None:
        super().__init__(load([str(cloud.config_file)]), no_database=False)
        self._between: list[Callable[[Recorder], object]] = [between]

    def _write(self, *arguments: Any) -> tuple[int | None, set[str]]:
        if self._between:
            self._between.pop()(self)
        return super()._write(*arguments)


def test_who_looked_earlier_does_not_put_back_what_another_job_wrote(
    sqlite_cloud: Cloud, hypervisor: Hypervisor
) -> None:
    rig = Rig(sqlite_cloud, [hypervisor])
    uuid = guest_on(rig, hypervisor)

    def plug_and_record(recorder: Recorder) -> None:
        plug(hypervisor, uuid, "vdb")
        (found,) = recorder.record("cmp1", [uuid])
        assert isinstance(found, Recorded)
        assert found.record

    recorder = Overtaken(sqlite_cloud, plug_and_record)
    (late,) = recorder.record("cmp1", [uuid])
    assert isinstance(late, Recorded)
    assert (late.is_outdated, late.record) == (True, None)
    assert recorded(rig, uuid) == {"disk vda", "disk vdb"}


def test_many_hosts_are_watched_by_one_process(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> None:
    """libvirt's test driver, behind a daemon: each connection has a guest of its own.

    Most of these are in rescue, so that few children have to be started.
    """
    hosts = [f"test{number:02}" for number in range(MANY)]
    folder = hypervisor.folder / "var/lib/nodes"
    folder.mkdir()
    for host in hosts:
        text = domains.domain(disks=[domains.disk("vda")]).replace('type="qemu"', 'type="test"', 1)
        (folder / f"{host}.xml").write_text(f"<node>{text}</node>")
        state = "active" if host.endswith("0") else "rescued"
        record(sqlite_cloud, text, host=host, vm_state=state)
    with sqlite_cloud.config_file.open("a") as file:
        socket = hypervisor.folder / "run/libvirt/libvirt-sock"
        uri = f"test+unix:///var/lib/nodes/{{host}}.xml?socket={socket}"
        file.write(f"\n[novadev]\nlibvirt_uri = {uri}\nhost_timeout = 30\nworkers = 8\n")
    with watching(sqlite_cloud) as watch:
        watch.wait(lambda: len(watch.of(Swept)) == MANY, 300)
        assert sorted(watch.opened()) == sorted(hosts)
        told = [item.host for item in watch.of(Swept) if item.written]
        assert sorted(told) == [host for host in hosts if host.endswith("0")]
        assert children() == []
        hypervisor.kill()
        watch.wait(lambda: len(watch.lost()) == MANY)
    hypervisor.restart()
    assert watch.troubles() == []
