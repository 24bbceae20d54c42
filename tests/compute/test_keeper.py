"""The process with the records, and what nova-compute does with its answers; without Nova."""

import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from threading import Thread
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest
import sqlalchemy as sa
from lxml import etree

from novadev.compute import driver_wrapper, keeper_client
from novadev.keep.definition import Record, keep
from novadev.records.device import VmDevice, VmDynamic
from novadev.records.store import VmDevices
from novadev.state.keeping import KEPT, list_keeping, passed, unrecorded
from novadev.state.store import open_state
from novadev.virt.domain import Domain
from novadev.virt.xml import serialise
from tests.keep.guests import bare, record_of, without

pytestmark = pytest.mark.slow  # a process of novadev's for each test

DRIFTED = (Path(__file__).parent.parent / "forecast" / "drifted.xml").read_text()
NOVA = bare(DRIFTED)
UUID = Domain.from_xml(DRIFTED).uuid
GENEROUS = 120.0
"""Seconds for an answer that is to come: the machine of a test may be busy."""
KEEPER = """
import runpy
from novadev.compute import state_database
state_database.LIMIT = {limit}
runpy.run_module("novadev.compute.keeper", run_name="__main__", alter_sys=True)
"""
Start = Callable[..., "Wrapped"]


class Log(list[str]):
    """Nova's log."""

    def info(self, text: str, *values: object) -> None:
        self.append(text % values)

    warning = debug = info

    def isEnabledFor(self, level: int) -> bool:
        return level > 10


class Wrapped:
    """What the driver's functions are wrapped in, with a real process behind it."""

    def __init__(self, config: Path) -> None:
        self.log = Log()
        program = KEEPER.format(limit=GENEROUS)
        command = [sys.executable, "-c", program, "{}", "--config-file", str(config)]
        self.keeper = keeper_client.Keeper(command, self.log)
        self.wrapper = driver_wrapper.Wrapper(self.keeper, self.log, lambda: "cmp7")
        self.keeper.start()
        self.keeper._be_ready(time.monotonic() + GENEROUS)

    def kept(self, request: str | None = None) -> Any:
        return self.wrapper.kept(NOVA, UUID, None, request)

    def await_written(self) -> None:
        """Wait until what was seen is recorded; each question waits no longer than a guest may."""
        until = time.monotonic() + GENEROUS
        while not self.keeper.ask({"do": "written", "uuid": UUID})["is_written"]:
            assert time.monotonic() < until

    def see(self) -> None:
        """As a hard reboot does, without a request's number."""
        self.keeper.ask({"do": "seen", "uuid": UUID, "xml": DRIFTED}, answers=False)
        self.wrapper.begin(UUID)

    def record(self, text: str, request: str | None, host: str = "cmp7") -> bool:
        guest = SimpleNamespace(get_xml_desc=lambda: text)
        driver = SimpleNamespace(_host=SimpleNamespace(get_guest=lambda _: guest))
        return self.wrapper.record(driver, SimpleNamespace(uuid=UUID, host=host), request)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """`start(option=value)`: a process with these options of novadev's own."""
    monkeypatch.setattr(keeper_client, "LIMIT", GENEROUS)
    started: list[Wrapped] = []

    def run(**options: str) -> Wrapped:
        values = {"keep_addresses": "on", "state_connection": _state(tmp_path), **options}
        lines = [f"{name} = {value}" for name, value in values.items()]
        config = tmp_path / "nova.conf"
        config.write_text("\n".join(("[DEFAULT]", "host = cmp7", "[novadev]", *lines, "")))
        started.append(Wrapped(config))
        return started[-1]

    yield run
    for wrapped in started:
        wrapped.keeper.stop()


def _state(folder: Path) -> str:
    return f"sqlite:///{folder / 'state.sqlite'}"


def recorded(folder: Path) -> Record:
    """What is recorded of the guest, as `device record` would have done it."""
    record = record_of(DRIFTED)
    store = VmDevices(open_state(_state(folder)))
    store.write({VmDynamic(UUID, "hash", "fingerprint", "cmp1"): record.devices})
    return record


def test_what_was_seen_before_the_definition_was_gone_is_kept(start: Start) -> None:
    wrapped = start()
    wrapped.see()
    assert wrapped.kept() == keep(NOVA, record_of(DRIFTED)).text
    assert any("addresses and 0 aliases are kept" in line for line in wrapped.log)
    wrapped.wrapper.end(UUID)


