"""Which release of Nova a compute host runs."""

from pathlib import Path

import pytest

from novadev import config
from novadev.capabilities.release import find_release, installed_release
from novadev.deployment import Deployment
from novadev.errors import Unreachable
from tests.cloud import Cloud
from tests.templates import nova_program


@pytest.mark.parametrize("release", ["34", "28"])
def test_the_nova_that_a_program_belongs_to(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    monkeypatch.setenv("PATH", str(nova_program(release, "python").parent))
    assert installed_release() == int(release)


@pytest.mark.parametrize("first", [b"", b"\x7fELF\xff", b"#!", b"#!/nowhere/bin/python3\n"])
def test_programs_that_tell_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: bytes
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed_release() is None
    program = tmp_path / "nova-compute"
    program.write_bytes(first)
    program.chmod(0o755)
    assert installed_release() is None


def test_the_cell_tells(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    add_service(cloud, "cmp1", 68)
    add_service(cloud, "cmp2", 68, deleted=1)
    add_service(cloud, "cmp2", 74, binary="nova-conductor")
    with Deployment(config.load([str(cloud.config_file)])) as deployment:
        found = [find_release(deployment, host) for host in ("cmp1", "cmp2", "cmp3")]
    assert found == [31, None, None]


def test_a_cell_that_is_down_hides_its_own_hosts_only(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    add_service(sqlite_cloud, "cmp1", 68, cell="cell2")
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell1"}, database_connection="down")
    with Deployment(config.load([str(sqlite_cloud.config_file)])) as deployment:
        assert find_release(deployment, "cmp1") == 31
        with pytest.raises(Unreachable, match=r"^cell cell1: "):
            find_release(deployment, "cmp2")


def add_service(
    cloud: Cloud,
    host: str,
    version: int,
    binary: str = "nova-compute",
    deleted: int = 0,
    cell: str = "cell1",
) -> None:
    known = {"host": host, "binary": binary, "version": version, "deleted": deleted}
    rest = {"topic": "compute", "report_count": 0, "disabled": False}
    cloud.insert("services", cell, **known, **rest)
