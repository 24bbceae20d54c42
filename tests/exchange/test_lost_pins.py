"""A change of a server's hardware says which pins count no more; the other pins are not named."""

import re
from pathlib import Path

import pytest

from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.exchange.recorded import controller, device, disk, nic, pci, record

NOTE = re.compile(r"Pins that (?:may )?no longer count after this change: (.*?)\. After the next")
SURE = "Pins that no longer count"
SCSI_CONTROLLER, USB_CONTROLLER = "controller scsi 0", "controller usb 0"


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


@pytest.fixture
def modelled(sqlite_cloud: Cloud) -> Cloud:
    """A stopped server with a device of each kind whose bus or model a property decides."""
    uuid = sqlite_cloud.add_instance(
        name="web-1",
        vm_state="stopped",
        **{"hw_machine_type": "pc", "hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"},
        **{"hw_video_model": "cirrus", "hw_vif_model": "e1000", "hw_input_bus": "usb"},
    )
    sqlite_cloud.add_disk(uuid, "/dev/sda", "scsi")
    usb = "{{type=usb, bus=0, port={}}}".format
    devices = [
        disk("sda", "{type=drive, bus=0, controller=0, target=0, unit=0}", "scsi", vm=uuid),
        nic("tapa", pci(3), "e1000", vm=uuid),
        nic("tapb", pci(9), "e1000", vm=uuid),
        controller("pci", 0, vm=uuid, spec_params={"model": "pci-root"}),
        controller("scsi", 0, pci(4), vm=uuid, spec_params={"model": "virtio-scsi"}),
        controller("usb", 0, pci(1, function=2), vm=uuid, spec_params={"model": "piix3-uhci"}),
        device("video cirrus", "video", "video", pci(2), vm=uuid, spec_params={"model": "cirrus"}),
        device("rng virtio", "rng", "rng", pci(6), vm=uuid, spec_params={"model": "virtio"}),
        device("balloon", "balloon", "balloon", pci(7), vm=uuid, spec_params={"model": "virtio"}),
        *(
            device(f"input {kind} usb", "input", kind, usb(port), vm=uuid, spec_params=USB)
            for port, kind in ((1, "tablet"), (2, "keyboard"))
        ),
    ]
    record(sqlite_cloud, devices)
    assert novadev(sqlite_cloud, "device", "pin", "web-1").code == 0
    return sqlite_cloud


USB = {"bus": "usb"}
INPUTS = ["input keyboard usb", "input tablet usb"]
CHANGES = {
    "hw_scsi_model=lsilogic": [SCSI_CONTROLLER],
    "hw_video_model=qxl": ["video cirrus"],
    "hw_vif_model=virtio": ["interface tapa", "interface tapb"],
    "hw_input_bus=virtio": [USB_CONTROLLER, *INPUTS],
    "hw_cdrom_bus=sata": [],
    "hw_disk_bus=virtio": ["disk sda"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_property_ends_the_pins_of_what_it_decides(modelled: Cloud, change: str) -> None:
    command = ("image-property", "set", "--force", "--property", change)
    result = novadev(modelled, *command, "web-1", "--dry-run", "-f", "json")
    assert lost(result) == CHANGES[change]
    assert (SURE in result.out) == bool(CHANGES[change])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("hw_vif_model", ["interface tapa", "interface tapb"]),
        ("hw_video_model", ["video cirrus"]),
        ("hw_scsi_model", [SCSI_CONTROLLER]),
    ],
)
def test_a_default_that_takes_over_may_end_pins(
    modelled: Cloud, name: str, found: list[str]
) -> None:
    """Nothing is known of the server's host, or libvirt chooses: the pins may be lost."""
    command = ("image-property", "unset", "--force", "--property", name)
    result = novadev(modelled, *command, "web-1", "--dry-run", "-f", "json")
    assert lost(result) == found
    assert "Pins that may no longer count" in result.out


def test_an_undo_and_a_saved_plan_name_them_too(modelled: Cloud, tmp_path: Path) -> None:
    """By what is pinned then: once, whatever was pinned when the plan was saved."""
    saved = str(tmp_path / "plan")
    set_ = ("image-property", "set", "--property", "hw_video_model=qxl", "web-1")
    assert novadev(modelled, *set_, "--plan-out", saved).code == 0
    applied = novadev(modelled, "apply", saved, "--dry-run", "-f", "json")
    assert lost(applied) == ["video cirrus"]
    assert novadev(modelled, "device", "unpin", "web-1", "video cirrus").code == 0
    assert lost(novadev(modelled, "apply", saved, "--dry-run", "-f", "json")) == []
    assert novadev(modelled, "apply", saved, "--yes").code == 0

    card = ("image-property", "set", "--property", "hw_vif_model=virtio", "web-1", "--yes")
    assert novadev(modelled, *card).code == 0
    q35 = novadev(modelled, "machine-type", "set", "q35", "web-1", "--yes", "-f", "json")
    assert {USB_CONTROLLER, "balloon"} <= {*lost(q35)}
    undone = novadev(modelled, "undo", "3", "--dry-run", "-f", "json")
    assert USB_CONTROLLER in lost(undone)
    assert lost(novadev(modelled, "undo", "1", "--dry-run", "-f", "json")) == []
