"""``audit --rehearse`` on a real host: what it finds, and that nothing of it is left there."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from novadev.audit.finding import Finding
from novadev.audit.rehearsal import CHECK, Rehearsals
from novadev.config import load
from novadev.deployment import Deployment
from novadev.errors import NotAsNeeded
from novadev.rehearsal.definition import LOCK, Backends, definition
from novadev.rehearsal.on_host import hold
from novadev.rehearsal.rehearsing import Budget, Rehearsal
from novadev.rehearsal.shape import shape_of
from novadev.virt.domain import Domain
from novadev.virt.trial import NAMESPACE, PREFIX, Nature
from tests import domains
from tests.audit.auditing import STASHED
from tests.cloud import Cloud
from tests.command import Result, heed_signals
from tests.device.bed import reach
from tests.device.rig import mac
from tests.device.site import Site
from tests.hypervisor import PRIVILEGED, Hypervisor

pytestmark = pytest.mark.slow

TARGET = "cmp2"
ALONE = ("audit", "--all", "--check", "rehearsal", "--rehearse", TARGET)
KEPT = ("etc/libvirt", "run/libvirt", "var/lib/libvirt", "var/lib/nova")
"""What of a host a guest leaves its traces in, but for libvirt's logs and its knowledge of QEMU."""


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisors3: list[Hypervisor]) -> Site:
    """A cloud whose guests are on cmp1, and which reaches cmp2."""
    reach(sqlite_cloud, hypervisors3, 10)
    return Site(sqlite_cloud, hypervisors3[0])


@pytest.fixture
def target(hypervisors3: list[Hypervisor]) -> Hypervisor:
    return hypervisors3[1]


def add(site: Site, number: int = 0, model: str = "virtio", **more: Any) -> str:
    """A guest of one shape for each MODEL of its network card, with the NUMBER in its MAC."""
    card = domains.interface(mac(number), kind="user", model=model)
    text = domains.domain(disks=[domains.disk("vda")], interfaces=[card], **more)
    return site.add(text, **STASHED)


def rehearse(site: Site, *arguments: str, code: int = 0) -> Result:
    result = site.run(*ALONE, "-f", "json", *arguments)
    assert result.code == code, result.out + result.err
    return result


def files(host: Hypervisor) -> set[str]:
    """Every file and folder in which a guest could have left something."""
    found = (path for name in KEPT for path in (host.folder / name).rglob("*"))
    return {str(path.relative_to(host.folder)) for path in found}


def names(host: Hypervisor) -> list[str]:
    return sorted(domain.name() for domain in host.connection.listAllDomains())


