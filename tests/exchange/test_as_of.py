"""What was recorded once, and what is pinned: exported, imported, pinned, without any host."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud import Cloud
from tests.command import novadev
from tests.exchange.recorded import (
    OTHER_VM,
    VM,
    export,
    guest,
    import_,
    pci,
    record,
    recorded,
    rows,
    two_guests,
)

GONE = "disk vdz"


def addresses(text: str) -> dict[str, str]:
    """The addresses in an export of one instance, by label."""
    return {item["label"]: item["address"] for item in json.loads(text)["instances"][0]["devices"]}


def test_an_export_of_the_past(sqlite_cloud: Cloud) -> None:
    two_guests(sqlite_cloud)
    before = export(sqlite_cloud, "web-1").out
    record(sqlite_cloud, guest(VM, shift=9))
    assert addresses(export(sqlite_cloud, "web-1").out)["disk vda"] == pci(14)
    assert export(sqlite_cloud, "web-1", "--as-of", "1").out == before
    ovf = export(sqlite_cloud, "--ovf", "web-1", "--as-of", "1").out
    assert ovf != export(sqlite_cloud, "--ovf", "web-1").out
    assert pci(5) in ovf


@pytest.mark.parametrize(
    ("as_of", "code", "told"),
    [
        ("99", 2, "there is no record 99: the newest is 2"),
        ("99999999999999999999999", 4, "not the number of a record"),
        ("0", 4, "not the number of a record"),
        (
            "1",
            3,
            f"nothing was recorded of instance web-2 ({OTHER_VM}) as of record 1: its first record",
        ),
        (
            "2001-01-01",
            3,
            f"instance web-2 ({OTHER_VM}) as of 2001-01-01T00:00:00Z: its first record is",
        ),
        ("2999-01-01", 4, "is in the future"),
        ("7d", 3, f"nothing was recorded of instance web-2 ({OTHER_VM}) as of 20"),
        ("last tuesday", 4, "is neither the number of a record nor a time such as 2h, 7d, 2026-11"),
        ("", 4, "neither the number of a record nor a time such as"),
    ],
)
def test_moments_of_which_nothing_is_recorded(
    sqlite_cloud: Cloud, as_of: str, code: int, told: str
) -> None:
    two_guests(sqlite_cloud)
    result = export(sqlite_cloud, "web-2", "--as-of", as_of, code=code)
    assert told in result.err
    assert result.out == ""


def test_an_import_leaves_pinned_addresses(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """Neither planned, nor applied where the pin came between the plan and its writing."""
    _, other = two_guests(sqlite_cloud)
    file, saved = str(tmp_path / "file"), str(tmp_path / "plan")
    export(sqlite_cloud, "web-1", "-o", file)
    import_(sqlite_cloud, file, "--instance", "web-2", "--plan-out", saved)
    assert novadev(sqlite_cloud, "device", "pin", "web-2", "vda").code == 0
    before = recorded(sqlite_cloud, other)
    told = f"the recorded address of disk vda is pinned: run novadev device unpin {other} first"
    assert told in import_(sqlite_cloud, file, "--instance", "web-2", code=3).err
    result = novadev(sqlite_cloud, "apply", saved, "--yes")
    assert (result.code, told in result.err) == (7, True)
    assert recorded(sqlite_cloud, other) == before
    assert novadev(sqlite_cloud, "device", "unpin", "web-2").code == 0
    import_(sqlite_cloud, file, "--instance", "web-2")
    assert recorded(sqlite_cloud, other)["disk vda"].address == pci(5)


@pytest.mark.parametrize(
    ("device", "code", "told"),
    [
        ("vdz", 3, "disk vdz was no longer in the guest at its last record"),
        ("graphics vnc", 3, "graphics vnc has no address that could be pinned"),
        ("vdq", 2, "no device called 'vdq' is recorded for instance"),
        ("virtio", 2, "device list --long"),
        ("\x1b[31m", 2, "'\\x1b[31m'"),
        ("", 4, "it is empty"),
    ],
)
def test_what_cannot_be_pinned(sqlite_cloud: Cloud, device: str, code: int, told: str) -> None:
    """Nor is any other device that is named with it."""
    vm, _ = two_guests(sqlite_cloud)
    before = rows(sqlite_cloud)
    result = novadev(sqlite_cloud, "device", "pin", vm, "vda", device)
    assert (result.code, told in result.err, result.out) == (code, True, ""), result.err
    assert rows(sqlite_cloud) == before


def test_pins_are_set_and_taken_back(sqlite_cloud: Cloud) -> None:
    """By any of a device's names; again is no change; all of a guest without any."""
    vm, _ = two_guests(sqlite_cloud)
    row = recorded(sqlite_cloud, vm)["disk vdb"]
    names = ("vdb", row.device_id, row.alias, "disk vdb", "00:06.0", row.alias.upper())
    for number, name in enumerate(names):
        found = novadev(sqlite_cloud, "device", "pin", vm, name, "-f", "json")
        assert found.json == [
            {
                "instance": vm,
                "label": "disk vdb",
                "device_id": row.device_id,
                "address": "0000:00:06.0",
                "pinned": True,
                "changed": number == 0,
                "name": "web-1",
            }
        ], name
    everything = novadev(sqlite_cloud, "device", "pin", vm, "-f", "json").json
    placed = {row.label for row in recorded(sqlite_cloud, vm).values() if row.address}
    assert {item["label"] for item in everything} == placed
    result = novadev(sqlite_cloud, "device", "unpin", vm, "vda", "-f", "json")
    assert [(item["pinned"], item["changed"]) for item in result.json] == [(False, True)]
    result = novadev(sqlite_cloud, "device", "unpin", vm)
    assert f"{len(placed) - 1} devices unpinned" in result.err


