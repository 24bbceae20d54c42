"""Addresses that a record has overwritten, and pinned ones, on a real libvirt."""

import re
import sqlite3
from pathlib import Path

import libvirt
import pytest
from lxml import etree

from novadev.audit.remedies import unpin
from novadev.cli.device_watch import Lines
from novadev.records.watch import Held, Swept, Written
from novadev.runs.lease import user
from tests.cloud import Cloud
from tests.device.restoring import (
    OTHER_TAP,
    TAP,
    guest,
    move,
    moves,
    place,
    plan,
    record,
    restore,
    rows,
    swap,
)
from tests.device.site import Site
from tests.hypervisor import Hypervisor
from tests.watch.watching import watching

pytestmark = pytest.mark.slow


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def drift(site: Site, *arguments: str) -> dict[str, tuple[str, str]]:
    """What has drifted, by label: the address recorded and the one found."""
    result = site.run("device", "drift", "-f", "json", *arguments)
    found = {item["label"]: (item["recorded"], item["found"]) for item in result.json}
    assert result.code == (3 if found else 0), result.err
    return found


def test_a_record_after_a_drift_loses_no_address(site: Site) -> None:
    uuid, other = site.add(guest()), site.add(guest())
    record(site, uuid)
    before = site.persistent(uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    for number in (2, None):  # the second time there is nothing to write
        made = site.run("device", "record", uuid, other, "-f", "json")
        assert {item["record"] for item in made.json} == {number}
        assert ("This is record 2." in made.err) is (number == 2)
    told = site.run("device", "history", uuid, "-f", "json").json
    assert {item["record"] for item in told} == {1, 2}
    assert (drift(site, uuid), set(drift(site, uuid, "--as-of", "1"))) == (
        {},
        {"disk vda", "disk vdb"},
    )
    (planned,) = plan(site, "--as-of", "1", uuid)["plans"]
    told = "The addresses are those recorded as of record 1, not the newest ones."
    assert told in planned["note"]
    late = restore(site, "--as-of", "1", uuid, other, "-f", "json", code=3).json
    assert [skip["instance"] for skip in late["skipped"]] == [other]
    assert "its first record is record 2" in late["skipped"][0]["reason"]
    assert site.persistent(uuid).canonical == before.canonical
    assert drift(site, uuid, "--as-of", "1") == {}
    assert set(drift(site, uuid)) == {"disk vda", "disk vdb"}


def test_a_pinned_device_is_put_back_after_every_record(site: Site) -> None:
    """The pinned card gets its place from another, which is recorded there since."""
    uuid = site.add(guest())
    record(site, uuid)
    card = site.persistent(uuid).device(TAP)
    pinned = place(site.persistent(uuid), TAP)
    mac = next(row.spec_params["mac"] for row in rows(site, uuid).values() if row.label == TAP)
    assert site.run("device", "pin", uuid, str(mac)).code == 0
    *_, last = site.run("device", "history", uuid, "-f", "json").json
    values = last["label"], last["field"], last["before"], last["record"]
    assert (values, last["user"]) == ((TAP, "pin", None, None), user())
    assert last["after"]
    for _ in range(2):
        swap(site, uuid, TAP, OTHER_TAP)
        for _ in range(2):
            result = site.run("device", "record", uuid)
            assert "a pinned device is not at its pinned address" in result.err
        assert "0 changed, 1 unchanged" in result.err
        assert set(drift(site, uuid)) == {TAP}
        assert card.address
        assert rows(site, uuid)[TAP].address == card.address.ovirt_text
        assert set(moves(plan(site, uuid))) == {TAP, OTHER_TAP}
        restore(site, uuid)
        assert place(site.persistent(uuid), TAP) == pinned
        record(site, uuid)
        assert drift(site, uuid) == {}
    swap(site, uuid, TAP, OTHER_TAP)
    away = place(site.persistent(uuid), TAP)
    record(site, uuid)
    last = site.run("device", "history", uuid, "-f", "json").json[-1]["record"]
    assert drift(site, uuid, "--as-of", str(last)) == {}, "a record has what it found"
    assert set(drift(site, uuid)) == {TAP}
    told = site.run("device", "history", uuid, "-f", "json").json
    assert away in [item["after"] for item in told if item["label"] == TAP]
    audit = site.run("audit", uuid, "--check", "drift", "-f", "json").json
    assert [item["remedy"] for item in audit] == [f"novadev device restore --yes {uuid}"]
    assert site.run("device", "unpin", uuid).code == 0
    record(site, uuid)
    assert drift(site, uuid) == {}


def test_what_an_earlier_release_recorded_beside_a_pin_is_no_change(site: Site) -> None:
    """The history gets where the pinned device is, which that release has not written."""
    uuid = site.add(guest())
    record(site, uuid)
    assert site.run("device", "pin", uuid, "vdb").code == 0
    swap(site, uuid, "disk vda", "disk vdb")
    record(site, uuid)
    with sqlite3.connect(site.cloud.folder / "state.sqlite") as state:
        query = "DELETE FROM vm_device_history WHERE record_id = 2 AND body LIKE '%\"disk vdb\"%'"
        assert state.execute(query).rowcount == 1
    for number in (3, None):
        (made,) = site.run("device", "record", uuid, "-f", "json").json
        assert (made["changed"], made["record"]) == (False, number)
        assert made["hash"] == made["previous_hash"]
        assert set(drift(site, uuid)) == {"disk vdb"}


def test_a_pinned_device_that_is_gone_stays_in_sight(site: Site) -> None:
    """Recorded so or not, and it goes back to its place when it comes elsewhere."""
    uuid = site.add(guest())
    record(site, uuid)
    assert site.run("device", "pin", uuid, "vdb").code == 0
    pinned = place(site.persistent(uuid), "disk vdb")
    handle, disk = site.handle(uuid), site.persistent(uuid).device("disk vdb").element
    handle.detachDeviceFlags(etree.tostring(disk).decode(), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    for _ in range(2):
        found = site.run("device", "drift", uuid, "-f", "json")
        (gone,) = found.json
        assert (gone["label"], gone["found"], gone["pinned"]) == ("disk vdb", None, True)
        assert "device unpin" in found.err
        listed = {
            item["label"]: item
            for item in site.run("device", "list", "--long", uuid, "-f", "json").json
        }
        assert (listed["disk vdb"]["present"], listed["disk vdb"]["address"]) == (False, pinned)
        (audit,) = site.run("audit", uuid, "--check", "drift", "-f", "json").json
        assert audit["remedy"] == unpin(uuid, [gone["device_id"]])
        assert "disk vdb is pinned at" in site.run("device", "record", uuid).err
    elsewhere = re.sub('slot="0x[0-9a-f]+"', 'slot="0x1e"', etree.tostring(disk).decode())
    handle.attachDeviceFlags(elsewhere, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    assert drift(site, uuid) == {"disk vdb": (pinned, "0000:00:1e.0")}
    restore(site, uuid)
    assert place(site.persistent(uuid), "disk vdb") == pinned
    record(site, uuid)
    assert drift(site, uuid) == {}


def test_an_older_record_moves_a_pinned_device_with_a_word(site: Site) -> None:
    uuid = site.add(guest())
    record(site, uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    record(site, uuid)
    assert site.run("device", "pin", uuid, "vdb").code == 0
    (planned,) = plan(site, "--as-of", "1", uuid)["plans"]
    assert "disk vdb is pinned at" in planned["note"]
    assert "disk vda is pinned" not in planned["note"]


def test_a_watch_says_once_what_pinned_devices_do(site: Site) -> None:
    """At its start, when they alone move, and with the truth when something else moves too."""
    uuid = site.add(guest())
    record(site, uuid)
    assert site.run("device", "pin", uuid).code == 0
    assert site.run("device", "unpin", uuid, "vda", "vdb").code == 0
    swap(site, uuid, TAP, OTHER_TAP)
    with watching(site.cloud) as seen:
        seen.wait(lambda: seen.of(Swept) and seen.of(Held))
        swap(site, uuid, TAP, "memballoon virtio")
        seen.wait(lambda: len(seen.of(Held)) == 2)
        swap(site, uuid, "disk vda", "disk vdb")
        seen.wait(lambda: len(seen.of(Written)) == 2)
    held = seen.of(Held)
    assert len(held) == 2, "a change of others is none of pinned devices"
    lines = [line for item in held for _, line in Lines().of(item)]
    assert all("the record keeps that address" in line for line in lines)
    moved, others = (line for item in seen.of(Written) for _, line in Lines().of(item))
    assert f"{TAP} (pinned): address was" in moved
    assert "disk vda: address was" in others
    assert TAP not in others


def test_a_saved_restore_respects_a_later_pin_and_its_undo_names_it(
    site: Site, tmp_path: Path
) -> None:
    uuid, saved = site.add(guest()), str(tmp_path / "plan")
    record(site, uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    assert site.run("device", "restore", uuid, "--plan-out", saved).code == 0
    record(site, uuid)
    assert site.run("device", "pin", uuid, "vdb").code == 0
    moved = site.persistent(uuid)
    stale = site.run("apply", saved, "--yes")
    assert stale.code == 7, stale.err
    assert f"disk vdb is pinned at {place(moved, 'disk vdb')} now" in stale.out + stale.err
    assert site.persistent(uuid).canonical == moved.canonical
    (planned,) = plan(site, "--as-of", "1", uuid)["plans"]
    assert "disk vdb is pinned at" in planned["note"]
    restore(site, "--as-of", "1", uuid)  # what the plan has said is no surprise
    restore(site, uuid)
    told = site.run("undo", "3", "--dry-run", "-f", "json")
    assert "disk vdb is pinned at" in told.json["plans"][0]["note"], told.err
    assert "disk vda is pinned" not in told.json["plans"][0]["note"]


def test_a_pinned_device_on_another_bus_is_no_dead_end(site: Site, tmp_path: Path) -> None:
    """Its pin takes nobody's place, unpin is the remedy, and the export can be imported."""
    uuid, file = site.add(guest()), str(tmp_path / "export")
    record(site, uuid)
    assert site.run("device", "pin", uuid, "vdb").code == 0
    before = site.persistent(uuid)
    freed = before.device("disk vdb").address
    text = etree.tostring(before.device("disk vdb").element).decode()
    handle = site.handle(uuid)
    handle.detachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    other = re.sub('<address type="pci"[^>]*>', "", text)
    other = other.replace('dev="vdb" bus="virtio"', 'dev="sdc" bus="scsi"')
    handle.attachDeviceFlags(other, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    assert freed
    move(site, uuid, {TAP: freed})
    for _ in range(2):
        found = site.run("device", "drift", uuid, "-f", "json")
        assert [item["unfit"] for item in found.json if item["pinned"]]
        assert all(item["unfit"] for item in found.json if item["pinned"])
        assert "can no longer be at their pinned address" in found.err
        assert "restore" not in found.err
        (audit,) = site.run("audit", uuid, "--check", "drift", "-f", "json").json
        lost = {item["device_id"] for item in found.json if item["unfit"]}
        assert audit["remedy"] == unpin(uuid, sorted(lost))
        told = site.run("device", "record", uuid).err
        assert "where it can no longer be" in told
        assert "device restore" not in told
    move(site, uuid, {TAP: before.device(TAP).address or freed})
    assert set(moves(plan(site, uuid))) == {TAP}, "the place is free for who is recorded there"
    restore(site, uuid)
    assert "novadev device unpin removes the pin" in restore(site, uuid).err
    assert site.run("device", "export", uuid, "-o", file).code == 0
    imported = site.run("device", "import", file, "--yes")
    assert (imported.code, "Nothing to do" in imported.err) == (0, True), imported.err
    assert site.run("device", "unpin", uuid).code == 0
    record(site, uuid)
    assert drift(site, uuid) == {}
