"""The bus of a guest's disks where only their rows tell it: the next audit has nothing to add."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.command import novadev
from tests.stash_defaults.stashing import Stash, changes, notes

NAMES = {"virtio": "vd", "ide": "hd", "sata": "sd", "scsi": "sd", "usb": "sd"}


@pytest.fixture
def stash(sqlite_cloud: Cloud) -> Stash:
    return Stash(sqlite_cloud, cmp1="[libvirt]\nvirt_type = kvm\n")


def _offloaded(
    stash: Stash, root: str, *volumes: tuple[str, str], drive: bool = False, **stored: Any
) -> str:
    """A server on no host with a root disk on a bus, and VOLUMES: bus and kind of each."""
    place = {"vm_state": "shelved_offloaded", "host": None, "image_ref": ""}
    name = f"/dev/{NAMES[root]}a"
    columns = {"config_drive": "True"} if drive else {}
    uuid = stash.cloud.add_instance(root_device_name=name, columns=columns, **place, **stored)
    row = {"key": "shelved_host", "value": "cmp1", "deleted": 0}
    stash.cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)
    stash.cloud.add_disk(uuid, name, disk_bus=root)
    for letter, (bus, kind) in zip("bcdef", volumes, strict=False):
        name = f"/dev/{NAMES[bus]}{letter}"
        stash.cloud.add_volume(uuid, None, name, disk_bus=bus, device_type=kind)
    return uuid


def _checks(cloud: Cloud) -> Mapping[str, str | None]:
    """The checks of an audit that find something, with their commands."""
    found = novadev(cloud, "audit", "--all", "-f", "json").json
    return {item["check"]: item["remedy"] for item in found}


@pytest.mark.parametrize(
    ("root", "volumes", "stored"),
    [
        *((bus, (), bus) for bus in NAMES),
        ("sata", (("scsi", "disk"),), "sata"),
        ("sata", (("virtio", "disk"),), "virtio"),
    ],
)
def test_the_bus_that_is_stored_is_that_of_a_disk(
    stash: Stash, root: str, volumes: tuple[tuple[str, str], ...], stored: str
) -> None:
    uuid = _offloaded(stash, root, *volumes)
    before = _checks(stash.cloud)
    assert before["not-stashed"] == f"novadev stash-defaults --yes --versioned {uuid}"
    stash.run(uuid, "--versioned")
    assert stash.stored(uuid)["hw_disk_bus"] == stored
    after = _checks(stash.cloud)
    assert "disk-bus" not in after
    assert set(after) <= {"combination", "machine-type"}
    assert set(after.values()) <= {None}


def test_the_plan_says_where_the_bus_is_from(stash: Stash) -> None:
    told = notes(stash.plan(_offloaded(stash, "sata")))
    assert "from the rows of its disks: hw_disk_bus" in told
    assert "hw_disk_bus: no disk is on virtio, the driver's choice" in told


def test_the_driver_s_rules_alone_are_nova_s(stash: Stash) -> None:
    uuid = _offloaded(stash, "sata")
    assert changes(stash.plan(uuid, "--source", "driver"))["hw_disk_bus"] == "virtio"


@pytest.mark.parametrize(
    ("bus", "drive", "stored"),
    [("scsi", False, "scsi"), ("scsi", True, "ide"), ("virtio", False, "ide")],
    ids=["its own", "a config drive has the rule's", "a bus that no cdrom can be on"],
)
def test_cdroms(stash: Stash, bus: str, drive: bool, stored: str) -> None:
    uuid = _offloaded(stash, "virtio", (bus, "cdrom"), drive=drive, hw_scsi_model="virtio-scsi")
    plan = changes(stash.plan(uuid))
    assert (plan["hw_cdrom_bus"], plan["hw_disk_bus"]) == (stored, "virtio")
