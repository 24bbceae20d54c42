"""What QEMU says that it has: read from the emulator, or not known; never a wrong answer."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from novadev.virt import emulator
from novadev.virt.emulator import PROTOCOLS, is_local, list_block_drivers, list_devices

REAL = "/usr/bin/qemu-system-x86_64"
HELP = """Network devices:
name "e1000", bus PCI, alias "e1000-82540em", desc "Intel Gigabit Ethernet"
name "tpm-crb"
name "rocker", bus PCI, desc "name \\"fake\\""
garbage "e1000e", bus PCI
 name "indented", bus PCI
name "with blank", bus PCI

CPU devices:
name "486-x86_64-cpu"
"""


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///system?socket=/run/x", True),
        ("qemu:///embed?root=/x", True),
        ("qemu+ssh://root@cmp1/system", False),
        ("qemu+tcp://127.0.0.1/system", False),
        ("qemu+ssh:///system", False),
        ("qemu://cmp1/system", False),
        ("qemu://[/system", False),
    ],
)
def test_where_a_uri_leads(uri: str, local: bool) -> None:
    assert is_local(uri) is local


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def script(folder: Path, body: str, version: str = "7.2.22 (Debian 1:7.2)") -> str:
    """An emulator that tells its version, and then does what BODY says."""
    path = folder / "qemu"
    told = f'[ "$1" = -version ] && echo "QEMU emulator version {version}" && exit'
    path.write_text(f"#!/bin/sh\n{told}\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_the_list(folder: Path) -> None:
    path = script(folder, f"cat <<'END'\n{HELP}END")
    assert list_devices(path, "7.2.22") == {"e1000": "PCI", "rocker": "PCI", "tpm-crb": None}


@pytest.mark.parametrize(
    ("body", "version"),
    [("echo", "8.2.2"), ("echo", "7.2.2"), ("exit 1", "7.2.22"), ("echo", "7.2.22"), ("", "")],
)
def test_it_is_not_known(folder: Path, body: str, version: str) -> None:
    assert list_devices(script(folder, body), version) is None


def test_an_emulator_that_is_none(folder: Path) -> None:
    (folder / "text").write_text("x")
    for path in ("/nowhere/qemu", "qemu-system-x86_64", str(folder), str(folder / "text")):
        assert list_devices(path, "7.2.22") is None


def test_one_that_does_not_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "_TIMEOUT", 0.5)
    assert list_devices(script(folder, "exec sleep 60"), "7.2.22") is None


def test_it_runs_as_an_ordinary_user(folder: Path) -> None:
    path = script(folder, 'echo "name \\"user-$(id -u)\\", bus PCI"')
    found = list_devices(path, "7.2.22")
    assert found is not None
    assert "user-0" not in found


def test_the_real_one() -> None:
    version = subprocess.run([REAL, "-version"], capture_output=True, text=True, check=True)
    number = version.stdout.split()[3]
    found = list_devices(REAL, number)
    assert found is not None
    assert (found["e1000"], found["ide-hd"], found["tpm-crb"]) == ("PCI", "IDE", None)
    assert len(found) > 100


def test_block_drivers_of_the_real_one() -> None:
    """Debian has those of Ceph, iSCSI and others in a package that a host may lack."""
    version = subprocess.run([REAL, "-version"], capture_output=True, text=True, check=True)
    found = list_block_drivers(REAL, version.stdout.split()[3])
    assert found is not None
    assert set(found) & {"nbd", "sheepdog"} == {"nbd"}
    modules = {path.stem for path in Path("/usr/lib").glob("*/qemu/block-*.so")}
    assert ("rbd" in found, "ssh" in found) == ("block-rbd" in modules, "block-ssh" in modules)


@pytest.mark.parametrize("answers", ["", "no JSON", '{"return": "", "id": "rbd"}', "[]\n7"])
def test_block_drivers_that_are_not_told(folder: Path, answers: str) -> None:
    path = script(folder, f"cat <<'END'\n{answers}\nEND")
    assert list_block_drivers(path, "7.2.22") is None


def test_a_block_driver_that_cannot_be_loaded(folder: Path) -> None:
    answers = [{"return": "Parameter is missing", "id": name} for name in PROTOCOLS]
    answers[0]["return"] = "Unable to load module curl.\r\nUnknown driver 'ftp'"
    path = script(folder, "cat <<'END'\n" + "\n".join(map(json.dumps, answers)) + "\nEND")
    assert list_block_drivers(path, "7.2.22") == PROTOCOLS[1:]
