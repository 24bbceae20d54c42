"""What the wrapper and its process hold under threads, pauses, rescues, other hosts and Novas."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree

from novadev import config
from novadev.compute import driver_wrapper, keeper, keeper_client
from novadev.compute.keeper import Keeper
from novadev.compute.records import Records
from novadev.device.hosted_instance import HostedInstance
from novadev.errors import Unreachable
from novadev.keep.definition import Record, keep
from novadev.records.device import VmDynamic
from novadev.records.on_host import Question, see_text
from novadev.records.store import VmDevices
from novadev.state.store import open_state
from novadev.virt.domain import Domain
from novadev.virt.xml import serialise
from tests.cloud import Cloud
from tests.compute.test_keeper import DRIFTED, NOVA, UUID, Log, addresses, moved
from tests.keep.guests import record_of
from tests.nova_process import nova_environment, nova_program
from tests.state.places import journal_on_mariadb

ROOT = Path(__file__).parents[2]
GENEROUS = 60.0
"""Seconds for an answer that is to come: the machine of a test may be busy."""


class Beside:
    """The process with the records, in this process; what it is asked has no time limit."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.url = url or f"sqlite:///{folder / 'state.sqlite'}"
        self.file = folder / "nova.conf"
        lines = ["[DEFAULT]", "host = cmp7", "[novadev]", "keep_addresses = on"]
        self.file.write_text("\n".join((*lines, f"state_connection = {self.url}", "")))
        self.keeper = Keeper([str(self.file)], [])
        self.keeper.load()

    def ask(self, do: str, xml: str = "", request: str = "req", **more: Any) -> Any:
        """Ask what nova-compute asks of the guest."""
        message = {"do": do, "uuid": UUID, "xml": xml, "request": request, "again": True}
        return self.keeper.answer({**message, "at": time.monotonic(), **more})

    def see(self, xml: str, request: str = "req", **more: Any) -> None:
        """As before Nova powers the guest off; it is written then."""
        self.ask("seen", xml, request, **more)
        assert self.ask("written") == {"is_written": True}

    def kept(self, request: str = "req", again: bool = True) -> str:
        """The definition that libvirt is given."""
        return str(self.ask("keep", NOVA, request, again=again)["text"] or NOVA)

    def rows(self) -> dict[str, str]:
        """The recorded addresses."""
        return addresses(VmDevices(open_state(self.url)).list_devices([UUID]).get(UUID, ()))


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Beside:
    monkeypatch.setattr("novadev.compute.state_database.LIMIT", GENEROUS)
    return Beside(tmp_path)


KEPT = keep(NOVA, record_of(DRIFTED)).text


# Several threads of Nova's


