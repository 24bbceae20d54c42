"""A value that a run took out is a default like any other if a power-on gives it anyway."""

from typing import Any

import pytest

from tests import domains
from tests.audit.auditing import audit
from tests.cloud import Cloud
from tests.command import novadev
from tests.hypervisor import Hypervisor
from tests.stash_defaults.stashing import KVM, changes
from tests.stash_defaults.test_stash_domains import TABLET, Site

pytestmark = pytest.mark.slow

VIDEO = "<video><model type='virtio'/></video>"
DISK = domains.disk("sda", "scsi", source="/dev/null")
LSI = domains.scsi_controller("lsilogic")
NIC = domains.interface("52:54:00:00:00:01")
DEVICES = (VIDEO, TABLET, DISK, LSI, NIC)
DEFAULTS = [
    ("hw_disk_bus", "virtio"),
    ("hw_pointer_model", "usbtablet"),
    ("hw_scsi_model", "lsilogic"),
    ("hw_video_model", "virtio"),
    ("hw_vif_model", "virtio"),
]


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site(sqlite_cloud, hypervisor, cmp1=KVM)


def _devices(name: str) -> tuple[str, ...]:
    """All that shows defaults; disks on SCSI and on virtio would show no bus to record."""
    return DEVICES if name != "hw_disk_bus" else (VIDEO, TABLET)


def _run(site: Site, *words: str) -> str:
    return str(novadev(site.cloud, *words, "--yes", "-f", "json").json["run"])


def _unset(site: Site, name: str, value: str) -> str:
    uuid = site.guest(*_devices(name), **{name: value})
    _run(site, "image-property", "unset", "--force", "--property", name, uuid)
    return uuid


def _set_and_undone(site: Site, name: str, value: str, **before: str | None) -> str:
    uuid = site.guest(*_devices(name), **before)
    run = _run(site, "image-property", "set", "--force", "--property", f"{name}={value}", uuid)
    site.undo(int(run))
    return uuid


def _set_over_null_and_undone(site: Site, name: str, value: str) -> str:
    return _set_and_undone(site, name, value, **{name: None})


def _findings(site: Site, name: str) -> list[dict[str, Any]]:
    found = audit(site.cloud, "--all", "--check", "not-stashed", "--check", "stash-null")
    return [item for item in found if name in item["details"]]


@pytest.mark.parametrize("take_out", [_unset, _set_and_undone, _set_over_null_and_undone])
@pytest.mark.parametrize(("name", "value"), DEFAULTS)
def test_it_is_recorded_again_and_the_audit_offers_that(
    site: Site, take_out: Any, name: str, value: str
) -> None:
    uuid = take_out(site, name, value)
    for item in _findings(site, name):
        assert item["remedy"].startswith("novadev stash-defaults --yes ")
        assert "took" not in item["details"]
    assert changes(site.plan(uuid))[name] == value
    site.run(uuid)
    assert _findings(site, name) == []


def test_a_machine_type_that_todays_alias_stands_for(site: Site) -> None:
    uuid = site.guest(*DEVICES)
    canonical = site.machine(uuid)
    site.save_capabilities(pc=canonical)
    run = _run(site, "machine-type", "set", "--force", canonical, uuid)
    site.undo(int(run))
    assert changes(site.plan(uuid, "--versioned"))["hw_machine_type"] == canonical


def test_a_value_that_a_power_on_replaces_is_kept_out(site: Site) -> None:
    uuid = site.guest("<video><model type='cirrus'/></video>", hw_video_model="cirrus")
    run = _run(site, "image-property", "unset", "--property", "hw_video_model", uuid)
    (item,) = _findings(site, "hw_video_model")
    assert item["remedy"] is None
    assert f"run {run} took cirrus out, and the guest has it until a power-on" in item["details"]


@pytest.mark.parametrize("name", ["hw_disk_bus", "hw_vif_model"])
def test_without_the_rules_of_the_host_what_comes_is_not_said(site: Site, name: str) -> None:
    (site.hosts / "cmp1.conf").unlink()
    uuid = _unset(site, name, "virtio")
    (item,) = [found for found in _findings(site, name) if "took" in found["details"]]
    assert item["remedy"] is None
    assert "the guest has it; novadev does not know which value a power-on (" in item["details"]
    assert any(f"{name}: not recorded: run " in text for text in site.reasons(uuid, code=3))
