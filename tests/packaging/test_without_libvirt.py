"""A controller without libvirt-python: what needs the databases alone works, the rest says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cloud import Cloud

pytestmark = pytest.mark.slow

ABSENT = "raise ModuleNotFoundError(\"No module named 'libvirt'\", name='libvirt')\n"
TOLD = "libvirt-python is not installed, so novadev cannot reach any host."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What goes before the packages that are installed: a libvirt that is not there."""
    (tmp_path / "libvirt.py").write_text(ABSENT)
    return tmp_path


def run(cloud: Cloud, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "novadev", "--config-file", str(cloud.config_file)]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def test_commands_about_the_databases_work(sqlite_cloud: Cloud, folder: Path) -> None:
    uuid = sqlite_cloud.add_instance(hw_machine_type="pc", hw_disk_bus="virtio")
    sqlite_cloud.add_disk(uuid)
    rules = str(folder / "compute.conf")
    Path(rules).write_text("[libvirt]\nvirt_type = kvm\n")
    for command in (
        ["image-property", "set", "--property", "hw_vif_model=e1000", "--yes", uuid],
        ["machine-type", "set", "q35", "--dry-run", uuid],
        ["stash-defaults", "--source", "driver", "--assume-config", rules, "--dry-run", uuid],
        ["audit", "--check", "request-spec", "--check", "not-stashed", "--all"],
    ):
        result = run(sqlite_cloud, folder, *command)
        assert (result.returncode, TOLD in result.stderr) == (0, False), result.stderr


def test_commands_about_hosts_say_it_in_one_line(sqlite_cloud: Cloud, folder: Path) -> None:
    uuid = sqlite_cloud.add_instance(host="cmp1", vm_state="active")
    with sqlite_cloud.config_file.open("a") as file:
        file.write("libvirt_uri = test:///{host}\n")
    for command in (
        ["capabilities", "save"],
        ["device", "show", uuid],
        ["device", "list", uuid],
        ["device", "alias-migrate", "--dry-run", uuid],
        ["device", "detach", "--dry-run", uuid, "vdb"],
        ["device", "record", uuid],
        ["device", "drift", uuid],
        ["device", "forecast", uuid],
        ["stash-defaults", "--source", "domain", "--dry-run", uuid],
    ):
        result = run(sqlite_cloud, folder, *command)
        assert result.returncode == 8, result.stderr
        assert result.stderr.count(TOLD) == 1
        assert "Traceback" not in result.stderr
    found = run(sqlite_cloud, folder, "audit", "--check", "alias", "--all", "-f", "json")
    assert [item["check"] for item in json.loads(found.stdout)] == ["unreachable"]
    assert TOLD in found.stdout


def test_an_audit_names_each_host(sqlite_cloud: Cloud, folder: Path) -> None:
    for host in ("cmp1", "cmp2"):
        sqlite_cloud.add_instance(host=host, vm_state="active", name=f"on-{host}")
    with sqlite_cloud.config_file.open("a") as file:
        file.write("libvirt_uri = test:///{host}\n")
    result = run(sqlite_cloud, folder, "audit", "--check", "alias", "--all", "-f", "json")
    found = json.loads(result.stdout)
    assert (result.returncode, [item["host"] for item in found]) == (8, ["cmp1", "cmp2"])
    assert all(TOLD in item["details"] for item in found)
