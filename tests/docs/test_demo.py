"""``make demo`` comes to its end, or says what is missing and what to do."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.command import heed_signals
from tests.docs.test_generated import ROOT
from tests.hypervisor import unsupported

PROGRAM = (
    "import sys; from pathlib import Path; from demo import run;"
    "run.FOLDER = Path(sys.argv[1]); {}; run.main()"
)
WITHOUT_PROPERTIES = "run.image_properties.walk = lambda: None"


def walk(
    tmp_path: Path, before: str = "pass", **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the demo in a folder of its own, after the statement BEFORE."""
    command = [sys.executable, "-c", PROGRAM.format(before), tmp_path / "demo"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def put_in_the_way(folder: Path, program: str, text: str) -> str:
    """Return a PATH on which PROGRAM is a script of TEXT."""
    folder.mkdir()
    path = folder / program
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.slow
@pytest.mark.skipif(bool(unsupported()), reason="no namespaces for private hosts")
def test_demo_shows_devices_and_defaults(tmp_path: Path) -> None:
    ended = walk(tmp_path)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
    assert "$ novadev device detach web-1 vdc --yes" in ended.stdout
    assert "$ novadev stash-defaults --all --yes" in ended.stdout
    assert "have ended with this" in ended.stdout


STARTED = """
import time
def walk(_): print("$ started", flush=True); time.sleep(300)
run.devices.walk = walk
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.skipif(bool(unsupported()), reason="no namespaces for private hosts")
def test_a_demo_that_is_interrupted_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    before = f"{WITHOUT_PROPERTIES}; exec({STARTED!r})"
    command = [sys.executable, "-c", PROGRAM.format(before), tmp_path / "demo"]
    pipe = subprocess.PIPE
    with tempfile.TemporaryDirectory(prefix="novadev-") as temporary:  # short, for sockets
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": temporary}
        with subprocess.Popen(
            command, env=environment, stdout=pipe, stderr=pipe, preexec_fn=heed_signals
        ) as demo:
            assert demo.stdout is not None
            assert any(line == b"$ started\n" for line in demo.stdout)
            assert os.listdir(temporary)
            demo.send_signal(number)
            _, err = demo.communicate(timeout=60)
        assert demo.returncode == 128 + number
        assert err == b"The demo was interrupted: its compute hosts have ended.\n"
        assert os.listdir(temporary) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "text", "reason"),
    [
        ("unshare", "echo Operation not permitted >&2; exit 1", "Operation not permitted"),
        ("libvirtd", "echo no luck >&2; exit 1", "no libvirtd in cmp1: no luck"),
    ],
)
@pytest.mark.skipif(bool(unsupported()), reason="a host is begun, up to its namespaces")
def test_demo_without_hosts_fails_and_says_what_to_do(
    tmp_path: Path, program: str, text: str, reason: str
) -> None:
    path = put_in_the_way(tmp_path / "bin", program, text)
    ended = walk(tmp_path, WITHOUT_PROPERTIES, PATH=path)
    assert ended.returncode == 1
    assert "$ novadev device" not in ended.stdout
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("Error: the demo cannot start private compute hosts: ")
    assert f"{reason}. " in line
    assert "Run the demo on a machine" in line
