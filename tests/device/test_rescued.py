"""A server in rescue: what it runs with is not its own, and nobody takes it for that."""

from typing import Any

import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.rig import mac, port_id
from tests.device.site import Site
from tests.device.variety import own_disk
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow
UUID = "7b0c2f5e-5c39-4c1c-8f0e-0e8e6a4a1f10"


def guest(*disks: str) -> str:
    card = domains.interface(mac(0), port=port_id(0), kind="user")
    return domains.domain(UUID, disks=disks, interfaces=[card])


def ask(site: Site, *arguments: str) -> Any:
    result = site.run(*arguments, "-f", "json")
    return result.json, result.code, result.err


def test_a_server_in_rescue_is_passed_over(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> None:
    site = Site.of(sqlite_cloud, hypervisor)
    root = own_disk(UUID, "vda", "virtio", "disk")
    site.add(guest(root, own_disk(UUID, "vdb", "virtio", "disk.eph0")))
    assert site.run("device", "record", UUID).code == 0
    rescue = own_disk(UUID, "vda", "virtio", "disk.rescue")
    site.host.define(guest(rescue, own_disk(UUID, "vdb", "virtio", "disk")))
    for vm_state in ("rescued", "active"):  # Nova says so, or the definition alone does
        sqlite_cloud.update("instances", "cell1", {"uuid": UUID}, vm_state=vm_state)
        for verb in ("record", "drift", "list"):
            found, code, errors = ask(site, "device", verb, UUID)
            assert (found, code) == ([], 3)
            assert f"({UUID}) is rescued" in errors
        assert ask(site, "device", "drift", "--all")[:2] == ([], 0)
        shown, code, errors = ask(site, "device", "show", UUID)
        assert code == 0
        assert "in rescue" in errors
        assert not any("orphan" in text for item in shown for text in item["disagreements"])
        for command in (("forecast",), ("forecast", "--after=soft-reboot"), ("restore",)):
            told = site.run("device", *command, UUID)
            assert (told.code, "is rescued" in told.err) == (3, True), told.err
        told = site.run("device", "detach", UUID, "vdb", "--force", "--dry-run")
        assert (told.code, "is rescued" in told.err) == (3, True), told.err
        text = site.run("device", "show", UUID).out
        assert "device detach" not in text
        told, _, _ = ask(site, "audit", UUID)
        kinds = {item["check"] for item in told}
        assert not kinds & {"orphan", "ghost", "alias", "drift"}
        assert any("it is rescued" in item["details"] for item in told)
    sqlite_cloud.update("instances", "cell1", {"uuid": UUID}, vm_state="active")
    site.host.define(guest(root, own_disk(UUID, "vdb", "virtio", "disk.eph0")))
    assert ask(site, "device", "drift", UUID)[:2] == ([], 0)
