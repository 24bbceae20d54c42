"""One rule says which release reads a server's values, for the audit, sync and unset alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cloud import Cloud
from tests.command import novadev

OLD, NEW = 66, 70
"""The service versions of releases 28 and 32: hw_vif_model=igb came with 31."""


def register(cloud: Cloud, host: str, version: int) -> None:
    service = {"host": host, "binary": "nova-compute", "topic": "compute", "deleted": 0}
    cloud.insert("services", "cell1", **service, report_count=1, version=version)


@pytest.mark.parametrize(
    ("versions", "host", "is_readable"),
    [
        ({"cmp1": NEW, "cmp9": OLD}, "cmp1", True),
        ({"cmp1": OLD, "cmp9": NEW}, "cmp1", False),
        ({"cmp9": OLD}, "cmp1", True),
        ({"cmp9": OLD}, None, True),
        ({"cmp1": 999}, "cmp1", True),
    ],
    ids=["left-over old host", "own host is old", "own host unknown", "no host", "unknown release"],
)
def test_audit_sync_and_unset_agree(
    sqlite_cloud: Cloud, versions: dict[str, int], host: str | None, is_readable: bool
) -> None:
    for name, version in versions.items():
        register(sqlite_cloud, name, version)
    uuid = sqlite_cloud.add_instance(hw_vif_model="igb", spec_properties={}, host=host)

    audit = novadev(sqlite_cloud, "audit", uuid, "--check", "unreadable", "-f", "json")
    found = [item["check"] for item in json.loads(audit.out)]
    unset = novadev(sqlite_cloud, "image-property", "unset", "--unreadable", uuid, "--dry-run")
    sync = novadev(sqlite_cloud, "image-property", "sync", uuid, "--yes")
    assert ("unreadable" in found) is not is_readable
    assert ("Nova can read everything" in unset.err) is is_readable
    assert sync.code == (0 if is_readable else 6)
    assert sqlite_cloud.spec_properties(uuid) == ({"hw_vif_model": "igb"} if is_readable else {})


def test_a_value_that_the_hosts_nova_cannot_read_is_not_stored(sqlite_cloud: Cloud) -> None:
    register(sqlite_cloud, "cmp1", OLD)
    register(sqlite_cloud, "cmp2", NEW)
    old, new = (sqlite_cloud.add_instance(hw_vif_model="virtio", host=h) for h in ("cmp1", "cmp2"))
    command = ("image-property", "set", "--property", "hw_vif_model=igb", "--yes")
    refused = novadev(sqlite_cloud, *command, old)
    assert (refused.code, "release 28 of Nova has no such value" in refused.err) == (6, True)
    assert novadev(sqlite_cloud, *command, new).code == 0
    assert novadev(sqlite_cloud, *command, "--force", old).code == 0


def test_whoever_changes_such_a_server_is_told(sqlite_cloud: Cloud) -> None:
    """What the host's Nova cannot read is told by each command, and no command advises it."""
    register(sqlite_cloud, "cmp1", OLD)
    uuid = sqlite_cloud.add_instance(hw_vif_model="igb", hw_machine_type="pc", host="cmp1")
    for command in ("image-property set --property hw_video_model=vga", "machine-type set q35"):
        told = novadev(sqlite_cloud, *command.split(), uuid, "--dry-run", "-f", "json")
        assert "hw_vif_model=igb" in told.out + told.err, command
    mended = novadev(sqlite_cloud, "image-property", "unset", "--unreadable", uuid, "--dry-run")
    assert (mended.code, "run this instead" in mended.out + mended.err) == (0, False)


def test_an_older_release_than_any_known_is_the_oldest(sqlite_cloud: Cloud) -> None:
    register(sqlite_cloud, "cmp1", 57)
    uuid = sqlite_cloud.add_instance(hw_vif_model="igb", host="cmp1")
    found = novadev(sqlite_cloud, "audit", uuid, "--check", "unreadable")
    assert "Nova 26" in found.out


@pytest.mark.parametrize("command", ["set --property hw_vif_model=igb", "sync"])
def test_a_server_that_has_moved_to_an_older_release_since_its_plan(
    sqlite_cloud: Cloud, tmp_path: Path, command: str
) -> None:
    """The release is asked again as the plan is written; what --force overruled stays so."""
    for host, version in (("cmp1", NEW), ("cmp2", OLD), ("cmp3", NEW)):
        register(sqlite_cloud, host, version)
    stored = {"hw_vif_model": "igb"} if command == "sync" else {}
    uuid = sqlite_cloud.add_instance(host="cmp1", spec_properties={}, **stored)
    words = ("image-property", *command.split(), uuid)
    file = str(tmp_path / "saved.plan")
    assert novadev(sqlite_cloud, *words, "--plan-out", file).code == 0
    before = sqlite_cloud.spec_properties(uuid)
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, host="cmp2")
    stale = novadev(sqlite_cloud, "apply", file, "--yes")
    assert stale.code == 7, stale.err
    assert "it is on host cmp2 now: hw_vif_model=igb: release 28 of Nova has no" in stale.err
    assert sqlite_cloud.spec_properties(uuid) == before
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, host="cmp3")
    assert novadev(sqlite_cloud, "apply", file, "--yes").code == 0
    assert novadev(sqlite_cloud, "undo", "2", "--yes").code == 0
    if command != "sync":
        sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, host="cmp2")
        forced = str(tmp_path / "forced.plan")
        assert novadev(sqlite_cloud, *words, "--force", "--plan-out", forced).code == 0
        assert novadev(sqlite_cloud, "apply", forced, "--yes").code == 0
