"""A disk on a bus where it cannot be: the remedy moves that disk and no other, or there is none."""

import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from tests.audit.auditing import audit
from tests.cloud import Cloud
from tests.command import novadev

ONLY = ("--check", "combination", "--check", "lun")
Q35 = {"hw_machine_type": "pc-q35-7.2", "hw_scsi_model": "virtio-scsi"}
I440FX = {"hw_machine_type": "pc-i440fx-7.2", "hw_scsi_model": "virtio-scsi"}
S390X = {"hw_architecture": "s390x", "hw_machine_type": "s390-ccw-virtio-7.2"}
VIRTIO_ROOT, IDE_ROOT = ("vda", "virtio", "disk"), ("hda", "ide", "disk")
DRIVE = {"columns": {"config_drive": "True"}}
Row = tuple[str, str, str]


def server(cloud: Cloud, root: Row, volumes: tuple[Row, ...], **wanted: Any) -> str:
    """A server with these disks: name, bus and type."""
    uuid = cloud.add_instance(root_device_name=f"/dev/{root[0]}", **wanted)
    cloud.add_disk(uuid, f"/dev/{root[0]}", disk_bus=root[1], device_type=root[2])
    for name, bus, kind in volumes:
        cloud.add_volume(uuid, None, f"/dev/{name}", disk_bus=bus, device_type=kind)
    return uuid


def buses(cloud: Cloud, uuid: str) -> list[str]:
    """The buses of the disks, in the order of their rows."""
    return [row["disk_bus"] for row in cloud.disks(uuid)]


MENDED: Mapping[str, tuple[Row, tuple[Row, ...], Mapping[str, Any], str, list[str]]] = {
    "a root that Nova has left on ide": (IDE_ROOT, (), Q35, "hw_disk_bus=sata", ["sata"]),
    "a root and a volume": (
        *(IDE_ROOT, (("hdb", "ide", "disk"),), Q35),
        *("hw_disk_bus=sata", ["sata", "sata"]),
    ),
    "a volume beside a root that is on another bus than the property": (
        *(VIRTIO_ROOT, (("hdb", "ide", "disk"),), {**Q35, "hw_disk_bus": "ide"}),
        *("hw_disk_bus=sata", ["virtio", "sata"]),
    ),
    "a cdrom on virtio": (
        *(VIRTIO_ROOT, (("vdb", "virtio", "cdrom"),), I440FX),
        *("hw_cdrom_bus=ide", ["virtio", "ide"]),
    ),
    "a cdrom on virtio beside a config drive on ide": (
        *(VIRTIO_ROOT, (("vdb", "virtio", "cdrom"),), I440FX | DRIVE),
        *("hw_cdrom_bus=ide", ["virtio", "ide"]),
    ),
    "two cdroms with faults of two rules": (
        *(VIRTIO_ROOT, (("vdb", "virtio", "cdrom"), ("fda", "fdc", "cdrom")), I440FX),
        *("hw_cdrom_bus=ide", ["virtio", "ide", "ide"]),
    ),
    "a cdrom on virtio on q35": (
        *(VIRTIO_ROOT, (("vdb", "virtio", "cdrom"),), Q35),
        *("hw_cdrom_bus=sata", ["virtio", "sata"]),
    ),
    "a config drive without IDE": (
        *(VIRTIO_ROOT, (), {**S390X, "hw_cdrom_bus": "ide"} | DRIVE),
        *("hw_cdrom_bus=scsi", ["virtio"]),
    ),
    "a config drive on virtio": (
        *(VIRTIO_ROOT, (), {**I440FX, "hw_cdrom_bus": "virtio"} | DRIVE),
        *("hw_cdrom_bus=ide", ["virtio"]),
    ),
}


@pytest.mark.parametrize("case", MENDED)
def test_the_remedy_moves_the_disk_and_ends_the_finding(sqlite_cloud: Cloud, case: str) -> None:
    root, volumes, wanted, value, after = MENDED[case]
    uuid = server(sqlite_cloud, root, volumes, **wanted)
    found = audit(sqlite_cloud, *ONLY, uuid, code=3)
    assert all(f"; set {value}" in item["details"] for item in found)
    [remedy] = {item["remedy"] for item in found}
    assert shlex.quote(value) in remedy
    result = novadev(sqlite_cloud, *shlex.split(remedy)[1:])
    assert (result.code, buses(sqlite_cloud, uuid)) == (0, after), result.err
    assert audit(sqlite_cloud, *ONLY, uuid) == []


