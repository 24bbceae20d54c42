"""An undo goes as far as it can where volumes were attached or detached since its run."""

from functools import partial
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.image_property.guests import stored
from tests.previewing import kept

FIRST, SECOND, NEW = (f"{number}" * 8 + "-1111-4111-8111-111111111111" for number in (1, 2, 3))
SETS = {
    "set": ("image-property", "set", "--property", "hw_disk_bus=sata"),
    "machine type": ("machine-type", "set", "q35"),
}


def server(cloud: Cloud, bus: str = "ide", name: str = "hd", **wanted: Any) -> str:
    """A stopped server with its root disk and two volumes on BUS."""
    given = {"hw_machine_type": "pc", "hw_disk_bus": bus, "hw_vif_model": "e1000"}
    root = {"root_device_name": f"/dev/{name}a"}
    uuid = cloud.add_instance(**{**given, **root, **wanted})
    cloud.add_disk(uuid, f"/dev/{name}a", disk_bus=bus)
    cloud.add_volume(uuid, FIRST, f"/dev/{name}b", disk_bus=bus)
    cloud.add_volume(uuid, SECOND, f"/dev/{name}c", disk_bus=bus)
    return uuid


def disks(cloud: Cloud, uuid: str) -> list[tuple[str, str]]:
    rows = (row for row in cloud.disks(uuid) if not row["deleted"])
    return [(row["disk_bus"], row["device_name"]) for row in rows]


def detach(cloud: Cloud, uuid: str, volume: str) -> int:
    """Delete the row of a volume as Nova does; its id comes back."""
    where = {"instance_uuid": uuid, "volume_id": volume}
    (row,) = cloud.rows("block_device_mapping", "cell1", **where)
    cloud.update("block_device_mapping", "cell1", where, deleted=row["id"])
    return int(row["id"])


def undo(cloud: Cloud, code: int = 0, run: str = "1") -> Result:
    result = kept(partial(novadev, cloud), "undo", run)
    assert result.code == code, result.err
    assert "plan again" not in result.err
    return result


@pytest.mark.parametrize("command", SETS)
def test_a_volume_that_was_attached_since_stays_as_it_is(any_cloud: Cloud, command: str) -> None:
    uuid = server(any_cloud)
    before = stored(any_cloud, uuid)
    assert novadev(any_cloud, *SETS[command], "--yes", uuid).code == 0
    assert disks(any_cloud, uuid) == [("sata", f"/dev/sd{letter}") for letter in "abc"]
    any_cloud.add_volume(uuid, NEW, "/dev/sdd", disk_bus="sata")
    (plan,) = undo(any_cloud).json["plans"]
    effects = {item["what"]: (item["before"], item["after"]) for item in plan["effects"]}
    assert effects["volume sdd"] == ("sata sdd", "sata sdd")
    assert effects["root disk"] == ("sata sda", "ide hda")
    assert disks(any_cloud, uuid)[-1] == ("sata", "/dev/sdd")
    after = stored(any_cloud, uuid)
    del after.cell["disks"][-1]
    assert after == before


@pytest.mark.parametrize("command", SETS)
def test_a_volume_that_was_detached_since_is_left_and_named(any_cloud: Cloud, command: str) -> None:
    uuid = server(any_cloud)
    assert novadev(any_cloud, *SETS[command], "--yes", uuid).code == 0
    row = detach(any_cloud, uuid, FIRST)
    any_cloud.update("instances", "cell1", {"uuid": uuid}, host="cmp2", node="cmp2")
    title, *lines = novadev(any_cloud, "undo", "1", "--dry-run").out.splitlines()
    assert title.endswith(" on cmp2")
    assert [line for line in lines if f"block_device_mapping {row} " in line] == [
        f"  note: block_device_mapping {row} is gone, so what the run wrote there is left"
    ]
    result = undo(any_cloud)
    (plan,) = result.json["plans"]
    left = {item["what"]: item["left"] for item in plan["changes"] if "left" in item}
    columns = (f"block_device_mapping {row} {name}" for name in ("disk_bus", "device_name"))
    assert (plan["state"], left) == ("applied", dict.fromkeys(columns, "is gone"))
    assert (
        f"block_device_mapping {row} is gone, so what the run wrote there is left" in plan["error"]
    )
    assert disks(any_cloud, uuid) == [("ide", "/dev/hda"), ("ide", "/dev/hdc")]
    assert any_cloud.instance(uuid)["root_device_name"] == "/dev/hda"
    assert any_cloud.system_metadata(uuid)["image_hw_disk_bus"] == "ide"
    (run, _) = novadev(any_cloud, "history", "-f", "json").json[::-1]
    assert (run["state"], run["undone"]) == ("undone", 1)
    undo(any_cloud, run="2")
    assert disks(any_cloud, uuid) == [("sata", "/dev/sda"), ("sata", "/dev/sdc")]


