"""What a plan says of the disks that it leaves: set, machine-type set, and their undo."""

from typing import Any
from uuid import uuid4

import libvirt
import pytest

from novadev.rules.outcome import COLD_BUSES
from tests import domains
from tests.cloud import Cloud
from tests.command import novadev
from tests.hypervisor import Hypervisor
from tests.image_property.test_undo import server, undo

MODEL = "hw_scsi_model is not set and "


def _notes(cloud: Cloud, *words: str) -> list[str]:
    (plan,) = novadev(cloud, *words, "--dry-run", "-f", "json").json["plans"]
    assert novadev(cloud, *words, "--yes").code == 0
    return _noted(plan)


def _undo_notes(cloud: Cloud) -> list[str]:
    (plan,) = novadev(cloud, "undo", "1", "--dry-run", "-f", "json").json["plans"]
    undo(cloud)
    return _noted(plan)


def _noted(plan: Any) -> list[str]:
    return (plan["note"] or "").splitlines()


def _set(uuid: str, *properties: str) -> tuple[str, ...]:
    words = (word for item in properties for word in ("--property", item))
    return ("image-property", "set", "--force", *words, uuid)


def _cold(notes: list[str]) -> list[str]:
    return [note for note in notes if note.startswith("while the server runs, Nova ")]


@pytest.mark.parametrize(
    ("before", "name", "bus", "told"),
    [
        ("virtio", "vd", "sata", "cannot detach volumes sdb, sdc: libvirt does not support this "),
        ("virtio", "vd", "ide", "can neither attach a volume nor detach volumes hdb, hdc: "),
    ],
)
def test_a_bus_on_which_no_volume_can_be_detached(
    sqlite_cloud: Cloud, before: str, name: str, bus: str, told: str
) -> None:
    uuid = server(sqlite_cloud, before, name)
    (note,) = _cold(_notes(sqlite_cloud, *_set(uuid, f"hw_disk_bus={bus}")))
    assert note.startswith(f"while the server runs, Nova {told}")
    assert note.endswith(f"on bus {bus}. Stop the server first")
    assert _cold(_undo_notes(sqlite_cloud)) == []


@pytest.mark.parametrize("command", ["machine-type set", "undo"])
def test_a_machine_type_that_moves_volumes_there(sqlite_cloud: Cloud, command: str) -> None:
    uuid = server(sqlite_cloud, "ide", "hd")
    notes = _notes(sqlite_cloud, "machine-type", "set", "q35", uuid)
    bus = "sata"
    if command == "undo":
        notes, bus = _undo_notes(sqlite_cloud), "ide"
    (note,) = _cold(notes)
    assert note.endswith(f"on bus {bus}. Stop the server first")


def test_the_undo_of_a_set_that_moves_volumes_there(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud, "sata", "sd", hw_machine_type="q35")
    assert _cold(_notes(sqlite_cloud, *_set(uuid, "hw_disk_bus=virtio"))) == []
    (note,) = _cold(_undo_notes(sqlite_cloud))
    assert "cannot detach volumes sdb, sdc" in note


def test_local_disks_and_volumes_that_stay_have_no_note(sqlite_cloud: Cloud) -> None:
    local = sqlite_cloud.add_instance(hw_disk_bus="virtio", root_device_name="/dev/vda")
    sqlite_cloud.add_disk(local, "/dev/vda", disk_bus="virtio")
    there = server(sqlite_cloud, "sata", "sd")
    assert _cold(_notes(sqlite_cloud, *_set(local, "hw_disk_bus=sata"))) == []
    assert _cold(_notes(sqlite_cloud, *_set(there, "hw_vif_model=virtio"))) == []


LEAVING = {
    "another property": ("image-property", "set", "--property", "hw_vif_model=virtio"),
    "the bus alone": ("image-property", "unset", "--force", "--property", "hw_disk_bus"),
    "the machine": ("machine-type", "set", "q35", "--force"),
}


@pytest.mark.parametrize("command", LEAVING)
def test_every_plan_that_leaves_disks_on_scsi_without_a_model_warns(
    sqlite_cloud: Cloud, command: str
) -> None:
    uuid = server(sqlite_cloud, "scsi", "sd")
    notes = _notes(sqlite_cloud, *LEAVING[command], uuid)
    assert len([note for note in notes if MODEL in note]) == 1


@pytest.mark.parametrize("stored", [{}, {"hw_scsi_model": "virtio-scsi"}])
def test_the_undo_that_brings_disks_back_to_scsi(
    sqlite_cloud: Cloud, stored: dict[str, Any]
) -> None:
    uuid = server(sqlite_cloud, "scsi", "sd", **stored)
    assert [
        note
        for note in _notes(sqlite_cloud, *_set(uuid, "hw_disk_bus=virtio"))
        if note.startswith(MODEL)
    ] == []
    found = [note for note in _undo_notes(sqlite_cloud) if note.startswith(MODEL)]
    assert len(found) == (not stored)


def test_the_undo_that_takes_the_model_out(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud, "scsi", "sd")
    notes = _notes(sqlite_cloud, *_set(uuid, "hw_scsi_model=virtio-scsi"))
    assert [note for note in notes if MODEL in note] == []
    (plan,) = novadev(sqlite_cloud, "undo", "1", "--dry-run", "-f", "json").json["plans"]
    assert len([note for note in _noted(plan) if MODEL in note]) == 1
    assert plan["effects"] == []


@pytest.mark.slow
def test_libvirt_itself_unplugs_no_disk_of_these_buses(hypervisor: Hypervisor) -> None:
    """What it refuses at once is refused by the bus; from others it only asks the guest."""
    targets = {"virtio": "vdb", "scsi": "sdb", "usb": "sdc", "sata": "sdd", "ide": "hdb"}
    disks = {bus: domains.disk(target, bus, serial=str(uuid4())) for bus, target in targets.items()}
    disks["fdc"] = domains.disk("fda", "fdc", device="floppy")
    uuid = hypervisor.define(
        domains.domain(disks=[domains.disk("vda"), *disks.values()])
    ).UUIDString()
    hypervisor.start(uuid)
    domain = hypervisor.connection.lookupByUUIDString(uuid)
    for bus in disks.keys() - set(COLD_BUSES):
        domain.detachDeviceFlags(disks[bus], libvirt.VIR_DOMAIN_AFFECT_LIVE)
    for bus in COLD_BUSES:
        with pytest.raises(libvirt.libvirtError) as refused:
            domain.detachDeviceFlags(disks[bus], libvirt.VIR_DOMAIN_AFFECT_LIVE)
        assert refused.value.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED
