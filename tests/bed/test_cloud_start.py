"""`cloud/run.py`: why there can be no cloud, in one line, and the end of one that is left over."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud import keeping, loop, places, run
from tests.hypervisor import PRIVILEGED


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for the cloud, on a machine that can have one."""
    for name in ("FOLDER", "RUN", "LOGS", "RC", "LOCK", "STARTING"):
        monkeypatch.setattr(run, name, tmp_path / getattr(places, name).relative_to(places.FOLDER))
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    for name, value in POSSIBLE.items():
        monkeypatch.setattr(run, name, value)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(loop, "CONTROL", tmp_path)
    return tmp_path


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POSSIBLE: dict[str, Any] = {
    "ROOT": Path("/home/me/novadev"),
    "unsupported": lambda: "",
    "_free_memory": lambda: run.MEMORY,
}


def refusal() -> str:
    """What `check` says."""
    with pytest.raises(run.NoCloud) as found:
        run.check()
    assert "\n" not in str(found.value)
    return str(found.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WANTED", "27", "there is no cloud with Nova 27, only with 34 and 28"),
        ("ROOT", Path("/home/me/a-folder-with-a-name-that-is-much-too-long"), "is too long"),
        ("ROOT", Path("/var/novadev"), "Move the checkout /var/novadev elsewhere"),
        ("unsupported", lambda: "unshare failed: no", "no namespaces for compute hosts: unshare"),
        ("_free_memory", lambda: 1 << 20, "only 1024 MiB of memory are free and the cloud needs"),
    ],
)
def test_a_machine_that_cannot_have_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, said: str
) -> None:
    run.check()
    monkeypatch.setattr(run, name, value)
    assert said in refusal()


def test_a_switch_that_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MODE", "maybe")
    assert refusal() == "KEEP=maybe is none of off, log, on, which keep_addresses can be"


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_what_somebody_stopped_is_no_bug(folder: Path, text: str | None) -> None:
    run.LOGS.mkdir()
    if text is not None:
        (run.LOGS / "cloud.log").write_text(text)
    with pytest.raises(run.NoCloud, match=r"did not come up: somebody has stopped it$"):
        run._follow(iter(()))


@pytest.mark.skipif(not PRIVILEGED, reason="only root has loop devices")
def test_loop_devices_that_were_made_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel makes one where none is free; here none is known before."""
    if not loop.CONTROL.exists():
        pytest.skip("this machine has no loop devices")
    monkeypatch.setattr(loop, "RUN", tmp_path)
    monkeypatch.setattr(loop, "DEVICES", tmp_path)
    (tmp_path / "volume").write_bytes(bytes(1 << 20))
    handle = loop.make(tmp_path / "volume", tmp_path / "node")
    number = int((tmp_path / loop.MADE).read_text())
    assert os.fstat(handle).st_rdev == os.makedev(loop.MAJOR, number)
    loop.remove_made(tmp_path)
    assert Path(f"/sys/block/loop{number}").exists(), "it is in use"
    os.close(handle)
    deadline = time.monotonic() + 10
    while Path(f"/sys/block/loop{number}").exists() and time.monotonic() < deadline:
        loop.remove_made(tmp_path)
    assert not Path(f"/sys/block/loop{number}").exists()


def test_no_loop_devices_and_no_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CONTROL", folder / "none")
    assert 'Run "modprobe loop"' in refusal()
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert 'Run "sudo make cloud"' in refusal()


@pytest.mark.skipif(not PRIVILEGED, reason="only root has a capability to go without")
def test_root_that_may_make_no_namespaces() -> None:
    if (places.RUN / "ready").exists():
        pytest.skip("a cloud runs, so there can be one")
    without = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    command = [*without, sys.executable, "cloud/run.py", "check"]
    result = subprocess.run(command, cwd=places.ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: no namespaces for compute hosts: unshare")
    assert result.stderr.count("\n") == 1


def test_a_port_in_use_is_left_alone() -> None:
    ports = places.free_ports()
    with socket.create_server(("127.0.0.1", ports["nova"])):
        others = places.free_ports()
        assert others["nova"] != ports["nova"]
        assert len(set(others.values())) == len(others)


def test_another_release_runs(folder: Path) -> None:
    run.RUN.mkdir()
    (run.RUN / "ready").write_text("34")
    run.check()
    (run.RUN / "ready").write_text("28")
    assert "a cloud with Nova 28 runs" in refusal()


def test_one_that_comes_up_is_not_taken_for_a_leftover(folder: Path) -> None:
    with run.STARTING.open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        with pytest.raises(run.NoCloud, match="a cloud is coming up already"):
            run.up()


@pytest.fixture
def leftover(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has the lock of a cloud, as one has whose starter was killed."""
    run.RUN.mkdir()
    run.RC.touch()
    with run.LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])
    yield process
    process.kill()
    process.wait()


def test_what_a_killed_start_has_left_is_ended(
    leftover: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    heeded = [signal.getsignal(number) for number in STOPPING]
    run.down()
    assert [signal.getsignal(number) for number in STOPPING] == heeded
    assert leftover.wait(5) == -9
    assert capsys.readouterr().out == "The cloud is down.\n"
    assert not run.RUN.exists()
    assert not run.RC.exists()
    began = time.monotonic()
    run.down()
    assert capsys.readouterr().out == "No cloud runs.\n"
    assert time.monotonic() - began < 5


def test_a_start_of_which_nothing_lives_yet_is_ended(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with run.STARTING.open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        process = subprocess.Popen(["sleep", "60"], pass_fds=[starting.fileno()])
    run.down()
    assert process.wait(5) == -signal.SIGTERM
    assert capsys.readouterr().out == "The cloud is down.\n"
    run.down()
    assert capsys.readouterr().out == "No cloud runs.\n"


@pytest.mark.parametrize("command", ["up", "down", "check"])
def test_an_ordinary_user_is_told_in_one_line_that_the_cloud_is_root_s(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The files of root's cloud cannot be opened, nor even looked for."""
    for name in ("STARTING", "LOCK", "RUN"):
        monkeypatch.setattr(run, name, Unreadable(folder / name))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(run.NoCloud, match=r'^the cloud .* root.*\. Run "sudo make cloud') as found:
        getattr(run, command)()
    assert "\n" not in str(found.value)


class Unreadable(type(Path())):  # type: ignore[misc]
    """A path that is there, of a folder or with a file that another user alone may open."""

    def exists(self) -> bool:
        return True

    def open(self, *_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    def __truediv__(self, key: object) -> Any:
        raise PermissionError(13, "Permission denied", str(self))


def test_a_user_without_a_cloud_has_none_to_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    run.down()
    assert capsys.readouterr().out == "No cloud runs.\n"