def test_a_record_of_this_host_alone_counts_where_the_guest_is_made_again(
    start: Start, tmp_path: Path
) -> None:
    """As after nova-compute was killed between undefine and define; one that moves in is not."""
    record = recorded(tmp_path)
    wrapped = start()
    wrapped.wrapper.begin(UUID)
    assert wrapped.kept() == keep(NOVA, record).text
    wrapped.wrapper.end(UUID)
    assert wrapped.kept() == NOVA
    assert "on this host alone" in wrapped.log[-1]


def test_what_is_seen_is_recorded(start: Start, tmp_path: Path) -> None:
    text = DRIFTED
    store = VmDevices(open_state(_state(tmp_path)))
    wrapped = start()
    wrapped.see()
    until = time.monotonic() + GENEROUS
    while not (found := store.list_devices([UUID]).get(UUID)) and time.monotonic() < until:
        time.sleep(0.1)
    assert found
    assert {row.address for row in found} == {row.address for row in record_of(text).devices}
    assert store.list_dynamics([UUID])[UUID].host == "cmp7"


def test_what_a_request_saw_first_counts_for_it(start: Start) -> None:
    """As in a rebuild: Nova powers off, detaches the volumes, destroys, and makes the guest."""
    wrapped = start()
    assert wrapped.record(DRIFTED, "req-1")
    assert not wrapped.record(without(DRIFTED, Random(1), 1.0), "req-1")
    assert wrapped.kept("req-1") == keep(NOVA, record_of(DRIFTED)).text


def test_what_was_seen_here_counts_for_no_other_request(start: Start) -> None:
    """The guest may have been on another host in between, and have got other devices there."""
    wrapped = start()
    assert wrapped.record(DRIFTED, "req-1")
    assert wrapped.kept("req-2") == NOVA
    assert wrapped.kept("req-1") != NOVA
    assert wrapped.record(NOVA, "req-2"), "a new request sees it anew"


def test_a_host_that_a_guest_has_left_records_nothing(start: Start) -> None:
    """As one that comes back after an evacuation, and destroys what it still has."""
    wrapped = start()
    assert not wrapped.record(DRIFTED, "req-1", host="cmp8")
    assert wrapped.kept("req-1") == NOVA


def test_what_is_wrapped_ends_when_the_record_is_written() -> None:
    """So whoever makes the guest next reads what it had."""
    asked: list[str] = []

    class Driver:
        def power_off(self, instance: object, timeout: int = 0) -> int:
            asked.append("powered off")
            return timeout

    def ask(message: dict[str, Any], answers: bool = True) -> Any:
        asked.append(message["do"])
        return {"is_written": False} if answers else None

    log, keeper = Log(), SimpleNamespace(ask=ask, is_off=False)
    guest = SimpleNamespace(get_xml_desc=lambda: DRIFTED)
    driver = Driver()
    driver._host = SimpleNamespace(get_guest=lambda _: guest)  # type: ignore[attr-defined]
    wrapper = driver_wrapper.Wrapper(keeper, log, lambda: "cmp7")  # type: ignore[arg-type]
    power_off = driver_wrapper._before(Driver.power_off, wrapper)
    assert power_off(driver, SimpleNamespace(uuid=UUID), timeout=3) == 3
    assert asked == ["seen", "powered off", "written"]
    assert "is not recorded yet: the state database is slow" in log[-1]


def test_what_waits_to_be_written_is_written_when_nova_compute_is_killed(
    start: Start, tmp_path: Path
) -> None:
    """systemd stops all processes of a unit at once."""
    wrapped = start()
    process, channel = wrapped.keeper._process, wrapped.keeper._socket
    assert process is not None
    assert channel is not None
    process.terminate()
    wrapped.see()
    channel.close()
    process.wait(GENEROUS)
    assert VmDevices(open_state(_state(tmp_path))).list_devices([UUID])


def test_what_cannot_be_written_is_told_and_counted(start: Start, tmp_path: Path) -> None:
    wrapped = start()
    assert wrapped.kept() == NOVA
    with open_state(_state(tmp_path)).writing() as connection:
        connection.execute(sa.text("DROP TABLE vm_device_history"))
    wrapped.record(DRIFTED, "req-1")
    until = time.monotonic() + GENEROUS
    while not (told := [line for line in wrapped.log if "is not recorded:" in line]):
        assert time.monotonic() < until
        wrapped.wrapper.wait(SimpleNamespace(uuid=UUID))
    assert UUID in told[0]
    assert "no such table: vm_device_history" in told[0]
    until = time.monotonic() + GENEROUS
    while time.monotonic() < until:
        found = list_keeping(_state(tmp_path)).get("cmp7")
        if found is not None and found.counts.get(unrecorded("state-database")) == 1:
            break
        wrapped.wrapper.load()
        time.sleep(0.1)
    assert found is not None
    assert found.counts[unrecorded("state-database")] == 1


