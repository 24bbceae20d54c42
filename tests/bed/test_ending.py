"""Whoever ends a test session: it leaves no process, and no file where it can still tidy up."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.hypervisor import unsupported
from tests.mortal import MORTAL
from tests.templates import ROOT

PROGRAMS = ("mariadbd", "worker.py", "libvirtd", "qemu-system", "chromium")
BEGIN_LIMIT, PATIENCE = 300, 180
"""Seconds for the beginning, which may have to make Nova's databases first, and for the end."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(unsupported()), reason="no namespaces for simulated hosts"),
]


@contextmanager
def lingering(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A session that has begun everything, with its temporary files in FOLDER / "tmp"."""
    ready = folder / "ready"
    (folder / "tmp").mkdir()
    environment = {"TMPDIR": str(folder / "tmp"), "NOVADEV_TEST_READY": str(ready)}
    options = ("-p", "no:cacheprovider", f"--basetemp={folder / 'base'}")
    process = subprocess.Popen(
        [*MORTAL, sys.executable, "-m", "pytest", *options, "tests/bed/lingering.py"],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + BEGIN_LIMIT
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def descendants(pid: int) -> Iterator[int]:
    """Every process below PID."""
    children = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parent = path.read_text().rpartition(")")[2].split()[1]
            children[int(parent)].append(int(path.parent.name))
    found = children[pid]
    while found:
        yield (next_ := found.pop())
        found.extend(children[next_])


def command(pid: int) -> str:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def lasting(handles: dict[int, str]) -> list[str]:
    """The commands of those processes that have not ended after a while; HANDLES are pidfds."""
    deadline = time.monotonic() + PATIENCE
    left = dict(handles)
    while left and time.monotonic() < deadline:
        for ended in select.select(list(left), [], [], 1)[0]:
            del left[ended]
    for handle in handles:
        if handle in left:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
    return list(left.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_session_leaves_nothing(number: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="t-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with lingering(folder) as process:
            handles = {os.pidfd_open(pid): command(pid) for pid in descendants(process.pid)}
            commands = " ".join(handles.values())
            assert [program for program in PROGRAMS if program not in commands] == []
            process.send_signal(number)
            code = process.wait(PATIENCE)
        assert lasting(handles) == []
        if number == signal.SIGTERM:
            assert code == pytest.ExitCode.INTERRUPTED
            assert os.listdir(folder / "tmp") == []
