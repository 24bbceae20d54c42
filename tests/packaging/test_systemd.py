"""The units for compute hosts and controllers: systemd and novadev take what is in them."""

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
COMMANDS = {
    "novadev-alias-migrate": "novadev device alias-migrate",
    "novadev-record": "novadev device record",
    "novadev-stash-defaults": "novadev stash-defaults",
    "novadev-watch": "novadev device watch",
}
UNITS = sorted((ROOT / "systemd").iterdir())
PROGRAM = "/usr/bin/novadev"

each_name = pytest.mark.parametrize("name", COMMANDS)


def service(name: str) -> Path:
    return ROOT / "systemd" / f"{name}.service"


def values(unit: Path, key: str) -> list[str]:
    """What the lines `key=` of a unit say."""
    return re.findall(rf"^{re.escape(key)}=(.*)$", unit.read_text(), re.MULTILINE)


def complaints(name: str, folder: Path, *changes: tuple[str, str]) -> str:
    """What systemd says of the units where novadev is installed, after changes to the service."""
    text = service(name).read_text()
    for before, after in ((PROGRAM, str(Path(sys.executable).with_name("novadev"))), *changes):
        assert before in text
        text = text.replace(before, after)
    timer = service(name).with_suffix(".timer")
    units = [folder / service(name).name]
    units[0].write_text(text)
    if timer.exists():
        units.append(folder / timer.name)
        units[1].write_text(timer.read_text())
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
    done = subprocess.run(
        [*verify, *units],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout or ("failed" if done.returncode else "")


def test_every_unit_is_looked_at() -> None:
    assert {unit.stem for unit in UNITS} == set(COMMANDS)


@pytest.mark.fresh
@each_name
def test_systemd_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    assert complaints(name, tmp_path) == ""


@each_name
@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("Type=", "Type=un", "service type"),
        ("ProtectHome=", "ProtectHouse=", "ProtectHouse"),
        ("/novadev ", "/nothing-here ", "nothing-here"),
    ],
)
def test_systemd_tells_what_is_wrong(
    name: str, tmp_path: Path, before: str, after: str, told: str
) -> None:
    assert told in complaints(name, tmp_path, (before, after))


@each_name
def test_novadev_takes_the_command_line(name: str) -> None:
    """Help is given only after every word before it was understood."""
    program, *words = shlex.split(values(service(name), "ExecStart")[0])
    assert program == PROGRAM
    result = CliRunner().invoke(root, [*words, "--help"], prog_name="novadev")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: {COMMANDS[name]} ")


@each_name
def test_nothing_else_is_started(name: str) -> None:
    """Wants=libvirtd.service would stop a running virtqemud: the two conflict."""
    keys = re.findall(r"^(\w+)=", service(name).read_text(), re.MULTILINE)
    assert {"Wants", "Requires", "BindsTo", "Upholds"}.isdisjoint(keys)


@each_name
def test_a_stale_guest_is_not_hidden(name: str) -> None:
    fine = " ".join(values(service(name), "SuccessExitStatus"))
    assert str(StalePlan.exit_code) not in fine.split()


def test_the_network_is_there_for_the_one_that_needs_it() -> None:
    """Databases and compute hosts; an alias is given over libvirt's socket alone."""
    families = {name: values(service(name), "RestrictAddressFamilies")[0] for name in COMMANDS}
    assert families == {
        "novadev-alias-migrate": "AF_UNIX",
        "novadev-record": "AF_UNIX AF_INET AF_INET6",
        "novadev-stash-defaults": "AF_UNIX AF_INET AF_INET6",
        "novadev-watch": "AF_UNIX AF_INET AF_INET6",
    }
    for name in COMMANDS.keys() - {"novadev-alias-migrate"}:
        assert values(service(name), "PrivateNetwork") == []


def test_what_is_hardened_is_hardened_alike() -> None:
    """But for the network."""
    network = {"PrivateNetwork", "RestrictAddressFamilies"}
    keys = r"^((?:Protect|Private|Restrict|Lock|Memory|NoNew|Capab|System)\w+)=(.*)$"
    first, *others = (
        {
            (key, value)
            for key, value in re.findall(keys, service(name).read_text(), re.MULTILINE)
            if key not in network
        }
        for name in COMMANDS
    )
    assert all(other == first for other in others)
    assert len(first) > 15


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_manual_page_is_there(unit: Path) -> None:
    (page,) = values(unit, "Documentation")
    name, section = re.fullmatch(r"man:(.+)\((\d)\)", page).groups()  # type: ignore[union-attr]
    assert (ROOT / "man" / f"{name}.{section}").exists()
