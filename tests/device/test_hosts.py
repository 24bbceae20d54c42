"""Many hosts, some of which hang, are down or cannot be reached at all."""

import time
from pathlib import Path

import pytest

from novadev.virt.host import PERSISTENT
from tests import domains
from tests.cloud import Cloud
from tests.command import Result
from tests.device.bed import compute_host
from tests.device.rig import Desk, Rig
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

TIMEOUT = 3
GUESTS = 3


@pytest.fixture
def rig(sqlite_cloud: Cloud, hypervisors3: list[Hypervisor]) -> Rig:
    return Rig(sqlite_cloud, hypervisors3, TIMEOUT)


@pytest.fixture
def guests(rig: Rig) -> dict[str, list[str]]:
    """Some servers with a volume on each host, by its name."""
    return {host.name: [_guest(rig.cloud, host) for _ in range(GUESTS)] for host in rig.hosts}


def _guest(cloud: Cloud, host: Hypervisor) -> str:
    uuid = cloud.add_instance(name="web", host=host.name)
    volume = cloud.add_volume(uuid, device_name="/dev/vda", boot_index=0)
    host.define(domains.domain(uuid, disks=[domains.disk("vda", serial=volume)]))
    return uuid


def migrated(host: Hypervisor) -> int:
    """How many guests have an alias of Nova's."""
    found = host.connection.listAllDomains()
    return sum("ua-" in domain.XMLDesc(PERSISTENT) for domain in found)


def skipped(result: Result) -> set[str]:
    return {skip["instance"] for skip in result.json["skipped"]}


def instances(result: Result) -> set[str]:
    return {plan["instance"] for plan in result.json["plans"]}


MIGRATE = ("device", "alias-migrate", "--all", "--yes", "-f", "json")


@pytest.mark.parametrize(("harm", "workers"), [("pause", "1"), ("pause", "3"), ("kill", "3")])
def test_a_host_that_hangs_or_is_down_costs_its_own_time(
    rig: Rig, guests: dict[str, list[str]], harm: str, workers: str
) -> None:
    hung, *others = rig.hosts
    getattr(hung, harm)()
    started = time.monotonic()
    result = rig.novadev(*MIGRATE, "--workers", workers)
    assert time.monotonic() - started < 2.5 * TIMEOUT
    assert (result.code, result.json["result"]) == (8, "applied")
    assert skipped(result) == set(guests[hung.name])
    reasons = {skip["reason"] for skip in result.json["skipped"]}
    assert all("host cmp1 could not be reached" in reason for reason in reasons), reasons
    assert instances(result) == {uuid for host in others for uuid in guests[host.name]}
    assert [migrated(host) for host in others] == [GUESTS, GUESTS]
    hung.resume() if harm == "pause" else hung.restart()
    assert migrated(hung) == 0
    again = rig.novadev(*MIGRATE)
    assert (again.code, instances(again)) == (0, set(guests[hung.name])), again.err
    assert migrated(hung) == GUESTS


def test_hosts_that_are_down_between_the_plan_and_the_writing(
    rig: Rig, guests: dict[str, list[str]]
) -> None:
    hung, dead, good = rig.hosts
    file = str(rig.cloud.folder / "plan")
    assert rig.novadev(*MIGRATE[:-2], "--plan-out", file).code == 0
    hung.pause()
    dead.kill()
    result = rig.novadev("apply", file, "--yes", "-f", "json")
    assert result.code == 8, result.err
    assert result.json["result"] == "partial"
    states = {plan["instance"]: plan["state"] for plan in result.json["plans"]}
    assert {uuid for uuid, state in states.items() if state == "applied"} == set(guests[good.name])
    lost = [state for uuid, state in states.items() if uuid not in guests[good.name]]
    assert {*lost} <= {"failed", "half"}
    assert lost.count("half") <= 2, "only what a host was asked when it was lost may be written"
    assert f"novadev resume {result.json['run']}" in result.err
    hung.resume()
    dead.restart()
    left = rig.novadev("resume", str(result.json["run"]), "--yes", "-f", "json")
    assert (left.code, left.json["result"]) == (0, "applied"), left.err
    assert [migrated(host) for host in rig.hosts] == [GUESTS] * 3
    assert rig.novadev("undo", str(result.json["run"]), "--yes").code == 0
    assert [migrated(host) for host in rig.hosts] == [0] * 3


