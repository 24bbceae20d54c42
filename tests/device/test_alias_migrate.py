"""novadev device alias-migrate on a real libvirt: what it writes, when it counts, and undone."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import libvirt
import pytest
import yaml

from novadev.device.redacted import digest, redacted
from novadev.state.keeping import write_keeping
from novadev.state.store import open_state
from novadev.virt.domain import Domain
from tests import domains
from tests.cloud import Cloud
from tests.device.site import Site, aliases
from tests.hypervisor import PRIVILEGED, Hypervisor
from tests.nova_process import NovaProcess
from tests.previewing import kept

pytestmark = pytest.mark.slow
as_root = pytest.mark.skipif(not PRIVILEGED, reason="only root's host takes such devices")

A, B = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
P, Q = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10", "b1c2d3e4-0001-4c8c-9b3e-6e1f0f2f5d11"
MAC, OTHER_MAC = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"
TAP, OTHER_TAP = f"interface tap{P[:11]}", f"interface tap{Q[:11]}"
PASSWORD = "vncS3crt"
CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def guest(**more: object) -> str:
    """A local disk, a volume that has its alias, one that has none, and two ports."""
    return domains.domain(
        disks=[
            domains.disk("vda"),
            domains.disk("vdb", serial=A),
            domains.disk("vdc", serial=B, alias=f"ua-{B}"),
        ],
        interfaces=[
            domains.interface(MAC, port=P, kind="ovs"),
            domains.interface(OTHER_MAC, port=Q, kind="bridge"),
        ],
        ports=[P, Q],
        graphics_password=PASSWORD,
        **more,  # type: ignore[arg-type]
    )


ALL = {"disk vdb": f"ua-{A}", "disk vdc": f"ua-{B}", TAP: f"ua-{P}", OTHER_TAP: f"ua-{Q}"}


@as_root
def test_a_guest_that_runs(any_cloud: Cloud, hypervisor: Hypervisor) -> None:
    site = Site.of(any_cloud, hypervisor)
    uuid = site.add(guest(), start=True, name="web-1")
    before, live, number = site.persistent(uuid), site.live(uuid), site.handle(uuid).ID()

    told = site.migrate("web-1")
    assert "aliases take effect at its next soft reboot" in told.out
    assert f"disk vdb alias                  (absent) -> ua-{A}" in told.out
    assert site.aliases(uuid) == ALL
    after = site.persistent(uuid)
    assert after.canonical_without_aliases == before.canonical_without_aliases
    assert site.live(uuid).canonical == live.canonical
    assert site.handle(uuid).ID() == number

    again = site.migrate("web-1", "-f", "json").json
    assert (again["plans"], again["result"]) == ([], "nothing")
    site.handle(uuid).destroy()
    site.handle(uuid).create()
    assert aliases(site.live(uuid)).items() >= ALL.items()
    assert site.live(uuid).device("disk vda").alias == live.device("disk vda").alias

    assert site.run("undo", "1", "--yes").code == 0
    assert site.persistent(uuid).canonical == before.canonical
    (newest, _) = site.run("history", "-f", "json").json
    assert (newest["action"], newest["state"]) == ("undo 1", "applied")
    assert PASSWORD.encode() not in site.journal_bytes()


@as_root
def test_nova_soft_reboots_it(site: Site, nova: Callable[[Cloud], NovaProcess]) -> None:
    """From then on Nova finds the running guest's volumes and ports by their aliases."""
    uuid = site.add(guest(), start=True)
    site.migrate(uuid)
    before = site.persistent(uuid)
    ask = nova(site.cloud).call
    assert ask("soft_reboot", uri=site.host.uri, uuid=uuid) is True
    assert aliases(site.live(uuid)).items() >= ALL.items()
    assert site.persistent(uuid).canonical == before.canonical
    for label, alias in ALL.items():
        found = ask(
            "guest_device_by_alias",
            **{"uri": site.host.uri, "uuid": uuid, "alias": alias, "persistent": False},
        )
        assert found["target_dev"] == label.split()[1]


