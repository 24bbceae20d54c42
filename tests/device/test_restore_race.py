"""Restore while others write, and when it or its host ends in the middle."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from uuid import uuid4

import libvirt
import pytest

from novadev.errors import Unreachable
from novadev.records import restore_on_host
from novadev.runs.encoding import decode
from novadev.runs.plan import Plan
from novadev.virt.domain import Domain
from novadev.virt.host import PERSISTENT, Host
from tests import domains
from tests.cloud import Cloud
from tests.device.bed import reach
from tests.device.restoring import addresses, guest, place, record, restore, swap
from tests.device.site import Site
from tests.device.test_alias_race import stopped
from tests.hypervisor import Hypervisor
from tests.image_property.processes import finish, start

pytestmark = pytest.mark.slow

CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
SECONDS = 4


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def turned(site: Site, number: int) -> dict[str, dict[str, str]]:
    """So many guests, recorded and then out of order; where their devices were, by guest."""
    uuids = [site.add(guest()) for _ in range(number)]
    record(site, *uuids)
    homes = {uuid: addresses(site.persistent(uuid)) for uuid in uuids}
    for uuid in uuids:
        swap(site, uuid, "disk vda", "disk vdb")
    return homes


# Another who writes


class Other:
    """Who attaches and detaches, or undefines and defines, on a connection of its own."""

    def __init__(self, host: Hypervisor, uuids: list[str], done: threading.Event) -> None:
        self._connection, self._random = host.connect(), Random(1)
        self._uuids, self._done = uuids, done
        self.counts: Counter[str] = Counter()

    def attach_and_detach(self) -> None:
        """Attach a disk, look after it a while later, and take it out again."""
        while not self._done.is_set():
            handle = self._connection.lookupByUUIDString(self._random.choice(self._uuids))
            serial = str(uuid4())
            handle.attachDeviceFlags(domains.disk("vdz", serial=serial), CONFIG)
            self.counts["attached"] += 1
            time.sleep(self._random.uniform(0.02, 0.05))
            if serial in handle.XMLDesc(PERSISTENT):
                handle.detachDeviceFlags(domains.disk("vdz", serial=serial), CONFIG)
            else:
                self.counts["lost"] += 1

    def _stays_away(self, uuid: str) -> bool:
        """Whether a domain is gone, or goes again: who defined it as it went takes that back."""
        deadline = time.monotonic() + 5
        while uuid in {found.UUIDString() for found in self._connection.listAllDomains()}:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def undefine_and_define(self) -> None:
        """What was undefined stays so until it is defined again."""
        while not self._done.is_set():
            uuid = self._random.choice(self._uuids)
            handle = self._connection.lookupByUUIDString(uuid)
            text = handle.XMLDesc(PERSISTENT)
            handle.undefine()
            time.sleep(self._random.uniform(0, 0.02))
            self.counts["resurrected"] += not self._stays_away(uuid)
            self._connection.defineXML(text)
            self.counts["undefined"] += 1


def test_others_write_meanwhile(site: Site) -> None:
    """Nothing comes back, hardly anything is lost, and in the end every guest is as recorded."""
    homes = turned(site, 24)
    uuids, done = list(homes), threading.Event()
    plugs, definer = Other(site.host, uuids[:8], done), Other(site.host, uuids[8:16], done)
    states: Counter[str] = Counter()
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor() as threads:
        tasks = (plugs.attach_and_detach, definer.undefine_and_define)
        working = [threads.submit(task) for task in tasks]
        try:
            while time.monotonic() < until:
                run = _count(site, states, "device", "restore", "--all")
                _count(site, states, "undo", str(run))
        finally:
            done.set()
    for writer in working:
        writer.result()
    assert definer.counts["resurrected"] == 0
    assert plugs.counts["attached"] > 10
    assert definer.counts["undefined"] > 10
    assert plugs.counts["lost"] <= plugs.counts["attached"] / 10, plugs.counts
    assert states["applied"] > 10
    assert states["stale"] > 0
    assert set(states) == {"applied", "stale"}
    restore(site, "--all")
    assert {uuid: _without(site.persistent(uuid), "disk vdz") for uuid in uuids} == {
        uuid: set(home.values()) for uuid, home in homes.items()
    }


def _without(domain: Domain, label: str) -> set[str]:
    """The addresses of a definition, but that of one device."""
    found = addresses(domain).items()
    return {address for name, address in found if not name.startswith(label)}


def _count(site: Site, states: Counter[str], *command: str) -> int:
    """Carry a command out, and count what became of its plans; the run's number comes back."""
    result = site.run(*command, "--yes", "-f", "json")
    going = "is already being removed"  # libvirt's word where two undefine it
    assert result.code in (0, 7, 3 if going in result.err else 0), result.err
    plans = result.json["plans"]
    states.update(item["state"] for item in plans if going not in (item["error"] or ""))
    return int(result.json["run"])


# Killed, lost


def home_count(site: Site, homes: dict[str, dict[str, str]]) -> int:
    """How many guests are as they were recorded."""
    return sum(addresses(site.persistent(uuid)) == home for uuid, home in homes.items())


def await_home(site: Site, homes: dict[str, dict[str, str]], number: int) -> None:
    """Wait until so many of them are."""
    deadline = time.monotonic() + 20
    while home_count(site, homes) < number:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("number", [1, 12])
