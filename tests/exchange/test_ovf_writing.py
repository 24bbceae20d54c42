"""An exported OVF against what ovirt-engine's writer writes, element by element."""

from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from novadev.errors import BadInput
from novadev.records.device import VmDevice
from novadev.records.file_contents import ExportedInstance
from novadev.records.ovf import writer
from tests.cloud import Cloud
from tests.exchange.recorded import VM, device, disk, export, guest, nic, pci, two_guests

OVF = "{http://schemas.dmtf.org/ovf/envelope/1/}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
VSSD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
DEVICE_PART = ["Type", "Device", "rasd:Address", "BootOrder", "IsPlugged", "IsReadOnly", "Alias"]


def written(*devices: VmDevice) -> etree._Element:
    text = writer.dumps(ExportedInstance(VM, "web-1", "", devices))
    return etree.fromstring(text.encode())


def items(root: etree._Element) -> list[etree._Element]:
    return root.findall(".//Item")


def names(element: etree._Element) -> list[str]:
    return [str(child.tag).replace(RASD, "rasd:").replace(VSSD, "vssd:") for child in element]


def resource_type(item: etree._Element) -> str:
    return str(item.findtext(f"{RASD}ResourceType"))


def the_item(device: VmDevice) -> etree._Element:
    """The item of one device alone, found by its id."""
    (found,) = (
        item
        for item in items(written(device))
        if item.findtext(f"{RASD}InstanceId") == device.device_id
    )
    return found


def test_the_envelope_and_its_sections(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    two_guests(sqlite_cloud)
    file = tmp_path / "web-1.ovf"
    export(sqlite_cloud, "--ovf", "web-1", "-o", str(file))
    root = etree.fromstring(file.read_bytes())
    assert root.tag == f"{OVF}Envelope"
    assert set(root.nsmap) == {"ovf", "rasd", "vssd", "xsi"}
    assert root.attrib.keys() == [f"{OVF}version"]
    assert names(root) == ["References", "NetworkSection", "Section", "Content"]
    assert root[2].attrib == {f"{XSI}type": "ovf:DiskSection_Type"}
    content = root[3]
    assert dict(content.attrib) == {f"{OVF}id": "out", f"{XSI}type": "ovf:VirtualSystem_Type"}
    assert names(content) == ["Name", "Section", "Section"]
    assert content.findtext("Name") == "web-1"
    assert dict(content[1].attrib) == {
        f"{OVF}id": VM,
        f"{OVF}required": "false",
        f"{XSI}type": "ovf:OperatingSystemSection_Type",
    }
    assert names(content[1]) == ["Info", "Description"]
    hardware = content[2]
    assert dict(hardware.attrib) == {f"{XSI}type": "ovf:VirtualHardwareSection_Type"}
    assert names(hardware)[:3] == ["Info", "System", "Item"]
    assert names(hardware[1]) == ["vssd:VirtualSystemType"]


def test_the_items_are_in_the_engines_order() -> None:
    found = items(written(*reversed(guest())))
    types = [resource_type(item) for item in found]
    assert types == ["17"] * 3 + ["10"] * 2 + ["23", "20", "26", "15"] + ["0"] * 5
    others = [(item.findtext("Type"), item.findtext("Device")) for item in found[-5:]]
    assert set(others[:3]) == {("controller", "pci"), ("controller", "sata"), ("input", "tablet")}
    assert set(others[3:]) == {("controller", "usb"), ("balloon", "memballoon")}


def test_every_item_has_its_device_part_in_order_and_last() -> None:
    for item in items(written(*guest())):
        if resource_type(item) != "23":
            tags = [name for name in names(item) if name != "SpecParams"]
            assert tags[-7:] == DEVICE_PART
            assert not any(name.startswith("rasd:") for name in tags[-4:])


@pytest.mark.parametrize(
    ("label", "before"),
    [
        (
            "disk vda",
            [
                *("rasd:Caption", "rasd:InstanceId", "rasd:ResourceType", "rasd:HostResource"),
                *("rasd:Parent", "rasd:Template", "rasd:ApplicationList"),
            ],
        ),
        (
            "interface tap0a1",
            [
                *("rasd:Caption", "rasd:InstanceId", "rasd:ResourceType"),
                *("rasd:OtherResourceType", "rasd:ResourceSubType", "rasd:Connection"),
                *("rasd:Linked", "rasd:Name", "rasd:ElementName", "rasd:MACAddress"),
            ],
        ),
        (
            "video cirrus",
            ["rasd:Caption", "rasd:InstanceId", "rasd:ResourceType", "rasd:VirtualQuantity"],
        ),
        ("graphics vnc", ["rasd:Caption", "rasd:InstanceId", "rasd:ResourceType"]),
        ("disk sda", ["rasd:Caption", "rasd:InstanceId", "rasd:ResourceType"]),
        ("controller pci 0", ["rasd:ResourceType", "rasd:InstanceId"]),
    ],
)
def test_what_stands_before_the_device_part(label: str, before: list[str]) -> None:
    (found,) = (item for item in guest() if item.label == label)
    assert names(the_item(found))[: len(before)] == before
    assert names(the_item(found))[len(before)] == "Type"


def test_all_that_an_item_says_of_a_device() -> None:
    full = disk(
        "vdb",
        pci(6),
        boot_order=2,
        is_readonly=True,
        is_plugged=False,
        alias="ua-x",
        custom_properties="a=1;",
        snapshot_id=VM,
        spec_params={"serial": "s & <t>", "deep/one": 1, "deep/two/three": "3"},
    )
    item = the_item(full)
    assert names(item)[-10:] == [*DEVICE_PART, "SpecParams", "CustomProperties", "SnapshotId"]
    assert [item.findtext(name) for name in ("Type", "Device", f"{RASD}Address")] == [
        *("disk", "disk"),
        "{type=pci, slot=0x06, bus=0x00, domain=0x0000, function=0x0}",
    ]
    rest = ("BootOrder", "IsPlugged", "IsReadOnly", "Alias", "CustomProperties", "SnapshotId")
    assert [item.findtext(name) for name in rest] == ["2", "false", "true", "ua-x", "a=1;", VM]
    params = item.find("SpecParams")
    assert params is not None
    assert names(params) == ["bus", "serial", "target", "deep"]
    assert params.findtext("serial") == "s & <t>"
    assert params.findtext("deep/two/three") == "3"


def test_no_terminal_acts_on_the_name_of_a_channel() -> None:
    """What steers one is written by number, and read again as it was."""
    name = "a\u009b2J\u202eb\u2028\x7f\r&<ä"
    made = device("channel", "channel", "unix", vm=VM, spec_params={"target": name}, alias=name)
    text = writer.dumps(ExportedInstance(VM, name, "", (made,)))
    assert all(one.isprintable() or one == "\n" for one in text)
    assert "ä" in text
    found = etree.fromstring(text.encode())
    assert found.findtext(".//{*}Name") == name
    assert any(element.text == name for element in found.iter("{*}Alias", "Alias"))


def test_no_boot_order_is_0_and_no_alias_is_empty() -> None:
    item = the_item(disk("vdb"))
    assert item.findtext("BootOrder") == "0"
    assert (item.findtext("Alias"), item.findtext(f"{RASD}Address")) == ("", "")
    assert "CustomProperties" not in names(item)
    assert "SnapshotId" not in names(item)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (disk("vda"), "17"),
        (disk("vda", name="lun"), "17"),
        (disk("sda", name="cdrom"), "15"),
        (disk("fda", name="floppy"), "14"),
        (disk("vda", is_managed=False), "0"),
        (nic("tap1"), "10"),
        (nic("tap1", is_managed=False), "0"),
        (device("graphics vnc", "graphics", "vnc"), "26"),
        (device("video vga", "video", "vga"), "20"),
        (device("controller usb 0", "controller", "usb", is_managed=True), "0"),
        (device("hostdev 0000:81:00.1", "hostdev", "pci", is_managed=True), "0"),
    ],
)
def test_the_resource_type_of_a_class(made: VmDevice, expected: str) -> None:
    assert resource_type(the_item(made)) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [("virtio", "3"), ("e1000", "2"), ("e1000e", "6"), ("rtl8139", "1"), ("vmxnet3", "")],
)
def test_the_model_of_a_nic(model: str, expected: str) -> None:
    item = the_item(nic("tap1", model=model))
    assert item.findtext(f"{RASD}ResourceSubType") == expected


