"""alias-migrate while others write, and when it or its host ends in the middle."""

import os
import select
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import libvirt
import pytest

from novadev.runs import carry_out
from novadev.virt.host import PERSISTENT
from tests import domains
from tests.cloud import Cloud
from tests.device.bed import reach
from tests.device.site import Site
from tests.hypervisor import Hypervisor
from tests.image_property.processes import finish, start

pytestmark = pytest.mark.slow

CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
TARGETS = tuple(f"vd{letter}" for letter in "bcdefghijklmnopqrstu")
MANY = len(TARGETS)


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def guest(disks: int = 2) -> str:
    """So many volumes and two ports."""
    ports = [str(uuid4()) for _ in range(2)]
    return domains.domain(
        disks=[domains.disk("vda")]
        + [domains.disk(target, serial=str(uuid4())) for target in TARGETS[:disks]],
        interfaces=[
            domains.interface(f"fa:16:3e:00:00:0{number}", port=port)
            for number, port in enumerate(ports)
        ],
    )


# Another who writes


@dataclass
class Other:
    """Who attaches and detaches, or undefines and defines, on a connection of its own."""

    host: Hypervisor
    uuids: list[str]
    done: threading.Event
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._connection, self._random = self.host.connect(), Random(len(self.uuids))

    def attach_and_detach(self) -> None:
        """What was attached is there until it is detached, and never again after."""
        attached: dict[tuple[str, str], str] = {}
        while not self.done.is_set() or attached:
            uuid, sort = self._random.choice(self.uuids), self._random.choice(("disk", "interface"))
            handle = self._connection.lookupByUUIDString(uuid)
            device = attached.pop((uuid, sort), None)
            if device is not None:
                self._expect(handle, device, True)
                handle.detachDeviceFlags(device, CONFIG)
                self._expect(handle, device, False)
                self.counts["detached"] += 1
            elif not self.done.is_set():
                device = attached[uuid, sort] = _device(sort)
                handle.attachDeviceFlags(device, CONFIG)
                self._expect(handle, device, True)
                self.counts["attached"] += 1
            time.sleep(self._random.uniform(0, 0.002))

    def _expect(self, handle: Any, device: str, there: bool) -> None:
        if (_mark(device) in handle.XMLDesc(PERSISTENT)) != there:
            self.wrong.append(f"{'lost' if there else 'came back'}: {device}")

    def undefine_and_define(self) -> None:
        """What was undefined stays so until it is defined again."""
        while not self.done.is_set():
            uuid = self._random.choice(self.uuids)
            handle = self._connection.lookupByUUIDString(uuid)
            text = handle.XMLDesc(PERSISTENT)
            handle.undefine()
            time.sleep(self._random.uniform(0, 0.02))
            if uuid in {found.UUIDString() for found in self._connection.listAllDomains()}:
                self.wrong.append(f"resurrected: {uuid}")
            self._connection.defineXML(text)
            self.counts["undefined"] += 1


def _device(sort: str) -> str:
    if sort == "disk":
        return domains.disk("vdz", serial=str(uuid4()))
    mac = uuid4().bytes
    return domains.interface("52:54:00:" + ":".join(f"{byte:02x}" for byte in mac[:3]))


def _mark(device: str) -> str:
    """What tells one device from all others: a disk's serial, an interface's MAC address."""
    return device.partition("<serial>")[2][:36] or device.partition('address="')[2][:17]


def _is_too_few(states: Counter[str]) -> bool:
    """Whether a busy machine has done too little for the test to show anything."""
    return states["applied"] <= 50 or not states["stale"]


