"""`device detach`: only what is nobody's, from guests that run and that are shut off."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt
import pytest

from novadev.virt.host import PERSISTENT
from tests import domains
from tests.cli.test_hostile_input import resummed
from tests.cloud import Cloud
from tests.command import Result
from tests.device.bed import compute_host
from tests.device.rig import Desk, Rig, Terminal, mac, port_id, tap, volume_id
from tests.hypervisor import Hypervisor
from tests.previewing import kept

pytestmark = pytest.mark.slow

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
NETWORKS = {"ports": ()}


@pytest.fixture
def rig(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Rig:
    return Rig(sqlite_cloud, [hypervisor], timeout=10)


def detach(rig: Desk, *arguments: str) -> Result:
    return rig.novadev("device", "detach", *arguments)


def sides(domain: Any, text: str) -> str:
    """Which definitions have TEXT in them."""
    found = "persistent " * (text in domain.XMLDesc(PERSISTENT))
    return found + "live" * bool(domain.isActive() and text in domain.XMLDesc())


def stray(target: str, number: int, bus: str = "virtio", **more: Any) -> str:
    """A volume's disk; nobody's unless a row says otherwise."""
    return domains.disk(target, bus, serial=volume_id(number), **more)


@contextmanager
def letting_go(domain: Any) -> Iterator[None]:
    """A guest without operating system lets go what it was asked to whenever it is reset."""
    done = threading.Event()

    def reset() -> None:
        while not done.wait(0.4):
            domain.reset()

    thread = threading.Thread(target=reset)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_guest_that_runs(rig: Rig) -> None:
    uuid = rig.cloud.add_instance(vm_state="active")
    rig.cloud.add_disk(uuid)
    alias = f"ua-{volume_id(1)}"
    domain = rig.define(
        uuid,
        [domains.disk("vda"), stray("vdb", 1, alias=alias), stray("vdc", 2)],
        [domains.interface(mac(1), port=port_id(1))],
        running=True,
        ports=(),
    )
    rig.attach(domain, stray("vdd", 3), LIVE)
    rig.attach(domain, stray("vdd", 3, alias="ua-other"), CONFIG)
    rig.attach(domain, stray("vde", 4), LIVE)
    rig.attach(domain, stray("vdf", 5, alias="ua-later"), CONFIG)
    rig.attach(domain, stray("vdg", 6), CONFIG)
    rig.attach(domain, stray("sda", 7, "usb"), LIVE)
    rig.attach(domain, stray("sda", 7, "usb", alias="ua-stick"), CONFIG)
    kept = sides(domain, "vda")
    cases = {
        volume_id(1): (alias, "in the definition and the running guest"),
        volume_id(2): ("vdc", "in the definition and the running guest"),
        volume_id(3): ("vdd", "in the definition and the running guest"),
        volume_id(4): ("vde", "in the running guest"),
        volume_id(5): ("ua-later", "in the definition"),
        volume_id(6): ("vdg", "in the definition"),
        volume_id(7): (volume_id(7), "in the definition and the running guest"),
        mac(1): (tap(1), "in the definition and the running guest"),
    }
    with letting_go(domain):
        for text, (name, where) in cases.items():
            assert sides(domain, text)
            result = detach(rig, "web-1", name, "--yes", "--timeout", "20", "-f", "json")
            assert (result.code, result.json["result"]) == (0, "applied"), result.err
            (change,) = result.json["plans"][0]["changes"]
            assert (change["before"], change["after"]) == (where, {"absent": True})
            assert sides(domain, text) == "", name
    assert sides(domain, "vda") == kept


def test_a_guest_that_is_shut_off(rig: Rig) -> None:
    uuid = rig.cloud.add_instance()
    rig.cloud.add_disk(uuid)
    domain = rig.define(
        uuid,
        [domains.disk("vda"), stray("vdb", 1, alias="ua-1"), stray("vdc", 2)],
        [
            domains.interface(mac(1), port=port_id(1)),
            domains.sriov(mac(2), "0000:81:00.2", alias="ua-2"),
        ],
        ports=(),
        devices=[domains.pci("0000:82:00.1"), domains.share("tag", alias="ua-3")],
    )
    for name in ("ua-1", "vdc", mac(1).upper(), "0000:81:00.2", "82:00.1", "tag"):
        before = domain.XMLDesc(PERSISTENT)
        dry = detach(rig, uuid, name, "--dry-run")
        assert (dry.code, domain.XMLDesc(PERSISTENT)) == (0, before), dry.err
        assert "in the definition -> (absent)" in dry.out
        result = detach(rig, uuid, name, "--yes")
        assert result.code == 0, result.err
        assert "undo" not in result.err
        assert detach(rig, uuid, name, "--yes").code == 2
    left = rig.show(uuid)
    assert {r["label"] for r in left.values() if r["type"] in ("disk", "interface", "hostdev")} == {
        "disk vda"
    }
    runs = rig.novadev("history", "-f", "json").json
    assert [(run["action"], run["state"]) for run in runs] == [("device detach", "applied")] * 6
    refused = rig.novadev("undo", str(runs[0]["run"]), "--yes")
    assert (refused.code, "cannot be undone" in refused.err) == (3, True)


def test_what_is_somebodys(rig: Rig, tmp_path: Path) -> None:
    cloud = rig.cloud
    uuid = cloud.add_instance()
    cloud.add_volume(uuid, volume_id(1), disk_bus="virtio")
    cloud.add_port(uuid, port_id(1), mac(1))
    rig.define(
        uuid,
        [
            stray("vdb", 1),
            stray("vdc", 2),
            domains.disk("vdd", source=f"{domains.IMAGES}/{uuid}/disk.eph0"),
        ],
        [
            domains.interface(mac(1), port=port_id(1)),
            domains.interface(mac(2), port=port_id(2)),
            domains.interface(mac(2), port=port_id(3), kind="bridge"),
        ],
    )
    domain = rig.host.connection.lookupByUUIDString(uuid)
    before = domain.XMLDesc(PERSISTENT)

    def refused(name: str, text: str, code: int = 3, on: Desk = rig, *more: str) -> None:
        result = detach(on, uuid, name, "--yes", *more)
        assert (result.code, result.out) == (code, ""), result.out + result.err
        assert text in result.err
        assert len(result.err.splitlines()) == 1
        assert domain.XMLDesc(PERSISTENT) == before
        assert on.novadev("history", "-f", "json").json == []

    @contextmanager
    def instance(**columns: Any) -> Iterator[None]:
        cloud.update("instances", "cell1", {"uuid": uuid}, **columns)
        yield
        cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="stopped", task_state=None)

    refused("vdb", f"disk vdb is not known to be an orphan: it is volume {volume_id(1)}.")
    refused(tap(1), f"to be an orphan: it is port {port_id(1)}")
    refused("vdd", "its source is called disk.eph0")
    refused(tap(2), f"it may be port {port_id(2)}, which is in the Nova metadata of the definition")
    refused("controller usb 0", "only disks, interfaces, hostdevs and filesystems can be detached")
    refused(mac(2), f"matches 2 devices of instance web-1 ({uuid}): interface {tap(2)}", 4)
    refused("vdz", "has no device 'vdz'", 2)
    with instance(task_state="rebooting"):
        refused("vdc", "it has a task in progress: rebooting")
        refused("vdc", "it has a task in progress: rebooting", 3, rig, "--force")
    with instance(vm_state="rescued"):
        refused("vdc", "it is rescued", 3, rig, "--force")
    migration = cloud.add_migration(uuid)
    refused("vdc", f"its live-migration {migration} is running")
    assert detach(rig, uuid, "vdc", "--force", "--dry-run").code == 0
    cloud.update("migrations", "cell1", {"id": migration}, status="completed")
    ghost = cloud.add_volume(uuid, volume_id(3), "/dev/vdq", disk_bus="virtio")
    refused("vdc", f"it may be volume {ghost}, which has no device")
    refused(ghost, "at the next reboot Nova deletes its row in block_device_mapping if Cinder")
    cloud.delete("block_device_mapping", "cell1", volume_id=ghost)
    lost = cloud.add_port(uuid, port_id(4), mac(4))
    refused(lost, "Nova gives the guest one at its next start or hard reboot")
    refused(tap(3), f"it may be port {lost}, which has no device")
    alone = Desk(compute_host(tmp_path, rig.host))
    refused("vdc", "without Nova's databases it is not known", on=alone)
    assert detach(rig, uuid, "vdc", "--dry-run").code == 0
    forced = detach(rig, uuid, "vdb", "--force", "--yes")
    assert (forced.code, sides(domain, volume_id(1))) == (0, ""), forced.err
    assert f"note: FORCED although it is volume {volume_id(1)}" in forced.out
    assert detach(alone, uuid, "vdc", "--force", "--yes").code == 0
    assert sides(domain, volume_id(2)) == ""


def test_while_libvirt_works_on_the_guest(rig: Rig) -> None:
    uuid = rig.cloud.add_instance(vm_state="active")
    rig.cloud.add_disk(uuid)
    domain = rig.define(uuid, [domains.disk("vda"), stray("vdb", 1)], running=True)
    copy = "<disk type='file'><source file='/var/lib/nova/copy'/><driver type='raw'/></disk>"
    domain.blockCopy("vda", copy, {}, libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)
    busy = detach(rig, uuid, "vdb", "--yes", "--force")
    assert (busy.code, "operation is running: block job on vda" in busy.err) == (3, True)
    domain.blockJobAbort("vda")
    domain.managedSave()
    saved = detach(rig, uuid, "vdb", "--yes", "--force")
    assert (saved.code, "managed save image" in saved.err) == (3, True)
    assert sides(domain, volume_id(1)) == "persistent "


def test_a_guest_that_does_not_let_go(rig: Rig) -> None:
    uuid = rig.cloud.add_instance(vm_state="active")
    rig.cloud.add_disk(uuid)
    domain = rig.define(
        uuid,
        [domains.disk("vda"), stray("vdb", 1, alias="ua-1")],
        [domains.interface(mac(1), port=port_id(1))],
        running=True,
        ports=(),
    )
    for name, text in (("vdb", volume_id(1)), (tap(1), mac(1))):
        result = detach(rig, uuid, name, "--yes", "--timeout", "1", "-f", "json")
        assert (result.code, result.json["result"]) == (3, "partial"), result.err
        assert "did not release" in result.err
        assert sides(domain, text) == "live"
        run = str(result.json["run"])
        assert f"novadev resume {run}" in result.err
        again = rig.novadev("resume", run, "--yes")
        assert (again.code, sides(domain, text)) == (3, "live"), again.err
        assert "did not release" in again.err
        shown = rig.show(uuid, name)
        assert [record["definition"] for record in shown.values()] == ["live"]
        domain.reset()
        finished = rig.novadev("resume", run, "--yes", "-f", "json")
        assert (finished.code, finished.json["result"]) == (0, "applied"), finished.err
        assert sides(domain, text) == ""
        assert rig.novadev("undo", run, "--yes").code == 3
        told = rig.novadev("history", run, "-f", "json").json
        assert [(item["state"], item["after"]) for item in told] == [("applied", {"absent": True})]


def test_the_question(rig: Rig) -> None:
    uuid = rig.cloud.add_instance()
    domain = rig.define(uuid, [stray("vdb", 1)])
    command = ("device", "detach", uuid, "vdb")
    nobody = rig.novadev(*command)
    assert (nobody.code, "no terminal to ask for confirmation" in nobody.err) == (4, True)
    no = Terminal(rig.cloud, *command, keys="n\n")
    assert (no.code, sides(domain, "vdb")) == (9, "persistent "), no.text
    assert f"Detach 1 device on web-1 ({uuid})? This cannot be undone. [y/N]" in no.text
    yes = Terminal(rig.cloud, *command, keys="y\n")
    assert (yes.code, sides(domain, "vdb")) == (0, ""), yes.text


def owned(rig: Rig, uuid: str) -> None:
    rig.cloud.add_volume(uuid, volume_id(1))


def taken(rig: Rig, uuid: str) -> None:
    rig.cloud.update("instances", "cell1", {"uuid": uuid}, task_state="powering-on")


def moved(rig: Rig, uuid: str) -> None:
    rig.cloud.update("instances", "cell1", {"uuid": uuid}, host="cmp2")


def swapped(rig: Rig, uuid: str) -> None:
    rig.host.define(domains.domain(uuid, disks=[domains.disk("vdb", source="/other")]))


def removed(rig: Rig, uuid: str) -> None:
    rig.host.define(domains.domain(uuid))


def started(rig: Rig, uuid: str) -> None:
    rig.host.start(uuid)


@pytest.mark.parametrize("change", [None, owned, taken, moved, swapped, removed, started])
def test_a_saved_plan(rig: Rig, change: Callable[[Rig, str], None] | None) -> None:
    uuid = rig.cloud.add_instance()
    domain = rig.define(uuid, [stray("vdb", 1)])
    file = rig.cloud.folder / "plan"
    saved = detach(rig, uuid, "vdb", "--plan-out", str(file))
    assert (saved.code, sides(domain, "vdb")) == (0, "persistent ")
    if change:
        change(rig, uuid)
    before = domain.XMLDesc(PERSISTENT)
    result = kept(rig.novadev, "apply", str(file))
    if change is None:
        assert (result.code, sides(domain, "vdb")) == (0, ""), result.err
    else:
        assert (result.code, domain.XMLDesc(PERSISTENT)) == (7, before), result.err
        assert [plan["state"] for plan in result.json["plans"]] == ["stale"]
        assert not rig.novadev("resume", "--yes").out


@pytest.mark.parametrize(
    "harm",
    [
        {"guard": {}},
        {"guard": {"persistent": None, "live": None, "timeout": 1, "force": True}},
        {"guard": {"persistent": {"label": 5}, "live": None, "timeout": 1, "force": True}},
        {"guard": {"persistent": {}, "live": None, "timeout": True, "force": True}},
        {"guard": {"persistent": {}, "live": None, "timeout": 1, "force": "yes"}},
        {"changes": []},
        {"changes": [{"what": "disk vdb", "before": "persistent", "after": "x"}]},
        {"host": None},
        {"instance": "../x"},
    ],
)
def test_a_plan_file_that_no_command_would_write(rig: Rig, harm: dict[str, Any]) -> None:
    uuid = rig.cloud.add_instance()
    domain = rig.define(uuid, [stray("vdb", 1)])
    file = rig.cloud.folder / "plan"
    assert detach(rig, uuid, "vdb", "--plan-out", str(file)).code == 0
    plan = json.loads(file.read_text().splitlines()[1])["plan"]
    resummed(file, plan | harm)
    result = rig.novadev("apply", str(file), "--yes")
    assert (result.code, sides(domain, "vdb")) == (4, "persistent "), result.err