def test_what_becomes_of_definitions_is_counted(start: Start, tmp_path: Path) -> None:
    wrapped = start()
    wrapped.keeper.missed[passed("no-answer")] += 2
    wrapped.see()
    wrapped.wrapper.define(lambda _host, text: text, None, wrapped.kept())
    assert wrapped.keeper.missed == {}
    wanted = {KEPT: 1, passed("no-answer"): 2}
    assert counted(wrapped, tmp_path, wanted) == ("on", wanted)


def test_what_libvirt_refuses_is_not_counted_as_kept(start: Start, tmp_path: Path) -> None:
    wrapped = start()
    wrapped.see()
    kept = wrapped.kept()

    def define(_host: object, text: str) -> None:
        if text == kept:
            raise RuntimeError("libvirt refuses it")

    wrapped.wrapper.define(define, None, kept)
    wanted = {passed("refused"): 1}
    assert counted(wrapped, tmp_path, wanted) == ("on", wanted)


def test_a_configuration_that_can_no_longer_be_read_is_told_as_off(
    start: Start, tmp_path: Path
) -> None:
    wrapped = start()
    assert counted(wrapped, tmp_path, {}) == ("on", {})
    (tmp_path / "nova.conf").write_text("[novadev\n")
    wrapped.wrapper.load()
    until = time.monotonic() + GENEROUS
    while list_keeping(_state(tmp_path))["cmp7"].mode != "off" and time.monotonic() < until:
        time.sleep(0.1)
    assert list_keeping(_state(tmp_path))["cmp7"].mode == "off"


@pytest.mark.parametrize("aliases", [True, False])
def test_whether_aliases_are_kept_is_written_as_it_is_configured(
    start: Start, tmp_path: Path, aliases: bool
) -> None:
    wrapped = start(keep_aliases=str(aliases).lower())
    assert counted(wrapped, tmp_path, {}) == ("on", {})
    found = list_keeping(_state(tmp_path))["cmp7"]
    assert (found.aliases, found.keeps_aliases) == (aliases, aliases)


def counted(wrapped: Wrapped, folder: Path, wanted: dict[tuple[str, str], int]) -> object:
    """The mode and the counts of the host, as soon as they are WANTED."""
    until = time.monotonic() + GENEROUS
    while time.monotonic() < until:
        found = list_keeping(_state(folder)).get("cmp7")
        if found is not None and found.counts == wanted:
            return found.mode, found.counts
        wrapped.wrapper.load()
        time.sleep(0.1)
    return found and (found.mode, found.counts)


def test_a_process_that_ends_is_ready_again_before_a_guest_needs_it(start: Start) -> None:
    wrapped = start()
    ended = wrapped.keeper._process
    assert ended is not None
    wrapped.keeper._started -= keeper_client.AGAIN
    ended.kill()
    until = time.monotonic() + GENEROUS
    while wrapped.keeper._process in (None, ended) and time.monotonic() < until:
        time.sleep(0.05)
    assert wrapped.keeper._process not in (None, ended)
    wrapped.keeper.await_ready(GENEROUS)
    assert any("is started again" in line for line in wrapped.log)
    wrapped.see()
    assert wrapped.kept() != NOVA


@pytest.mark.parametrize("mode", ["off", "log"])
def test_off_and_log_change_nothing(start: Start, mode: str) -> None:
    wrapped = start(keep_addresses=mode)
    wrapped.see()
    assert wrapped.kept() == NOVA
    assert any("+" in line and "slot=" in line for line in wrapped.log) is (mode == "log")


def test_the_configuration_is_read_again_when_nova_reads_its_own(
    start: Start, tmp_path: Path
) -> None:
    wrapped = start(keep_addresses="off")
    config = tmp_path / "nova.conf"
    config.write_text(config.read_text().replace("= off", "= on"))
    wrapped.wrapper.load()
    wrapped.see()
    assert wrapped.kept() != NOVA


