"""The recorded devices in their database: two writers at a time, history, an older schema."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from novadev.database import Database
from novadev.errors import BadInput, Busy, NotAsNeeded, NotFound
from novadev.records.device import AsOf, VmDevice, VmDynamic, hash_of
from novadev.records.pin_store import PinStore
from novadev.records.store import Overtaken, VmDevices
from novadev.state.store import SCHEMAS, open_state
from novadev.state.tables import vm_device_history
from tests.state.places import of_schema

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


def test_what_was_seen_before_another_record_is_not_stored(database: Database) -> None:
    """Not even where that record's end is what was recorded at first: a disk came and went."""
    kept = VmDevices(database)
    usb = replace(DISK, device_id=OTHER, is_managed=False)
    kept.write({dynamic("1"): [DISK]}, newest=kept.list_newest([GUEST]))
    looked_at = kept.list_newest([GUEST, OTHER])
    for devices in ([DISK, usb], [DISK]):
        kept.write({dynamic("1"): devices}, newest=kept.list_newest([GUEST]))
    history = list(kept.iter_versions(GUEST))
    late = {dynamic("1"): [DISK, usb], dynamic("1", OTHER): []}
    with pytest.raises(Overtaken) as raised:
        kept.write(late, newest=looked_at)
    assert raised.value.vm_ids == (GUEST,)
    assert list(kept.iter_versions(GUEST)) == history
    assert kept.list_dynamics([GUEST, OTHER]).keys() == {GUEST}
    kept.write({dynamic("1", OTHER): []}, newest=looked_at)
    with pytest.raises(Overtaken):
        kept.write({dynamic("2", OTHER): []}, newest=looked_at)


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


def test_every_moment_of_the_past_can_be_read(database: Database) -> None:
    """As of each record, and as of its time: what was there right after it."""
    kept = VmDevices(database)
    moved = replace(DISK, address="{type=pci, slot=0x06}")
    unmanaged = replace(DISK, device_id=OTHER, is_managed=False, vm_id=GUEST)
    states = [[DISK], [moved, unmanaged], [moved], [], [replace(DISK, boot_order=None)]]
    numbers = [kept.write({dynamic(str(n)): devices}) for n, devices in enumerate(states)]
    assert numbers == sorted(set(numbers))
    with database.writing() as connection:  # a day between two records
        for number in numbers:
            chosen = vm_device_history.c.record_id == number
            values = {"seen": datetime(2026, 3, number, 3)}
            connection.execute(sa.update(vm_device_history).where(chosen).values(values))
    for number, devices in zip(numbers, states, strict=True):
        then = devices or [moved.unplugged]
        for as_of in (AsOf(number), AsOf(time=datetime(2026, 3, number, 15))):
            found = kept.list_devices_as_of([GUEST, OTHER], as_of)
            assert found == {GUEST: tuple(sorted(then, key=lambda item: item.device_id))}, as_of
            kept.check(as_of)
    assert kept.list_devices_as_of([GUEST], AsOf(time=datetime(2026, 2, 28))) == {}
    assert str(AsOf(time=datetime(1, 1, 1))) == "0001-01-01T00:00:00Z"
    first = kept.find_first(GUEST)
    assert first is not None
    assert (first.record, first.seen) == (numbers[0], f"2026-03-{numbers[0]:02}T03:00:00Z")
    with pytest.raises(NotFound, match=f"there is no record 99: the newest is {numbers[-1]}"):
        kept.check(AsOf(99))
    with pytest.raises(BadInput, match="is in the future"):
        kept.check(AsOf(time=datetime(2999, 1, 1)))


def placed(*devices: VmDevice) -> dict[str, str]:
    """Devices and their addresses, as a user has seen them."""
    return {device.device_id: device.address for device in devices}


def test_a_pinned_address_outlives_every_record(database: Database) -> None:
    """Moved, gone and back, unmanaged or not: the address stays, until it is unpinned."""
    kept, pins = VmDevices(database), PinStore(database)
    usb = replace(DISK, device_id=OTHER, is_managed=False, address="{type=usb, bus=0, port=1}")
    moved = [replace(item, address=f"{item.address[:-1]}, moved=1}}") for item in (DISK, usb)]
    kept.write({dynamic("1"): [DISK, usb]})
    pins.pin(GUEST, placed(DISK, usb), "ops")
    for devices in (moved, [], moved):
        kept.write({dynamic("2"): devices})
        assert kept.list_dynamics([GUEST])[GUEST].fingerprint == ""
    assert kept.list_devices([GUEST])[GUEST] == (DISK, usb)
    pins.unpin(GUEST, [OTHER, GUEST], "night")
    changes = list(pins.list_changes(GUEST))
    told = [(item.device_id, item.address, item.is_pinned, item.user) for item in changes]
    assert set(told[:2]) == {(one.device_id, one.address, True, "ops") for one in (DISK, usb)}
    assert told[2:] == [(OTHER, usb.address, False, "night")]
    kept.write({dynamic("2"): moved})
    assert kept.list_devices([GUEST])[GUEST] == (DISK, moved[1])
    assert kept.list_pins([GUEST, OTHER]) == {GUEST: {DISK.device_id: DISK.address}}
    kept.write({dynamic("3"): [moved[0]]})
    with pytest.raises(NotAsNeeded, match="Run the command again"):
        pins.pin(GUEST, placed(moved[1]), "ops")