@pytest.mark.parametrize("limit", [1, 2])
def test_a_remedy_is_tried_after_those_before_it(sqlite_cloud: Cloud, limit: int) -> None:
    """Each alone would be accepted; both need two places on the bus."""
    folder = sqlite_cloud.folder / "compute"
    folder.mkdir()
    (folder / "cmp1.conf").write_text(f"[compute]\nmax_disk_devices_to_attach = {limit}\n")
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"compute_config_dir = {folder}\n")
    uuid = server(sqlite_cloud, IDE_ROOT, (("hdb", "ide", "cdrom"),), **Q35)
    disk, cdrom = audit(sqlite_cloud, *ONLY, uuid, code=3)
    for item in (disk, cdrom)[:limit]:
        assert novadev(sqlite_cloud, *shlex.split(item["remedy"])[1:]).code == 0
    refused = "no command fixes it: bus sata holds at most 1 disks on this host"
    assert (refused in cdrom["details"]) is (cdrom["remedy"] is None) is (limit == 1)
    assert len(audit(sqlite_cloud, *ONLY, uuid, code=3 if limit == 1 else 0)) == 2 - limit


@pytest.mark.parametrize("value", ["IDE", "virtio ", "SATA"])
def test_one_command_ends_a_value_and_a_fault_behind_it(sqlite_cloud: Cloud, value: str) -> None:
    wanted: dict[str, Any] = {**Q35, "hw_cdrom_bus": value}
    uuid = server(sqlite_cloud, VIRTIO_ROOT, (("hdb", "ide", "cdrom"),), **wanted | DRIVE)
    both = (*ONLY, "--check", "stored-value", uuid)
    remedies = {item["remedy"] for item in audit(sqlite_cloud, *both, code=3)}
    for remedy in remedies:
        assert novadev(sqlite_cloud, *shlex.split(remedy)[1:]).code == 0
    assert len(remedies) == 1
    assert audit(sqlite_cloud, *both) == []


AGAIN = "no command moves it alone: detach the volume and attach it again"
UNMENDED: Mapping[str, tuple[Row, tuple[Row, ...], Mapping[str, Any], str, str]] = {
    "a volume beside a healthy root": (
        *(VIRTIO_ROOT, (("hdb", "ide", "disk"),), Q35),
        *("combination", AGAIN),
    ),
    "a volume, and names of the stored bus that are taken for another": (
        *(VIRTIO_ROOT, (("hdb", "ide", "disk"),), {**Q35, "hw_disk_bus": "sata"}),
        *("combination", "no command moves it alone"),
    ),
    "a root beside a healthy volume": (
        *(IDE_ROOT, (("vdb", "virtio", "disk"),), Q35),
        *("combination", "no command moves it alone"),
    ),
    "a cdrom beside a healthy one": (
        *(VIRTIO_ROOT, (("vdb", "virtio", "cdrom"), ("sda", "scsi", "cdrom")), I440FX),
        *("combination", "no command moves it alone"),
    ),
    "a LUN on ide": (
        *(VIRTIO_ROOT, (("hda", "ide", "lun"),), Q35),
        *("lun", "create the server again with disk_bus=scsi"),
    ),
    "a floppy on ide": (
        *(VIRTIO_ROOT, (("fda", "ide", "floppy"),), Q35),
        *("combination", "detach this volume"),
    ),
}


@pytest.mark.parametrize("case", UNMENDED)
def test_what_no_command_moves_alone_has_no_remedy(sqlite_cloud: Cloud, case: str) -> None:
    root, volumes, wanted, check, told = UNMENDED[case]
    uuid = server(sqlite_cloud, root, volumes, **wanted)
    [item] = audit(sqlite_cloud, *ONLY, uuid, code=3)
    assert (item["check"], item["remedy"], item["needs"]) == (check, None, "decision")
    assert told in item["details"]
    assert ("detach the volume" in item["details"]) is (told == AGAIN)