def test_properties_are_taken_back_though_no_disk_had_moved(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud)
    words = ("--property", "hw_vif_model=virtio", "--property", "hw_disk_bus=ide")
    more = ("--property", "hw_cdrom_bus=sata", "--force", "--yes", uuid)
    assert novadev(sqlite_cloud, "image-property", "set", *words, *more).code == 0
    sqlite_cloud.add_volume(uuid, NEW, "/dev/vdd", disk_bus="virtio")
    undo(sqlite_cloud)
    assert sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"] == "e1000"
    assert "image_hw_cdrom_bus" not in sqlite_cloud.system_metadata(uuid)


@pytest.mark.parametrize(
    ("name", "bus", "why"),
    [
        ("/dev/hdb", "ide", "hdb"),
        ("/dev/vdb", "ide", "vdb"),
    ],
)
def test_a_new_disk_that_has_the_former_place_is_in_the_way(
    sqlite_cloud: Cloud, name: str, bus: str, why: str
) -> None:
    uuid = server(sqlite_cloud)
    assert novadev(sqlite_cloud, *SETS["set"], "--yes", uuid).code == 0
    sqlite_cloud.add_volume(uuid, NEW, name, disk_bus=bus)
    before = stored(sqlite_cloud, uuid)
    result = undo(sqlite_cloud, code=7)
    (plan,) = result.json["plans"]
    assert plan["state"] == "stale"
    assert "its disks have changed since the run" in plan["error"]
    assert why in plan["error"]
    assert "it cannot be undone; set what you want (novadev image-property set" in plan["error"]
    assert stored(sqlite_cloud, uuid) == before


@pytest.mark.parametrize("first", SETS)
def test_a_later_run_that_is_in_the_way_is_named(sqlite_cloud: Cloud, first: str) -> None:
    """In the preview and in the run; once that run is undone, so is this one."""
    uuid = server(sqlite_cloud)
    later = ("image-property", "set", "--property", "hw_disk_bus=virtio")
    assert novadev(sqlite_cloud, *SETS[first], "--yes", uuid).code == 0
    assert novadev(sqlite_cloud, *later, "--yes", uuid).code == 0
    (plan,) = undo(sqlite_cloud, code=7).json["plans"]
    assert "run 2 has changed it since: undo that run first" in plan["error"]
    undo(sqlite_cloud, run="2")
    undo(sqlite_cloud)
    assert disks(sqlite_cloud, uuid)[0] == ("ide", "/dev/hda")


def test_a_run_that_wrote_the_request_spec_alone_is_not_named(sqlite_cloud: Cloud) -> None:
    """Nova itself stores another machine type when it rescues a server; nor is its undo named."""
    uuid = server(sqlite_cloud)
    assert novadev(sqlite_cloud, *SETS["machine type"], "--yes", uuid).code == 0
    where = {"instance_uuid": uuid, "key": "image_hw_machine_type"}
    sqlite_cloud.update("instance_system_metadata", "cell1", where, value="pc")
    assert novadev(sqlite_cloud, "image-property", "sync", "--yes", uuid).code == 0
    assert "has changed it since" not in undo(sqlite_cloud, code=7).err
    undo(sqlite_cloud, run="2")
    assert "has changed it since" not in undo(sqlite_cloud, code=7).err


