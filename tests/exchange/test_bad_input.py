"""Hostile and broken files: an error that names the item, exit code 4, and nothing is stored."""

import json
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novadev.records import json_file
from novadev.records.device import VmDevice
from novadev.records.file_contents import ExportedInstance
from novadev.records.ovf import writer
from tests.cloud import Cloud
from tests.command import novadev
from tests.exchange.recorded import (
    OTHER_VM,
    VM,
    controller,
    disk,
    drive,
    export,
    guest,
    import_,
    nic,
    pci,
    record,
    recorded,
    rows,
    two_guests,
)

pytestmark = pytest.mark.slow

OVF = writer.dumps(ExportedInstance(VM, "web-1", "", tuple(guest())))
JSON = json.loads(json_file.dumps([ExportedInstance(VM, "web-1", "", tuple(guest()))]))


def refused(cloud: Cloud, file: Path, *arguments: str) -> str:
    """What an import says that is refused, after which nothing is stored."""
    assert novadev(cloud, "history").code == 0, "the journal is there"
    before = rows(cloud)
    result = import_(cloud, str(file), *arguments, code=4)
    assert rows(cloud) == before
    assert len(result.err) < 600
    assert result.out == ""
    return result.err


@pytest.fixture
def site(sqlite_cloud: Cloud) -> Cloud:
    two_guests(sqlite_cloud)
    return sqlite_cloud


def item(**elements: str) -> str:
    """An OVF with one item, the first device's, with some elements in the place of its own."""
    text = OVF
    for name, value in elements.items():
        start = text.index(f"<{name}>", text.index("HostResource")) + len(name) + 2
        text = text[:start] + value + text[text.index("</", start) :]
    return text


def address(value: str) -> str:
    start = OVF.index("<rasd:Address>") + len("<rasd:Address>")
    return OVF[:start] + value + OVF[OVF.index("</", start) :]


