"""The demo's cloud with all its faults: what the audit prints is pasted, and the next one is clean.

What is left is what a person has to decide, and the findings say so.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.hosts import private_hosts
from demo.servers import build
from tests.hypervisor import unsupported

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(unsupported()), reason="no namespaces for private hosts"),
]
OPEN = {"orphan", "ghost", "duplicate-mac", "forecast", "definition"}
"""The checks whose findings a person has to decide about, of those that find something there."""


class Shell:
    """A shell of an operator, with novadev in its path."""

    def __init__(self, config_file: Path) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "NOVADEV_CONFIG_FILE": str(config_file)}

    def paste(self, text: str) -> "subprocess.CompletedProcess[str]":
        """What the shell does with TEXT as its input."""
        return subprocess.run(
            ["bash", "--norc"],
            input=text,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=300,
        )

    def audit(self, *words: str) -> str:
        """What an audit of everything prints; something is found."""
        done = self.paste(" ".join(("novadev audit --all --workers 1", *words)))
        assert done.returncode in (0, 3), done.stderr
        return done.stdout

    def findings(self, *words: str) -> list[dict[str, Any]]:
        """What it finds."""
        found: list[dict[str, Any]] = json.loads(self.audit("-f json", *words))
        assert [item for item in found if item["check"] == "unreachable"] == []
        return found


@contextmanager
def faulty_cloud(folder: Path) -> Iterator[Shell]:
    """The demo's cloud, one host known by its capability file, with stored values of no guest."""
    cloud = build(folder / "demo")
    shell = Shell(cloud.config_file)
    with private_hosts(cloud):
        cloud.configure("[novadev]\nhost_timeout = 60\n")
        saved = cloud.capability_files / "cmp1.json"
        save = f"novadev --config-file {cloud.config_of('cmp1')} capabilities save -o {saved}"
        change = "novadev image-property set --yes --property hw_vif_model=e1000e web-1 mail-1 db-1"
        done = shell.paste(f"set -e\n{save}\n{change}\n")
        assert done.returncode == 0, done.stderr
        yield shell


def told(found: list[dict[str, Any]], needs: str) -> set[tuple[str, str]]:
    return {(item["name"], item["check"]) for item in found if item["needs"] == needs}


@pytest.mark.parametrize("printed_as", ["text", "json"])
def test_after_its_commands_only_decisions_are_left(tmp_path: Path, printed_as: str) -> None:
    with faulty_cloud(tmp_path) as shell:
        before = shell.findings()
        assert {item["name"] for item in before} >= {"web-1", "web-2", "attic-1", "db-1", "mail-1"}
        assert all((item["remedy"] is None) == (item["needs"] == "decision") for item in before)
        assert told(before, "stop") == told(before, "wait") == set()
        last = tmp_path / "last.json"
        last.write_text(json.dumps(before))
        if printed_as == "text":
            table = shell.audit()
            commands = table.partition("# What to run:\n")[2]
            assert commands
            assert "> " not in table
        else:
            commands = "\n".join(item["remedy"] for item in before if item["remedy"]) + "\n"
        done = shell.paste(f"set -e\n{commands}")
        assert done.returncode == 0, done.stderr
        after = shell.findings(f"--compare-with {last}")
    left = [item for item in after if item["comparison"] != "mended"]
    mended = {(item["name"], item["check"]) for item in after if item["comparison"] == "mended"}
    assert [item for item in left if item["remedy"]] == []
    assert {item["check"] for item in left} <= OPEN
    assert told(before, "command") <= mended
    assert {item["comparison"] for item in left} == {"still there"}