def rescue(cloud: Cloud, uuid: str) -> None:
    """Store what Nova does: the default machine type of the host, and a bus that was not stored."""
    where = {"instance_uuid": uuid, "key": "image_hw_machine_type"}
    cloud.update("instance_system_metadata", "cell1", where, value="pc")
    added = {"key": "image_hw_cdrom_bus", "value": "sata", "deleted": 0}
    cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **added)


def rename(cloud: Cloud, uuid: str) -> None:
    where = {"instance_uuid": uuid, "volume_id": FIRST}
    cloud.update("block_device_mapping", "cell1", where, disk_bus="scsi")


CHANGED: dict[str, tuple[tuple[str, ...], Any, set[str]]] = {
    "a rescue": (SETS["machine type"], rescue, {"hw_machine_type"}),
    "a disk, after set": (SETS["set"], rename, set()),
    "a disk, after another machine type": (SETS["machine type"], rename, set()),
}


@pytest.mark.parametrize("by", CHANGED)
def test_what_a_stale_undo_leaves_of_its_run_is_said(sqlite_cloud: Cloud, by: str) -> None:
    """Each value that is still the run's, or another one, with the reason; in text and in JSON."""
    command, change, as_before = CHANGED[by]
    uuid = server(sqlite_cloud)
    assert novadev(sqlite_cloud, *command, "--yes", uuid).code == 0
    change(sqlite_cloud, uuid)
    there = stored(sqlite_cloud, uuid)
    (plan,) = undo(sqlite_cloud, code=7).json["plans"]
    assert stored(sqlite_cloud, uuid) == there
    left = {item["what"]: item.get("left") for item in plan["changes"]}
    assert {what for what, why in left.items() if why is None} == as_before
    kept = {what for what, why in left.items() if why == "still as the run wrote it"}
    told = plan["error"].partition("; still as the run wrote it: ")[2].partition("; it cannot")[0]
    names = told.split(", ")
    for what in kept:
        assert what in names or what.rpartition(" ")[0] in names
    assert all(any(what.startswith(name) for what in kept) for name in names)
    for what in set(left) - kept - as_before:
        assert f"{what} {left[what]}" in plan["error"]
    for text in (novadev(sqlite_cloud, "undo", "1", how).err for how in ("--dry-run", "--yes")):
        assert f"; still as the run wrote it: {told}; it cannot be undone; set " in text


def test_a_combination_that_set_refuses_is_refused(sqlite_cloud: Cloud) -> None:
    """Its machine is Q35 by now, which has no IDE."""
    uuid = server(sqlite_cloud)
    assert novadev(sqlite_cloud, *SETS["set"], "--yes", uuid).code == 0
    assert novadev(sqlite_cloud, *SETS["machine type"], "--yes", uuid).code == 0
    detach(sqlite_cloud, uuid, SECOND)
    (plan,) = undo(sqlite_cloud, code=7).json["plans"]
    assert "has no IDE controller" in plan["error"]


def test_a_root_disk_that_is_gone_ends_the_undo(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud)
    assert novadev(sqlite_cloud, *SETS["set"], "--yes", uuid).code == 0
    where = {"instance_uuid": uuid, "boot_index": 0}
    sqlite_cloud.update("block_device_mapping", "cell1", where, deleted=1)
    (plan,) = undo(sqlite_cloud, code=7).json["plans"]
    assert "its root disk is gone" in plan["error"]


def test_what_another_has_written_is_stale_still(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud)
    assert novadev(sqlite_cloud, *SETS["set"], "--yes", uuid).code == 0
    where = {"instance_uuid": uuid, "volume_id": FIRST}
    sqlite_cloud.update("block_device_mapping", "cell1", where, disk_bus="scsi")
    sqlite_cloud.add_volume(uuid, NEW, "/dev/sdd", disk_bus="sata")
    (plan,) = undo(sqlite_cloud, code=7).json["plans"]
    assert "disk_bus is scsi now; the plan expected sata" in plan["error"]


