"""Guests that cannot be read: the audit prints no command that is refused for that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from novadev.audit.finding import UNREAD
from tests.audit.auditing import STASHED, audit
from tests.capabilities.samples import saved
from tests.capabilities.test_release import add_service
from tests.cloud import Cloud
from tests.command import novadev

ALONE = ("--all", "--check", "not-stashed", "--check", "combination")
WHOLE = (*ALONE, "--check", "definition")


def _lacking(cloud: Cloud, bus: str = "virtio", **wanted: Any) -> str:
    """A stopped server of which no model of network cards is stored."""
    name = {"virtio": "/dev/vda"}.get(bus, "/dev/sda")
    stored = {**STASHED, "vm_state": "stopped", "hw_disk_bus": bus, **wanted}
    stored.pop("hw_vif_model")
    uuid = cloud.add_instance(root_device_name=name, **stored)
    cloud.add_disk(uuid, name, disk_bus=bus)
    return uuid


def _configure(cloud: Cloud, folder: Path) -> None:
    """Give the server's host a capability file, which says Nova 34, and no libvirt."""
    given = f"compute_config_dir = {folder}\nlibvirt_uri = nonsense://{{host}}/system"
    with cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\n{given}\n")


def _silent(cloud: Cloud, folder: Path) -> str:
    saved(folder, "cmp1.json")
    return _lacking(cloud)


def _rescued(cloud: Cloud, folder: Path) -> str:
    saved(folder, "cmp1.json")
    return _lacking(cloud, vm_state="rescued")


def _with_bad_file(cloud: Cloud, folder: Path) -> str:
    (folder / "cmp1.json").write_text("{}")
    return _lacking(cloud)


def _with_file_of_another_nova(cloud: Cloud, folder: Path) -> str:
    saved(folder, "cmp1.json")
    add_service(cloud, "cmp1", 66)
    return _lacking(cloud)


@pytest.mark.parametrize(
    ("make", "asked", "code", "reason"),
    [
        (_silent, WHOLE, 8, "host cmp1 did not answer"),
        (_rescued, ALONE, 0, "it is rescued and runs with the hardware of its rescue image"),
        (_with_bad_file, ALONE, 8, "cmp1.json"),
        (_with_file_of_another_nova, ALONE, 0, "are from Nova 34, but nova-compute on cmp1 is 28"),
    ],
)
def test_no_command_is_printed_that_is_refused(
    sqlite_cloud: Cloud,
    tmp_path: Path,
    make: Callable[[Cloud, Path], str],
    asked: tuple[str, ...],
    code: int,
    reason: str,
) -> None:
    _configure(sqlite_cloud, tmp_path)
    uuid = make(sqlite_cloud, tmp_path)
    found = audit(sqlite_cloud, *asked, code=code)
    (item,) = (one for one in found if one["check"] == "not-stashed")
    assert (item["remedy"], item["needs"]) == (None, "wait" if make is _silent else "decision")
    start = f"a new default would change the guest; {UNREAD}, and stash-defaults cannot record it: "
    assert start in item["details"]
    assert reason in item["details"]
    assert novadev(sqlite_cloud, "stash-defaults", "--yes", uuid).code != 0


def test_a_host_that_was_not_asked_may_answer(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    _configure(sqlite_cloud, tmp_path)
    uuid = _silent(sqlite_cloud, tmp_path)
    (item,) = audit(sqlite_cloud, *ALONE)
    assert item["remedy"] == f"novadev stash-defaults --yes --versioned {uuid}"


def test_a_disk_on_a_controller_nobody_chose(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """What the guest has cannot be recorded now; another controller can be given."""
    _configure(sqlite_cloud, tmp_path)
    saved(tmp_path, "cmp1.json")
    uuid = _lacking(sqlite_cloud, "scsi")
    items = {item["check"]: item for item in audit(sqlite_cloud, *WHOLE, code=8)}
    told = items["combination"]["details"]
    assert "stash-defaults cannot record what the guest has: host cmp1 did not answer" in told
    assert f"hw_scsi_model=virtio-scsi {uuid}" in told
    assert "novadev stash-defaults" not in told
