"""The builders write what Nova reads, and read what Nova writes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cloud import IMAGE, Cloud
from tests.nova_process import NovaError, NovaProcess
from tests.templates import nova_manage

pytestmark = pytest.mark.slow
Nova = Callable[[Cloud], NovaProcess]
VOLUME = "77777777-7777-4777-8777-777777777777"
AS_VOLUME: Any = {"source_type": "volume", "destination_type": "volume", "boot_index": None}
ROOT_DISK = {
    **{"device_name": "/dev/vda", "disk_bus": "virtio", "device_type": "disk", "boot_index": 0},
    **{"source_type": "image", "destination_type": "local", "image_id": IMAGE},
}
CHANGING = ("created_at", "updated_at", "id", "uuid", "instance_uuid", "launched_at")


def test_nova_reads_what_the_builder_writes(any_cloud: Cloud, nova: Nova) -> None:
    uuid = any_cloud.add_instance(
        hw_disk_bus="ide", hw_input_bus=None, image_properties={"os_distro": "debian"}
    )
    any_cloud.add_disk(uuid, image_id=IMAGE)
    seen = nova(any_cloud).call("read", uuid=uuid)
    assert seen["vm_state"] == "stopped"
    assert seen["image_properties"] == {"hw_disk_bus": "ide", "os_distro": "debian"}
    assert seen["request_spec"] == {"hw_disk_bus": "ide", "os_distro": "debian"}
    assert seen["system_metadata"] == any_cloud.system_metadata(uuid)
    assert seen["flavor"]["root_gb"] == 20
    assert [bdm["device_name"] for bdm in seen["bdms"]] == ["/dev/vda"]


@pytest.mark.parametrize("image_ref", [IMAGE, ""])
def test_the_builder_writes_what_nova_writes(any_cloud: Cloud, nova: Nova, image_ref: str) -> None:
    properties = {"hw_disk_bus": "virtio", "hw_input_bus": None}
    theirs = nova(any_cloud).call(
        "create_instance", image_ref=image_ref, image_properties=properties, bdms=[ROOT_DISK]
    )
    ours = any_cloud.add_instance(image_ref=image_ref, image_properties=properties)
    any_cloud.add_disk(ours, image_id=IMAGE)
    assert _shape(any_cloud.request_spec(ours)) == _shape(any_cloud.request_spec(theirs))
    assert any_cloud.system_metadata(ours) == any_cloud.system_metadata(theirs)
    assert _flavor(any_cloud, ours) == _flavor(any_cloud, theirs)
    assert _same(any_cloud.disks(ours)[0]) == _same(any_cloud.disks(theirs)[0])


def test_soft_delete_is_novas(any_cloud: Cloud, nova: Nova) -> None:
    ours, theirs = any_cloud.add_instance(hw_disk_bus="ide"), any_cloud.add_instance()
    for uuid in (ours, theirs):
        any_cloud.add_disk(uuid)
    any_cloud.soft_delete(ours)
    nova(any_cloud).call("destroy_instance", uuid=theirs)
    for table in (
        "instances",
        "instance_extra",
        "instance_system_metadata",
        "block_device_mapping",
    ):
        column = "uuid" if table == "instances" else "instance_uuid"
        for uuid in (ours, theirs):
            found = any_cloud.rows(table, "cell1", **{column: uuid})
            assert all(row["deleted"] == row["id"] and row["deleted_at"] for row in found), table


def test_nova_manage_works_on_what_the_builder_writes(cloud: Cloud) -> None:
    uuid = cloud.add_instance(hw_disk_bus="ide", cell="cell2")
    command = ("image_property", "set", uuid, "--property", "hw_disk_bus=scsi")
    assert nova_manage("34", cloud.config_file, *command).returncode == 0
    shown = nova_manage("34", cloud.config_file, "image_property", "show", uuid, "hw_disk_bus")
    assert (shown.returncode, shown.stdout) == (0, "scsi\n")
    assert cloud.system_metadata(uuid)["image_hw_disk_bus"] == "scsi"
    assert cloud.spec_properties(uuid) == {"hw_disk_bus": "scsi"}


def test_image_property_in_the_process(any_cloud: Cloud, nova: Nova) -> None:
    uuid = any_cloud.add_instance(vm_state="active", hw_disk_bus="ide")
    process = nova(any_cloud)
    refused = process.call("image_property_set", uuid=uuid, properties={"hw_disk_bus": "scsi"})
    assert refused["code"] == 3
    process.call("update_instance", uuid=uuid, vm_state="stopped")
    done = process.call("image_property_set", uuid=uuid, properties={"hw_disk_bus": "scsi"})
    assert done == {"code": 0, "output": ""}
    shown = process.call("image_property_show", uuid=uuid, name="hw_disk_bus")
    assert shown == {"code": 0, "output": "scsi\n"}
    assert any_cloud.spec_properties(uuid) == {"hw_disk_bus": "scsi"}


def test_disk_info_from_rows_and_from_values(any_cloud: Cloud, nova: Nova) -> None:
    uuid = any_cloud.add_instance(hw_disk_bus="scsi")
    any_cloud.add_disk(uuid, image_id=IMAGE)
    any_cloud.add_disk(uuid, "/dev/vdb", volume_id=VOLUME, **AS_VOLUME)
    process = nova(any_cloud)
    stored = process.call("disk_info", uuid=uuid)
    assert stored["disk_bus"] == "scsi"
    assert stored["mapping"]["root"]["dev"] == "vda"
    bdms = [{k: v for k, v in row.items() if k not in CHANGING} for row in any_cloud.disks(uuid)]
    for bdm in bdms:
        del bdm["deleted"], bdm["deleted_at"]
    case = {"bdms": bdms, "image_properties": {"hw_disk_bus": "scsi"}}
    wrong = {"image_properties": {"hw_disk_bus": "xen"}}
    good, bad = process.call("disk_info_many", cases=[case, wrong])
    assert good == stored
    assert bad["error"] == "UnsupportedHardware"


def test_a_volume_without_connection_is_left_out(sqlite_cloud: Cloud, nova: Nova) -> None:
    uuid = sqlite_cloud.add_instance()
    sqlite_cloud.add_disk(uuid, "/dev/vdb", volume_id=VOLUME, connection_info=None, **AS_VOLUME)
    assert "/dev/vdb" not in nova(sqlite_cloud).call("disk_info", uuid=uuid)["mapping"]


def test_configuration_is_overridden_for_one_call(sqlite_cloud: Cloud, nova: Nova) -> None:
    uuid = sqlite_cloud.add_instance(columns={"launched_at": None})
    process = nova(sqlite_cloud)
    forced = {"DEFAULT": {"force_config_drive": True}}
    assert "disk.config" in process.call("disk_info", uuid=uuid, config=forced)["mapping"]
    assert "disk.config" not in process.call("disk_info", uuid=uuid)["mapping"]


def test_an_error_of_nova_is_raised(sqlite_cloud: Cloud, nova: Nova) -> None:
    with pytest.raises(NovaError, match="InstanceMappingNotFound"):
        nova(sqlite_cloud).call("read", uuid=IMAGE)


def test_the_process_changes_deployments(make_cloud: Any, nova: Nova) -> None:
    first, second = make_cloud("sqlite", "34"), make_cloud("mariadb", "34")
    ours, theirs = first.add_instance(hw_disk_bus="ide"), second.add_instance(hw_disk_bus="scsi")
    for cloud, uuid, bus in ((first, ours, "ide"), (second, theirs, "scsi"), (first, ours, "ide")):
        assert nova(cloud).call("read", uuid=uuid)["request_spec"] == {"hw_disk_bus": bus}


def _flavor(cloud: Cloud, uuid: str) -> Any:
    row = cloud.rows("instance_extra", "cell1", instance_uuid=uuid)[0]
    return _shape(json.loads(row["flavor"]))


def _same(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in CHANGING}


def _shape(value: Any) -> Any:
    """JSON without what differs between two instances: UUIDs and the order of changed fields."""
    if isinstance(value, dict):
        return {
            k: sorted(v) if k == "nova_object.changes" else _shape(v)
            for k, v in value.items()
            if k != "instance_uuid"
        }
    return [_shape(item) for item in value] if isinstance(value, list) else value
