"""When tools/fresh-machine has to run; that it passes is seen by running it."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.templates import ROOT

SCRIPT = ROOT / "tools" / "fresh-machine"
NOT_RUN = 77


def inputs() -> list[str]:
    """What decides whether the commands work on a bare system, as the script has it."""
    found = re.search(r"INPUTS=\(([^)]*)\)", SCRIPT.read_text())
    assert found
    return found[1].split()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the script and one of its inputs."""
    for name in ("tools", "demo", "bin"):
        (tmp_path / name).mkdir()
    shutil.copy(SCRIPT, tmp_path / "tools")
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "first")
    return tmp_path


def git(checkout: Path, *arguments: str) -> bytes:
    """Run git in the checkout, as nobody in particular."""
    known = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    command = ["git", "-C", str(checkout), *known, *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def commit(checkout: Path, text: str) -> None:
    """Change an input."""
    (checkout / "demo" / "run.py").write_text(text)
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", text)


def run(checkout: Path, *arguments: str) -> tuple[int, str]:
    """Run the script as if by an ordinary user, so that it builds nothing."""
    environment = os.environ | {"PATH": f"{checkout}/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        [checkout / "tools" / "fresh-machine", *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_its_inputs_are_there() -> None:
    """Git says nothing of a path that is not."""
    assert [name for name in inputs() if not (ROOT / name).exists()] == []


def test_without_root_it_says_so_in_one_line(checkout: Path) -> None:
    code, out = run(checkout)
    assert code == NOT_RUN
    assert out == "fresh machine: not run: it needs root (sudo tools/fresh-machine)\n"


def test_it_runs_when_an_input_has_changed(checkout: Path) -> None:
    assert run(checkout, "--if-changed")[0] == NOT_RUN
    listed = git(checkout, "ls-tree", "-r", "HEAD", "--", *inputs())
    passed = checkout / "tools" / "fresh-machine.sum"
    passed.write_text(hashlib.sha256(listed).hexdigest() + "\n")
    code, out = run(checkout, "--if-changed")
    assert code == 0
    assert "which passed" in out
    assert run(checkout)[0] == NOT_RUN
    commit(checkout, "second")
    assert run(checkout, "--if-changed")[0] == NOT_RUN
