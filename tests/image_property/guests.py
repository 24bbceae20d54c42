"""Guests with disks for the writer's tests, and all that is stored of one, to compare."""

import copy
import json
from dataclasses import dataclass
from typing import Any

from tests.cloud import Cloud

VOLUME = "77777777-7777-4777-8777-777777777777"
TO_SCSI = ("--property", "hw_disk_bus=scsi", "--property", "hw_scsi_model=virtio-scsi")
SET_SCSI = ("image-property", "set", *TO_SCSI, "--yes")
MOVING = {"created_at", "updated_at"}


def add_guest(cloud: Cloud, **wanted: Any) -> str:
    """Write a guest with a root disk and a volume on virtio; its UUID comes back."""
    uuid = cloud.add_instance(**{"hw_disk_bus": "virtio", **wanted})
    cloud.add_disk(uuid)
    volume = {"source_type": "volume", "destination_type": "volume", "boot_index": None}
    cloud.add_disk(uuid, "/dev/vdb", volume_id=VOLUME, **volume)
    return uuid


@dataclass
class Stored:
    """What is stored of an instance: in its cell, and in the API database.

    Instance actions, times and the ids of system metadata are left out, and so is the order of
    names in the spec.
    """

    cell: dict[str, Any]
    spec: Any


def stored(cloud: Cloud, uuid: str) -> Stored:
    """What is stored of an instance now."""
    name = cloud.cell_of(uuid)
    metadata = cloud.rows("instance_system_metadata", name, instance_uuid=uuid)
    disks = cloud.rows("block_device_mapping", name, instance_uuid=uuid)
    cell = {
        "instance": _lasting(cloud.instance(uuid)),
        "metadata": sorted((row["key"], row["value"], row["deleted"]) for row in metadata),
        "disks": [_lasting(row) for row in disks],
    }
    return Stored(cell, unordered(cloud.request_spec(uuid)))


def on_scsi(before: Stored) -> Stored:
    """What must be stored of a guest of `add_guest` after SET_SCSI."""
    after = with_properties(before, hw_disk_bus="scsi", hw_scsi_model="virtio-scsi")
    for disk, name in zip(after.cell["disks"], ("/dev/sda", "/dev/sdb"), strict=True):
        disk.update(disk_bus="scsi", device_name=name)
    after.cell["instance"]["root_device_name"] = "/dev/sda"
    return after


def with_properties(before: Stored, **properties: str) -> Stored:
    """What is stored when only these image properties change, in both databases."""
    after = copy.deepcopy(before)
    metadata = {key: value for key, value, _ in after.cell["metadata"]}
    metadata |= {f"image_{name}": value for name, value in properties.items()}
    after.cell["metadata"] = sorted((key, value, 0) for key, value in metadata.items())
    holder = after.spec["nova_object.data"]["image"]["nova_object.data"]["properties"]
    holder["nova_object.data"] |= properties
    names = {*holder.get("nova_object.changes", ()), *properties}
    holder["nova_object.changes"] = sorted(names)
    return after


def unordered(value: Any) -> Any:
    """A request spec with the names of changed fields in order of the alphabet."""
    if isinstance(value, dict):
        return {
            key: sorted(item) if key == "nova_object.changes" else unordered(item)
            for key, item in value.items()
        }
    return [unordered(item) for item in value] if isinstance(value, list) else value


def states(out: str) -> dict[str, str]:
    """The state of each plan in a mutating command's JSON, by instance."""
    return {plan["instance"]: plan["state"] for plan in json.loads(out)["plans"]}


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in MOVING}
