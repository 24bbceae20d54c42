"""OVFs as an engine writes them, read whole: every device with all that its item says."""

from pathlib import Path

import pytest

from novadev.records.device import VmDevice
from novadev.records.file_contents import ExportedInstance
from novadev.records.ovf import reader, writer

SAMPLES = Path(__file__).parent.parent / "samples" / "ovf"


def read(name: str) -> ExportedInstance:
    return reader.loads((SAMPLES / name).read_text(), name)


def by_id(name: str) -> dict[str, VmDevice]:
    """The devices of a sample by the ends of their ids."""
    return {item.device_id[-2:]: item for item in read(name).devices}


ENGINE = {
    "01": VmDevice(
        device_id="d15c0000-0000-4000-8000-000000000001",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="disk",
        device="disk",
        address="{type=drive, bus=0, controller=0, target=0, unit=2}",
        boot_order=1,
        spec_params={"bus": "scsi", "pinToIoThread": "1"},
        is_managed=True,
        alias="ua-d15c0000-0000-4000-8000-000000000001",
        label="shop_Disk1",
    ),
    "03": VmDevice(
        device_id="1a000000-0000-4000-8000-000000000003",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="disk",
        device="lun",
        spec_params={"bus": "virtio", "lun_id": "36001405d5c3cf6d2a8f4e6c9f7a51a0b"},
        is_managed=True,
        is_plugged=False,
        is_readonly=True,
        label="shop_Lun1",
    ),
    "04": VmDevice(
        device_id="21c00000-0000-4000-8000-000000000004",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="interface",
        device="bridge",
        address="{type=pci, slot=0x03, bus=0x00, domain=0x0000, function=0x0}",
        spec_params={"mac": "56:6f:10:20:30:40", "model": "virtio"},
        is_managed=True,
        alias="ua-21c00000-0000-4000-8000-000000000004",
        custom_properties="queues=4;security={type:^\\w+$}",
        label="interface nic1",
    ),
    "05": VmDevice(
        device_id="21c00000-0000-4000-8000-000000000005",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="interface",
        device="hostdev",
        is_managed=True,
        is_plugged=False,
        label="interface nic2",
    ),
    "06": VmDevice(
        device_id="71de0000-0000-4000-8000-000000000006",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="video",
        device="qxl",
        address="{type=pci, slot=0x01, bus=0x00, domain=0x0000, function=0x0}",
        spec_params={"vram": "8192", "ram": "65536", "heads": "1"},
        is_managed=True,
        alias="ua-71de0000-0000-4000-8000-000000000006",
        label="video qxl",
    ),
    "07": VmDevice(
        device_id="6af00000-0000-4000-8000-000000000007",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="graphics",
        device="spice",
        is_managed=True,
        label="graphics spice",
    ),
    "08": VmDevice(
        device_id="cd000000-0000-4000-8000-000000000008",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="disk",
        device="cdrom",
        address="{type=drive, bus=0, controller=0, target=0, unit=2}",
        boot_order=2,
        spec_params={"path": ""},
        is_managed=True,
        is_readonly=True,
        alias="ua-cd000000-0000-4000-8000-000000000008",
        label="disk cdrom",
    ),
    "09": VmDevice(
        device_id="c0480000-0000-4000-8000-000000000009",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="controller",
        device="pci",
        address="{type=pci, slot=0x02, bus=0x00, domain=0x0000, function=0x1, multifunction=on}",
        alias="pci.2",
        label="controller pci",
    ),
    "0a": VmDevice(
        device_id="c0480000-0000-4000-8000-00000000000a",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="controller",
        device="virtio-scsi",
        address="{type=pci, slot=0x00, bus=0x02, domain=0x0000, function=0x0}",
        spec_params={"ioThreadId": "", "deep/one/two": "a & b", "deep/four": "4"},
        is_managed=True,
        alias="ua-c0480000-0000-4000-8000-00000000000a",
        label="controller virtio-scsi",
    ),
    "0b": VmDevice(
        device_id="c0480000-0000-4000-8000-00000000000b",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="channel",
        device="unix",
        address="{type=virtio-serial, bus=0, controller=0, port=1}",
        alias="channel0",
        label="channel unix",
    ),
    "0c": VmDevice(
        device_id="d15c0000-0000-4000-8000-00000000000c",
        vm_id="0e000000-0000-4000-8000-00000000000e",
        type="disk",
        device="disk",
        address="{type=usb, bus=0, port=1}",
        custom_properties="5a900000-0000-4000-8000-00000000000d",
        snapshot_id="5a900000-0000-4000-8000-00000000000d",
        label="disk",
    ),
}


def test_the_sample_has_all_that_is_expected() -> None:
    assert by_id("engine.ovf").keys() == ENGINE.keys()
    assert (read("engine.ovf").instance, read("engine.ovf").name) == (
        "0e000000-0000-4000-8000-00000000000e",
        "shop",
    )


@pytest.mark.parametrize("key", ENGINE)
def test_every_device_is_read_whole(key: str) -> None:
    assert by_id("engine.ovf")[key] == ENGINE[key]


def test_an_item_without_a_device_part_is_by_its_resource_type() -> None:
    found = read("minimal.ovf")
    assert found.name == "bare"
    kinds = [(item.type, item.device, item.label) for item in found.devices]
    assert kinds == [
        ("video", "video", "video"),
        ("disk", "disk", "Drive 1"),
        ("interface", "bridge", "interface eth0"),
        ("disk", "floppy", "disk floppy"),
    ]
    assert {(item.address, item.alias) for item in found.devices} == {("", "")}
    assert {(item.is_plugged, item.is_readonly) for item in found.devices} == {(True, False)}
    disk, nic = found.devices[1:3]
    assert disk.device_id == "d15c0000-0000-4000-8000-000000000011"
    assert disk.spec_params == {"bus": "ide"}
    assert nic.spec_params == {"model": "rtl8139"}


def test_an_id_that_is_a_number_is_the_same_in_every_run() -> None:
    first, second = (by_id("minimal.ovf") for _ in range(2))
    assert first == second
    assert len(first) == 4


def test_the_flavour_inside_an_ova() -> None:
    found = by_id("ova.ovf")
    assert read("ova.ovf").instance == "0e000000-0000-4000-8000-00000000002e"
    assert found["21"].address == "{type=drive, bus=0, controller=0, target=0, unit=1}"
    assert found["21"].spec_params == {"bus": "sata"}
    assert (found["23"].type, found["23"].device) == ("video", "vga")
    assert (found["24"].type, found["24"].device) == ("graphics", "vnc")
    assert found["25"].is_managed
    assert found["25"].spec_params == {"model": "virtio"}


@pytest.mark.parametrize("name", ["engine.ovf", "minimal.ovf", "ova.ovf"])
def test_what_was_read_is_written_and_read_again(name: str) -> None:
    found = read(name)
    text = writer.dumps(found)
    again = reader.loads(text, "again")
    assert {item.device_id: item for item in again.devices} == {
        item.device_id: item for item in found.devices
    }
    assert writer.dumps(again) == text