@as_root
def test_every_kind_of_device(site: Site) -> None:
    """What libvirt changes alone is written first; the rest wants leave, and a stopped server."""
    uuid, (mdev, moved, share) = str(uuid4()), (str(uuid4()) for _ in range(3))
    text = domains.domain(
        uuid,
        machine="q35",
        disks=[domains.disk("vda"), domains.disk("vdb", serial=A)],
        interfaces=[domains.sriov(MAC, "0000:81:00.1")],
        devices=[
            domains.pci("0000:82:00.0"),
            domains.pci("0000:82:00.1", alias=f"ua-{uuid4()}"),
            domains.pci("0000:83:00.0"),
            domains.pci("0000:84:00.0"),
            domains.mdev(mdev),
            domains.mdev(moved, alias="ua-" + "x" * 297),
            domains.share(share),
        ],
    )
    site.add(text)
    found = {row["address"]: row for row in site.cloud.rows("pci_devices", "cell1")}
    site.cloud.update("pci_devices", "cell1", {"address": "0000:83:00.0"}, uuid=None)
    physical = site.cloud.add_port(
        uuid,
        mac=OTHER_MAC,
        type="hostdev_physical",
        profile={"pci_slot": "0000:84:00.0"},
    )
    port = json.loads(site.cloud.rows("instance_info_caches", "cell1")[0]["network_info"])[0]["id"]
    before = site.persistent(uuid)

    wants = "libvirt can change it only together with the whole definition: add --whole-definition"
    reasons = site.reasons(uuid)
    assert sum(wants in reason for reason in reasons) == 6
    assert "hostdev 0000:83:00.0: PCI device 0000:83:00.0 has no UUID" in "\n".join(reasons)
    site.migrate(uuid, code=3)
    alone = {"disk vdb": f"ua-{A}", f"interface {MAC}": f"ua-{port}"}
    assert site.aliases(uuid).items() >= alone.items()
    assert site.persistent(uuid).canonical_without_aliases == before.canonical_without_aliases

    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    reasons = site.reasons(uuid, "--whole-definition")
    assert sum("this one is active" in reason for reason in reasons) == 6
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="stopped")
    site.migrate(uuid, "--whole-definition", code=3)
    assert site.aliases(uuid) == alone | {
        "hostdev 0000:82:00.0": f"ua-{found['0000:82:00.0']['uuid']}",
        "hostdev 0000:82:00.1": f"ua-{found['0000:82:00.1']['uuid']}",
        "hostdev 0000:84:00.0": f"ua-{physical}",
        f"hostdev {mdev}": f"ua-{mdev}",
        f"hostdev {moved}": f"ua-{moved}",
        f"filesystem {share}": f"ua-{share}",
    }
    assert site.persistent(uuid).canonical_without_aliases == before.canonical_without_aliases
    assert site.plan(uuid, "--whole-definition")["plans"] == []

    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    refused = site.run("undo", "2", "--yes")
    assert refused.code == 7
    assert (
        "it is active now: its whole definition can be replaced only while it is stopped"
        in refused.err
    )
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="stopped")
    for run in ("2", "1"):
        assert site.run("undo", run, "--yes").code == 0
    assert site.persistent(uuid).canonical == before.canonical


def test_a_guest_started_in_between_is_not_defined_anew(site: Site) -> None:
    mdev = str(uuid4())
    uuid = site.add(guest(devices=[domains.mdev(mdev)]))
    file = str(site.cloud.folder / "plan")
    site.migrate(uuid, "--whole-definition", "--plan-out", file)
    before = site.persistent(uuid)
    site.handle(uuid).detachDeviceFlags(domains.mdev(mdev), CONFIG)
    assert apply(site, file)["state"] == "stale"
    site.handle(uuid).attachDeviceFlags(domains.mdev(mdev), CONFIG)
    assert site.persistent(uuid).canonical == before.canonical
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    assert "it is active now" in apply(site, file)["error"]
    assert site.persistent(uuid).canonical == before.canonical


def apply(site: Site, file: str, code: int = 7) -> dict[str, str]:
    """Carry out the one plan of a file; what became of it comes back."""
    result = site.run("apply", file, "--yes", "-f", "json")
    assert result.code == code, result.err
    (plan,) = result.json["plans"]
    return dict(plan)


