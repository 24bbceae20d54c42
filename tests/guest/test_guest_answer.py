"""What is read out of an agent's reply, whatever is in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novadev.virt.guest_answer import MOST_DISKS, GuestAnswer, read_disks, read_filesystems

Json = dict[str, Any]


def entry(name: str, serial: str | None = None, slot: int | None = None, *parts: str) -> Json:
    found: Json = {"name": name, "partition": False, "dependencies": list(parts)}
    if slot is not None:
        controller = {"domain": 0, "bus": 0, "slot": slot, "function": 0}
        found["address"] = {"bus-type": "virtio", "bus": 0, "unit": 0, "target": 0}
        found["address"]["pci-controller"] = controller
    if serial is not None:
        found.setdefault("address", {})["serial"] = serial
    return found


def read(*entries: Any) -> GuestAnswer:
    return read_disks(json.dumps({"return": entries}))


def names(answer: GuestAnswer) -> list[str]:
    return [disk.name for disk in answer.disks or ()]


@pytest.mark.parametrize(
    "name",
    [
        *("/dev/sda", "/dev/vdz", "/dev/xvda", "/dev/nvme0n1", "/dev/sr0", "/dev/dm-0"),
        *("/dev/mapper/vg-root_1", "/dev/disk/by-id/x", "/dev/ada0", "\\\\.\\PHYSICALDRIVE0"),
        "\\\\.\\PhysicalDrive12",
    ],
)
def test_names(name: str) -> None:
    assert names(read(entry(name))) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("", "sda", "/dev", "/dev/", "/etc/passwd", "/dev/../etc", "/dev/./sda", "/dev//sda"),
        *(
            "/dev/sda\n",
            "/DEV/sda",
            "/dev/sd a",
            "/dev/\x1b[1m",
            "/dev/sd\u0430",
            "/dev/-x",
            "/dev/a/b/c/d",
        ),
        *(
            "/dev/" + "a" * 124,
            "\\\\.\\PHYSICALDRIVE",
            "\\\\.\\PHYSICALDRIVE0\x00",
            "C:\\",
            "/dev/٣",
        ),
    ],
)
def test_what_is_no_name(name: str) -> None:
    answer = read(entry(name), entry("/dev/sda"))
    assert names(answer) == ["/dev/sda"]
    assert answer.notes == ("1 of the guest's disks have no usable name",)


def test_partitions_and_mapped_devices_speak_for_the_disk_below() -> None:
    answer = read(
        entry("/dev/dm-1", None, None, "/dev/dm-0"),
        entry("/dev/dm-0", "SERIAL", None, "/dev/vdb1"),
        entry("/dev/vdb1", None, None, "/dev/vdb") | {"partition": True},
        entry("/dev/vdb", None, 4),
        entry("/dev/nvme0n1p2", "NVME") | {"partition": True},
        entry("/dev/md0", "RAID", None, "/dev/vdb", "/dev/vdc"),
        entry("/dev/md1", "LOST", None, "/dev/vdx"),
    )
    assert [(disk.name, disk.serial) for disk in answer.disks or ()] == [
        ("/dev/vdb", "SERIAL"),
        ("/dev/nvme0n1", "NVME"),
    ]
    assert answer.disks
    assert str(answer.disks[0].address) == (
        "GuestAddress(bus_type='virtio', pci='0000:00:04.0', drive=(0, 0, 0))"
    )


def test_what_lies_on_itself() -> None:
    answer = read(
        entry("/dev/dm-0", "A", None, "/dev/dm-1"), entry("/dev/dm-1", "B", None, "/dev/dm-0")
    )
    assert answer.disks == ()


@pytest.mark.parametrize(
    "other", [entry("/dev/vda", "B"), entry("/dev/vda"), entry("/dev/vda", "A", 5)]
)
def test_a_name_twice_is_nobodys(other: Json) -> None:
    answer = read(entry("/dev/vda", "A", 4), other, entry("/dev/vdb"))
    assert names(answer) == ["/dev/vdb"]
    assert answer.notes == ("the guest calls several disks /dev/vda",)


def test_a_disk_of_which_different_things_are_said_is_nobodys() -> None:
    part = entry("/dev/vda1", "B", None, "/dev/vda") | {"partition": True}
    assert names(read(entry("/dev/vda", "A"), part, entry("/dev/vdb"))) == ["/dev/vdb"]


@pytest.mark.parametrize(
    "place",
    [
        *({}, {"pci-controller": 5}, {"pci-controller": {}}, {"bus-type": "virtio"}),
        {"bus-type": "virtio", "pci-controller": dict.fromkeys(("domain", "bus", "slot"), 0)},
        {
            **{"bus-type": "unknown", "bus": -1, "unit": -1, "target": -1},
            "pci-controller": dict.fromkeys(("domain", "bus", "slot", "function"), -1),
        },
        {
            **{"bus-type": "virtio", "bus": 0, "unit": 0, "target": 0},
            "pci-controller": {"domain": 0, "bus": 0, "slot": 1 << 80, "function": 0},
        },
    ],
)
def test_an_address_that_is_none(place: Json) -> None:
    (disk,) = read({"name": "/dev/vda", "address": place}).disks or ()
    assert disk.address is None


def test_file_systems() -> None:
    def disk(name: str, serial: str) -> Json:
        return {"dev": name, "serial": serial}

    systems = [
        {"mountpoint": "/", "disk": [disk("/dev/sda2", "S"), disk("/dev/vdb", "V")]},
        {"mountpoint": "/boot", "disk": [disk("/dev/sda1", "S")]},
        {"mountpoint": "/run", "disk": []},
        {"mountpoint": "/x", "disk": [disk("/dev/nvme0n1p1", "N"), disk("/dev/mmcblk0p1", "M")]},
        5,
    ]
    answer = read_filesystems(json.dumps({"return": systems}))
    assert [(found.name, found.serial) for found in answer.disks or ()] == [
        *(("/dev/sda", "S"), ("/dev/vdb", "V"), ("/dev/nvme0n1", "N"), ("/dev/mmcblk0", "M")),
    ]
    assert not answer.is_whole  # a disk that nothing is mounted from keeps its recorded name
    assert read(entry("/dev/sda")).is_whole


@pytest.mark.parametrize(
    "reply", ["", "{", "[]", "5", '{"return": 5}', "[" * 100_000, '{"return": []}']
)
def test_no_answer_is_not_an_empty_one(reply: str) -> None:
    assert read_disks(reply).disks is None
    assert read_filesystems(reply).disks is None


def test_an_answer_has_an_end() -> None:
    answer = read(*(entry(f"/dev/x{number}") for number in range(3 * MOST_DISKS)))
    assert len(answer.disks or ()) == MOST_DISKS
    assert answer.notes == (f"only the first {MOST_DISKS} of the guest's disks were read",)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
some_names = st.sampled_from(["/dev/sda", "/dev/sda1", "/dev/sdb", "/dev/dm-0", "sda", "/dev/\x07"])
entries = st.fixed_dictionaries(
    {"name": some_names | anything},
    optional={
        "partition": st.booleans() | anything,
        "dependencies": st.lists(some_names | anything) | anything,
        "address": anything
        | st.fixed_dictionaries(
            {},
            optional={
                "serial": anything,
                "bus-type": anything,
                "pci-controller": anything,
                "unit": anything,
            },
        ),
        "disk": st.lists(st.fixed_dictionaries({"dev": some_names | anything})) | anything,
    },
)


@given(st.lists(entries | anything, max_size=8))
@pytest.mark.slow
def test_whatever_comes(items: list[Any]) -> None:
    reply = json.dumps({"return": items})
    for answer in (read_disks(reply), read_filesystems(reply)):
        found = names(answer)
        assert len(set(found)) == len(found)
        assert all(name.startswith(("/dev/", "\\\\.\\")) and name.isprintable() for name in found)
        assert all(note.isprintable() and len(note) < 300 for note in answer.notes)
        assert len(answer.notes) <= 5


@given(st.text() | st.binary().map(lambda data: data.decode("latin1")))
def test_whatever_is_said(reply: str) -> None:
    assert read_disks(reply).disks is None
