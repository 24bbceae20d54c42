"""What nova-compute has told a process that ends is told again, or said to be lost."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from novadev.compute import driver_wrapper, keeper_client
from novadev.compute.keeper_client import Keeper, Refused
from tests.compute.test_keeper import Log

READY = """
import json, socket, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
channel.sendall(json.dumps({"mode": "on"}).encode() + b"\\n")
time.sleep(600)
"""
"""A process that is ready, and reads nothing."""


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    made = Keeper([sys.executable, "-c", READY, "{}"], Log())
    made.start()
    made.await_ready(60)
    monkeypatch.setattr(keeper_client, "LIMIT", 0.05)
    monkeypatch.setattr(keeper_client, "HANGING", 0.2)
    yield made
    made.stop()


def record(keeper: Keeper, number: int) -> bool:
    """Have a guest of some size recorded."""
    guest = SimpleNamespace(get_xml_desc=lambda: "<x>" + "y" * 300_000 + "</x>")
    driver = SimpleNamespace(_host=SimpleNamespace(get_guest=lambda _: guest))
    wrapper = driver_wrapper.Wrapper(keeper, keeper._log, lambda: "cmp7")
    return wrapper.record(driver, SimpleNamespace(uuid=f"guest-{number}", host="cmp7"), None)


def test_each_guest_that_a_process_was_told_of_and_did_not_record_is_named(deaf: Keeper) -> None:
    deaf.lose("owed", again=True)
    process, number, told = deaf._process, 0, []
    while deaf._process is process:
        told += [number] if record(deaf, number) else []
        number += 1
    assert told
    log = "\n".join(deaf._log)
    assert all(f"guest-{one}]" in log for one in range(number))
    assert deaf.missed["unrecorded", "no-answer"] == number
    assert [guest[0] for guest in deaf.lost] == ["owed"]


def test_what_an_answer_confirms_is_not_told_again() -> None:
    """The process answers, and ends at the next question."""
    answering = READY.replace(
        "time.sleep(600)",
        "line = channel.makefile('rb').readline()\n"
        "number = json.loads(line)['number']\n"
        "channel.sendall(json.dumps({'number': number, 'told': []}).encode() + b'\\n')\n",
    )
    keeper = Keeper([sys.executable, "-c", answering, "{}"], Log())
    keeper.start()
    keeper.await_ready(60)
    keeper.lose("owed", again=True)
    keeper.miss("kept", "")
    assert keeper.ask({"do": "nothing"})["told"] == []
    keeper.stop()
    assert keeper.lost == []
    assert not keeper.missed


def test_a_process_that_ends_at_every_start_is_not_started_for_every_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = []
    keeper = Keeper([sys.executable, "-c", "pass"], Log())
    start = keeper.start
    monkeypatch.setattr(keeper, "start", lambda: (started.append(1), start()))
    threads = threading.active_count()
    for number in range(40):
        keeper.lose(str(number), again=True)
        with pytest.raises((Refused, OSError)):
            keeper.ask({"do": "nothing"})
        if keeper._process is not None:
            keeper._process.wait()
    assert len(started) == 2
    assert threading.active_count() <= threads + 2
    keeper.stop()


def test_what_is_owed_is_remembered_of_so_many_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_client, "_REMEMBERED", 8)
    keeper = Keeper(["/nonexistent"], Log())
    for number in range(20):
        keeper.lose(str(number), again=True)
    assert [guest[0] for guest in keeper.lost] == [str(number) for number in range(12, 20)]


def test_nothing_is_waited_for_while_nothing_is_to_be_kept() -> None:
    keeper = Keeper(["/nonexistent"], Log())
    keeper._mode = "off"
    with keeper._lock:
        begun = time.monotonic()
        assert keeper.ask({"do": "keep"}) is None
    assert time.monotonic() - begun < keeper_client.LIMIT
    keeper._is_load_due = True
    with pytest.raises(OSError, match="No such file"):
        keeper.ask({"do": "nothing"})


def test_a_process_that_ends_by_an_error_says_where(tmp_path: os.PathLike[str]) -> None:
    log = Log()
    ours, theirs = keeper_client.socket.socketpair()
    process = keeper_client.subprocess.Popen(
        [sys.executable, "-m", "novadev.compute.keeper", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stderr=keeper_client.subprocess.PIPE,
        env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
    )
    theirs.close()
    with ours:
        ours.sendall(b"[]\n")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"beside nova-compute ends: an unexpected " in said
    assert b".py:" in said
    assert log == []