def test_an_undo_by_parts_is_done_where_the_servers_are_now(
    rig: Rig, guests: dict[str, list[str]]
) -> None:
    """Their definitions come along with a live migration, and what was written with them."""
    old, new, _ = rig.hosts
    run = rig.novadev(*MIGRATE).json["run"]
    moved, _, gone = guests[old.name]
    handle = old.connection.lookupByUUIDString(moved)
    new.define(handle.XMLDesc(PERSISTENT))
    handle.undefine()
    rig.cloud.update("instances", "cell1", {"uuid": moved}, host=new.name, node=new.name)
    rig.cloud.update("instances", "cell1", {"uuid": gone}, host=None, node=None)
    seen = rig.novadev("undo", str(run), "--dry-run", "--details")
    assert f"{moved[:8]}" in seen.out
    undone = rig.novadev("undo", str(run), "--yes", "-f", "json")
    plans = {plan["instance"]: plan for plan in undone.json["plans"]}
    assert (plans[moved]["host"], plans[moved]["state"]) == (new.name, "applied")
    assert (plans[gone]["host"], plans[gone]["state"]) == (old.name, "stale")
    assert "it is on no host now" in plans[gone]["error"]
    assert [migrated(host) for host in rig.hosts] == [1, 0, 0]
    assert undone.code == 7


def test_hosts_that_cannot_be_found(rig: Rig, guests: dict[str, list[str]]) -> None:
    cloud = rig.cloud
    nowhere = cloud.add_instance(name="nowhere", host="cmp9")
    evil = cloud.add_instance(name="evil", host="x/system?command=/bin/sh&")
    result = rig.novadev(*MIGRATE)
    assert result.code == 8
    assert skipped(result) == {nowhere, evil}
    reasons = {skip["instance"]: skip["reason"] for skip in result.json["skipped"]}
    assert reasons[nowhere].startswith("host cmp9 could not be reached: ")
    assert "cannot be put into a URI" in reasons[evil]
    assert [migrated(host) for host in rig.hosts] == [GUESTS] * 3
    for uuid, code, text in ((nowhere, 8, "host cmp9 could"), (evil, 4, "cannot be put")):
        shown = rig.novadev("device", "show", uuid)
        assert (shown.code, text in shown.err) == (code, True)
        assert rig.novadev("device", "detach", uuid, "vda", "--yes").code == code
        named = rig.novadev("device", "alias-migrate", uuid, "--dry-run")
        assert (named.code, named.err.count(text)) == (code, 1)


def test_a_uri_that_leads_to_one_host(rig: Rig, guests: dict[str, list[str]]) -> None:
    _set(rig.cloud, rig.hosts[0], "libvirt_uri", "host_timeout")
    here, other = guests["cmp1"][0], guests["cmp2"][0]
    assert rig.novadev("device", "show", here).code == 0
    elsewhere = rig.novadev("device", "show", other)
    assert elsewhere.code == 8
    for text in (
        "novadev runs on cmp1 and has no URI for host cmp2",
        "[novadev] libvirt_uri",
        "{host}",
    ):
        assert text in elsewhere.err
    result = rig.novadev(*MIGRATE)
    assert (result.code, instances(result)) == (8, set(guests["cmp1"]))
    assert skipped(result) == {*guests["cmp2"], *guests["cmp3"]}
    limited = rig.novadev(*MIGRATE, "--host", "cmp1")
    assert (limited.code, limited.json["result"]) == (0, "nothing")


def _set(cloud: Cloud, host: Hypervisor, *gone: str) -> None:
    """Let the nova.conf lead to one host alone, as that of a small deployment does."""
    text = cloud.config_file.read_text()
    kept = [line for line in text.splitlines() if not line.startswith(gone)]
    ours = f"[DEFAULT]\nhost = {host.name}\n[libvirt]\nconnection_uri = {host.uri}\n"
    cloud.config_file.write_text("\n".join(kept) + "\n" + ours)


def test_from_a_compute_host_alone(rig: Rig, guests: dict[str, list[str]], tmp_path: Path) -> None:
    first = rig.hosts[0]
    alone = Desk(compute_host(tmp_path, first))
    foreign = first.define(domains.domain(metadata=False)).UUIDString()
    result = alone.novadev(*MIGRATE)
    assert (result.code, instances(result)) == (0, set(guests["cmp1"])), result.err
    assert foreign in skipped(result)
    assert [migrated(host) for host in rig.hosts] == [GUESTS, 0, 0]
    run = str(result.json["run"])
    assert alone.novadev("undo", run, "--yes").code == 0
    assert migrated(first) == 0
    for option in (["--cell", "c"], ["--project", "p"], ["--without", "x", "--all"]):
        refused = alone.novadev("device", "alias-migrate", *option, "--dry-run")
        assert refused.code == 4
        assert f"{option[0]} needs Nova's databases" in refused.err, refused.err
    other = alone.novadev("device", "alias-migrate", "--host", "cmp2", "--dry-run")
    assert (other.code, "has no URI for host cmp2" in other.err) == (8, True)
    first.pause()
    hung = alone.novadev(*MIGRATE)
    assert (hung.code, hung.json["result"]) == (8, "nothing")
