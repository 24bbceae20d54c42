"""What a plan says of a guest that was perhaps not started since earlier runs, or is offloaded."""

from typing import Any

import pytest

from tests.cloud import Cloud
from tests.command import novadev
from tests.image_property.guests import stored
from tests.image_property.test_undo import FIRST, detach, disks, server, undo

SET_IDE = ("image-property", "set", "--property", "hw_disk_bus=ide")
SET_SATA = ("image-property", "set", "--property", "hw_disk_bus=sata")
SET_VIRTIO = ("image-property", "set", "--property", "hw_disk_bus=virtio")
TO_Q35, TO_PC = ("machine-type", "set", "q35"), ("machine-type", "set", "pc")
IF_NOT_STARTED = "if the server has not been started since run "


def plan_of(cloud: Cloud, uuid: str, *words: str) -> Any:
    (plan,) = novadev(cloud, *words, "--dry-run", "-f", "json", uuid).json["plans"]
    return plan


def ways(cloud: Cloud, uuid: str, *words: str) -> list[str]:
    notes = (plan_of(cloud, uuid, *words)["note"] or "").splitlines()
    return [note for note in notes if note.startswith(IF_NOT_STARTED)]


def apply(cloud: Cloud, uuid: str, *words: str) -> None:
    assert novadev(cloud, *words, "--yes", uuid).code == 0


def test_the_guest_goes_from_what_it_had_before_the_first_run(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud, "virtio", "vd")
    assert ways(sqlite_cloud, uuid, *SET_IDE) == []
    apply(sqlite_cloud, uuid, *SET_IDE)
    (note,) = ways(sqlite_cloud, uuid, *SET_SATA)
    assert note == (
        f"{IF_NOT_STARTED}1, its guest still has what it had before that run, and sees: root disk "
        "virtio vda -> sata sda; volume vdb virtio vdb -> sata sdb; volume vdc virtio vdc -> "
        "sata sdc"
    )
    apply(sqlite_cloud, uuid, *SET_SATA)
    (note,) = ways(sqlite_cloud, uuid, *SET_VIRTIO)
    assert note.startswith(f"{IF_NOT_STARTED}1,")
    assert "root disk virtio vda (stays)" in note


@pytest.mark.parametrize("first", ["undone", "of another property", "changed by another program"])
def test_a_run_that_says_nothing_of_its_disks(sqlite_cloud: Cloud, first: str) -> None:
    uuid = server(sqlite_cloud, "virtio", "vd")
    model = ("image-property", "set", "--property", "hw_vif_model=virtio")
    apply(sqlite_cloud, uuid, *(model if first == "of another property" else SET_IDE))
    if first == "undone":
        undo(sqlite_cloud)
    if first == "changed by another program":
        name = {"instance_uuid": uuid, "key": "image_hw_disk_bus"}
        sqlite_cloud.update("instance_system_metadata", "cell1", name, value="scsi")
    found = ways(sqlite_cloud, uuid, *SET_SATA, "--force")
    other = first == "of another property"
    assert [note.partition("sees: ")[2] for note in found] == [
        "hw_vif_model e1000 -> virtio"
    ] * other


def test_a_volume_that_was_detached_since_is_left_out(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud, "virtio", "vd")
    apply(sqlite_cloud, uuid, *SET_IDE)
    detach(sqlite_cloud, uuid, FIRST)
    (note,) = ways(sqlite_cloud, uuid, *SET_SATA)
    assert note.endswith("root disk virtio vda -> sata sda; volume vdc virtio vdc -> sata sdc")


def test_a_machine_type_that_the_guest_never_had(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud)
    apply(sqlite_cloud, uuid, *TO_Q35)
    (note,) = ways(sqlite_cloud, uuid, *TO_PC)
    assert "sees: machine type pc (stays); " in note
    assert "root disk ide hda -> sata sda" in note


def test_undo_gives_each_disk_its_former_name(any_cloud: Cloud) -> None:
    """Also where letters have holes, and one is beyond those of the bus."""
    uuid = any_cloud.add_instance(hw_disk_bus="virtio", root_device_name="/dev/vda")
    any_cloud.add_disk(uuid, "/dev/vda", disk_bus="virtio")
    any_cloud.add_volume(uuid, FIRST, "/dev/vdf", disk_bus="virtio")
    any_cloud.add_volume(uuid, FIRST.replace("1", "4"), "vdc", disk_bus=None)
    before = stored(any_cloud, uuid)
    apply(any_cloud, uuid, *SET_IDE)
    assert disks(any_cloud, uuid) == [("ide", "/dev/hda"), ("ide", "/dev/hdb"), ("ide", "hdc")]
    undo(any_cloud)
    assert stored(any_cloud, uuid) == before


def offloaded(cloud: Cloud, **properties: Any) -> str:
    """An offloaded server with a volume that was attached since, as nova-api stores it."""
    uuid = server(cloud, "virtio", "vd", vm_state="shelved_offloaded", host=None, **properties)
    (disk, *_) = [row for row in cloud.disks(uuid) if row["volume_id"] == FIRST]
    empty = dict.fromkeys(("device_name", "disk_bus", "device_type", "connection_info"))
    cloud.update("block_device_mapping", "cell1", {"id": disk["id"]}, **empty)
    return uuid


def test_a_volume_that_was_attached_while_the_server_was_offloaded(sqlite_cloud: Cloud) -> None:
    """Its row is left as it is, and the plan has the name and bus of the unshelve."""
    uuid = offloaded(sqlite_cloud)
    effects = plan_of(sqlite_cloud, uuid, *SET_IDE)["effects"]
    assert [(item["what"], item["before"], item["after"]) for item in effects][:3] == [
        ("root disk", "virtio vda", "ide hda"),
        ("volume vdd", "virtio vdd", "ide hdd"),
        ("volume vdc", "virtio vdc", "ide hdc"),
    ]
    apply(sqlite_cloud, uuid, *SET_IDE)
    assert (None, None) in disks(sqlite_cloud, uuid)


def test_a_bus_that_libosinfo_decides_is_not_said_beforehand(sqlite_cloud: Cloud) -> None:
    uuid = offloaded(sqlite_cloud, hw_disk_bus=None, os_distro="centos7.0")
    plan = plan_of(sqlite_cloud, uuid, *SET_IDE)
    (effect,) = [item for item in plan["effects"] if item["what"] == f"volume {FIRST}"]
    assert (effect["before"], effect["after"]) == ("decided at the power-on", "ide hdd")