class Answering(keeper_client.Keeper):
    """A process that answers each question at once."""

    def ask(self, message: dict[str, Any], answers: bool = True) -> Any:
        return {"told": [], "text": f"{message.get('xml')}<kept/>"}

    @property
    def is_off(self) -> bool:
        return False


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads take turns in the middle of everything."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager")
def test_many_guests_at_a_time_get_in_nobodys_way() -> None:
    wrapper = driver_wrapper.Wrapper(Answering([], Log()), Log(), lambda: "cmp7")
    guest = SimpleNamespace(get_xml_desc=lambda: "<x/>")
    driver = SimpleNamespace(_host=SimpleNamespace(get_guest=lambda _: guest))
    raised: list[Exception] = []

    def work(thread: int) -> None:
        for number in range(600):
            uuid = f"{thread}-{number}"
            try:
                assert wrapper.record(driver, SimpleNamespace(uuid=uuid, host="cmp7"), uuid)
                wrapper.kept(f"<{uuid}/>", uuid, None)
            except Exception as error:
                raised.append(error)

    threads = [Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    assert len(wrapper._own) <= driver_wrapper.DEFINED
    assert len(wrapper._requests) <= driver_wrapper.REMEMBERED


def test_every_guest_that_is_being_made_has_novas_own_text_to_fall_back_on() -> None:
    """Nova works on more of them at a time than it has threads for requests by default."""
    wrapper = driver_wrapper.Wrapper(Answering([], Log()), Log(), lambda: "cmp7")
    texts = [f"<{number}/>" for number in range(100)]
    made = [wrapper.kept(text, str(number), None) for number, text in enumerate(texts)]

    def define(_host: object, text: str) -> str:
        if "kept" in text:
            raise RuntimeError("libvirt refuses it")
        return text

    assert [wrapper.define(define, None, text) for text in made] == texts


def test_of_one_guest_the_last_definition_is_remembered() -> None:
    wrapper = driver_wrapper.Wrapper(Answering([], Log()), Log(), lambda: "cmp7")
    for number in range(10):
        wrapper.kept(f"<{number}/>", UUID, None)
    assert list(wrapper._own.values()) == [("<9/>", UUID)]


class Driver:
    """A driver of Nova's that does what it always did."""

    def _get_guest_xml(
        self,
        context: object,
        instance: object,
        network_info: object,
        disk_info: object,
        image_meta: object,
        rescue: object = None,
    ) -> str:
        return NOVA

    def _hard_reboot(self, context: object, instance: object) -> str:
        return "rebooted"

    def destroy(self, context: object, instance: object) -> str:
        return "destroyed"

    def migrate_disk_and_power_off(self, context: object, instance: object) -> str:
        return "migrated"

    def power_off(self, instance: object) -> str:
        return "off"


class Host:
    def write_instance_config(self, xml: str) -> str:
        return xml


class Guest:
    uuid = UUID

    def launch(self, pause: bool = False) -> str:
        return "launched"


@pytest.mark.parametrize("part", ["record", "wait", "begin", "end", "kept"])
def test_nothing_that_goes_wrong_reaches_nova(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever raises in the wrapper: Nova's functions return what they always did."""
    log = Log()
    wrapper = driver_wrapper.Wrapper(Answering([], log), log, lambda: "cmp7")
    monkeypatch.setattr(wrapper, "record", lambda *_: True)

    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(wrapper, part, fail)

    class Wrapped(Driver):
        pass

    class WrappedHost(Host):
        pass

    class WrappedGuest(Guest):
        pass

    driver_wrapper.wrap(Wrapped, WrappedHost, WrappedGuest, wrapper)
    driver, guest = Wrapped(), SimpleNamespace(uuid=UUID, host="cmp7")
    assert driver._hard_reboot(None, guest) == "rebooted"
    assert driver.destroy(None, guest) == "destroyed"
    assert driver.migrate_disk_and_power_off(None, guest) == "migrated"
    assert driver.power_off(guest) == "off"
    assert WrappedGuest().launch(pause=True) == "launched"
    text = driver._get_guest_xml(None, guest, [], {}, None)
    assert text == (NOVA if part == "kept" else f"{NOVA}<kept/>")
    assert any("an unexpected RuntimeError in " in line for line in log)
    assert not any("secret" in line for line in log)


# A process that pauses


def listening(folder: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> keeper_client.Keeper:
    """A real process, and the limits that real ones have once it is ready."""
    made = Beside(folder)
    command = [sys.executable, "-m", "novadev.compute.keeper", "{}", "--config-file"]
    found = keeper_client.Keeper([*command, str(made.file)], log)
    found.start()
    found.await_ready(GENEROUS)
    monkeypatch.setattr(keeper_client, "LIMIT", 0.05)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("more", [0, 20_000, 300_000])
def test_a_process_that_pauses_loses_nothing_that_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """It is told of guests until its socket is full, and goes on then; nobody ends it."""
    log = Log()
    client = listening(tmp_path, log, monkeypatch)
    process = client._process
    assert process is not None
    uuids = [f"{UUID[:-2]}{number:02x}" for number in range(40)]
    text = f"{DRIFTED}<!--{'x' * more}-->"
    process.send_signal(19)  # SIGSTOP
    told = []
    try:
        for uuid in uuids:
            message = {"do": "seen", "uuid": uuid, "xml": text, "at": time.monotonic()}
            try:
                client.ask(message, answers=False)
                told.append(uuid)
            except keeper_client.Refused:
                pass
        assert client._process is process
        process.send_signal(18)  # SIGCONT
        monkeypatch.setattr(keeper_client, "LIMIT", GENEROUS)
        for uuid in told:
            assert client.ask({"do": "written", "uuid": uuid}) is not None
        until = time.monotonic() + GENEROUS
        store = VmDevices(open_state(f"sqlite:///{tmp_path / 'state.sqlite'}"))
        while set(store.list_devices(told)) != set(told) and time.monotonic() < until:
            time.sleep(0.1)
        assert set(store.list_devices(uuids)) == set(told)
        assert client._process is process
    finally:
        client.stop()
    assert told


@pytest.mark.slow
def test_a_process_that_cannot_be_ended_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that hangs in a file on a network does not end for SIGKILL before that answers."""
    client = listening(tmp_path, Log(), monkeypatch)
    process = client._process
    assert process is not None
    kill = process.kill
    monkeypatch.setattr(process, "kill", lambda: None)
    monkeypatch.setattr(keeper_client, "HANGING", 0.0)
    process.send_signal(19)
    with pytest.raises(keeper_client.Refused):
        client.ask({"do": "written", "uuid": UUID})
    assert client._process is None
    kill()
    process.wait()


def test_a_process_that_never_gets_ready_is_started_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    client = keeper_client.Keeper([sys.executable, "-c", "pass"], Log())
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda pause: pauses.append(pause))
    monkeypatch.setattr(keeper_client, "time", clock)
    for _ in range(12):
        alive, other = socket.socketpair()
        other.close()
        process = subprocess.Popen([sys.executable, "-c", "pass"])
        client._process, client._started = process, time.monotonic()
        client._failures += 1
        monkeypatch.setattr(client, "_be_ready", lambda _: None)
        client._watch(alive, process)
    expected = [10, 20, 40, 80, 160, 320, *[600] * 6]
    assert pauses == pytest.approx(expected, abs=2)


@pytest.mark.slow
def test_a_module_in_the_folder_of_nova_compute_is_not_novadevs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    client = listening(tmp_path, Log(), monkeypatch)
    assert client._mode == "on"
    client.stop()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["at once", "an answer is not read", "in a line", "it waits"])
def test_what_was_told_is_written_whatever_ends_nova_compute(tmp_path: Path, way: str) -> None:
    """The process ends then, too: nobody has it any more."""
    made = Beside(tmp_path)
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "novadev.compute.keeper", str(theirs.fileno())),
            *("--config-file", str(made.file)),
        ],
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    answers = ours.makefile("rb")
    if way != "an answer is not read":
        answers.readline()
    seen = {"do": "seen", "uuid": UUID, "xml": DRIFTED, "request": "r", "number": 1}
    line = json.dumps({**seen, "at": time.monotonic()}).encode() + b"\n"
    ours.sendall(line)
    if way == "in a line":
        ours.sendall(b'{"do": "seen", "uuid"')
    if way in ("it waits", "an answer is not read"):
        ours.sendall(json.dumps({"do": "written", "uuid": UUID, "number": 2}).encode() + b"\n")
        ours.sendall(line.replace(UUID.encode(), UUID[:-1].encode() + b"8"))
    if way == "an answer is not read":
        assert wait_for(lambda: made.rows() != {})
    answers.close()
    ours.close()
    process.wait(GENEROUS)
    assert made.rows() == addresses(record_of(DRIFTED).devices)


def wait_for(there: Callable[[], bool]) -> bool:
    """Whether this comes to be so."""
    until = time.monotonic() + GENEROUS
    while not there() and time.monotonic() < until:
        time.sleep(0.1)
    return there()


# What the process is told of guests


def rescued() -> str:
    """The guest as its domain is while it is rescued."""
    root = etree.fromstring(DRIFTED)
    source = root.find("devices/disk/source[@file]")
    assert source is not None
    source.set("file", f"/var/lib/nova/instances/{UUID}/disk.rescue")
    return serialise(root)


def test_the_hard_reboot_of_a_rescued_guest_keeps_what_is_recorded(beside: Beside) -> None:
    """Nova makes its own definition then; what it is seen with is that of the rescue."""
    beside.see(DRIFTED, "req-1")
    beside.ask("seen", rescued(), "req-2")
    assert beside.kept("req-2") == KEPT
    assert beside.rows() == addresses(record_of(DRIFTED).devices)


def watched(beside: Beside, text: str) -> None:
    """Record the guest as `device watch` on its host does."""
    store = VmDevices(open_state(beside.url))
    question = Question((), store.list_devices([UUID]).get(UUID, ()))
    seen = see_text(HostedInstance(UUID, "", "cmp7"), question, text)
    store.write({seen.dynamic: seen.devices})


def _away(*_: object) -> None:
    raise Unreachable("the state database does not answer")


def _bad(*_: object) -> None:
    raise RuntimeError


@pytest.mark.parametrize("fault", ["the database is away", "an error", "no answer", "refused"])
def test_what_a_guest_is_owed_is_what_was_recorded_when_its_start_was_lost(
    beside: Beside, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Also where `device watch` has recorded since then what libvirt chose."""
    beside.see(DRIFTED, "req-1")
    wanted = beside.rows()
    lost: list[tuple[str, float, bool]] = []
    with monkeypatch.context() as wrong:
        if fault == "the database is away":
            wrong.setattr(Records, "_read", _away)
        if fault == "an error":
            wrong.setattr(keeper, "keep", _bad)
        if fault != "no answer":
            assert (beside.kept("req-2") == NOVA) is (fault != "refused")
    if fault in ("no answer", "refused"):
        lost.append((UUID, time.monotonic(), True))
    watched(beside, moved())
    assert beside.rows() != wanted
    beside.see(moved(), "req-3", lost=lost)
    assert beside.rows() == wanted


@pytest.mark.parametrize("fault", ["the database is away", "no answer"])
def test_a_guest_that_arrives_without_an_answer_is_owed_nothing_of_this_host(
    beside: Beside, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """What this host alone has recorded is from before it was elsewhere."""
    beside.see(DRIFTED, "req-1")
    lost = [(UUID, time.monotonic(), False)] if fault == "no answer" else []
    if fault != "no answer":
        with monkeypatch.context() as wrong:
            wrong.setattr(Records, "_read", _away)
            assert beside.kept("req-2", again=False) == NOVA
    beside.see(moved(), "req-3", lost=lost)
    assert beside.rows() == addresses(record_of(moved()).devices)


@pytest.mark.parametrize("fault", ["an error", "it was rescued"])
def test_a_guest_that_is_rebuilt_has_not_been_elsewhere(
    beside: Beside, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Nova makes it in the request that it was seen by, and calls that no hard reboot."""
    beside.see(DRIFTED, "req-1")
    wanted = beside.rows()
    if fault == "it was rescued":
        beside.ask("seen", rescued(), "req-2")
        assert beside.kept("req-2", again=False) == KEPT
        return
    beside.see(DRIFTED, "req-2")
    with monkeypatch.context() as wrong:
        wrong.setattr(keeper, "keep", _bad)
        assert beside.kept("req-2", again=False) == NOVA
    beside.see(moved(), "req-3")
    assert beside.rows() == wanted


def test_what_a_guest_was_owed_before_it_was_elsewhere_is_forgotten(beside: Beside) -> None:
    beside.see(DRIFTED, "req-1")
    beside.ask("nothing", lost=[(UUID, time.monotonic(), True)])
    assert beside.kept("req-2", again=False) == NOVA
    beside.see(moved(), "req-3")
    assert beside.rows() == addresses(record_of(moved()).devices)


def test_a_start_without_the_state_database_does_not_end_what_is_owed(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was given the layout that it was seen with, and not the one that it is owed."""
    beside.see(DRIFTED, "req-1")
    wanted = beside.rows()
    beside.ask("nothing", lost=[(UUID, time.monotonic(), True)])
    with monkeypatch.context() as wrong:
        wrong.setattr(Records, "_store", _away)
        beside.ask("seen", moved(), "req-2")
        beside.ask("written")
        beside.kept("req-2")
        beside.ask("nothing")
    beside.see(moved(), "req-3")
    assert beside.rows() == wanted


def test_what_is_still_being_written_is_what_a_lost_start_owes(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow state database: the guest was seen with a new layout, and its start is lost."""
    beside.see(moved(), "req-1")
    real, may_go_on = Records._write, Event()

    def slow(records: Records, *values: Any) -> None:
        assert may_go_on.wait(GENEROUS)
        real(records, *values)

    with monkeypatch.context() as slowly:
        slowly.setattr(Records, "_write", slow)
        beside.ask("seen", DRIFTED, "req-2")
    beside.ask("nothing", lost=[(UUID, time.monotonic(), True)])
    may_go_on.set()
    assert beside.ask("written") == {"is_written": True}
    assert beside.rows() == addresses(record_of(DRIFTED).devices)
    beside.see(moved(), "req-3")
    assert beside.rows() == addresses(record_of(DRIFTED).devices)


def test_where_nothing_is_kept_any_more_nothing_is_owed(beside: Beside) -> None:
    beside.see(DRIFTED, "req-1")
    beside.ask("nothing", lost=[(UUID, time.monotonic(), True)])
    beside.file.write_text(
        beside.file.read_text().replace("keep_addresses = on", "keep_addresses = log")
    )
    beside.keeper.load()
    beside.see(moved(), "req-2")
    assert beside.rows() == addresses(record_of(moved()).devices)


def test_a_record_of_this_host_alone_counts_no_more_after_the_guest_was_elsewhere(
    beside: Beside,
) -> None:
    """It came back, and could not be recorded since; what it had here before is long ago."""
    beside.see(DRIFTED, "req-1")
    assert beside.kept("req-2") == KEPT, "nova-compute was killed between undefine and define"
    assert beside.kept("req-3", again=False) == NOVA, "it comes from elsewhere"
    assert beside.kept("req-4") == NOVA
    beside.see(moved(), "req-5")
    assert beside.kept("req-6") == keep(NOVA, record_of(moved())).text


@pytest.mark.parametrize("ahead", [60, -60])
def test_the_clocks_of_hosts_decide_nothing(
    mariadb_cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """A record of cmp8, whose clock differs by a minute, is as old as the database says."""
    with journal_on_mariadb(mariadb_cloud) as url, monkeypatch.context() as other:
        clock = SimpleNamespace(now=lambda zone: datetime.now(zone) + timedelta(seconds=ahead))
        other.setattr("novadev.database.datetime", clock)
        store = VmDevices(open_state(url))
        store.write({VmDynamic(UUID, "hash", "print", "cmp8"): record_of(moved()).devices})
        age = store.list_newest([UUID])[UUID].age
    assert age is not None
    assert 0 <= age < 30


def card(host: int, slot: int = 0) -> str:
    place = f"<address type='pci' domain='0' bus='0' slot='{slot}' function='0'/>" if slot else ""
    return (
        "<hostdev mode='subsystem' type='pci' managed='yes'><source>"
        f"<address domain='0' bus='{host}' slot='0' function='0'/></source>{place}</hostdev>"
    )


def with_cards(*cards: str) -> str:
    return (
        f"<domain type='kvm'><name>i</name><uuid>{UUID}</uuid><os><type arch='x86_64' "
        "machine='pc-i440fx-7.2'>hvm</type></os><devices><controller type='pci' index='0' "
        f"model='pci-root'/><controller type='usb' index='0'/>{''.join(cards)}"
        "<memballoon model='virtio'/></devices></domain>"
    )


@pytest.mark.parametrize(("is_of_host", "slots"), [(False, ["5", "6"]), (True, ["6", "5"])])
def test_a_card_is_known_by_its_place_in_a_host_only_on_that_host(
    is_of_host: bool, slots: list[str]
) -> None:
    """On another host the card of that number is another one: Nova's order tells them apart."""
    devices = record_of(with_cards(card(0x81, 5), card(0x82, 6))).devices
    kept = keep(with_cards(card(0x82), card(0x81)), Record(devices, is_of_host=is_of_host))
    found = [
        str(int(str(device.element.find("address").get("slot")), 16))  # type: ignore[union-attr]
        for device in Domain.from_xml(kept.text).devices
        if device.element.tag == "hostdev"
    ]
    assert found == slots


def test_a_record_of_another_host_is_read_as_such(beside: Beside) -> None:
    opened = beside.keeper._records
    assert opened is not None
    beside.see(DRIFTED, "req-1")
    assert opened.get(UUID, None, again=True).is_of_host
    VmDevices(open_state(beside.url)).write(
        {VmDynamic(UUID, "hash", "print", "cmp8"): record_of(moved()).devices}
    )
    assert not opened.get(UUID, None, again=True).is_of_host


# Another Nova, other files


def run_inside(code: str) -> "subprocess.CompletedProcess[str]":
    """Run nova_main in Nova 34's own interpreter, after CODE."""
    program = nova_program("34", "nova-compute")
    script = f"""
import runpy, sys
sys.argv[:] = ["x", "/bin/false", {str(program)!r}]
import nova.cmd.compute
from nova.virt.libvirt import driver
{code}
runpy.run_path({str(ROOT / "novadev/compute/nova_main.py")!r}, run_name="__main__")
"""
    return subprocess.run(
        [nova_program("34", "python"), "-c", script],
        env=nova_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


IS_WRAPPED = """
def main():
    print("runs", hasattr(driver.LibvirtDriver._get_guest_xml, "__wrapped__"))
nova.cmd.compute.main = main
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        "del nova.cmd.compute.service.serve",
        "del nova.cmd.compute.service",
        "del nova.cmd.compute.config.parse_args",
        "del nova.cmd.compute.config",
        "import nova.conf; nova.conf.CONF = object()",
    ],
)
def test_a_nova_of_another_shape_runs_without_novadev(change: str) -> None:
    """Whatever part is missing: it runs, nothing of it is wrapped."""
    result = run_inside(f"{IS_WRAPPED}\n{change}")
    assert (result.returncode, result.stdout) == (0, "runs False\n"), result.stderr


@pytest.mark.slow
def test_only_the_folder_of_the_wrapper_is_taken_from_the_path() -> None:
    """A Python with -P has no folder of its script before those of PYTHONPATH."""
    code = 'sys.path.insert(0, "/first"); sys.modules["os"].environ["X"] = "1"'
    result = run_inside(f"{code}\nnova.cmd.compute.main = lambda: print(sys.path[0])")
    assert (result.returncode, result.stdout) == (0, "/first\n"), result.stderr


@pytest.mark.parametrize("are_named", [True, False])
def test_a_file_of_novadevs_own_that_nova_may_not_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, are_named: bool
) -> None:
    """As a package installs it: for root alone, and nova-compute runs as nova."""
    made = Beside(tmp_path)
    own = tmp_path / "novadev.conf"
    own.write_text("[novadev]\nkeep_addresses = off\n")
    monkeypatch.setattr(keeper, "OWN_FILE", str(own))
    monkeypatch.setattr(config, "DEFAULT_FILES", (str(made.file), str(own)))
    monkeypatch.setattr(config, "DEFAULT_DIRS", ())
    real: Callable[..., bool] = os.access
    files = [str(made.file)] if are_named else []
    assert Keeper(files, []).load() == {"mode": "off"}, "that can be read"
    monkeypatch.setattr(os, "access", lambda name, mode: name != str(own) and real(name, mode))
    answer = Keeper(files, []).load()
    assert answer["mode"] == "on"
    assert answer["why"] == f"{own} is not read: the user of nova-compute may not read it"
    assert Keeper([*files, str(own)], []).load()["mode"] == "off", "it was asked for"
