"""``make demo`` comes to its end, with compute hosts and where the machine allows none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_generated import ROOT
from tests.hypervisor import unsupported

PROGRAM = (
    "import sys; from pathlib import Path; from demo import run;"
    "run.FOLDER = Path(sys.argv[1]); run.main()"
)


def walk(tmp_path: Path, **environment: str) -> str:
    """What the demo prints, once it has ended as it should."""
    command = [sys.executable, "-c", PROGRAM, tmp_path / "demo"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
    return ended.stdout


@pytest.mark.slow
@pytest.mark.skipif(bool(unsupported()), reason="no namespaces for private hosts")
def test_demo_shows_devices_and_defaults(tmp_path: Path) -> None:
    printed = walk(tmp_path)
    assert "$ novadev device detach web-1 vdc --yes" in printed
    assert "$ novadev stash-defaults --all --yes" in printed
    assert "have ended with this" in printed


@pytest.mark.slow
def test_demo_leaves_hosts_out_where_there_are_no_namespaces(tmp_path: Path) -> None:
    unshare = tmp_path / "unshare"
    unshare.write_text("#!/bin/sh\necho Operation not permitted >&2\nexit 1\n")
    unshare.chmod(0o755)
    printed = walk(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "private hosts (Operation not permitted)" in printed
    assert "$ novadev device" not in printed
    assert "$ novadev stash-defaults" not in printed
