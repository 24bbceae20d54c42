"""The real Nova finds what novadev wrote, as after its own command."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cloud import IMAGE, Cloud
from tests.command import Result, novadev
from tests.image_property.guests import SET_SCSI, VOLUME, stored, unordered
from tests.nova_process import NovaError, NovaProcess

pytestmark = pytest.mark.slow
Nova = Callable[[Cloud], NovaProcess]
PROPERTIES = {"hw_disk_bus": "virtio", "hw_vif_model": "e1000", "os_distro": "debian"}
ROOT = {
    **{"device_name": "/dev/vda", "disk_bus": "virtio", "device_type": "disk", "boot_index": 0},
    **{"source_type": "image", "destination_type": "local", "image_id": IMAGE},
}
DATA = {
    **{"device_name": "/dev/vdb", "disk_bus": "virtio", "device_type": "disk"},
    **{"source_type": "volume", "destination_type": "volume", "volume_id": VOLUME},
    **{"connection_info": '{"driver_volume_type": "iscsi", "data": {}, "serial": "x"}'},
}
VIRTIO = {"/dev/vda": "virtio vda", "/dev/vdb": "virtio vdb"}
SCSI = {"/dev/sda": "scsi sda", "/dev/sdb": "scsi sdb"}


def _create(nova: NovaProcess, **wanted: Any) -> str:
    """A guest with two disks, written by Nova's own objects."""
    given = {"image_ref": IMAGE, "image_properties": PROPERTIES, "bdms": [ROOT, DATA], **wanted}
    return str(nova.call("create_instance", **given))


def _set(cloud: Cloud, uuid: str, *pairs: str) -> Result:
    properties = [word for pair in pairs for word in ("--property", pair)]
    return novadev(cloud, "image-property", "set", *properties, "--yes", "-f", "json", uuid)


