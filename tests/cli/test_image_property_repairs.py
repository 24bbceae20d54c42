"""`image-property unset --unreadable` and `--duplicates`; what other commands say of such rows."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from novadev.errors import InvalidProperty
from novadev.runs.change import Change
from novadev.runs.file_checks import check
from novadev.runs.place import in_cell
from novadev.runs.plan import Draft, Plan
from novadev.value import ABSENT
from tests.cloud import Cloud
from tests.command import Result, novadev

UNREADABLE = {
    **{"os_type": "Windows Server 2019", "hw_firmware_type": "UEFI", "img_config_drive": "True"},
    **{"hw_video_ram": "64MB", "hw_watchdog_action": "RESET", "hw_disk_bus": "SCSI"},
}
GOOD = {"hw_vif_model": "E1000", "os_distro": "debian", "hw_video_model": None}


def unset(cloud: Cloud, *arguments: str) -> Result:
    return novadev(cloud, "image-property", "unset", "--unreadable", *arguments)


def add(cloud: Cloud, **wanted: str | None) -> str:
    """A stopped server, whose request spec has one of these values, too."""
    spec = {"os_type": "Windows Server 2019", "hw_disk_bus": "virtio"}
    properties = {**GOOD, **UNREADABLE, **wanted}
    uuid = cloud.add_instance(image_properties=properties, spec_properties=spec)
    cloud.add_disk(uuid)
    return uuid


def images(cloud: Cloud, uuid: str) -> dict[str, str | None]:
    """The properties whose rows this module is about."""
    stored = cloud.system_metadata(uuid)
    names = {*GOOD, *UNREADABLE}
    return {name: stored[f"image_{name}"] for name in names if f"image_{name}" in stored}


def test_just_the_rows_that_nova_cannot_read(cloud: Cloud) -> None:
    uuid, good = add(cloud), cloud.add_instance(image_properties=GOOD)
    result = unset(cloud, "--all", "--yes")
    assert result.code == 0, result.err
    assert (images(cloud, uuid), images(cloud, good)) == (GOOD, GOOD)
    assert cloud.spec_properties(uuid) == {"hw_disk_bus": "virtio"}
    assert "Nova can read everything that it stores" in unset(cloud, "--yes", uuid, good).err


def test_it_is_undone(cloud: Cloud) -> None:
    uuid = add(cloud)
    before = images(cloud, uuid), cloud.spec_properties(uuid)
    assert unset(cloud, "--yes", uuid).code == 0
    result = novadev(cloud, "undo", "1", "--yes")
    assert result.code == 0, result.err
    assert (images(cloud, uuid), cloud.spec_properties(uuid)) == before


def test_a_saved_plan_and_its_undo(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid, (first, second) = add(sqlite_cloud), (tmp_path / "first", tmp_path / "second")
    before = images(sqlite_cloud, uuid)
    assert unset(sqlite_cloud, uuid, "--plan-out", str(first)).code == 0
    assert novadev(sqlite_cloud, "apply", str(first), "--yes").code == 0
    assert images(sqlite_cloud, uuid) == GOOD
    assert novadev(sqlite_cloud, "undo", "1", "--plan-out", str(second)).code == 0
    assert novadev(sqlite_cloud, "apply", str(second), "--yes").code == 0
    assert images(sqlite_cloud, uuid) == before


@pytest.mark.parametrize(
    ("name", "value"), [("os_distro", "debian"), ("os_type", "linux"), ("base_image_ref", "UEFI")]
)
@pytest.mark.parametrize("is_undo", [False, True])
def test_a_plan_file_takes_out_nothing_that_nova_can_read(
    name: str, value: str, is_undo: bool
) -> None:
    item = Change(in_cell(name), value, ABSENT)
    changes = (item.inverse if is_undo else item,)
    plan = Plan("image-property unset", str(uuid4()), "cell1", changes)
    with pytest.raises(InvalidProperty):
        check(Draft(plan, undoes=1 if is_undo else None))


def test_what_is_lost_is_said(sqlite_cloud: Cloud) -> None:
    uuid = add(sqlite_cloud)
    note = unset(sqlite_cloud, uuid, "--dry-run", "-f", "json").json["plans"][0]["note"]
    assert f"novadev image-property set --property hw_disk_bus=scsi {uuid}" in note
    assert "Nova does not know hw_firmware_type=UEFI, but it knows uefi" in note
    assert "os_type" not in note


@pytest.mark.parametrize(
    "arguments",
    [(), ("--unreadable", "--property", "hw_disk_bus"), ("--duplicates", "--unreadable")],
)
def test_what_is_taken_out_is_chosen_in_one_way(
    sqlite_cloud: Cloud, arguments: tuple[str, ...]
) -> None:
    uuid = add(sqlite_cloud)
    result = novadev(sqlite_cloud, "image-property", "unset", *arguments, "--yes", uuid)
    assert (result.code, images(sqlite_cloud, uuid)["hw_disk_bus"]) == (4, "SCSI")
    assert "give exactly one of --property NAME, --unreadable and --duplicates" in result.err


@pytest.mark.parametrize(
    "command",
    [
        ("image-property", "set", "--property", "hw_vif_model=virtio"),
        ("image-property", "unset", "--property", "hw_vif_model"),
        ("machine-type", "set", "pc"),
    ],
)
def test_others_say_that_nova_cannot_read_the_server(
    sqlite_cloud: Cloud, command: tuple[str, ...]
) -> None:
    uuid = add(sqlite_cloud, hw_disk_bus="virtio")
    result = novadev(sqlite_cloud, *command, uuid, "--dry-run", "-f", "json")
    note = result.json["plans"][0]["note"]
    assert "os_type=Windows Server 2019" in note
    assert f"novadev image-property unset --unreadable {uuid}" in note


@pytest.mark.parametrize(
    "wanted", [{}, {"host": None, "vm_state": "shelved_offloaded"}], ids=["on a host", "offloaded"]
)
def test_stash_defaults_says_that_nova_cannot_read_the_server(
    sqlite_cloud: Cloud, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    uuid = sqlite_cloud.add_instance(os_type="Windows Server 2019", **wanted)
    config = tmp_path / "nova.conf"
    config.write_text("[libvirt]\nvirt_type = kvm\n")
    stash = ("stash-defaults", "--source", "driver", "--assume-config", str(config), uuid)
    result = novadev(sqlite_cloud, *stash, "--dry-run")
    assert result.code == 3
    assert f"novadev image-property unset --unreadable {uuid}" in result.err


@pytest.mark.parametrize(
    ("stored", "bus", "after", "told"),
    [
        ("SCSI", None, ("scsi", "/dev/sda"), False),
        ("SCSI", "virtio", ("virtio", "/dev/vda"), True),
        ("virtio ", "virtio", ("virtio", "/dev/vda"), False),
    ],
)
def test_a_bus_in_another_case_gets_nova_s_spelling(
    sqlite_cloud: Cloud, stored: str, bus: str | None, after: tuple[str, str], told: bool
) -> None:
    """The disks that the property gives its bus to move; of others it says that they stay."""
    known = stored.strip().lower()
    uuid = sqlite_cloud.add_instance(hw_disk_bus=stored, hw_scsi_model="virtio-scsi")
    sqlite_cloud.add_disk(uuid, disk_bus=bus)
    set_ = ("image-property", "set", "--property", f"hw_disk_bus={known}", uuid, "--yes")
    result = novadev(sqlite_cloud, *set_, "-f", "json")
    assert result.code == 0, result.err
    (disk,) = sqlite_cloud.disks(uuid)
    assert (disk["disk_bus"], disk["device_name"]) == after
    assert sqlite_cloud.system_metadata(uuid)["image_hw_disk_bus"] == known
    assert ("moves no disk" in (result.json["plans"][0]["note"] or "")) is told


# Two rows of one key


def add_rows(cloud: Cloud, uuid: str, **values: str | None) -> None:
    for name, value in values.items():
        row = {"key": f"image_{name}", "value": value, "deleted": 0}
        cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)


def doubled(cloud: Cloud) -> str:
    """A stopped server that stores one property three times, and one that novadev never sets."""
    uuid = cloud.add_instance(hw_vif_model="e1000", image_properties={"os_distro": "debian"})
    add_rows(cloud, uuid, hw_vif_model=None, os_distro="windows")
    add_rows(cloud, uuid, hw_vif_model="virtio")
    return uuid


def stored_rows(cloud: Cloud, uuid: str) -> list[tuple[int, str, str | None]]:
    found = cloud.rows("instance_system_metadata", "cell1", instance_uuid=uuid)
    return sorted((row["id"], row["key"], row["value"]) for row in found)


def unset_duplicates(cloud: Cloud, *arguments: str) -> Result:
    return novadev(cloud, "image-property", "unset", "--duplicates", *arguments)


def test_the_rows_that_nova_never_reads_are_taken_out_and_put_back(cloud: Cloud) -> None:
    uuid = doubled(cloud)
    before = stored_rows(cloud, uuid)
    result = unset_duplicates(cloud, "--all", "--yes")
    assert result.code == 0, result.err
    after = stored_rows(cloud, uuid)
    assert len(before) - len(after) == 3
    assert {(key, value) for _, key, value in after} >= {
        ("image_hw_vif_model", "virtio"),
        ("image_os_distro", "windows"),
    }
    assert "it stores each property in only one row" in unset_duplicates(cloud, "--yes", uuid).err
    result = novadev(cloud, "undo", "1", "--yes")
    assert (result.code, stored_rows(cloud, uuid)) == (0, before), result.err


def test_a_saved_plan_of_rows(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid, file = doubled(sqlite_cloud), tmp_path / "plan"
    assert unset_duplicates(sqlite_cloud, uuid, "--plan-out", str(file)).code == 0
    assert novadev(sqlite_cloud, "apply", str(file), "--yes").code == 0
    assert "one row" in unset_duplicates(sqlite_cloud, "--yes", uuid).err


def test_a_row_that_nova_reads_is_never_taken_out(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """Somebody takes out the last row after the plan was made: the one before counts now."""
    uuid, file = doubled(sqlite_cloud), tmp_path / "plan"
    assert unset_duplicates(sqlite_cloud, uuid, "--plan-out", str(file)).code == 0
    last = stored_rows(sqlite_cloud, uuid)[-1]
    sqlite_cloud.delete("instance_system_metadata", "cell1", id=last[0])
    before = stored_rows(sqlite_cloud, uuid)
    result = novadev(sqlite_cloud, "apply", str(file), "--yes")
    assert (result.code, stored_rows(sqlite_cloud, uuid)) == (7, before)
    assert "has no other row that Nova reads instead of row" in result.out + result.err


def test_a_saved_plan_of_rows_is_stale_once_another_row_came(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    uuid, file = doubled(sqlite_cloud), tmp_path / "plan"
    assert unset_duplicates(sqlite_cloud, uuid, "--plan-out", str(file)).code == 0
    add_rows(sqlite_cloud, uuid, hw_vif_model="pcnet")
    before = stored_rows(sqlite_cloud, uuid)
    result = novadev(sqlite_cloud, "apply", str(file), "--yes")
    assert (result.code, stored_rows(sqlite_cloud, uuid)) == (7, before)
    assert "hw_vif_model is also stored in rows that the plan does not name" in result.err
    assert unset_duplicates(sqlite_cloud, "--yes", uuid).code == 0
    assert ("image_hw_vif_model", "pcnet") in {item[1:] for item in stored_rows(sqlite_cloud, uuid)}


def test_rows_are_put_back_where_their_ids_are_free(cloud: Cloud) -> None:
    """Another server has one of the ids by now: that plan is stale, and the others are undone."""
    uuid, other, bystander = doubled(cloud), doubled(cloud), cloud.add_instance()
    before = stored_rows(cloud, uuid)
    assert unset_duplicates(cloud, "--yes", uuid, other).code == 0
    (taken, *_) = {item[0] for item in before} - {item[0] for item in stored_rows(cloud, uuid)}
    row = {"key": "image_os_distro", "value": "debian", "deleted": 0}
    cloud.insert("instance_system_metadata", "cell1", instance_uuid=bystander, id=taken, **row)
    kept = stored_rows(cloud, uuid)
    result = novadev(cloud, "undo", "1", "--yes")
    assert (result.code, stored_rows(cloud, uuid)) == (7, kept)
    assert f"the id {taken} belongs to another row of instance_system_metadata now" in result.err
    assert (
        "it stores each property in only one row" not in unset_duplicates(cloud, "--yes", other).err
    )


@pytest.mark.parametrize(
    "command",
    [
        ("image-property", "set", "--property", "hw_vif_model=igb"),
        ("image-property", "unset", "--property", "hw_vif_model"),
    ],
)
def test_a_property_in_two_rows_is_refused_when_it_is_planned(
    sqlite_cloud: Cloud, command: tuple[str, ...]
) -> None:
    uuid = doubled(sqlite_cloud)
    result = novadev(sqlite_cloud, *command, uuid, "--yes")
    assert result.code == 3
    assert "hw_vif_model is stored in 3 rows" in result.err
    assert f"novadev image-property unset --duplicates {uuid}" in result.err
    other = ("image-property", "set", "--property", "hw_video_model=qxl", uuid, "--yes")
    assert novadev(sqlite_cloud, *other).code == 0


def test_an_unreadable_value_in_two_rows_is_refused_until_one_is_left(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(image_properties={"os_type": "linux"})
    add_rows(sqlite_cloud, uuid, os_type="Windows Server 2019")
    before = stored_rows(sqlite_cloud, uuid)
    result = unset(sqlite_cloud, "--yes", uuid)
    assert (result.code, stored_rows(sqlite_cloud, uuid)) == (3, before)
    assert "os_type is stored in 2 rows" in result.err
    assert "Nova reads Windows Server 2019 and ignores linux in row" in result.err
    assert f"novadev image-property unset --duplicates {uuid}" in result.err
    assert unset_duplicates(sqlite_cloud, "--yes", uuid).code == 0
    assert unset(sqlite_cloud, "--yes", uuid).code == 0
    assert "image_os_type" not in sqlite_cloud.system_metadata(uuid)


@pytest.mark.parametrize("value", [["ide"], {"ide": 1}, 1.5, True, 5])
def test_a_value_in_the_spec_that_is_no_text(sqlite_cloud: Cloud, value: object) -> None:
    """A number is taken out as a text is; what is not a value at all makes the spec unreadable."""
    uuid = sqlite_cloud.add_instance(hw_disk_bus="virtio", spec_properties={"hw_disk_bus": value})
    is_number = isinstance(value, int)
    for words in ("unset --unreadable", "set --property hw_vif_model=e1000", "sync"):
        command = ["image-property", *words.split(), uuid, "--yes"]
        assert novadev(sqlite_cloud, *command).code == (0 if is_number else 4), words
    listed = novadev(sqlite_cloud, "image-property", "list", uuid)
    assert ("cannot be read" in listed.err) is not is_number
