"""novadev device restore on a real libvirt: what it puts back, when it counts, and undone."""

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from uuid import uuid4

import libvirt
import pytest

from novadev.state.keeping import write_keeping
from novadev.state.store import open_state
from novadev.virt.domain import Domain
from tests import domains
from tests.cloud import Cloud
from tests.device.bed import compute_host
from tests.device.restoring import (
    MAC,
    OTHER_TAP,
    RNG,
    TAP,
    addresses,
    guest,
    move,
    moves,
    pci,
    place,
    plan,
    record,
    rerecord,
    restore,
    swap,
)
from tests.device.site import Site
from tests.hypervisor import PRIVILEGED, Hypervisor
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow
as_root = pytest.mark.skipif(not PRIVILEGED, reason="only root's host starts bridge interfaces")

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
PASSWORD = "vncS3crt"


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_swaps_and_cycles_are_put_back(site: Site, machine: str) -> None:
    """Devices in each other's places and elsewhere: nothing but their addresses is written."""
    uuid = site.add(guest(machine=machine, graphics_password=PASSWORD))
    before = site.persistent(uuid)
    record(site, uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    swap(site, uuid, TAP, OTHER_TAP, "memballoon virtio", "controller scsi 0")
    moved = swap(site, uuid, "channel org.qemu.guest_agent.0", "channel b")
    far = {"disk sdb": before.device("disk sdb").address}
    assert far["disk sdb"]

    told = restore(site, uuid)
    assert site.persistent(uuid).canonical == before.canonical
    assert f"disk vda address  {place(moved, 'disk vda')} -> {place(before, 'disk vda')}" in (
        " ".join(told.out.split()).replace("address ", "address  ")
    )
    assert "A start by Nova writes a new definition" in told.out
    again = restore(site, uuid, "-f", "json").json
    assert (again["result"], again["plans"]) == ("nothing", [])

    assert site.run("undo", "1", "--yes").code == 0
    assert site.persistent(uuid).canonical == moved.canonical
    assert len(moves(plan(site, uuid))) == 8


def test_twins_keep_their_places(site: Site) -> None:
    """Devices that nothing but an address tells apart: the one that left its place has it back.

    Two that change places have changed nothing that a guest could see.
    """
    text = domains.domain(
        interfaces=[domains.interface(MAC, kind="user")] * 3, devices=[RNG, RNG], metadata=True
    )
    uuid = site.add(text)
    before = site.persistent(uuid)
    record(site, uuid)
    rngs, cards = (
        [device.label for device in before.devices if kind in device.label]
        for kind in ("rng", "interface")
    )
    swap(site, uuid, *rngs)
    swap(
        site,
        uuid,
        *(device.label for device in site.persistent(uuid).devices if "interface" in device.label),
    )
    assert "nothing to do" in restore(site, uuid).err
    site.host.define(before.text)
    moved = move(site, uuid, {rngs[1]: pci("0:1d.0"), cards[0]: pci("0:1e.0")})
    document = restore(site, uuid, "-f", "json").json
    assert set(moves(document)) == {"rng virtio #2", f"interface {MAC} #1"}
    assert site.persistent(uuid).canonical == before.canonical
    assert site.run("undo", str(document["run"]), "--yes").code == 0
    assert site.persistent(uuid).canonical == moved.canonical


@pytest.mark.parametrize("is_recorded", [True, False])
def test_what_has_no_partner_is_said(site: Site, is_recorded: bool) -> None:
    uuid = site.add(guest())
    record(site, uuid)
    disk = site.persistent(uuid).device("disk vdb")
    site.handle(uuid).detachDeviceFlags(domains.text(disk.element), CONFIG)
    if not is_recorded:
        record(site, uuid)
        site.handle(uuid).attachDeviceFlags(domains.text(disk.element), CONFIG)
    side = "recorded but not in the definition" if is_recorded else "in the definition but not"
    told = restore(site, uuid).err
    assert "its definition has the recorded addresses" not in told
    assert side in told
    assert "disk vdb" in told


@as_root
def test_a_guest_that_runs(
    any_cloud: Cloud, hypervisor: Hypervisor, nova: Callable[[Cloud], NovaProcess]
) -> None:
    """The live guest is not touched; Nova's soft reboot brings the recorded addresses live."""
    site = Site.of(any_cloud, hypervisor)
    uuid = site.add(guest(graphics_password=PASSWORD), start=True, name="web-1")
    before, live, number = site.persistent(uuid), site.live(uuid), site.handle(uuid).ID()
    record(site, uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    moved = swap(site, uuid, TAP, OTHER_TAP)

    told = restore(site, "web-1")
    assert "its next soft reboot, which starts it from this definition" in told.out
    assert "After a start, hard reboot, cold migration, resize or unshelve" in (told.out)
    assert site.live(uuid).canonical == live.canonical
    assert site.handle(uuid).ID() == number
    assert site.persistent(uuid).canonical == before.canonical
    if any_cloud.release == "34":
        assert nova(any_cloud).call("soft_reboot", uri=hypervisor.uri, uuid=uuid) is True
        assert site.handle(uuid).ID() != number
        assert addresses(site.live(uuid)) == addresses(live)
        assert site.persistent(uuid).canonical == before.canonical
    assert site.run("device", "drift", uuid, "-f", "json").json == []

    assert site.run("undo", "1", "--yes").code == 0
    assert site.persistent(uuid).canonical == moved.canonical
    assert PASSWORD.encode() not in site.journal_bytes()


@as_root
def test_on_a_host_that_keeps_addresses_the_next_start_gives_them(site: Site) -> None:
    """A guest that runs has its own ones read first, so it is to be soft-rebooted before."""
    uuid = site.add(guest())
    record(site, uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    write_keeping(
        open_state(f"sqlite:///{site.cloud.folder / 'state.sqlite'}"), "cmp1", "on", False, {}
    )
    stopped = site.run("device", "restore", uuid, "--dry-run").out
    assert "the next start gives the guest these." in stopped
    assert "newly chosen" not in stopped
    site.host.start(uuid)
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    running = site.run("device", "restore", uuid, "--dry-run").out
    assert "Soft-reboot it before its next stop" in running
    assert "newly chosen" not in running


@as_root
def test_what_was_plugged_in_live_stays_where_the_guest_saw_it(
    site: Site, nova: Callable[[Cloud], NovaProcess]
) -> None:
    """The oldest complaint: the definition is made anew, and the recorded layout comes back."""
    uuid = site.add(guest(), start=True)
    plugged = domains.interface("fa:16:3e:00:00:09", port=str(uuid4()))
    site.handle(uuid).attachDeviceFlags(plugged, LIVE | CONFIG)
    disk = domains.disk("vdc", serial=str(uuid4()))
    site.host.make_files(f"<x>{disk}</x>")
    site.handle(uuid).attachDeviceFlags(disk, LIVE | CONFIG)
    running = site.live(uuid)
    record(site, uuid)

    anew = site.persistent(uuid)
    bare = anew.without_addresses(anew.devices)
    site.host.connection.defineXML(bare.text)
    assert addresses(site.persistent(uuid)) != addresses(running)
    assert site.run("device", "drift", uuid).code == 0
    restore(site, uuid)
    assert nova(site.cloud).call("soft_reboot", uri=site.host.uri, uuid=uuid) is True
    assert addresses(site.live(uuid)) == addresses(running)


def test_only_recorded_devices_move(site: Site) -> None:
    """A newcomer keeps its place; one that is gone, or has no recorded address, is left out."""
    uuid = site.add(guest())
    rerecord(site, uuid, {"disk vda": {"address": ""}})
    gone = site.persistent(uuid).device(TAP)
    site.handle(uuid).detachDeviceFlags(domains.text(gone.element), CONFIG)
    site.handle(uuid).attachDeviceFlags(domains.disk("vdx", serial=str(uuid4())), CONFIG)
    moved = move(site, uuid, {"disk vda": pci("0:1e.0"), "disk vdb": pci("0:1f.0")})
    assert set(moves(restore(site, uuid, "-f", "json").json)) == {"disk vdb"}
    after = site.persistent(uuid)
    for label in ("disk vda", "disk vdx", OTHER_TAP):
        assert place(after, label) == place(moved, label)


def test_first_functions_say_that_there_are_others(site: Site) -> None:
    """Devices that shared a slot share it again; the first has libvirt's multifunction."""
    uuid = site.add(guest())
    free = {"disk vda": pci("0:1d.0"), "disk vdb": pci("0:1d.1")}
    domain = site.persistent(uuid)
    text = domain.with_addresses({domain.device(label): free[label] for label in free})
    site.host.connection.defineXML(text)
    before = site.persistent(uuid)
    first = before.device("disk vda").address
    assert first
    assert "multifunction=on" in first.exact_text
    record(site, uuid)
    plain = move(site, uuid, {"disk vda": pci("0:1b.0"), "disk vdb": pci("0:1c.0")})
    restore(site, uuid)
    assert site.persistent(uuid).canonical == before.canonical
    assert site.run("undo", "1", "--yes").code == 0
    assert site.persistent(uuid).canonical == plain.canonical

    rerecord(site, uuid, {"disk vdb": {"address": pci("0:1b.3").ovirt_text}})
    found = moves(plan(site, uuid))
    assert found["disk vda"][1].endswith("multifunction=on}")
    restore(site, uuid)
    rerecord(site, uuid, {"disk vda": {"address": pci("0:1d.0").ovirt_text}})
    (skip,) = plan(site, uuid)["skipped"]
    assert "disk vdb: function 0 of its slot would be empty" in skip["reason"]


def test_the_difference_and_no_secret_anywhere(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uuid = site.add(guest(graphics_password=PASSWORD))
    record(site, uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    caplog.set_level("DEBUG")
    asked = ("-v", "device", "restore", uuid, "--diff")
    results = [
        site.run(*asked, "--dry-run"),
        site.run(*asked, "--dry-run", "-f", "json"),
        site.run(*asked, "--plan-out", str(tmp_path / "plan")),
        site.run(*asked, "--yes"),
        site.run("history", "1", "-f", "json"),
    ]
    assert [result.code for result in results] == [0] * len(results)
    lines = results[1].json["plans"][0]["diff"].splitlines()
    assert lines[:2] == ["--- persistent", "+++ planned"]
    changed = [line for line in lines[2:] if line[0] in "+-"]
    assert len(changed) == 4
    assert all("<address " in line for line in changed)
    assert all(f"  {line}" in results[0].out for line in lines)
    said = "".join(result.out + result.err for result in results) + caplog.text
    assert PASSWORD not in said
    assert PASSWORD.encode() not in site.journal_bytes() + (tmp_path / "plan").read_bytes()
    assert PASSWORD in site.persistent(uuid).text


def test_from_a_compute_host_alone(site: Site, tmp_path: Path) -> None:
    """Without Nova's databases its definition says which device is which, and what it is called."""
    config = compute_host(tmp_path, site.host)
    uuid = site.add(guest())
    before = site.persistent(uuid)
    record(site, uuid)
    for command, told in (("drift", []), ("list", [False]), ("record", [False])):
        asked = ("device", command, uuid, "--no-database", "--host", site.host.name)
        result = site.run(*asked, "-f", "json")
        assert (result.code, [item["changed"] for item in result.json]) == (0, told), result.err
    copyfile(site.cloud.folder / "state.sqlite", tmp_path / "cmp1.sqlite")
    swap(site, uuid, "disk vdb", TAP, "memballoon virtio")
    result = site.run("device", "restore", uuid, "--yes", "-f", "json", on=config)
    assert result.code == 0, result.err
    assert site.persistent(uuid).canonical == before.canonical


def test_many_guests_and_a_filter(site: Site) -> None:
    """Those of which nothing is recorded, and those that are right, are no failure of a filter."""
    moved, right, unknown = (site.add(guest()) for _ in range(3))
    record(site, moved, right)
    before = site.persistent(moved)
    swap(site, moved, "disk vda", "disk vdb")
    document = restore(site, "--all", "-f", "json").json
    assert [item["instance"] for item in document["plans"]] == [moved]
    reasons = {skip["instance"]: skip["reason"] for skip in document["skipped"]}
    assert reasons == {
        right: f"nothing to do for instance {right}: its definition has the recorded addresses",
        unknown: f"nothing is recorded for instance {unknown}: run novadev device record {unknown}",
    }
    assert site.persistent(moved).canonical == before.canonical
    assert "nothing is recorded" in restore(site, unknown, code=3).err
    restore(site, right)


def test_samples_are_put_back(site: Site) -> None:
    """Every odd kind of definition, all its addresses made anew: recorded ones come back."""
    samples = [path for path in domains.samples() if PRIVILEGED or path.stem != "share"]
    uuids = {path.stem: site.add(path.read_text(), name=path.stem) for path in samples}
    before: dict[str, Domain] = {}
    for name, uuid in uuids.items():
        domain = site.persistent(uuid)
        labels = [item.label for item in domain.devices if _is_free(domain, item.label)]
        before[name] = domain
        assert len(labels) > 1, name
        record(site, uuid)
        swap(site, uuid, *labels)
    result = restore(site, "--all", "-f", "json")
    assert {item["state"] for item in result.json["plans"]} == {"applied"}
    assert len(result.json["plans"]) == len(samples)
    for name, uuid in uuids.items():
        assert site.persistent(uuid).canonical == before[name].canonical, name


def _is_free(domain: Domain, label: str) -> bool:
    """Whether a device may be wherever another such one is: PCI, and neither bridge nor chipset."""
    device = domain.device(label)
    if device.address is None or device.address.type != "pci":
        return False
    is_bridge = label.startswith(("controller pci", "controller ide", "controller sata 0"))
    return not is_bridge and not label.startswith("controller usb") and "video" not in label