@pytest.mark.parametrize("command", SETS)
@pytest.mark.parametrize("what", ["rebuilt", "a volume's row"])
def test_what_somebody_else_has_changed_is_to_be_set_by_hand(
    sqlite_cloud: Cloud, command: str, what: str
) -> None:
    """As after a rebuild: the properties are the image's again, and the disks stay moved."""
    uuid = server(sqlite_cloud)
    assert novadev(sqlite_cloud, *SETS[command], "--yes", uuid).code == 0
    if what == "rebuilt":
        where = {"instance_uuid": uuid, "key": "image_hw_disk_bus"}
        sqlite_cloud.update("instance_system_metadata", "cell1", where, value="ide")
    else:
        where = {"instance_uuid": uuid, "volume_id": FIRST}
        sqlite_cloud.update("block_device_mapping", "cell1", where, disk_bus="scsi")
    (plan,) = undo(sqlite_cloud, code=7).json["plans"]
    told, _, advice = plan["error"].partition("; it cannot be undone; ")
    changed, _, kept = told.partition("; still as the run wrote it: ")
    assert changed.endswith("now; the plan expected sata")
    assert "root_device_name" in kept.split(", ")
    assert advice.startswith("set what you want (novadev ")
    assert advice.endswith("; add --update-disks all to image-property set to move the disks too")
    words = ("image-property", "set", "--property", "hw_disk_bus=ide", "--update-disks", "all")
    machine = ("--force",) if command == "machine type" else ()
    assert novadev(sqlite_cloud, *words, *machine, "--yes", uuid).code == 0
    assert disks(sqlite_cloud, uuid) == [("ide", f"/dev/hd{letter}") for letter in "abc"]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("image-property", "set", "--property", "hw_vif_model=virtio"), "hw_vif_model"),
        (("image-property", "unset", "--property", "hw_vif_model"), "hw_vif_model"),
        (("machine-type", "set", "pc-i440fx-7.2"), "hw_machine_type"),
    ],
)
def test_a_plan_that_moves_no_disk_names_no_disks(
    sqlite_cloud: Cloud, command: tuple[str, ...], name: str
) -> None:
    uuid = server(sqlite_cloud)
    assert novadev(sqlite_cloud, *command, "--yes", uuid).code == 0
    key = {"instance_uuid": uuid, "key": f"image_{name}"}
    sqlite_cloud.delete("instance_system_metadata", "cell1", **key)
    sqlite_cloud.insert("instance_system_metadata", "cell1", **key, value="other", deleted=0)
    (plan,) = undo(sqlite_cloud, code=7).json["plans"]
    assert "; it cannot be undone; set what you want (novadev " in plan["error"]
    assert "--update-disks" not in plan["error"]


def test_a_server_whose_disks_are_the_same_goes_back_whatever_it_was(sqlite_cloud: Cloud) -> None:
    """What a set has put right may be put back: the checks are for what has changed since."""
    uuid = server(sqlite_cloud, hw_machine_type="q35")
    assert novadev(sqlite_cloud, *SETS["set"], "--yes", uuid).code == 0
    undo(sqlite_cloud)
    assert sqlite_cloud.system_metadata(uuid)["image_hw_disk_bus"] == "ide"


def test_a_machine_type_taken_back_shows_the_disks_of_today(sqlite_cloud: Cloud) -> None:
    """The disk has moved to virtio meanwhile, and a volume was attached."""
    uuid = sqlite_cloud.add_instance(
        hw_machine_type="pc", hw_disk_bus="sata", root_device_name="/dev/sda"
    )
    sqlite_cloud.add_disk(uuid, "/dev/sda", disk_bus="sata")
    assert novadev(sqlite_cloud, *SETS["machine type"], "--yes", uuid).code == 0
    virtio = ("image-property", "set", "--property", "hw_disk_bus=virtio", "--yes", uuid)
    assert novadev(sqlite_cloud, *virtio).code == 0
    sqlite_cloud.add_volume(uuid, NEW, "/dev/vdb", disk_bus="virtio")
    (plan,) = undo(sqlite_cloud).json["plans"]
    effects = {item["what"]: (item["before"], item["after"]) for item in plan["effects"]}
    assert effects["root disk"] == ("virtio vda", "virtio vda")
    assert effects["machine type"] == ("q35", "pc")