ENTITIES = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n'
FILES = {
    "a document type": (OVF.replace("<ovf:Env", f"{ENTITIES}<ovf:Env", 1), "DOCTYPE"),
    "an external entity": (
        OVF.replace(
            "<ovf:Env", '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><ovf:Env', 1
        ).replace("<Name>web-1", "<Name>&f;"),
        "DOCTYPE",
    ),
    "an entity nobody declared": (OVF.replace("<Name>web-1", "<Name>&f;"), "parsed"),
    "cut short": (OVF[: len(OVF) // 2], "parsed"),
    "nested deeply": ("<a>" * 300 + "</a>" * 300, "parsed"),
    "another document": ("<domain/>", "Envelope"),
    "another namespace": (OVF.replace("/envelope/1/", "/envelope/2/"), "envelope/2/"),
    "no namespace": (OVF.replace("ovf:Envelope", "Envelope"), "'none'"),
    "rasd in another namespace": (
        OVF.replace("CIM_ResourceAllocationSettingData", "CIM_Other"),
        "Item 1 has no rasd:ResourceType",
    ),
    "no hardware": (OVF.replace("VirtualHardwareSection_Type", "Other_Type"), "VirtualHardware"),
    "two machines": (OVF.replace("</Content>", "</Content><Content/>"), "2 virtual systems"),
    "an id that is none": (
        OVF.replace(f"{guest()[3].device_id}", "nonsense"),
        "Item 4 (interface bridge): InstanceId: 'nonsense'",
    ),
    "an id twice": (
        OVF.replace(guest()[4].device_id, guest()[3].device_id),
        "'interface tap0a1' and 'interface tap0a22' have the same id",
    ),
    "no address": (address("nonsense"), "Item 1 (disk disk): Address: 'nonsense'"),
    "an address of no type": (address("{type=banana, slot=1}"), "there is no type 'banana'"),
    "an address without a slot": (address("{type=pci, bus=0x00}"), "Item 1 (disk disk): Address"),
    "a slot too high": (address("{type=pci, bus=0x00, slot=0x20}"), "slot is '0x20'"),
    "a slot that is none": (address("{type=pci, bus=0x00, slot=x}"), "slot is 'x'"),
    "a negative slot": (address("{type=pci, bus=0x00, slot=-1}"), "Item 1 (disk disk): Address"),
    "the host bridge": (address("{type=pci, bus=0x00, slot=0x00}"), "host bridge"),
    "a word too many": (address("{type=pci, bus=0, slot=1, virus=1}"), "has no 'virus'"),
    "two signs": (address("{type=pci, bus=0, slot=1=2}"), "Item 1 (disk disk): Address"),
    "a flag that is none": (item(IsPlugged="maybe"), "Item 1 (disk disk): IsPlugged is 'maybe'"),
    "a boot order that is none": (item(BootOrder="first"), "BootOrder is 'first'"),
    "a boot order too high": (item(BootOrder="9999999999"), "BootOrder 9999999999"),
    "a type too long": (item(Type="x" * 31), "longer than 30 characters"),
    "an alias too long": (item(Alias="x" * 256), "Item 1 (disk disk): Alias"),
    "too many items": (
        OVF.replace("</System>", "</System>" + "<Item/>" * 10_001),
        "more than 10000",
    ),
    "no text": ("\udcff\udcfe", "not text"),
    "nothing": ("", "neither JSON nor an OVF"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_broken_ovf(site: Cloud, tmp_path: Path, what: str) -> None:
    text, expected = FILES[what]
    file = tmp_path / "file"
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert expected in refused(site, file)


def edited(edit: Callable[[Any], Any]) -> str:
    data = json.loads(json.dumps(JSON))
    found = edit(data)
    return json.dumps(data if found is None else found)


def of_device(**values: Any) -> Callable[[Any], None]:
    def edit(data: Any) -> None:
        data["instances"][0]["devices"][0].update(values)

    return edit


def without(name: str) -> Callable[[Any], None]:
    def edit(data: Any) -> None:
        del data["instances"][0]["devices"][0][name]

    return edit


DEVICE = "instance 1: device 1 ('disk vda')"
EDITS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a newer version": (lambda data: data.update(version=2), "has version 2"),
    "a version that is none": (lambda data: data.update(version=True), "has version True"),
    "another kind": (lambda data: data.update(novadev="plan"), "not a device export"),
    "a list": (lambda data: [data], "not a device export"),
    "no instance": (lambda data: data.update(instances=[]), "has no instance"),
    "an instance twice": (lambda data: data["instances"].append(data["instances"][0]), "twice"),
    "a key too many": (lambda data: data.update(more=1), "'more'"),
    "an instance that is none": (
        lambda data: data["instances"][0].update(instance="web-1"),
        "'web-1' is not a UUID",
    ),
    "instances that are none": (
        lambda data: data.update(instances={}),
        "instances is not an array",
    ),
    "a device that is none": (
        lambda data: data["instances"][0]["devices"].insert(0, 7),
        "device 1 is not an object",
    ),
    "a device twice": (
        lambda data: data["instances"][0]["devices"].append(data["instances"][0]["devices"][0]),
        "have the same id",
    ),
    "too many devices": (
        lambda data: data["instances"][0].update(devices=[{}] * 10_001),
        "more than 10000",
    ),
    "no address": (without("address"), f"{DEVICE} has no address"),
    "a key of a device's too many": (of_device(vm_id=VM), f"{DEVICE} has a key"),
    "an id that is none": (of_device(device_id="vda"), f"{DEVICE}: device_id: 'vda'"),
    "an address that is none": (of_device(address="0000:00:05.0"), f"{DEVICE}: address"),
    "an address that is a number": (of_device(address=5), f"{DEVICE}: address is not text"),
    "a flag that is a number": (of_device(is_plugged=1), f"{DEVICE}: is_plugged is not true"),
    "a boot order of 0": (of_device(boot_order=0), f"{DEVICE}: boot_order 0"),
    "a boot order that is a flag": (
        of_device(boot_order=True),
        f"{DEVICE}: boot_order is not a number",
    ),
    "spec params that are a list": (of_device(spec_params=[]), "spec_params is not an object"),
    "a spec param that is a list": (of_device(spec_params={"bus": []}), "'bus' is not text"),
    "a control character": (of_device(label="\x1b[2J"), "characters that XML does not allow"),
    "half a character": (of_device(custom_properties="\ud800"), "custom_properties: it has"),
    "a type too long": (of_device(type="x" * 31), "longer than 30 characters"),
}


@pytest.mark.parametrize("what", EDITS)
def test_a_broken_json(site: Cloud, tmp_path: Path, what: str) -> None:
    edit, expected = EDITS[what]
    file = tmp_path / "file"
    file.write_text(edited(edit))
    assert expected in refused(site, file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"novadev": "device export", "version": 1, "version": 1}', "a key twice: 'version'"),
        ('{"novadev": NaN}', "NaN"),
        ("[" * 100_000, "nested too deeply"),
        ('{"novadev": "device export", "version": ' + "9" * 5000 + "}", "or was edited"),
        ("web-1\n", "neither JSON nor an OVF"),
    ],
)
def test_what_is_no_json(site: Cloud, tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    assert expected in refused(site, file)


def test_a_gigabyte_is_not_read(site: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb") as stream:
        stream.truncate(1 << 30)
    tracemalloc.start()
    try:
        assert "larger than 16 MiB" in refused(site, file)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 << 20


def test_a_file_that_is_none(site: Cloud, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "cannot be read" in refused(site, tmp_path / "none")
    assert "not a regular file" in refused(site, tmp_path / "pipe")
    assert "cannot be read" in refused(site, tmp_path)
    assert "not a regular file" in refused(site, Path("/dev/null"))


def pair(site: Cloud, tmp_path: Path, mine: list[VmDevice], theirs: list[VmDevice]) -> str:
    """What is said where the devices of web-1 are imported for those of web-2."""
    file = tmp_path / "file"
    record(site, mine)
    export(site, "web-1", "-o", str(file))
    record(site, [replace(item, vm_id=OTHER_VM) for item in theirs])
    return refused(site, file, "--instance", "web-2")


@pytest.fixture
def empty(sqlite_cloud: Cloud) -> Cloud:
    for vm, name in ((VM, "web-1"), (OTHER_VM, "web-2")):
        sqlite_cloud.add_instance(uuid=vm, name=name)
    return sqlite_cloud


ROOT = controller("pci", 0)
MISMATCHES: dict[str, tuple[list[VmDevice], list[VmDevice], str]] = {
    "a disk more in the file": (
        [disk("vda", pci(5)), disk("vdb", pci(6))],
        [disk("vda", pci(7), vm=OTHER_VM)],
        "disk vdb",
    ),
    "a disk more in the instance": (
        [disk("vda", pci(5))],
        [disk("vda", pci(5), vm=OTHER_VM), disk("vdb", pci(6), vm=OTHER_VM)],
        "the file has no device that matches disk vdb",
    ),
    "a NIC more in the file": (
        [nic("tapa", pci(5)), nic("tapbb", pci(6))],
        [nic("tapc", pci(5), vm=OTHER_VM)],
        "interface tapbb",
    ),
    "another model": (
        [nic("tapa", pci(5))],
        [nic("tapb", pci(5), model="e1000", vm=OTHER_VM)],
        "interface tapa",
    ),
    "another bus": (
        [disk("vda", drive(1), "sata")],
        [disk("vda", pci(5), vm=OTHER_VM)],
        "cannot give {type=drive, bus=0, controller=0, target=0, unit=1} to disk vda",
    ),
    "another bus without an address": (
        [disk("vda", drive(1), "sata")],
        [disk("vda", "", vm=OTHER_VM)],
        "a device of bus virtio cannot have an address of type drive",
    ),
    "a CD-ROM for a disk": (
        [disk("sda", drive(0), "sata", name="cdrom", alias="ua-1")],
        [disk("sda", drive(0), "sata", alias="ua-1", vm=OTHER_VM)],
        "disk sda",
    ),
    "an interface for a disk": (
        [disk("vda", pci(5), alias="ua-1")],
        [nic("tap1", pci(5), alias="ua-1", vm=OTHER_VM)],
        "is of type disk, and interface tap1 of type interface",
    ),
    "a bus that is not there": (
        [nic("tapa", pci(0, bus=3)), ROOT],
        [nic("tapb", pci(0, bus=1), vm=OTHER_VM), controller("pci", 0, vm=OTHER_VM)],
        "has no controller pci 3",
    ),
    "a place that another device keeps": (
        [nic("tapa", pci(5))],
        [
            nic("tapb", pci(6), vm=OTHER_VM),
            controller("usb", 0, pci(5), vm=OTHER_VM, is_managed=False),
        ],
        "are both at 0000:00:05.0",
    ),
    "one place for two": (
        [disk("vda", pci(5)), nic("tapa", pci(5))],
        [disk("vda", pci(6), vm=OTHER_VM), nic("tapb", pci(7), vm=OTHER_VM)],
        "are both at 0000:00:05.0",
    ),
}


@pytest.mark.parametrize("what", MISMATCHES)
def test_devices_that_do_not_match(empty: Cloud, tmp_path: Path, what: str) -> None:
    mine, theirs, expected = MISMATCHES[what]
    assert expected in pair(empty, tmp_path, mine, theirs)


def test_in_the_same_instance_another_volume_is_another_device(
    empty: Cloud, tmp_path: Path
) -> None:
    """A volume that was exchanged has the same target, and is not the one of the file."""
    file = tmp_path / "file"
    record(empty, [disk("vda", pci(5)), disk("vdb", pci(6))])
    export(empty, "web-1", "-o", str(file))
    changed = [disk("vda", pci(5)), replace(disk("vdb", pci(9)), device_id=OTHER_VM)]
    record(empty, changed)
    assert "disk vdb" in refused(empty, file)


def test_an_instance_that_the_file_does_not_tell(site: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(OVF.replace(f'ovf:id="{VM}"', 'ovf:id="36"'))
    assert "--instance" in refused(site, file)


def test_one_instance_for_a_file_of_several(site: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "file"
    export(site, "web-1", "web-2", "-o", str(file))
    assert "2 instances" in refused(site, file, "--instance", "web-1")


def test_one_bad_guest_of_a_file_is_skipped(site: Cloud, tmp_path: Path) -> None:
    """The others are imported; the code is that of the bad one."""
    file = tmp_path / "file"
    export(site, "web-1", "web-2", "-o", str(file))
    record(site, guest(VM, shift=12))
    record(site, [*guest(OTHER_VM, shift=12), disk("vdc", pci(3), vm=OTHER_VM)])
    result = novadev(site, "device", "import", str(file), "--yes", "-f", "json")
    assert (result.code, result.json["result"]) == (4, "applied")
    assert [plan["instance"] for plan in result.json["plans"]] == [VM]
    (skipped,) = result.json["skipped"]
    assert skipped["instance"] == OTHER_VM
    assert "the file has no device that matches disk vdc" in skipped["reason"]
    assert recorded(site, VM)["disk vda"].address == pci(5)


BROKEN: tuple[Callable[[dict[str, Any]], Any], ...] = (
    lambda it: it.pop("devices"),
    lambda it: it.update(devices={}),
    lambda it: it.update(instance="web-2"),
    lambda it: it.update(more=1),
    lambda it: it["devices"][0].update(address="{type=pci, slot=0xzz}"),
    lambda it: it["devices"][0].update(is_plugged=1),
    lambda it: it["devices"].append(it["devices"][0]),
    lambda it: it["devices"].append(None),
)


def test_one_broken_guest_of_a_file_is_skipped(site: Cloud, tmp_path: Path) -> None:
    """Whatever is broken in it. The others are imported; alone in a file, it is an error."""
    file = tmp_path / "file"
    data = json.loads(export(site, "web-1", "web-2").out)
    for number, edit in enumerate(BROKEN):
        edited = json.loads(json.dumps(data))
        edit(edited["instances"][1])
        file.write_text(json.dumps(edited))
        record(site, guest(VM, shift=12))
        before = recorded(site, OTHER_VM)
        result = novadev(site, "device", "import", str(file), "--yes", "-f", "json")
        assert (result.code, len(result.json["plans"])) == (4, 1), (number, result.err)
        (skipped,) = result.json["skipped"]
        assert skipped["instance"] == (None if number == 2 else OTHER_VM)
        assert f"{file}: instance 2" in skipped["reason"]
        assert recorded(site, VM)["disk vda"].address == pci(5)
        assert recorded(site, OTHER_VM) == before
        for wholly in ([edited["instances"][1]], [edited["instances"][1]] * 2):
            file.write_text(json.dumps({**edited, "instances": wholly}))
            assert f"{file}: instance 1" in refused(site, file)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["--json", "--ovf"])
def test_twice_the_devices_are_twice_the_work(empty: Cloud, tmp_path: Path, form: str) -> None:
    """Counted in calls: ten thousand devices take seconds, and not an hour."""
    work = []
    for number in (1, 150, 300, 450):  # what is imported at the first one counts for nothing
        file = str(tmp_path / f"file {number}")
        for vm, shift in ((VM, 0), (OTHER_VM, 77)):
            record(empty, _cards(number, vm, shift))
        with counted() as calls:
            export(empty, form, "web-1", "-o", file)
            result = novadev(empty, "device", "import", file, "--instance", "web-2", "--dry-run")
        assert result.code == 0, result.err
        work.append(calls[0])
    first, second = work[2] - work[1], work[3] - work[2]
    assert 0 < second < 1.03 * first, work


def _cards(number: int, vm: str, shift: int) -> list[VmDevice]:
    places = [(card + shift) % number for card in range(number)]
    return [
        nic(
            f"tap{card}",
            f"{{type=pci, slot=0x{place % 31 + 1:02x}, bus=0x{place // 31 % 256:02x}, "
            f"domain=0x{place // 31 // 256:04x}, function=0x0}}",
            vm=vm,
            alias=f"ua-{card}",
        )
        for card, place in enumerate(places)
    ]


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the calls of functions, those of C too, that this thread makes."""
    calls = [0]

    def count(_frame: object, event: str, _argument: object) -> None:
        calls[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)