@pytest.mark.parametrize("form", ["--json", "--ovf"])
def test_a_device_in_the_place_of_a_pinned_one_has_none_in_a_file(
    sqlite_cloud: Cloud, tmp_path: Path, form: str
) -> None:
    """Two disks were exchanged after one was pinned: a file has the one place once."""
    _, other = two_guests(sqlite_cloud)
    file = tmp_path / "file"
    assert novadev(sqlite_cloud, "device", "pin", "web-1", "vda").code == 0
    exchanged = {"disk vda": pci(6), "disk vdb": pci(5)}
    record(
        sqlite_cloud,
        [replace(item, address=exchanged.get(item.label, item.address)) for item in guest(VM)],
    )
    export(sqlite_cloud, form, "web-1", "-o", str(file))
    assert file.read_text().count(pci(5)) == 1
    before = recorded(sqlite_cloud, other)["disk vdb"].address
    import_(sqlite_cloud, str(file), "--instance", "web-2")
    found = recorded(sqlite_cloud, other)
    assert (found["disk vda"].address, found["disk vdb"].address) == (pci(5), before)
    assert "Nothing to do" in import_(sqlite_cloud, str(file)).err


@pytest.mark.parametrize("form", ["--json", "--ovf"])
def test_a_pinned_device_that_is_gone_keeps_its_place(
    sqlite_cloud: Cloud, tmp_path: Path, form: str
) -> None:
    """It is exported where it is pinned, and no import puts another device there."""
    two_guests(sqlite_cloud)
    file = tmp_path / "file"
    left = [item for item in guest(VM) if item.label != "disk vda"]
    assert novadev(sqlite_cloud, "device", "pin", "web-1", "vda").code == 0
    record(sqlite_cloud, left)
    export(sqlite_cloud, form, "web-1", "-o", str(file))
    assert pci(5) in file.read_text()
    assert "Nothing to do" in import_(sqlite_cloud, str(file)).err
    text = file.read_text().replace(pci(5), "").replace(pci(6), pci(5))
    (tmp_path / "other").write_text(text)
    told = import_(sqlite_cloud, str(tmp_path / "other"), code=4).err
    assert "are both at 0000:00:05.0" in told
    assert novadev(sqlite_cloud, "device", "unpin", "web-1").code == 0
    record(sqlite_cloud, guest(VM, shift=9))
    import_(sqlite_cloud, str(file))
    assert recorded(sqlite_cloud, VM)["disk vda"].address == pci(5)