@pytest.mark.parametrize("is_sent", [True, False], ids=["unanswered", "unsent"])
@pytest.mark.parametrize(("before", "after"), [("off", "on"), ("on", "off"), ("log", "on")])
def test_a_switch_without_an_answer_holds_from_the_next_definition_on(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    before: str,
    after: str,
    *,
    is_sent: bool,
) -> None:
    wrapped = start(keep_addresses=before)
    process, config = wrapped.keeper._process, tmp_path / "nova.conf"
    assert process is not None
    config.write_text(config.read_text().replace(f"addresses = {before}", f"addresses = {after}"))
    process.send_signal(19)  # SIGSTOP
    with monkeypatch.context() as hasty:
        hasty.setattr(keeper_client, "LIMIT", 0.05)
        if is_sent:
            wrapped.wrapper.load()
        else:
            with wrapped.keeper._lock:
                wrapped.wrapper.load()
    assert "the configuration is read again before the next definition" in wrapped.log[-1]
    process.send_signal(18)  # SIGCONT
    assert wrapped.record(DRIFTED, "req-1") or after == "off"
    assert (wrapped.kept("req-1") == NOVA) is (after == "off")
    assert f"novadev: keep_addresses is {after}" in wrapped.log
    assert wrapped.keeper.is_off is (after == "off")


@pytest.mark.parametrize(
    "answer", [{}, {"told": None, "text": None}, {"told": [], "text": 7}, {"text": "x"}, [], 7]
)
def test_an_answer_of_another_shape_keeps_nothing(answer: Any) -> None:
    log, missed, lost = Log(), list[tuple[str, str]](), list[str]()
    note = SimpleNamespace(
        miss=lambda *outcome: missed.append(outcome), lose=lambda uuid, again: lost.append(uuid)
    )
    keeper = SimpleNamespace(ask=lambda _: answer, **vars(note))
    wrapper = driver_wrapper.Wrapper(keeper, log, lambda: "cmp7")  # type: ignore[arg-type]
    assert wrapper.kept(NOVA, UUID, None) == NOVA
    assert "nothing is kept: " in log[-1]
    assert (missed, lost) == ([passed("no-answer")], [UUID])


def test_a_process_that_cannot_be_started_is_no_more_than_that() -> None:
    log = Log()
    keeper = keeper_client.Keeper(["/nonexistent"], log)
    keeper.await_ready(GENEROUS)
    wrapper = driver_wrapper.Wrapper(keeper, log, lambda: "cmp7")
    wrapper.load()
    assert wrapper.kept(NOVA, UUID, None) == NOVA
    assert "No such file" in log[-1]


def test_a_state_database_that_cannot_be_used_is_told_at_the_start(start: Start) -> None:
    wrapped = start(state_connection="mysql+pymysql://nobody:hidden@127.0.0.1:9/novadev")
    assert any("recorded is kept for now" in line and "127.0.0.1" in line for line in wrapped.log)
    assert "hidden" not in "".join(wrapped.log)
    assert wrapped.kept() == NOVA


def test_a_rescued_guest_is_novas_own(start: Start) -> None:
    wrapped = start()
    wrapped.see()
    assert wrapped.wrapper.kept(NOVA, UUID, {"image_id": "x"}) == NOVA


