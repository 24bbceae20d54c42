"""The units for compute hosts: systemd takes them, novadev takes their command line."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from novadev.cli import root
from novadev.errors import StalePlan

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "novadev-alias-migrate"
SERVICE = ROOT / "systemd" / f"{NAME}.service"
TIMER = ROOT / "systemd" / f"{NAME}.timer"
PROGRAM = "/usr/bin/novadev"


def values(unit: Path, key: str) -> list[str]:
    """What the lines `key=` of a unit say."""
    return re.findall(rf"^{re.escape(key)}=(.*)$", unit.read_text(), re.MULTILINE)


def complaints(folder: Path, *changes: tuple[str, str]) -> str:
    """What systemd says of the units where novadev is installed, after changes to the service."""
    service = SERVICE.read_text()
    for before, after in ((PROGRAM, str(Path(sys.executable).with_name("novadev"))), *changes):
        assert before in service
        service = service.replace(before, after)
    units = [folder / SERVICE.name, folder / TIMER.name]
    units[0].write_text(service)
    units[1].write_text(TIMER.read_text())
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
    done = subprocess.run(
        [*verify, *units],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout or ("failed" if done.returncode else "")


def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    assert complaints(tmp_path) == ""


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("Type=oneshot", "Type=oneshoot", "oneshoot"),
        ("ProtectHome=", "ProtectHouse=", "ProtectHouse"),
        ("/novadev ", "/nothing-here ", "nothing-here"),
    ],
)
def test_systemd_tells_what_is_wrong(tmp_path: Path, before: str, after: str, told: str) -> None:
    assert told in complaints(tmp_path, (before, after))


def test_novadev_takes_the_command_line() -> None:
    """Help is given only after every word before it was understood."""
    program, *words = shlex.split(values(SERVICE, "ExecStart")[0])
    assert program == PROGRAM
    result = CliRunner().invoke(root, [*words, "--help"], prog_name="novadev")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: novadev device alias-migrate ")


def test_nothing_else_is_started() -> None:
    """Wants=libvirtd.service would stop a running virtqemud: the two conflict."""
    keys = re.findall(r"^(\w+)=", SERVICE.read_text(), re.MULTILINE)
    assert {"Wants", "Requires", "BindsTo", "Upholds"}.isdisjoint(keys)


def test_a_stale_guest_is_not_hidden() -> None:
    assert str(StalePlan.exit_code) not in values(SERVICE, "SuccessExitStatus")[0].split()


@pytest.mark.parametrize("unit", [SERVICE, TIMER], ids=lambda unit: unit.suffix)
def test_the_manual_page_is_there(unit: Path) -> None:
    (page,) = values(unit, "Documentation")
    name, section = re.fullmatch(r"man:(.+)\((\d)\)", page).groups()  # type: ignore[union-attr]
    assert (ROOT / "man" / f"{name}.{section}").exists()
