"""What nova-compute's process reads of a guest, and when; without that process."""

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from novadev.compute import owed_layouts, records, state_database
from novadev.compute.keeper import Keeper
from novadev.compute.records import Records
from novadev.database import Database
from novadev.errors import Unreachable
from novadev.records.device import Pins, VmDevice, VmDynamic
from novadev.records.rows import _newest_states
from novadev.records.store import VmDevices
from novadev.state.store import open_state
from novadev.virt.domain import Domain
from tests.compute.test_keeper import NOVA, addresses, moved
from tests.keep.guests import record_of
from tests.state.places import journal_on_mariadb

DRIFTED = (Path(__file__).parent.parent / "forecast" / "drifted.xml").read_text()
UUID = Domain.from_xml(DRIFTED).uuid
PIN = (
    "INSERT INTO vm_device_pin SELECT vm_id, device_id, address, seen FROM vm_device "
    "WHERE type = 'disk' AND address LIKE '%pci%' LIMIT 1"
)
GENEROUS = 120.0
"""Seconds for an answer that is to come: the machine of a test may be busy."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.sqlite'}"


@pytest.fixture
def opened(url: str, monkeypatch: pytest.MonkeyPatch) -> Records:
    monkeypatch.setattr(state_database, "LIMIT", GENEROUS)
    dynamic = VmDynamic(UUID, "hash", "fingerprint", "cmp1")
    VmDevices(open_state(url)).write({dynamic: record_of(DRIFTED).devices})
    change(url, PIN)
    return Records(url, lambda _, error: pytest.fail(str(error)))


def change(url: str, statement: str) -> None:
    with open_state(url).writing() as connection:
        assert connection.execute(sa.text(statement)).rowcount


def see(opened: Records) -> None:
    """As before Nova powers the guest off."""
    opened.write(UUID, DRIFTED, "cmp7", time.monotonic())
    assert opened.database.is_written(UUID)


def pins(opened: Records, text: str = DRIFTED) -> Pins:
    return opened.get(UUID, text, True).pins


def test_what_was_read_when_a_guest_was_seen_is_not_read_again(opened: Records, url: str) -> None:
    before = opened.get(UUID, DRIFTED, True)
    see(opened)
    change(url, "DELETE FROM vm_device_pin")
    assert opened.get(UUID, DRIFTED, True) == before
    assert before.pins


@pytest.mark.parametrize("why", ["it was long ago", "it is seen again", "it has other devices"])
def test_what_may_have_changed_is_read_again(
    opened: Records, url: str, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    see(opened)
    change(url, "DELETE FROM vm_device_pin")
    if why == "it was long ago":
        monkeypatch.setattr(records, "_FRESH", 0.0)
    if why == "it is seen again":
        see(opened)
    assert not pins(opened, DRIFTED + "\n" * (why == "it has other devices"))


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_lost_answer_is_owed_to_the_devices_that_are_recorded(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_slow: bool
) -> None:
    """Also where the database was too slow to say who is who: ids that are made up are others."""
    monkeypatch.setattr(state_database, "LIMIT", GENEROUS)
    monkeypatch.setattr(records, "_FRESH", 0.0)
    rows = [replace(row, device_id=str(uuid4())) for row in record_of(DRIFTED).devices]
    store = VmDevices(open_state(url))
    store.write({VmDynamic(UUID, "hash", "fingerprint", "cmp1"): tuple(rows)})
    config = tmp_path / "nova.conf"
    config.write_text(f"[novadev]\nkeep_addresses = on\nstate_connection = {url}\n")
    keeper = Keeper([str(config)], [])
    keeper.load()

    def say(do: str, xml: str, request: str, **more: object) -> None:
        message = {"do": do, "uuid": UUID, "xml": xml, "request": request, "again": True}
        keeper.answer({**message, **more})

    def await_written() -> None:
        assert keeper.answer({"do": "written", "uuid": UUID}) == {"is_written": True}

    say("seen", DRIFTED, "req-1")
    await_written()
    with monkeypatch.context() as slow:
        if is_slow:
            slow.setattr(Records, "_read", _hang)
        say("keep", NOVA, "req-1")
    say("seen", moved(), "req-2", lost=[(UUID, time.monotonic(), True)])
    await_written()
    assert addresses(store.list_devices([UUID])[UUID]) == addresses(rows)


def elsewhere(url: str) -> None:
    """Record the guest on cmp8, where it has got another layout."""
    dynamic = VmDynamic(UUID, "other", "other", "cmp8")
    VmDevices(open_state(url)).write({dynamic: record_of(moved()).devices})


@pytest.mark.parametrize("age", [0.0, 30.0], ids=["at once", "late"])
def test_what_is_written_late_is_not_newer_than_a_record_elsewhere(
    opened: Records, url: str, age: float
) -> None:
    """The process hung, or its way to the database, and the guest has moved meanwhile."""
    elsewhere(url)
    opened.write(UUID, DRIFTED, "cmp7", time.monotonic() - age)
    assert opened.database.is_written(UUID)
    found = VmDevices(open_state(url)).list_newest([UUID])[UUID].dynamic
    assert found is not None
    assert found.host == ("cmp8" if age else "cmp7")


@pytest.mark.parametrize("age", [0.0, 30.0], ids=["at once", "late"])
def test_what_is_written_late_is_not_newer_than_a_record_of_a_watch(
    opened: Records, url: str, age: float
) -> None:
    """Or of the night: who looked last wins, and the history has what both saw."""
    change(url, "DELETE FROM vm_device_pin")
    dynamic = VmDynamic(UUID, "hash", "of the watch", "cmp7")
    VmDevices(open_state(url)).write({dynamic: record_of(moved()).devices})
    opened.write(UUID, DRIFTED, "cmp7", time.monotonic() - age)
    assert opened.database.is_written(UUID)
    store = VmDevices(open_state(url))
    wanted = record_of(moved() if age else DRIFTED).devices
    assert addresses(store.list_devices([UUID])[UUID]) == addresses(wanted)
    places = {item.device.address for item in store.iter_versions(UUID) if item.device}
    for text in (DRIFTED, moved()):
        assert {row.address for row in record_of(text).devices} <= places


def test_what_is_seen_after_the_look_of_a_record_is_newer_than_that(
    opened: Records, url: str
) -> None:
    """The record is written in between, and what is seen here late."""
    change(url, "DELETE FROM vm_device_pin")
    store = VmDevices(open_state(url))
    newest = store.list_newest([UUID])[UUID]
    assert newest.read is not None
    looked = {UUID: replace(newest, read=newest.read - timedelta(seconds=40))}
    dynamic = VmDynamic(UUID, "hash", "of the record", "cmp7")
    store.write({dynamic: record_of(moved()).devices}, newest=looked)
    opened.write(UUID, DRIFTED, "cmp7", time.monotonic() - 20)
    assert opened.database.is_written(UUID)
    found = store.list_devices([UUID])[UUID]
    assert addresses(found) == addresses(record_of(DRIFTED).devices)
    age = store.list_newest([UUID])[UUID].age
    assert age is not None
    assert 19 <= age < 40, "when it was seen, and not when it was written"


def test_what_is_seen_before_the_look_of_a_record_is_said_to_be_older(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_database, "LIMIT", GENEROUS)
    VmDevices(open_state(url)).write(
        {VmDynamic(UUID, "hash", "of a watch", "cmp7"): record_of(moved()).devices}
    )
    told: list[Exception] = []
    opened = Records(url, lambda _, error: told.append(error))
    opened.write(UUID, DRIFTED, "cmp7", time.monotonic() - 30)
    assert opened.database.is_written(UUID)
    assert [type(error) for error in told] == [records.Older]
    assert "has looked at it since" in str(told[0])


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_the_states_of_a_device_are_found_by_an_index(
    kind: str, url: str, request: pytest.FixtureRequest
) -> None:
    """A power-on waits for that, and a pinned card may have been recorded ten thousand times."""
    if kind == "sqlite":
        _check_steps(open_state(url), "EXPLAIN QUERY PLAN {}")
        return
    with journal_on_mariadb(request.getfixturevalue("mariadb_cloud")) as other:
        _check_steps(open_state(other), "EXPLAIN {}")


def _check_steps(state: Database, explain: str) -> None:
    store, devices = VmDevices(state), record_of(DRIFTED).devices
    nic = next(row for row in devices if row.type == "interface")
    others = [row for row in devices if row is not nic]
    for number in range(40):
        here = replace(nic, alias=f"net{number % 2}")
        store.write({VmDynamic(UUID, f"hash {number}", "print", "cmp1"): [here, *others]})
    query = _newest_states(UUID, [nic.device_id])
    with state.reading() as connection:
        text = query.compile(connection, compile_kwargs={"literal_binds": True})
        steps = connection.exec_driver_sql(explain.format(text)).fetchall()
        (found,) = connection.execute(query)
    assert "net1" in found.body
    told = "\n".join(map(str, steps))
    assert "ix_vm_device_history" in told
    for word in ("SCAN", "TEMP", "temporary", "filesort", "'ALL'"):
        assert word not in told, told


def test_what_this_process_wrote_is_older_than_what_it_saw_later(opened: Records, url: str) -> None:
    """Both waited for the database, and are written late in their order."""
    change(url, "DELETE FROM vm_device_pin")
    change(url, "UPDATE vm_dynamic SET seen = datetime('now', '-1 hour')")
    for age, text in ((20, moved()), (10, DRIFTED)):
        opened.write(UUID, text, "cmp7", time.monotonic() - age)
        assert opened.database.is_written(UUID)
        rows = VmDevices(open_state(url)).list_devices([UUID])[UUID]
        assert addresses(rows) == addresses(record_of(text).devices)


@pytest.mark.parametrize("is_lost_again", [False, True])
def test_a_layout_of_another_host_is_newer_than_one_that_is_owed(
    opened: Records, url: str, monkeypatch: pytest.MonkeyPatch, is_lost_again: bool
) -> None:
    change(url, "DELETE FROM vm_device_pin")
    with monkeypatch.context() as earlier:
        earlier.setattr(owed_layouts, "monotonic", lambda: time.monotonic() - 60)
        opened.held.hold(UUID, record_of(DRIFTED).devices)
    elsewhere(url)
    if is_lost_again:
        opened.held.hold(UUID, None)
    seen = DRIFTED if is_lost_again else moved()
    opened.write(UUID, seen, "cmp7", time.monotonic())
    assert opened.database.is_written(UUID)
    rows = VmDevices(open_state(url)).list_devices([UUID])[UUID]
    assert addresses(rows) == addresses(record_of(moved()).devices)


def _hang(*_: object) -> None:
    raise Unreachable("the state database does not answer")


def test_volumes_that_a_guest_once_had_are_not_read_at_a_power_on(
    opened: Records, url: str
) -> None:
    """But one that is pinned, which may be back."""
    store, now = VmDevices(open_state(url)), record_of(DRIFTED).devices
    place = "{type=pci, slot=0x1d, bus=0x00, domain=0x0000, function=0x0}"
    gone = [
        VmDevice(str(uuid4()), UUID, "disk", "disk", address=place, is_managed=True)
        for _ in range(20)
    ]
    for number, devices in enumerate(((*now, *gone), now)):
        store.write({VmDynamic(UUID, f"hash {number}", f"{number}", "cmp1"): devices})
    assert len(store.list_devices([UUID])[UUID]) == len(now) + 20
    found = opened.get(UUID, None, again=True).devices
    assert {row.device_id for row in found} == {row.device_id for row in now}
    change(
        url,
        "UPDATE vm_device SET is_plugged = 0 WHERE device_id IN "
        "(SELECT device_id FROM vm_device_pin)",
    )
    again = opened.get(UUID, None, again=True).devices
    assert {row.device_id for row in again} == {row.device_id for row in now}


def test_a_state_file_that_was_replaced_is_opened_anew(opened: Records, url: str) -> None:
    """By a backup: what it has counts. An empty file does not become a state database."""
    assert pins(opened)
    path = Path(url.removeprefix("sqlite:///"))
    backup = url.replace("state.sqlite", "backup.sqlite")
    VmDevices(open_state(backup)).write(
        {VmDynamic(UUID, "hash", "fingerprint", "cmp1"): record_of(DRIFTED).devices}
    )
    path.with_name("backup.sqlite").replace(path)
    assert opened.get(UUID, DRIFTED, True).pins == {}
    see(opened)
    assert VmDevices(open_state(url)).list_newest([UUID])[UUID].dynamic.host == "cmp7"
    path.with_name("empty").touch()
    path.with_name("empty").replace(path)
    with pytest.raises(Unreachable, match="its tables are gone"):
        opened.get(UUID, None, True)
    assert path.read_bytes() == b""
