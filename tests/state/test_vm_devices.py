"""The recorded devices in their database: two writers at a time, history, an older schema."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import novadev.state
from novadev.database import Database
from novadev.errors import Busy, NotAsNeeded
from novadev.state.devices import VmDevice, VmDynamic
from novadev.state.store import SCHEMAS, open_state
from novadev.state.vm_devices import VmDevices
from tests.cloud import Cloud
from tests.state.places import journal_on_mariadb

GUEST, OTHER = "7b0c2f5e-5c39-4c1c-8f0e-0e8e6a4a1f10", "7b0c2f5e-5c39-4c1c-8f0e-0e8e6a4a1f11"
DISK = VmDevice(
    device_id="0f8fad5b-d9cb-469f-a165-70867728950e",
    vm_id=GUEST,
    type="disk",
    device="disk",
    address="{type=pci, slot=0x05, bus=0x00, domain=0x0000, function=0x0}",
    boot_order=1,
    spec_params={"bus": "virtio", "target": "vda"},
    is_managed=True,
    alias="ua-0f8fad5b-d9cb-469f-a165-70867728950e",
    custom_properties="a=b",
    snapshot_id="0f8fad5b-d9cb-469f-a165-70867728950f",
    logical_name="/dev/vda",
    host="cmp1",
    label="disk vda",
)


def dynamic(hash_: str, vm_id: str = GUEST) -> VmDynamic:
    return VmDynamic(vm_id, hash_, hash_, "cmp1")


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the state database is."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.sqlite"
        return
    cloud: Cloud = request.getfixturevalue("mariadb_cloud")
    with journal_on_mariadb(cloud) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = open_state(url)
    yield opened
    opened.close()


def test_what_is_written_is_read(database: Database) -> None:
    kept = VmDevices(database)
    kept.write({dynamic("1"): [DISK]})
    assert kept.list_devices([GUEST, OTHER]) == {GUEST: (DISK,)}
    assert kept.list_dynamics([GUEST]) == {GUEST: dynamic("1")}
    assert kept.list_names([GUEST]) == {GUEST: {DISK.device_id: "/dev/vda"}}
    assert kept.count([GUEST]) == {GUEST: 1}
    (version,) = kept.iter_versions(GUEST)
    assert (version.device, version.device_id) == (DISK, DISK.device_id)
    assert version.seen.endswith("Z")


def test_history_has_every_state_once(database: Database) -> None:
    kept = VmDevices(database)
    moved = replace(DISK, address="{type=pci, slot=0x06}")
    unmanaged = replace(DISK, device_id=OTHER, is_managed=False)
    for number, devices in enumerate(([DISK], [DISK], [moved, unmanaged], [], [DISK])):
        kept.write({dynamic(str(number)): devices})
    states = [version.device for version in kept.iter_versions(GUEST, DISK.device_id)]
    assert states == [DISK, moved, moved.unplugged, DISK]
    states = [version.device for version in kept.iter_versions(GUEST, OTHER)]
    assert states == [unmanaged, None]


def test_guests_do_not_mix(database: Database) -> None:
    kept = VmDevices(database)
    elsewhere = replace(DISK, vm_id=OTHER)
    kept.write({dynamic("1"): [DISK], dynamic("1", OTHER): [elsewhere]})
    kept.write({dynamic("2"): []})
    assert kept.list_devices([GUEST, OTHER]) == {GUEST: (DISK.unplugged,), OTHER: (elsewhere,)}


def test_two_records_at_a_time(url: str, database: Database) -> None:
    """Whoever is last, what is kept is what one of them saw, whole."""
    states = [
        [
            replace(DISK, device_id=f"{number:08x}{GUEST[8:]}", address=f"{{type=usb, port={run}}}")
            for number in range(8)
        ]
        for run in range(2)
    ]
    failed: list[BaseException] = []

    def keep_writing(devices: Sequence[VmDevice], name: str) -> None:
        mine = open_state(url)
        try:
            for _ in range(20):
                _write(VmDevices(mine), dynamic(name), devices)
        except BaseException as error:
            failed.append(error)
        finally:
            mine.close()

    threads = [
        threading.Thread(target=keep_writing, args=(devices, str(run)))
        for run, devices in enumerate(states)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    kept = VmDevices(database)
    winner = kept.list_dynamics([GUEST])[GUEST].hash
    assert list(kept.list_devices([GUEST])[GUEST]) == states[int(winner)]


def _write(kept: VmDevices, guest: VmDynamic, devices: Sequence[VmDevice]) -> None:
    """Write, again and again while another one is at it."""
    for _ in range(100):
        try:
            return kept.write({guest: devices})
        except Busy:
            continue
    raise AssertionError("always another writer")


def test_a_change_that_raises_leaves_everything(database: Database) -> None:
    kept = VmDevices(database)
    kept.write({dynamic("1"): [DISK]})

    def refuse(recorded: Sequence[VmDevice]) -> tuple[VmDynamic, Sequence[VmDevice]]:
        assert recorded == (DISK,)
        raise NotAsNeeded("no")

    with pytest.raises(NotAsNeeded):
        kept.replace(GUEST, refuse)
    assert kept.list_dynamics([GUEST]) == {GUEST: dynamic("1")}
    kept.replace(GUEST, lambda _: (dynamic("2"), [replace(DISK, boot_order=None)]))
    assert kept.list_devices([GUEST])[GUEST][0].boot_order is None
    assert kept.list_dynamics([GUEST]) == {GUEST: dynamic("2")}


def test_a_journal_of_the_first_release_is_brought_up_to_date(url: str) -> None:
    database = open_state(url)
    with database.writing() as connection:
        for name in ("vm_device_history", "vm_device", "vm_dynamic"):
            connection.execute(sa.text(f"DROP TABLE {name}"))
        config = Config()
        folder = Path(novadev.state.__file__).with_name("migrations")
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.stamp(config, SCHEMAS[0])
    database.close()
    again = open_state(url)
    VmDevices(again).write({dynamic("1"): [DISK]})
    assert VmDevices(again).count([GUEST]) == {GUEST: 1}
    again.close()
