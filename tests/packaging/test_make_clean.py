"""`make clean` ends a cloud before its files go, and removes nothing while one cannot be ended."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cached import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the Makefile, and a cloud that runs."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".cloud" / "run").mkdir(parents=True)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    return tmp_path


def clean(checkout: Path, python: str) -> int:
    """Run it with a PYTHON of a few lines of shell, and return its exit code."""
    program = checkout / ".venv" / "bin" / "python"
    program.write_text(f"#!/bin/sh\n{python}\n")
    program.chmod(0o755)
    return subprocess.run(["make", "clean"], cwd=checkout, capture_output=True).returncode


def test_the_cloud_is_ended_first(checkout: Path) -> None:
    assert clean(checkout, 'ls -d .cloud/run > told; echo "$@" >> told') == 0
    assert (checkout / "told").read_text().split("\n")[:2] == [".cloud/run", "cloud/run.py down"]
    assert not (checkout / ".cloud").exists()
    assert not (checkout / ".venv").exists()


def test_a_cloud_that_cannot_be_ended_stays_whole(checkout: Path) -> None:
    assert clean(checkout, "exit 1") != 0
    assert (checkout / ".cloud" / "run").exists()
    assert (checkout / ".venv").exists()


def test_without_a_cloud_nothing_is_asked(checkout: Path) -> None:
    (checkout / ".cloud" / "run").rmdir()
    assert clean(checkout, "touch told") == 0
    assert not (checkout / "told").exists()
    assert not (checkout / ".venv").exists()