def test_others_write_meanwhile(site: Site) -> None:
    """Again and again: nothing of theirs is lost or comes back, and most of ours is written."""
    uuids = [site.add(guest()) for _ in range(24)]
    done = threading.Event()
    others = [Other(site.host, uuids[:8], done), Other(site.host, uuids[8:16], done)]
    writers = [others[0].attach_and_detach, others[1].undefine_and_define]
    states: Counter[str] = Counter()
    least, most = time.monotonic() + 4, time.monotonic() + 120
    with ThreadPoolExecutor() as threads:
        working = [threads.submit(writer) for writer in writers]
        try:
            while time.monotonic() < least or (_is_too_few(states) and time.monotonic() < most):
                run = _count(site, states, "device", "alias-migrate", "--all")
                _count(site, states, "undo", str(run))
        finally:
            done.set()
    for writer in working:
        writer.result()
    counts = others[0].counts + others[1].counts
    assert [text for other in others for text in other.wrong] == []
    assert counts["attached"] > 50
    assert counts["undefined"] > 50
    assert states["applied"] > 50
    assert states["stale"] > 0
    assert set(states) == {"applied", "stale"}
    assert len(site.host.connection.listAllDomains()) == len(uuids)
    site.migrate("--all")
    assert all(len(site.aliases(uuid)) == 4 for uuid in uuids)


def _count(site: Site, states: Counter[str], *command: str) -> int:
    """Carry a command out, and count what became of its plans; the run's number comes back."""
    result = site.run(*command, "--yes", "-f", "json")
    assert result.code in (0, 7), result.err
    states.update(item["state"] for item in result.json["plans"])
    return int(result.json["run"])


# Killed, interrupted, lost


def aliased(site: Site, uuid: str) -> int:
    """How many devices of a guest have an alias."""
    return str(site.handle(uuid).XMLDesc(PERSISTENT)).count("<alias name='ua-")


def await_aliases(site: Site, uuid: str, number: int) -> None:
    """Wait until so many devices of a guest have one."""
    deadline = time.monotonic() + 20
    while aliased(site, uuid) < number:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("number", [1, 5, 12])
def test_killed_between_two_devices(site: Site, number: int) -> None:
    """The first guest is half done: resume finishes it and the others, undo takes all back."""
    uuids = sorted(site.add(guest(MANY)) for _ in range(3))
    before = {uuid: site.persistent(uuid).canonical for uuid in uuids}
    process = start(site.cloud, "device", "alias-migrate", *uuids, "--yes")
    first = _first_touched(site, uuids, number)
    with stopped(site.host, process):
        process.kill()
    assert finish(process).code == -signal.SIGKILL
    half = aliased(site, first)
    assert number <= half < MANY + 2
    (run,) = site.run("history", "-f", "json").json
    assert run["state"] not in ("applied", "stale", "failed")

    resumed = site.run("resume", "--yes", "-f", "json")
    assert resumed.code == 0, resumed.err
    assert [item["state"] for item in resumed.json["plans"]] == ["applied"] * 3
    assert [aliased(site, uuid) for uuid in uuids] == [MANY + 2] * 3
    (run,) = site.run("history", "-f", "json").json
    assert run["state"] == "applied"
    assert site.run("undo", "1", "--yes").code == 0
    assert {uuid: site.persistent(uuid).canonical for uuid in uuids} == before


def _first_touched(site: Site, uuids: list[str], number: int) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for uuid in uuids:
            if aliased(site, uuid) >= number:
                return uuid
    raise AssertionError("nothing is written")


@contextmanager
def stopped(host: Hypervisor, process: "subprocess.Popen[str]") -> Iterator[None]:
    """Let the host answer nothing until the process that is killed inside has no child left."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    host.pause()
    try:
        handles = [os.pidfd_open(int(pid)) for pid in children.read_text().split()]
        yield
        for handle in handles:
            assert select.select([handle], [], [], 10)[0]
            os.close(handle)
    finally:
        host.resume()


def test_killed_and_undone(site: Site) -> None:
    """Instead of being finished, what was begun is taken back."""
    uuid = site.add(guest(MANY))
    before = site.persistent(uuid).canonical
    process = start(site.cloud, "device", "alias-migrate", uuid, "--yes")
    await_aliases(site, uuid, 5)
    with stopped(site.host, process):
        process.kill()
    finish(process)
    assert 5 <= aliased(site, uuid) < MANY + 2
    undone = site.run("undo", "1", "--yes")
    assert undone.code == 0, undone.err
    assert site.persistent(uuid).canonical == before
    assert site.run("resume", "--yes", "-f", "json").json["result"] == "nothing"


def test_changed_after_the_kill(site: Site) -> None:
    """Nobody's change is written over: what is half done stays so, is told, and can be undone."""
    uuid = site.add(guest(MANY))
    process = start(site.cloud, "device", "alias-migrate", uuid, "--yes")
    await_aliases(site, uuid, 5)
    with stopped(site.host, process):
        process.kill()
    finish(process)
    site.handle(uuid).attachDeviceFlags(domains.disk("vdx", serial=str(uuid4())), CONFIG)
    there = site.persistent(uuid).canonical
    resumed = site.run("resume", "--yes")
    assert resumed.code == 7
    assert "has changed since the plan was made: plan again" in resumed.err
    assert site.persistent(uuid).canonical == there
    assert {item["state"] for item in site.run("history", "1", "-f", "json").json} == {"half"}
    undone = site.run("undo", "1", "--yes")
    assert undone.code == 0, undone.err
    assert aliased(site, uuid) == 0
    assert site.persistent(uuid).device("disk vdx")
    assert {item["state"] for item in site.run("history", "1", "-f", "json").json} == {"undone"}
    site.migrate(uuid)
    assert aliased(site, uuid) == MANY + 2


def test_interrupted_between_two_batches(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_out, "BATCH", 2)
    uuids = [site.add(guest(5)) for _ in range(12)]
    host = site.host.connect()

    def interrupt() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = [host.lookupByUUIDString(uuid).XMLDesc(PERSISTENT) for uuid in uuids]
            if any("<alias name='ua-" in text for text in found):
                return os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor() as threads:
        threads.submit(interrupt)
        site.migrate(*uuids, code=130)
    done = [aliased(site, uuid) for uuid in uuids]
    assert set(done) == {0, 7}
    assert done.count(7) % 2 == 0
    resumed = site.run("resume", "--yes", "-f", "json")
    assert resumed.code == 0
    assert len(resumed.json["plans"]) == done.count(0)
    assert [aliased(site, uuid) for uuid in uuids] == [7] * len(uuids)
    (run,) = site.run("history", "-f", "json").json
    assert run["state"] == "applied"


def test_a_host_lost_in_the_middle(sqlite_cloud: Cloud, hypervisors3: list[Hypervisor]) -> None:
    """Its guests are left for resume, one of them half done; those of the other are written."""
    lost, other = hypervisors3[:2]
    reach(sqlite_cloud, [lost, other])
    site, beside = Site(sqlite_cloud, lost), Site(sqlite_cloud, other)
    uuids = [site.add(guest(MANY)) for _ in range(4)]
    others = [beside.add(guest(MANY), host="cmp2") for _ in range(4)]
    asked = ("device", "alias-migrate", *uuids, *others, "--yes", "-f", "json")
    process = start(sqlite_cloud, *asked)
    _first_touched(site, uuids, 4)
    lost.kill()
    ended = finish(process)
    assert ended.code == 8, ended.err
    assert {ended.states[uuid] for uuid in others} == {"applied"}
    assert "Unreachable" not in ended.err
    assert "host cmp1" in ended.err
    records = site.run("history", "1", "-f", "json").json
    states = {item["instance"]: item["state"] for item in records}
    assert {states[uuid] for uuid in others} == {"applied"}
    assert {states[uuid] for uuid in uuids} - {"applied"} == {"started", "planned"}
    assert site.run("resume", "--yes").code == 8
    lost.restart()
    halves = [aliased(site, uuid) for uuid in uuids]
    assert sum(halves) < 4 * (MANY + 2)
    resumed = site.run("resume", "--yes", "-f", "json")
    assert resumed.code == 0, resumed.err
    assert [aliased(site, uuid) for uuid in uuids] == [MANY + 2] * 4
    assert [aliased(beside, uuid) for uuid in others] == [MANY + 2] * 4
    assert site.run("undo", "1", "--yes").code == 0
    assert [aliased(site, uuid) for uuid in uuids] == [0] * 4