def test_set_and_undo(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    uuid = _create(process)
    before = process.call("read", uuid=uuid)
    assert novadev(any_cloud, *SET_SCSI, uuid).code == 0
    after = process.call("read", uuid=uuid)
    wanted = {**PROPERTIES, "hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"}
    assert after["image_properties"] == wanted
    assert after["request_spec"] == wanted
    assert [(bdm["disk_bus"], bdm["device_name"]) for bdm in after["bdms"]] == [
        ("scsi", "/dev/sda"),
        ("scsi", "/dev/sdb"),
    ]
    assert novadev(any_cloud, "undo", "1", "--yes").code == 0
    assert _lasting(process.call("read", uuid=uuid)) == _lasting(before)


def test_unset(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    uuid = _create(process)
    unset = ("image-property", "unset", "--property", "hw_vif_model", "--yes", uuid)
    assert novadev(any_cloud, *unset).code == 0
    after = process.call("read", uuid=uuid)
    left = {"hw_disk_bus": "virtio", "os_distro": "debian"}
    assert (after["image_properties"], after["request_spec"]) == (left, left)
    assert "image_hw_vif_model" not in after["system_metadata"]


def test_nova_reads_a_server_again(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    uuid = _create(process)
    _add_row(any_cloud, uuid, "os_type", "Windows Server 2019")
    with pytest.raises(NovaError):
        process.call("read", uuid=uuid)
    unset = ("image-property", "unset", "--unreadable", "--yes", uuid)
    assert novadev(any_cloud, *unset).code == 0
    after = process.call("read", uuid=uuid)
    assert (after["image_properties"], after["request_spec"]) == (PROPERTIES, PROPERTIES)


def test_nova_reads_the_same_row_of_two(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    uuid = _create(process)
    _add_row(any_cloud, uuid, "hw_vif_model", "rtl8139")
    _add_row(any_cloud, uuid, "hw_vif_model", "virtio")
    before = process.call("read", uuid=uuid)
    assert before["image_properties"]["hw_vif_model"] == "virtio"
    assert novadev(any_cloud, "image-property", "unset", "--duplicates", "--yes", uuid).code == 0
    assert _lasting(process.call("read", uuid=uuid)) == _lasting(before)
    assert novadev(any_cloud, "undo", "1", "--yes").code == 0
    assert _lasting(process.call("read", uuid=uuid)) == _lasting(before)


def test_a_guest_that_boots_from_a_volume(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    uuid = _create(process, image_ref=None, bdms=[{**DATA, "device_name": "/dev/vda"}])
    assert _set(any_cloud, uuid, "hw_vif_model=virtio").code == 0
    after = process.call("read", uuid=uuid)
    assert after["image_properties"]["hw_vif_model"] == "virtio"
    assert after["request_spec"]["hw_vif_model"] == "virtio"


def test_nothing_else_in_the_request_spec_changes(any_cloud: Cloud, nova: Nova) -> None:
    uuid = _create(nova(any_cloud))
    before = unordered(any_cloud.request_spec(uuid))
    assert novadev(any_cloud, *SET_SCSI, uuid).code == 0
    after = unordered(any_cloud.request_spec(uuid))
    assert before != after
    planned = {"hw_disk_bus", "hw_scsi_model"}
    assert _without(after, planned) == _without(before, planned)


def test_the_same_as_nova_manage(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    ours, theirs = _create(process), _create(process)
    assert _set(any_cloud, ours, "hw_vif_model=vmxnet3", "hw_input_bus=usb").code == 0
    asked = {"hw_vif_model": "vmxnet3", "hw_input_bus": "usb"}
    assert process.call("image_property_set", uuid=theirs, properties=asked)["code"] == 0
    mine, other = (process.call("read", uuid=uuid) for uuid in (ours, theirs))
    for part in ("image_properties", "request_spec"):
        assert mine[part] == other[part]
    for name in asked:
        key = f"image_{name}"
        assert mine["system_metadata"][key] == other["system_metadata"][key]


def test_nova_manage_works_on_after_us(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    uuid = _create(process)
    assert _set(any_cloud, uuid, "hw_vif_model=virtio").code == 0
    shown = process.call("image_property_show", uuid=uuid, name="hw_vif_model")
    assert shown == {"code": 0, "output": "virtio\n"}
    asked = {"hw_vif_model": "rtl8139"}
    assert process.call("image_property_set", uuid=uuid, properties=asked)["code"] == 0
    listed = novadev(any_cloud, "image-property", "show", uuid, "hw_vif_model", "-f", "json")
    assert listed.json[0]["value"] == "rtl8139"


def test_the_action_is_in_the_event_list(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    uuids = [_create(process) for _ in range(2)]
    assert novadev(any_cloud, *SET_SCSI, *uuids).code == 0
    assert novadev(any_cloud, "undo", "1", "--yes").code == 0
    actions = [action for uuid in uuids for action in process.call("read", uuid=uuid)["actions"]]
    assert [action["action"] for action in actions] == ["update_image_property"] * 4
    assert all(action["start_time"] and action["finish_time"] for action in actions)
    requests = {action["request_id"] for action in actions}
    assert len(requests) == 4
    assert all(len(name) == 40 and name.startswith("req-") for name in requests)


def test_nova_computes_the_disks_of_the_plan(any_cloud: Cloud, nova: Nova) -> None:
    process = nova(any_cloud)
    uuid = _create(process)
    assert _disks(process, uuid) == VIRTIO
    result = novadev(any_cloud, *SET_SCSI, uuid, "-f", "json")
    effects = result.json["plans"][0]["effects"]
    assert _disks(process, uuid) == SCSI
    assert [effect["before"] for effect in effects] == list(VIRTIO.values())
    assert [effect["after"] for effect in effects] == list(SCSI.values())
    assert novadev(any_cloud, "undo", "1", "--yes").code == 0
    assert _disks(process, uuid) == VIRTIO


def test_everything_stored_is_put_back(any_cloud: Cloud, nova: Nova) -> None:
    uuid = _create(nova(any_cloud))
    before = stored(any_cloud, uuid)
    assert novadev(any_cloud, *SET_SCSI, uuid).code == 0
    assert stored(any_cloud, uuid) != before
    assert novadev(any_cloud, "undo", "1", "--yes").code == 0
    assert stored(any_cloud, uuid) == before


def _add_row(cloud: Cloud, uuid: str, name: str, value: str) -> None:
    row = {"key": f"image_{name}", "value": value, "deleted": 0}
    cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)


def _lasting(read: dict[str, Any]) -> dict[str, Any]:
    """What `read` gave without the actions and the times of the disks' rows."""
    bdms = [
        {name: value for name, value in bdm.items() if name != "updated_at"} for bdm in read["bdms"]
    ]
    return {**{name: value for name, value in read.items() if name != "actions"}, "bdms": bdms}


def _without(spec: Any, names: set[str]) -> Any:
    """A request spec without some properties of its image."""
    holder = spec["nova_object.data"]["image"]["nova_object.data"]["properties"]
    data, changes = holder["nova_object.data"], holder["nova_object.changes"]
    holder["nova_object.data"] = {name: data[name] for name in data if name not in names}
    holder["nova_object.changes"] = [name for name in changes if name not in names]
    return spec


def _disks(nova: NovaProcess, uuid: str) -> dict[str, str]:
    """The root disk and the volume as Nova's blockinfo has them."""
    mapping = nova.call("disk_info", uuid=uuid)["mapping"]
    root = mapping["root"]
    volumes = {name: disk for name, disk in mapping.items() if name.startswith("/dev/")}
    found = {f"/dev/{root['dev']}": root, **volumes}
    return {name: f"{disk['bus']} {disk['dev']}" for name, disk in found.items()}
