"""`image-property unset --unreadable`; what is said of values that Nova cannot read."""

from pathlib import Path
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
    assert "it stores nothing that Nova cannot read" in unset(cloud, "--yes", uuid, good).err


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
    assert "Nova has no hw_firmware_type=UEFI, but it has uefi" in note
    assert "os_type" not in note


@pytest.mark.parametrize("arguments", [(), ("--unreadable", "--property", "hw_disk_bus")])
def test_what_is_taken_out_is_chosen_in_one_way(
    sqlite_cloud: Cloud, arguments: tuple[str, ...]
) -> None:
    uuid = add(sqlite_cloud)
    result = novadev(sqlite_cloud, "image-property", "unset", *arguments, "--yes", uuid)
    assert (result.code, images(sqlite_cloud, uuid)["hw_disk_bus"]) == (4, "SCSI")
    assert "give either --property NAME or --unreadable" in result.err


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
