"""What packaging/check expects of the installed commands is what they say."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from novadev import __version__
from tests.cached import ROOT

CHECK = (ROOT / "packaging" / "check").read_text()
SAMPLE = ROOT / "docs" / "generated" / "novadev.conf.sample"


def expectations() -> list[tuple[int, str, list[str]]]:
    """The exit code and the words that the script expects of each command of novadev."""
    found = re.findall(r'^expect (\d+) (?:"(.*?)"|\'(.*?)\') (novadev.*)$', CHECK, re.MULTILINE)
    return [(int(code), one or other, shlex.split(line)) for code, one, other, line in found]


def test_they_are_found() -> None:
    assert {command[0] for _, _, command in expectations()} == {"novadev", "novadev-nova-compute"}


@pytest.mark.parametrize(("code", "words", "command"), expectations())
def test_the_command_says_it(code: int, words: str, command: list[str], tmp_path: Path) -> None:
    """As on a bare machine: no Nova, no libvirtd, the configuration of a package."""
    nobody = {
        "PATH": str(tmp_path),
        "HOME": str(tmp_path),
        "LIBVIRT_DEFAULT_URI": f"qemu:///system?socket={tmp_path}/none",
    }
    program = [str(Path(sys.executable).with_name(command[0]))]
    if command[0] == "novadev":
        program += ["--config-file", str(SAMPLE)]
    done = subprocess.run(
        [*program, *command[1:]], env=nobody, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == code
    assert words.replace("$version", __version__) in done.stdout + done.stderr