def test_killed_between_two_guests(site: Site, number: int) -> None:
    """Resume finishes what is left, undo takes all back."""
    homes = turned(site, 30)
    before = {uuid: site.persistent(uuid).canonical for uuid in homes}
    process = start(site.cloud, "device", "restore", "--all", "--yes")
    await_home(site, dict(list(homes.items())[:number]), 1)
    with stopped(site.host, process):
        process.kill()
    assert finish(process).code == -signal.SIGKILL
    assert 0 < home_count(site, homes) < len(homes)
    for uuid, home in homes.items():
        definition = site.persistent(uuid)
        assert addresses(definition) == home or definition.canonical == before[uuid]

    resumed = site.run("resume", "--yes", "-f", "json")
    assert resumed.code == 0, resumed.err
    assert home_count(site, homes) == len(homes)
    assert site.run("undo", "1", "--yes").code == 0
    assert {uuid: site.persistent(uuid).canonical for uuid in homes} == before


def test_killed_and_undone(site: Site) -> None:
    """Instead of being finished, what was begun is taken back."""
    homes = turned(site, 30)
    before = {uuid: site.persistent(uuid).canonical for uuid in homes}
    process = start(site.cloud, "device", "restore", "--all", "--yes")
    await_home(site, homes, 3)
    with stopped(site.host, process):
        process.kill()
    finish(process)
    undone = site.run("undo", "1", "--yes")
    assert undone.code == 0, undone.err
    assert {uuid: site.persistent(uuid).canonical for uuid in homes} == before


def test_a_host_lost_in_the_middle(sqlite_cloud: Cloud, hypervisors3: list[Hypervisor]) -> None:
    """Its guests are left for resume; those of the other host are written."""
    lost, other = hypervisors3[:2]
    reach(sqlite_cloud, [lost, other])
    site, beside = Site(sqlite_cloud, lost), Site(sqlite_cloud, other)
    homes = turned(site, 30)
    uuid = beside.add(guest(), host="cmp2")
    record(beside, uuid)
    home = addresses(beside.persistent(uuid))
    swap(beside, uuid, "disk vda", "disk vdb")
    process = start(sqlite_cloud, "device", "restore", "--all", "--yes", "-f", "json")
    await_home(site, homes, 2)
    lost.kill()
    ended = finish(process)
    assert ended.code == 8, ended.err
    assert addresses(beside.persistent(uuid)) == home
    lost.restart()
    assert home_count(site, homes) < len(homes)
    resumed = site.run("resume", "--yes", "-f", "json")
    assert resumed.code == 0, resumed.err
    assert home_count(site, homes) == len(homes)


# Right beside the write


def test_another_attaches_right_after_the_write(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are there, and the plan counts as written: undo can take it back."""
    homes = turned(site, 1)
    (uuid,) = homes
    plan = _plan(site, uuid)
    with Host("cmp1", site.host.uri) as host:
        read = host.persistent
        reads: list[str] = []

        def persistent(wanted: str) -> Domain:
            reads.append(wanted)
            if len(reads) == 2:
                disk = domains.disk("vdx", serial=str(uuid4()))
                site.handle(uuid).attachDeviceFlags(disk, CONFIG)
            return read(wanted)

        monkeypatch.setattr(host, "persistent", persistent)
        assert restore_on_host.write_guest(host, plan, resumed=False).state == "applied"
    after = site.persistent(uuid)
    assert place(after, "disk vdx")
    assert _without(after, "disk vdx") == set(homes[uuid].values())


@pytest.mark.parametrize("ends", ["undefined", "unreachable"])
def test_the_host_answers_no_more_after_the_write(
    site: Site, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    homes = turned(site, 1)
    (uuid,) = homes
    plan = _plan(site, uuid)
    with Host("cmp1", site.host.uri) as host:
        monkeypatch.setattr(host, "persistent", _second(host.persistent, site, uuid, ends))
        if ends == "unreachable":
            with pytest.raises(Unreachable):
                restore_on_host.write_guest(host, plan, resumed=False)
        else:
            assert restore_on_host.write_guest(host, plan, resumed=False).state == "stale"
        monkeypatch.undo()
        if ends == "unreachable":
            assert addresses(site.persistent(uuid)) == homes[uuid]
            disk = domains.disk("vdx", serial=str(uuid4()))
            site.handle(uuid).attachDeviceFlags(disk, CONFIG)
            assert restore_on_host.write_guest(host, plan, resumed=True).state == "applied"
            assert restore_on_host.write_guest(host, plan, resumed=False).state == "stale"


def _second(
    read: Callable[[str], Domain], site: Site, uuid: str, ends: str
) -> Callable[[str], Domain]:
    """Reading that fails from the second time on: the first is before the write."""
    reads: list[str] = []

    def persistent(wanted: str) -> Domain:
        reads.append(wanted)
        if len(reads) == 2 and ends == "undefined":
            site.handle(uuid).undefine()
        if len(reads) > 1 and ends == "unreachable":
            raise Unreachable("host cmp1: gone")
        return read(wanted)

    return persistent


def _plan(site: Site, uuid: str) -> Plan:
    """The plan that restore makes."""
    file = site.cloud.folder / "plan"
    restore(site, uuid, "--plan-out", str(file))
    _head, line, _sum = file.read_text().splitlines()
    return decode(json.loads(line)["plan"])
