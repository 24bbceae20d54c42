"""A change of a server's hardware says which pins count no more; the other pins are not named."""

import re

import pytest

from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.exchange.recorded import controller, device, disk, nic, pci, record

NOTE = re.compile(r"Pins that no longer count after this change: (.*?)\. After the next start")


@pytest.fixture
def cloud(sqlite_cloud: Cloud) -> Cloud:
    """A stopped server of i440fx, recorded, with a pin on each device that can have one."""
    uuid = sqlite_cloud.add_instance(
        name="web-1", hw_machine_type="pc", hw_disk_bus="virtio", vm_state="stopped"
    )
    sqlite_cloud.add_disk(uuid)
    record(
        sqlite_cloud,
        [
            disk("vda", pci(5), vm=uuid),
            disk("sdb", "{type=drive, bus=0, controller=0, target=0, unit=1}", "scsi", vm=uuid),
            nic("tapa", pci(3), vm=uuid),
            device("input tablet usb", "input", "tablet", "{type=usb, bus=0, port=1}", vm=uuid),
            controller("pci", 0, vm=uuid, spec_params={"model": "pci-root"}),
        ],
    )
    assert novadev(sqlite_cloud, "device", "pin", "web-1").code == 0
    return sqlite_cloud


def lost(result: Result) -> list[str]:
    """The devices whose pins the one plan of a dry run says are lost."""
    assert result.code == 0, result.err
    (plan,) = result.json["plans"]
    return [name for found in NOTE.findall(str(plan["note"])) for name in found.split(", ")]


def planned(cloud: Cloud, *command: str) -> list[str]:
    return lost(novadev(cloud, *command, "web-1", "--dry-run", "-f", "json"))


def test_another_machine_ends_the_pins_on_pci(cloud: Cloud) -> None:
    command = ("machine-type", "set")
    assert planned(cloud, *command, "q35") == ["disk vda", "interface tapa"]
    assert planned(cloud, *command, "pc-i440fx-7.2") == []
    assert novadev(cloud, "device", "unpin", "web-1", "vda").code == 0
    assert planned(cloud, *command, "q35") == ["interface tapa"]
    assert novadev(cloud, "device", "unpin", "web-1").code == 0
    assert planned(cloud, *command, "q35") == []


def test_another_bus_or_model_ends_the_pins_of_its_devices(cloud: Cloud) -> None:
    set_ = ("image-property", "set", "--property")
    assert planned(cloud, *set_, "hw_disk_bus=scsi", "--property", "hw_scsi_model=virtio-scsi") == [
        "disk vda"
    ]
    assert planned(cloud, *set_, "hw_vif_model=e1000") == ["interface tapa"]
    assert planned(cloud, *set_, "hw_vif_model=virtio") == []


def test_where_nothing_was_recorded_nothing_is_said(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(name="web-1", hw_machine_type="pc", vm_state="stopped")
    assert planned(sqlite_cloud, "machine-type", "set", "q35") == []