@contextmanager
def begun(
    site: Site, target: Hypervisor, deaf_to: signal.Signals | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A rehearsal in a process of its own, whose first guest is on TARGET."""

    def heed() -> None:
        heed_signals()
        if deaf_to is not None:
            signal.signal(deaf_to, signal.SIG_IGN)

    command = [sys.executable, "-m", "novadev", "--config-file", str(site.cloud.config_file)]
    process = subprocess.Popen(
        [*command, *ALONE, "-f", "json", "--parallel", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed,
    )
    try:
        ends = time.monotonic() + 60
        while not names(target) and time.monotonic() < ends:
            time.sleep(0.02)
        assert names(target)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_each_shape_is_tried_once_and_nothing_is_left(
    site: Site, target: Hypervisor, tmp_path: Path
) -> None:
    """lan9118 is a card that libvirt defines and QEMU does not have."""
    fine, same = add(site, 0), add(site, 1)
    broken, also = add(site, 2, "lan9118"), add(site, 3, "lan9118")
    shares = [domains.share("6f1d7f57-6a4b-4b6e-8f0c-3f1f6d2b7a10")]
    partly = add(site, 4, "e1000", devices=shares)
    file = tmp_path / "shapes.json"
    result = rehearse(site, "--shapes", str(file), code=3)
    found = {item["instance"]: item for item in result.json}
    assert set(found) == {broken, also, partly}
    for uuid in (broken, also):
        assert found[uuid]["severity"] == "failure"
        assert found[uuid]["details"].startswith(f"on {TARGET} it would not start: ")
        assert "lan9118" in found[uuid]["details"]
    assert found[partly]["severity"] == "warning"
    assert "filesystem virtiofs" in found[partly]["details"]
    assert "3 shapes of 5 guests" in result.err
    shapes = {one["first"]: one for one in json.loads(file.read_text())}
    assert {uuid: (one["guests"], one["outcome"]) for uuid, one in shapes.items()} == {
        fine: (2, "started"),
        broken: (2, "would not start"),
        partly: (1, "started"),
    }
    assert same not in shapes
    assert names(target) == []
    after = files(target)
    assert [path for path in after if PREFIX in path] == []
    result = rehearse(site, "--max-shapes", "1")
    assert [item["details"] for item in result.json] == [
        "not rehearsed: 2 shapes of 3 guests: --max-shapes is 1"
    ]
    assert "1 started, 2 not rehearsed" in result.err
    assert files(target) == after


def test_a_host_with_guests_is_left_alone_unless_that_is_allowed(
    site: Site, target: Hypervisor
) -> None:
    """Even guests with names like those of a rehearsal, if they do not carry the mark itself."""
    add(site)
    name = f"{PREFIX}1"
    other = target.define(domains.domain(name=name, metadata=False))
    strange = domains.domain(name=f"{PREFIX}2", metadata=False)
    element = f'<metadata><other xmlns="{NAMESPACE}"/></metadata></domain>'
    target.define(strange.replace("</domain>", element))
    target.start(other.UUIDString())
    before = other.XMLDesc(0)
    result = rehearse(site, code=3)
    assert f"host {TARGET} has 2 guests" in result.err
    assert "--allow-busy" in result.err
    assert result.out == "[]\n"
    result = rehearse(site, "--allow-busy")
    assert "1 shape of 1 guest on cmp2: 1 started" in result.err
    assert names(target) == [name, f"{PREFIX}2"]
    assert other.XMLDesc(0) == before
    target.define(domains.domain(name=LOCK, metadata=False))
    result = rehearse(site, "--allow-busy", code=3)
    assert f"has a domain called {LOCK} that is not novadev's: rename it" in result.out


def test_what_a_killed_rehearsal_leaves_is_removed_by_the_next(
    site: Site, target: Hypervisor
) -> None:
    for number, model in enumerate(("virtio", "e1000", "rtl8139")):
        add(site, number, model)
    with begun(site, target) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        ends = time.monotonic() + 30
        while target.connection.listDomainsID() and time.monotonic() < ends:
            time.sleep(0.05)
        assert target.connection.listDomainsID() == []
    rehearse(site)
    assert names(target) == []
    assert [path for path in files(target) if PREFIX in path] == []


def test_what_libvirt_cannot_remove_is_named_and_stops_no_rehearsal(
    site: Site, target: Hypervisor
) -> None:
    """A saved state keeps libvirt from removing a guest, as does a start that never ended."""
    add(site)
    shape = shape_of(Domain.from_xml(domains.domain()))
    text = definition(shape.definition, f"{PREFIX}1", {}, Nature("x86_64", "qemu", ()), Backends())
    target.define(text)
    saved = target.folder / "var/lib/libvirt/qemu/save" / f"{PREFIX}1.save"
    saved.touch()
    result = rehearse(site)
    assert f"libvirt cannot end {PREFIX}1" in result.out
    assert f"/run/libvirt/qemu/{PREFIX}1.xml" in result.out
    assert "1 shape of 1 guest on cmp2: 1 started" in result.err
    assert names(target) == [f"{PREFIX}1"]
    saved.unlink()


def test_two_rehearsals_do_not_meet_and_ctrl_c_leaves_nothing(
    site: Site, target: Hypervisor
) -> None:
    for number, model in enumerate(("virtio", "e1000", "rtl8139", "pcnet", "ne2k_pci", "e1000e")):
        add(site, number, model)
    with begun(site, target) as process:
        result = rehearse(site, code=3)
        assert f"process {process.pid} on" in result.err
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
    assert names(target) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_what_ends_a_service_or_a_connection_leaves_nothing(
    site: Site, target: Hypervisor, name: str
) -> None:
    """Also where each process gets the signal, and gets it more than once, as from systemd."""
    for number, model in enumerate(("virtio", "e1000", "rtl8139", "pcnet", "ne2k_pci", "e1000e")):
        add(site, number, model)
    with begun(site, target) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert children
        for pid in (*map(int, children), process.pid):
            os.kill(pid, getattr(signal, name))
        time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        _out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.endswith("Interrupted.\n")
    assert names(target) == []
    assert [path for path in files(target) if PREFIX in path] == []


def test_a_rehearsal_that_nobody_goes_on_with_is_ended(site: Site, target: Hypervisor) -> None:
    """As where its findings can no longer be printed."""
    uuid = add(site)
    add(site, 1, "lan9118")
    with Deployment(load([str(site.cloud.config_file)])) as deployment:
        rehearsals = Rehearsals(Rehearsal(deployment.hosts, TARGET, Budget(parallel=1)))
        rehearsals.close()
        for card in ("lan9118", "virtio"):
            text = domains.domain(interfaces=[domains.interface(mac(0), kind="user", model=card)])
            finding = Finding(CHECK, "failure", uuid, "cmp1", "", None)
            rehearsals.add(shape_of(Domain.from_xml(text)), finding)
        found = rehearsals.findings()
        assert "lan9118" in next(found).details
        assert names(target) == [LOCK]
        rehearsals.close()
        assert names(target) == []


def test_under_nohup_a_rehearsal_goes_on(site: Site, target: Hypervisor) -> None:
    add(site)
    with begun(site, target, deaf_to=signal.SIGHUP) as process:
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert names(target) == []


def test_a_host_is_held_between_shapes_and_the_guests_of_others_are_left(
    site: Site, target: Hypervisor
) -> None:
    """The others are on another machine, and their time is not over."""
    until = datetime.now(timezone.utc) + timedelta(minutes=5)
    mark = {"host": "elsewhere", "pid": "1", "pid_started": "1", "machine": ""}
    mark["until"] = f"{until:%Y-%m-%dT%H:%M:%SZ}"
    shapes = [shape_of(Domain.from_xml(domains.domain()))] * 2
    with Deployment(load([str(site.cloud.config_file)])) as deployment:
        rehearsal = Rehearsal(deployment.hosts, TARGET, Budget(parallel=1))
        going = rehearsal.run(shapes)
        assert next(going).fate == "started"
        assert names(target) == [LOCK]
        with pytest.raises(NotAsNeeded, match="another rehearsal is going on there"):
            Rehearsal(deployment.hosts, TARGET, Budget()).check()
        with pytest.raises(NotAsNeeded, match="another rehearsal has started there"):
            deployment.hosts.call(TARGET, hold, str(uuid4()), mark)
        target.define(
            definition(
                shapes[0].definition, f"{PREFIX}9", mark, Nature("x86_64", "qemu", ()), Backends()
            )
        )
        assert [item.fate for item in going] == ["started"]
    assert rehearsal.left is None
    assert names(target) == [f"{PREFIX}9"]


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_host_that_comes_back_loses_no_more_than_what_it_was_at(
    site: Site, target: Hypervisor, is_killed: bool
) -> None:
    """A guest that libvirt can never end is left, and its name is not used any more."""
    shapes = [shape_of(Domain.from_xml(domains.domain()))] * 4

    def interrupt() -> None:
        while f"{PREFIX}1" not in names(target):
            time.sleep(0.01)
        target.kill() if is_killed else target.pause()
        time.sleep(2)
        target.restart() if is_killed else target.resume()

    with Deployment(load([str(site.cloud.config_file)])) as deployment:
        rehearsal = Rehearsal(deployment.hosts, TARGET, Budget(parallel=1))
        going = rehearsal.run(shapes)
        fates = [next(going).fate]
        thread = threading.Thread(target=interrupt)
        thread.start()
        fates += [item.fate for item in going]
        thread.join()
        assert fates.count("started") >= (3 if is_killed else 4)
        assert rehearsal.left is None
        assert names(target) == sorted(rehearsal.stuck)
        again = Rehearsal(deployment.hosts, TARGET, Budget(parallel=1))
        assert [item.fate for item in again.run(shapes[:1])] == ["started"]


def test_a_host_that_dies_in_the_middle(
    site: Site, target: Hypervisor, hypervisors3: list[Hypervisor]
) -> None:
    reach(site.cloud, hypervisors3, 3)
    for number, model in enumerate(("virtio", "e1000", "rtl8139")):
        add(site, number, model)
    with begun(site, target) as process:
        target.kill()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 8, out + err
    found = json.loads(out)
    assert {item["check"] for item in found if item["severity"] == "failure"} == {"unreachable"}
    assert any(TARGET in item["details"] for item in found)
    assert "not rehearsed" in err
    target.restart()
    rehearse(site)
    assert names(target) == []


def test_a_host_that_is_down_is_said_before_anything_is_looked_at(
    site: Site, target: Hypervisor
) -> None:
    target.kill()
    result = rehearse(site, code=8)
    assert f"host {TARGET}" in result.err
    assert result.out == "[]\n"
    target.restart()


@pytest.mark.skipif(not PRIVILEGED, reason="only root mounts")
def test_a_host_whose_disk_is_read_only(site: Site, target: Hypervisor) -> None:
    add(site)
    enter, place = target.enter("--mount"), "/etc/libvirt"
    subprocess.run([*enter, "mount", "--bind", "-o", "ro", place, place], check=True)
    subprocess.run([*enter, "mount", "-o", "remount,bind,ro", place], check=True)
    try:
        result = rehearse(site, code=3)
    finally:
        subprocess.run([*enter, "umount", place], check=True)
    (lost,) = [item for item in result.json if item["check"] == "unreachable"]
    assert "even the plainest guest cannot be defined there" in lost["details"]
    assert "Read-only" in lost["details"]


def test_a_host_without_memory_is_no_fault_of_a_shape(site: Site, target: Hypervisor) -> None:
    add(site)
    rehearse(site)
    daemon = target._daemon
    before = resource.prlimit(daemon, resource.RLIMIT_AS)
    size = int(Path(f"/proc/{daemon}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.prlimit(daemon, resource.RLIMIT_AS, (size + (64 << 20), before[1]))
    try:
        result = rehearse(site, code=3)
    finally:
        resource.prlimit(daemon, resource.RLIMIT_AS, before)
    (lost,) = [item for item in result.json if item["check"] == "unreachable"]
    assert "even the plainest guest does not start there" in lost["details"]
    assert names(target) == []