def test_a_state_database_that_hangs_costs_the_record_alone(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        wrapped = start(state_connection=f"mysql+pymysql://novadev:x@127.0.0.1:{port}/novadev")
        assert wrapped.kept() == NOVA
        assert "state database" in wrapped.log[-1]
        wrapped.see()
        assert wrapped.kept() != NOVA


def moved() -> str:
    """The guest as libvirt lays it out at a start for which no answer came: two devices change."""
    root = etree.fromstring(DRIFTED)
    first, second = root.xpath("devices/disk/address[@type='pci']")[:2]
    first.attrib["slot"], second.attrib["slot"] = second.attrib["slot"], first.attrib["slot"]
    first.attrib["bus"], second.attrib["bus"] = second.attrib["bus"], first.attrib["bus"]
    return serialise(root)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_start_without_an_answer_costs_a_guest_its_layout_once(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    """What it is seen with then is not what it is to have; after the next start it counts again."""
    wrapped = start()
    assert wrapped.record(DRIFTED, "req-1")
    wrapped.await_written()
    process = wrapped.keeper._process
    assert process is not None
    process.send_signal(19)  # SIGSTOP
    monkeypatch.setattr(keeper_client, "LIMIT", 0.05)
    assert wrapped.kept("req-1") == NOVA
    if is_killed:
        process.kill()
        process.wait()
    process.send_signal(18)  # SIGCONT
    monkeypatch.setattr(keeper_client, "LIMIT", GENEROUS)
    assert wrapped.record(moved(), "req-2")
    wrapped.await_written()
    rows = VmDevices(open_state(_state(tmp_path))).list_devices([UUID])[UUID]
    assert addresses(rows) == addresses(record_of(DRIFTED).devices)
    assert wrapped.kept("req-2") == keep(NOVA, record_of(DRIFTED)).text
    assert wrapped.record(moved(), "req-3")
    assert wrapped.kept("req-3") == keep(NOVA, record_of(moved())).text


def addresses(rows: Iterable[VmDevice]) -> dict[str, str]:
    return {row.device_id: row.address for row in rows if row.is_plugged and row.address}


def test_what_libvirt_refuses_is_defined_as_nova_wrote_it(start: Start) -> None:
    wrapped = start()
    wrapped.see()
    kept, given = wrapped.kept(), []

    def define(_host: object, text: str) -> str:
        given.append(text)
        if text == kept:
            raise RuntimeError("libvirt refuses it")
        return text

    assert wrapped.wrapper.define(define, None, kept) == NOVA
    assert given == [kept, NOVA]
    with pytest.raises(RuntimeError):
        wrapped.wrapper.define(define, None, kept)


class HypervisorUnavailable(Exception):
    """As Nova says that there is no connection to libvirt."""


@pytest.mark.parametrize("is_told_by_nova", [False, True])
def test_a_connection_that_breaks_is_no_refusal(start: Start, is_told_by_nova: bool) -> None:
    """libvirtd may be back for a second try: Nova's own text would be defined then."""
    wrapped = start()
    wrapped.see()
    kept, given = wrapped.kept(), []
    lost = HypervisorUnavailable() if is_told_by_nova else broken_connection()

    def define(_host: object, text: str) -> str:
        given.append(text)
        raise lost

    with pytest.raises(type(lost)) as raised:
        wrapped.wrapper.define(define, None, kept)
    assert raised.value is lost
    assert given == [kept]


def broken_connection() -> libvirt.libvirtError:
    """What libvirt raises of a connection whose other end is gone."""
    with socket.socket(socket.AF_UNIX) as server, tempfile.TemporaryDirectory() as folder:
        server.bind(f"{folder}/socket")
        server.listen()
        accepting = Thread(target=lambda: server.accept()[0].close())
        accepting.start()
        with pytest.raises(libvirt.libvirtError) as raised:
            libvirt.open(f"qemu+unix:///system?socket={folder}/socket")
        accepting.join()
    return raised.value


def test_an_answer_that_does_not_come_ends_the_wait(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = start()
    monkeypatch.setattr(keeper_client, "LIMIT", 0.05)
    message = {"do": "keep", "uuid": UUID, "xml": bare(DRIFTED) + " " * 3_000_000, "again": False}
    wrapped.keeper._process.send_signal(19)  # type: ignore[union-attr] - SIGSTOP: it hangs
    with pytest.raises(keeper_client.Refused, match="no answer within 50 ms"):
        wrapped.keeper.ask(message)
    monkeypatch.setattr(keeper_client, "HANGING", 0.0)
    assert wrapped.kept() == NOVA
    monkeypatch.setattr(keeper_client, "LIMIT", GENEROUS)
    wrapped.see()
    assert wrapped.kept() != NOVA


def test_an_answer_that_comes_too_late_is_that_of_no_other_question(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow process is not started anew: a busy machine would only get slower."""
    wrapped = start()
    process = wrapped.keeper._process
    assert process is not None
    process.send_signal(19)  # SIGSTOP
    monkeypatch.setattr(keeper_client, "LIMIT", 0.05)
    assert wrapped.kept() == NOVA
    process.send_signal(18)  # SIGCONT
    monkeypatch.setattr(keeper_client, "LIMIT", GENEROUS)
    wrapped.see()
    assert wrapped.kept() != NOVA
    assert wrapped.keeper._process is process
    process.send_signal(19)
    monkeypatch.setattr(keeper_client, "LIMIT", 0.05)
    monkeypatch.setattr(keeper_client, "HANGING", 0.0)
    assert wrapped.kept() == NOVA
    assert wrapped.keeper._process is None, "one that hangs is"


@pytest.mark.parametrize("config", ["[novadev]\nkeep_addresses = maybe\n", "[novadev\n"])
def test_a_configuration_that_cannot_be_read_keeps_nothing(tmp_path: Path, config: str) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(config)
    wrapped = Wrapped(path)
    try:
        assert wrapped.kept() == NOVA
        assert any("keep_addresses is not read" in line for line in wrapped.log)
    finally:
        wrapped.keeper.stop()