def test_the_difference_and_no_secret_anywhere(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = "cookie-s3cret"
    web = (
        f'<disk type="network"><driver name="qemu" type="raw"/><source protocol="https" name="x">'
        f'<host name="192.0.2.1" port="443"/><cookies><cookie name="c">{cookie}</cookie></cookies>'
        '</source><target dev="vdd" bus="virtio"/></disk>'
    )
    uuid = site.add(guest().replace("</devices>", f"{web}</devices>"))
    assert cookie in site.persistent(uuid).text
    site.cloud.update(
        "block_device_mapping",
        "cell1",
        {"instance_uuid": uuid, "device_name": "/dev/vdd"},
        **{"destination_type": "volume", "volume_id": str(uuid4())},
    )
    caplog.set_level("DEBUG")
    asked = ("-v", "device", "alias-migrate", uuid, "--diff")
    results = [
        site.run(*asked, "--dry-run"),
        site.run(*asked, "--dry-run", "-f", "json"),
        site.run(*asked, "--dry-run", "-f", "yaml"),
        site.run(*asked, "--plan-out", str(tmp_path / "plan")),
        site.run(*asked, "--yes"),
        site.run("history", "1", "-f", "json"),
    ]
    assert [result.code for result in results] == [0] * len(results)
    diffs = [
        results[1].json["plans"][0]["diff"],
        yaml.safe_load(results[2].out)["plans"][0]["diff"],
    ]
    assert diffs[0] == diffs[1]
    lines = diffs[0].splitlines()
    assert lines[:2] == ["--- persistent", "+++ planned"]
    assert f'+      <alias name="ua-{A}"/>' in lines
    assert [line for line in lines if line[0] == "-"] == ["--- persistent"]
    assert sum(line[0] == "+" for line in lines) == 5
    assert all(f"  {line}" in results[0].out for line in lines)
    assert '<cookie name="c">hidden</cookie>' in diffs[0]

    said = "".join(result.out + result.err for result in results) + caplog.text
    kept = site.journal_bytes() + (tmp_path / "plan").read_bytes()
    for secret in (PASSWORD, cookie):
        assert secret not in said
        assert secret.encode() not in kept
        assert secret in site.persistent(uuid).text


def test_a_definition_without_its_secrets() -> None:
    one, other = (
        Domain.from_xml(domains.domain(A, graphics_password=word)) for word in (PASSWORD, "other")
    )
    assert 'passwd="hidden"' in redacted(one)
    assert PASSWORD not in redacted(one)
    assert PASSWORD in one.text
    assert digest(one) == digest(other)


def test_undo_where_the_definition_has_changed(site: Site) -> None:
    """What was written is taken back device by device; what others did since stays."""
    uuids = [site.add(guest()) for _ in range(5)]
    site.migrate(*uuids)
    attached, resized, renamed, same, back = uuids
    serial = str(uuid4())
    disk = domains.disk("vdx", serial=serial)
    site.handle(attached).attachDeviceFlags(disk, CONFIG)
    site.handle(resized).setMemoryFlags(32 * 1024, CONFIG)
    odd = site.persistent(renamed).device("disk vdb").copy()
    odd.element.find("alias").set("name", "ua-odd")  # type: ignore[union-attr]
    site.handle(renamed).updateDeviceFlags(domains.text(odd.element), CONFIG)
    disk = site.persistent(back).device("disk vdb").copy()
    disk.element.remove(disk.element.find("alias"))  # type: ignore[arg-type]
    site.handle(back).updateDeviceFlags(domains.text(disk.element), CONFIG)
    seen = site.run("undo", "1", "--dry-run")
    assert "disk vdb was as before the run already; undone: " in seen.out
    undone = kept(site.run, "undo", "1")
    assert undone.code == 0
    errors = {plan["instance"]: plan["error"] for plan in undone.json["plans"]}
    told = "disk vdb has alias ua-odd; this part was left as it is; undone: interface tap"
    assert errors.pop(renamed).startswith(f"domain {renamed}: {told}")
    (odd_plan,) = (plan for plan in undone.json["plans"] if plan["instance"] == renamed)
    left = {item["what"]: item["left"] for item in odd_plan["changes"] if "left" in item}
    assert left == {"disk vdb alias": "has alias ua-odd"}
    told = "disk vdb was as before the run already; undone: interface tap"
    assert errors.pop(back).startswith(f"domain {back}: {told}")
    assert {*errors.values()} == {None}
    assert site.persistent(attached).device("disk vdx").serial == serial
    assert site.persistent(resized).root.findtext("currentMemory") == str(32 * 1024)
    for uuid in (attached, resized, same, back):
        assert site.aliases(uuid) == {"disk vdc": f"ua-{B}"}
    assert site.aliases(renamed) == {"disk vdb": "ua-odd", "disk vdc": f"ua-{B}"}


def test_plans_in_a_file(site: Site, tmp_path: Path) -> None:
    """Exactly what was saved is written, where Nova and the host are still as they were."""
    names = ("fine", "moved", "busy", "migrating", "deleted", "rescued", "changed", "undefined")
    uuids = {name: site.add(guest(), name=name) for name in names}
    file = tmp_path / "plan"
    site.migrate("--all", "--plan-out", str(file))
    before = {name: site.persistent(uuid).canonical for name, uuid in uuids.items()}
    for old, new in ((f"ua-{A}", f"ua-{uuid4()}"), ('"definition":"', '"definition":"0')):
        edited = tmp_path / "edited"
        edited.write_text(file.read_text().replace(old, new, 1))
        assert site.run("apply", str(edited), "--yes").code == 4
    assert all(site.persistent(uuid).canonical == before[name] for name, uuid in uuids.items())

    cloud = site.cloud
    cloud.update("instances", "cell1", {"uuid": uuids["moved"]}, host="cmp2", node="cmp2")
    cloud.update("instances", "cell1", {"uuid": uuids["busy"]}, task_state="rebooting")
    cloud.add_migration(uuids["migrating"])
    cloud.soft_delete(uuids["deleted"])
    cloud.update("instances", "cell1", {"uuid": uuids["rescued"]}, vm_state="rescued")
    disk = domains.disk("vdx", serial=str(uuid4()))
    site.handle(uuids["changed"]).attachDeviceFlags(disk, CONFIG)
    site.handle(uuids["undefined"]).undefine()
    applied = kept(site.run, "apply", str(file))
    assert applied.code == 7
    errors = {plan["instance"]: plan["error"] for plan in applied.json["plans"]}
    said = {name: errors[uuid] or "" for name, uuid in uuids.items()}
    assert said["fine"] == ""
    for name, reason in {
        "moved": "it is on host cmp2 now, but the plan was made for cmp1",
        "busy": "it has a task in progress now: rebooting",
        "migrating": "live-migration 1 is running",
        "deleted": "it is deleted",
        "rescued": "it is rescued now",
        "changed": "has changed since the plan was made: plan again",
        "undefined": "Domain not found",
    }.items():
        assert reason in said[name], name
    states = {plan["instance"]: plan["state"] for plan in applied.json["plans"]}
    assert [states[uuids[name]] for name in names] == ["applied", *["stale"] * 7]
    for name in ("moved", "busy", "migrating", "deleted", "rescued"):
        assert site.persistent(uuids[name]).canonical == before[name]
    assert site.aliases(uuids["changed"]) == {"disk vdc": f"ua-{B}"}
    assert site.aliases(uuids["fine"]) == ALL
    assert len(site.host.connection.listAllDomains()) == len(uuids) - 1


def test_all_of_a_plan_or_nothing(site: Site) -> None:
    """Another has taken the last alias meanwhile: what was written before it is put back."""
    uuid = site.add(guest())
    file = str(site.cloud.folder / "plan")
    site.migrate(uuid, "--plan-out", file)
    disk = site.persistent(uuid).device("disk vda").copy()
    disk.element.append(disk.element.makeelement("alias", name=f"ua-{Q}"))
    site.handle(uuid).updateDeviceFlags(domains.text(disk.element), CONFIG)
    before = site.persistent(uuid)
    plan = apply(site, file, code=3)
    assert plan["state"] == "failed"
    assert "two devices of domain" in plan["error"]
    assert site.persistent(uuid).canonical == before.canonical


def test_a_host_that_cannot_save_a_definition(site: Site) -> None:
    """Its file cannot be written: that guest fails, the others are done; later it is tried anew."""
    uuids = [site.add(guest()) for _ in range(3)]
    before = site.persistent(uuids[1])
    place = site.host.folder / f"etc/libvirt/qemu/{before.name}.xml.new"
    place.mkdir()
    result = site.migrate(*uuids, "-f", "json", code=1)
    states = {plan["instance"]: plan["state"] for plan in result.json["plans"]}
    assert states == dict(zip(uuids, ("applied", "failed", "applied"), strict=True))
    assert site.persistent(uuids[1]).canonical == before.canonical
    place.rmdir()
    site.migrate(*uuids)
    assert all(site.aliases(uuid) == ALL for uuid in uuids)


def test_a_definition_that_libvirt_refuses(site: Site) -> None:
    """The emulator it names has gone: neither a device nor the whole of it can be written."""
    emulator = site.host.folder / "var/lib/emulator"
    emulator.write_text('#!/bin/sh\nexec /usr/bin/qemu-system-x86_64 "$@"\n')
    emulator.chmod(0o755)
    texts = (guest(), domains.domain(devices=[domains.mdev(str(uuid4()))]))
    path = "<devices><emulator>/var/lib/emulator</emulator>"
    uuids = [site.add(text.replace("<devices>", path)) for text in texts]
    before = [site.persistent(uuid).canonical for uuid in uuids]
    emulator.unlink()
    site.host.restart()
    result = site.migrate(*uuids, "--whole-definition", "-f", "json", code=1)
    assert [plan["state"] for plan in result.json["plans"]] == ["failed", "failed"]
    for plan in result.json["plans"]:
        assert "Cannot check QEMU binary /var/lib/emulator" in plan["error"]
    assert [site.persistent(uuid).canonical for uuid in uuids] == before


def test_the_alias_that_nova_gives_a_volume_without_an_id(site: Site) -> None:
    """Nova's own "ua-None" names nothing: the volume gets its alias."""
    uuid = site.add(guest().replace(f"ua-{B}", "ua-None"))
    assert site.aliases(uuid)["disk vdc"] == "ua-None"
    site.migrate(uuid)
    assert site.aliases(uuid)["disk vdc"] == f"ua-{B}"
    assert site.run("undo", "1", "--yes").code == 0
    assert site.aliases(uuid)["disk vdc"] == "ua-None"


def say(site: Site, mode: str, aliases: bool) -> None:
    """Let the nova-compute of the host say what it keeps."""
    state = open_state(f"sqlite:///{site.cloud.folder / 'state.sqlite'}")
    write_keeping(state, "cmp1", mode, aliases, {})
    state.close()


@as_root
def test_a_plan_says_what_takes_aliases_away_and_what_gives_them_again(site: Site) -> None:
    """A port that the definition does not show is known only while a guest has its alias."""
    plain = site.add(guest())
    running = site.add(guest(), start=True)
    alone = site.add(domains.domain(interfaces=[domains.interface(MAC, kind="user")]), start=True)
    stopped = site.add(domains.domain(interfaces=[domains.interface(MAC, kind="user")]))
    volume = site.add(domains.domain(disks=[domains.disk("vda"), domains.disk("vdb", serial=A)]))
    guests = (plain, running, alone, stopped)

    def notes(uuid: str) -> str:
        return site.run("device", "alias-migrate", "--dry-run", uuid).out

    for mode, keeps in (("off", True), ("log", True), ("on", False)):
        say(site, mode, keeps)
        for uuid in guests:
            assert "keeps only the aliases of volumes" in notes(uuid)
    say(site, "on", True)
    for uuid in guests:
        assert "keeps only" not in notes(uuid)
        assert "resize gives these again" in notes(uuid)
        assert ("Soft-reboot it before its next stop" in notes(uuid)) == (uuid == alone)
        assert ("at its next soft reboot" in notes(uuid)) == (uuid in (running, alone))
    assert "note:" not in notes(volume)
