"""Records of pinned devices that were found elsewhere, and what changes them without a look."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from novadev.records.device import VmDevice
from tests.cloud import Cloud
from tests.command import novadev
from tests.exchange.recorded import (
    VM,
    dynamic,
    export,
    guest,
    import_,
    pci,
    record,
    recorded,
    records,
    two_guests,
)

AT_PIN = {"disk vda": pci(5), "disk vdb": pci(6)}
EXCHANGED = {"disk vda": pci(6), "disk vdb": pci(5)}


def with_places(places: dict[str, str]) -> list[VmDevice]:
    return [replace(item, address=places.get(item.label, item.address)) for item in guest(VM)]


def disks(devices: dict[str, VmDevice]) -> dict[str, str]:
    return {label: devices[label].address for label in AT_PIN}


def newest(cloud: Cloud) -> dict[str, str]:
    """Where the history has the two disks last."""
    with records(cloud) as vm_devices:
        found = [item.device for item in vm_devices.iter_versions(VM) if item.device]
    return disks({device.label: device for device in found})


@pytest.fixture
def held(sqlite_cloud: Cloud) -> Cloud:
    """A cloud whose web-1 was recorded with vda beside its pin, exchanged with vdb."""
    two_guests(sqlite_cloud)
    assert novadev(sqlite_cloud, "device", "pin", "web-1", "vda").code == 0
    record(sqlite_cloud, with_places(EXCHANGED))
    assert newest(sqlite_cloud) == EXCHANGED
    return sqlite_cloud


def record_as_before(cloud: Cloud, places: dict[str, str]) -> None:
    """Record as releases did that write nothing of a device at its pin: 4c14528 and earlier."""
    with sqlite3.connect(cloud.folder / "state.sqlite") as state:
        last, body = state.execute(
            "SELECT max(id), body FROM vm_device_history WHERE body LIKE '%\"disk vdb\"%'"
            f" AND vm_id = '{VM}'"
        ).fetchone()
        values = {**json.loads(body), "address": places["disk vdb"]}
        state.execute(
            "INSERT INTO vm_device_history (vm_id, device_id, seen, body, record_id) SELECT vm_id, "
            "device_id, seen, ?, record_id FROM vm_device_history WHERE id = ?",
            (json.dumps(values), last),
        )
        state.execute(
            "UPDATE vm_device SET address = ? WHERE vm_id = ? AND label = 'disk vdb'",
            (values["address"], VM),
        )
        state.execute("UPDATE vm_dynamic SET fingerprint = 'of then' WHERE vm_id = ?", (VM,))


@pytest.mark.parametrize("between", ["nothing", "unpin of another", "import"])
def test_what_an_earlier_release_found_at_its_pin_is_there(
    held: Cloud, tmp_path: Path, between: str
) -> None:
    """The history of this release has it elsewhere, and is older than that."""
    record_as_before(held, AT_PIN)
    if between == "unpin of another":
        for command in ("pin", "unpin"):
            assert novadev(held, "device", command, "web-1", "00:03.0").code == 0
    elif between == "import":
        file = tmp_path / "file"
        file.write_text(export(held, "web-1").out.replace(pci(3), pci(0x1C)))
        import_(held, str(file))
    assert novadev(held, "device", "unpin", "web-1").code == 0
    assert disks(recorded(held, VM)) == newest(held) == AT_PIN


def test_an_unpin_has_the_guest_read_again(held: Cloud) -> None:
    """It moves a row without a look at the guest."""
    record(held, with_places(AT_PIN))
    assert dynamic(held, VM).fingerprint
    assert novadev(held, "device", "unpin", "web-1").code == 0
    assert not dynamic(held, VM).fingerprint


def test_an_undo_brings_back_what_was_recorded_beside_a_pin(held: Cloud, tmp_path: Path) -> None:
    """Two devices at one place, one of them pinned there and found elsewhere."""
    before, hash_before = recorded(held, VM), dynamic(held, VM).hash
    contents = json.loads(export(held, "web-1").out)
    for device in contents["instances"][0]["devices"]:
        if device["label"] == "disk vdb":
            device["address"] = pci(0x1C)
    file = tmp_path / "file"
    file.write_text(json.dumps(contents))
    import_(held, str(file))
    assert newest(held) == {"disk vda": pci(6), "disk vdb": pci(0x1C)}
    result = novadev(held, "undo", "1", "--yes")
    assert result.code == 0, result.err
    assert recorded(held, VM) == before
    assert dynamic(held, VM).hash == hash_before
    assert newest(held) == EXCHANGED


def test_no_device_is_imported_to_where_a_pinned_one_was_found(held: Cloud, tmp_path: Path) -> None:
    """Not by a plan, and not where it was found there since; without the pin it is."""
    file, saved = tmp_path / "file", str(tmp_path / "plan")
    file.write_text(export(held, "web-1", "--as-of", "1").out)
    told = import_(held, str(file), code=3).err
    assert "disk vda was last found there, and not at its pinned address" in told
    record(held, with_places({"disk vda": pci(5), "disk vdb": pci(0x1C)}))
    import_(held, str(file), "--plan-out", saved)
    record(held, with_places({"disk vda": pci(6), "disk vdb": pci(0x1C)}))
    before = recorded(held, VM)
    result = novadev(held, "apply", saved, "--yes")
    assert (result.code, "disk vda was last found there" in result.err) == (7, True), result.err
    assert recorded(held, VM) == before
    assert novadev(held, "device", "unpin", "web-1").code == 0
    import_(held, str(file))
    assert disks(recorded(held, VM)) == newest(held) == AT_PIN


def test_an_import_offers_no_restore_that_moves_nothing(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    """A pinned card of another model since stays where it is: only to unpin it frees the place."""
    two_guests(sqlite_cloud)
    card = next(item for item in guest(VM) if item.address == pci(4))
    assert novadev(sqlite_cloud, "device", "pin", "web-1", card.label).code == 0
    file = tmp_path / "file"
    file.write_text(export(sqlite_cloud, "web-1").out.replace(pci(6), pci(0x1C)))
    other = replace(card, spec_params={**card.spec_params, "model": "e1000"}, address=pci(0x1C))
    record(sqlite_cloud, [other if item == card else item for item in guest(VM)])
    told = import_(sqlite_cloud, str(file), code=3).err
    assert f"because {card.label} can no longer be at its pinned address. Remove the pin" in told
    assert "Restore and record" not in told
    assert novadev(sqlite_cloud, "device", "unpin", "web-1", card.label).code == 0