def test_a_managed_disk_has_a_file_and_a_disk() -> None:
    root = written(disk("vda", boot_order=1), disk("sda", name="cdrom"))
    identity = disk("vda").device_id
    (file,) = root.findall("References/File")
    assert file.get(f"{OVF}id") == identity
    assert file.get(f"{OVF}href") == f"{identity}/{identity}"
    (found,) = root.findall("Section/Disk")
    assert found.get(f"{OVF}diskId") == identity
    assert found.get(f"{OVF}disk-interface") == "VirtIO"
    assert found.get(f"{OVF}boot") == "true"
    assert all(str(name).startswith(OVF) for name in found.attrib)
    item = items(root)[0]
    assert item.findtext(f"{RASD}HostResource") == f"{identity}/{identity}"


def test_a_lun_is_told_by_its_id() -> None:
    root = written(disk("sdb", bus="scsi", name="lun", spec_params={"lun_id": "3600a"}))
    (file,) = root.findall("References/File")
    assert file.get(f"{OVF}disk_storage_type") == "LUN"
    (found,) = root.findall("Section/Disk")
    assert found.get(f"{OVF}lun_id") == "3600a"
    assert found.get(f"{OVF}disk-interface") == "VirtIO_SCSI"
    assert found.get(f"{OVF}plugged") == "true"


@pytest.mark.parametrize(
    "bad",
    [
        replace(disk("vda"), label="disk \x1b"),
        disk("vda", spec_params={"no name": "x"}),
        disk("vda", spec_params={"a//b": "x"}),
        disk("vda", spec_params={"serial": "\x00"}),
    ],
)
def test_what_no_xml_can_have_is_refused(bad: VmDevice) -> None:
    with pytest.raises(BadInput, match="disk"):
        written(bad)