def test_what_is_pinned_is_what_was_shown(database: Database) -> None:
    """A record that comes between does not change what a user has agreed to."""
    kept, pins = VmDevices(database), PinStore(database)
    nic = replace(DISK, device_id=OTHER, address="{type=pci, slot=0x09}")
    kept.write({dynamic("1"): [DISK, nic]})
    kept.write({dynamic("2"): [DISK, replace(nic, address="{type=pci, slot=0x0a}")]})
    with pytest.raises(NotAsNeeded, match=r"recorded again meanwhile\. Run the command again"):
        pins.pin(GUEST, placed(DISK, nic), "ops")
    assert kept.list_pins([GUEST]) == {}


def test_a_record_that_changes_no_device_has_no_number(database: Database) -> None:
    """Another text of the definition is written, and the history has no record for it."""
    kept = VmDevices(database)
    first = kept.write({dynamic("1"): [DISK]})
    assert kept.write({dynamic("2"): [replace(DISK, host="cmp9")]}) is None
    kept.replace(GUEST, lambda recorded: (dynamic("3"), recorded))
    found = replace(dynamic("3"), hash=hash_of([DISK]))
    assert kept.list_dynamics([GUEST]) == {GUEST: found}
    with pytest.raises(NotFound, match=f"the newest is {first}"):
        kept.check(AsOf(99))
    assert kept.write({dynamic("4"): [replace(DISK, boot_order=7)]}) == (first or 0) + 1


def test_no_two_devices_are_pinned_at_one_place(database: Database) -> None:
    """Nor at that of a device that is gone; its pin has to be given up before."""
    kept, pins = VmDevices(database), PinStore(database)
    other = replace(DISK, device_id=OTHER, label="disk vdb")
    kept.write({dynamic("1"): [DISK]})
    pins.pin(GUEST, placed(DISK), "ops")
    kept.write({dynamic("2"): [other]})
    with pytest.raises(
        NotAsNeeded, match=r"disk vda and disk vdb would both .* 0000:00:05\.0.*unpin"
    ):
        pins.pin(GUEST, placed(other), "ops")
    pins.unpin(GUEST, [DISK.device_id], "ops")
    pins.pin(GUEST, placed(other), "ops")
    assert kept.list_pins([GUEST]) == {GUEST: {OTHER: DISK.address}}


def test_records_of_an_earlier_release_get_numbers(url: str, database: Database) -> None:
    """A night for each time at which something was written; again after a stop in between."""
    kept = VmDevices(database)
    nights = [datetime(2026, 3, day, 3) for day in (1, 2, 3)]
    for slot, night in enumerate(nights):
        number = kept.write({dynamic(str(slot)): [replace(DISK, address=f"{{slot={slot}}}")]})
        with database.writing() as connection:
            chosen = vm_device_history.c.record_id == number
            connection.execute(sa.update(vm_device_history).where(chosen).values(seen=night))
    with database.writing() as connection:
        for statement in (
            "ALTER TABLE vm_device_history DROP COLUMN record_id",
            "DROP TABLE vm_record",
            "UPDATE alembic_version SET version_num = '0003'",
        ):
            connection.execute(sa.text(statement))
    database.close()
    again = open_state(url)
    found = [(item.record, item.seen) for item in VmDevices(again).iter_versions(GUEST)]
    assert found == [(n, f"2026-03-{n:02}T03:00:00Z") for n in (1, 2, 3)]
    (then,) = VmDevices(again).list_devices_as_of([GUEST], AsOf(2))[GUEST]
    assert then.address == "{slot=1}"
    assert VmDevices(again).write({dynamic("4"): [DISK]}) == 4
    again.close()


def _write(kept: VmDevices, guest: VmDynamic, devices: Sequence[VmDevice]) -> None:
    """Write, again and again while another one is at it."""
    for _ in range(100):
        try:
            kept.write({guest: devices})
            return
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
    changed = replace(DISK, boot_order=None)
    kept.replace(GUEST, lambda _: (dynamic("2"), [changed]))
    assert kept.list_devices([GUEST])[GUEST][0].boot_order is None
    found = replace(dynamic("2"), hash=hash_of([changed]))
    assert kept.list_dynamics([GUEST]) == {GUEST: found}


def test_a_journal_of_the_first_release_is_brought_up_to_date(url: str) -> None:
    open_state(url).close()
    tables = ("vm_device_history", "vm_device", "vm_dynamic", "vm_record", "vm_device_pin")
    of_schema(url, SCHEMAS[0], *(f"DROP TABLE {name}" for name in tables))
    again = open_state(url)
    VmDevices(again).write({dynamic("1"): [DISK]})
    assert VmDevices(again).count([GUEST]) == {GUEST: 1}
    again.close()
