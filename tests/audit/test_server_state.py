"""Servers that Nova has put into ERROR, and tasks that write nothing any more."""

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest

from tests import domains
from tests.audit.auditing import audit, checks, healthy
from tests.audit.test_hosts import OBSERVED, aliased, of, site
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.site import Site

__all__ = ["site"]

CHECKS = ("error-state", "stuck-task")
ONLY = tuple(word for name in CHECKS for word in ("--check", name))


def _written(ago: timedelta) -> dict[str, Any]:
    """The time of the last write to a row of instances, as Nova stores it: in UTC, without zone."""
    return {"updated_at": (datetime.now(timezone.utc) - ago).replace(tzinfo=None)}


def _found(cloud: Cloud, code: int = 0) -> list[dict[str, Any]]:
    return audit(cloud, "--all", *ONLY, code=code)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({}, "cmp1 was not asked whether it has a definition of it"),
        ({"host": None}, "it is on no host"),
    ],
)
def test_a_server_in_error_without_a_look_at_its_host(
    any_cloud: Cloud, place: dict[str, Any], told: str
) -> None:
    uuid = healthy(any_cloud, vm_state="error", **place)
    healthy(any_cloud)
    (item,) = _found(any_cloud, code=3)
    assert (item["check"], item["severity"]) == ("error-state", "failure")
    assert (item["instance"], item["remedy"], item["needs"]) == (uuid, None, "decision")
    assert f"{told}, so its devices were not checked" in item["details"]
    assert f"openstack server event list {uuid} and " in item["details"]
    assert ("Do not reboot it" in item["details"]) == (place == {"host": None})
    assert "reboot --hard" not in item["details"]


@pytest.mark.parametrize("vm_state", ["error", "building"])
def test_a_server_that_was_never_built_is_no_finding(sqlite_cloud: Cloud, vm_state: str) -> None:
    columns = {"launched_at": None, **_written(timedelta(days=9))}
    for host in ("cmp1", None):
        more: dict[str, Any] = {"host": host, "task_state": "spawning", "columns": columns}
        sqlite_cloud.add_instance(vm_state=vm_state, request_spec=False, **more)
    assert _found(sqlite_cloud) == []


@pytest.mark.parametrize("vm_state", ["active", "stopped", "error", "shelved"])
def test_a_task_that_has_written_nothing_for_an_hour(any_cloud: Cloud, vm_state: str) -> None:
    since = _written(timedelta(minutes=61))
    uuid = healthy(any_cloud, vm_state=vm_state, task_state="image_uploading", columns=since)
    for task, ago in (("migrating", timedelta(minutes=59)), (None, timedelta(days=99))):
        healthy(any_cloud, task_state=task, columns=_written(ago))
    healthy(any_cloud, task_state="powering-on", columns={"updated_at": None})
    found = _found(any_cloud, code=3 if vm_state == "error" else 0)
    (item,) = (item for item in found if item["check"] == "stuck-task")
    assert (item["instance"], item["severity"], item["remedy"]) == (uuid, "warning", None)
    moment = f"{since['updated_at']:%Y-%m-%d %H:%M} UTC"
    assert item["details"].startswith(
        f"its task image_uploading has written nothing since {moment}"
    )
    assert checks(found) == ["error-state"] * (vm_state == "error") + ["stuck-task"]


def test_a_server_that_left_error_is_mended(sqlite_cloud: Cloud, tmp_path: Any) -> None:
    """By the database alone, whatever the earlier audit had asked its host."""
    uuid = healthy(sqlite_cloud, vm_state="error", task_state="deleting")
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, **_written(timedelta(days=2)))
    earlier = _text(sqlite_cloud)
    (tmp_path / "earlier.json").write_text(earlier.replace("was not asked", "did not say"))
    compare = ("--compare-with", str(tmp_path / "earlier.json"))
    again = audit(sqlite_cloud, "--all", *ONLY, *compare, code=3)
    assert {item["comparison"] for item in again} == {"still there"}
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active", task_state=None)
    after = audit(sqlite_cloud, "--all", *ONLY, *compare)
    assert {item["check"]: item["comparison"] for item in after} == dict.fromkeys(CHECKS, "mended")


def _text(cloud: Cloud) -> str:
    return novadev(cloud, "audit", "--all", *ONLY, "-f", "json").out


@pytest.mark.slow
def test_what_its_host_has_of_a_server_in_error(site: Site) -> None:
    """A hard reboot is named only where the host has the definition."""
    there = site.add(aliased(), vm_state="error", **OBSERVED)
    running = site.add(aliased(None, number=1), start=True, **{**OBSERVED, "vm_state": "error"})
    lost = site.cloud.add_instance(name="lost", vm_state="error", **OBSERVED)
    found = {
        item["instance"]: item
        for item in of(site, "error-state", "missing-domain", "alias", code=3)
    }
    assert set(found) == {there, running, lost}
    for uuid in (there, running):
        assert "cmp1 has its definition. " in found[uuid]["details"]
        assert f"openstack server reboot --hard {uuid} builds" in found[uuid]["details"]
    told = found[lost]["details"]
    assert "cmp1 has no definition of it, so its devices were not checked" in told
    assert f"reboot --hard {lost}" not in told


@pytest.mark.parametrize("place", [{}, {"host": None}])
def test_what_refuses_a_server_in_error_says_what_helps(
    sqlite_cloud: Cloud, place: dict[str, Any]
) -> None:
    uuid = healthy(sqlite_cloud, vm_state="error", **place)
    words = ("image-property", "set", "--property", "hw_vif_model=e1000", "--dry-run", uuid)
    told = novadev(sqlite_cloud, *words).err
    assert ("openstack server stop" in told) == (place == {})


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ("rescued", "openstack server unrescue; then openstack server stop; then "),
        ("active", "openstack server stop; then "),
        ("stopped", ""),
    ],
)
def test_the_way_to_the_machine_type_of_the_request_spec(
    sqlite_cloud: Cloud, state: str, way: str
) -> None:
    uuid = sqlite_cloud.add_instance(
        vm_state=state, hw_machine_type="pc", spec_properties={"hw_machine_type": "q35"}
    )
    found = audit(sqlite_cloud, uuid, "--check", "request-spec")
    (item,) = [item for item in found if item["check"] == "request-spec"]
    command = f"novadev machine-type set --yes q35 {uuid}"
    assert f"to keep that of the request spec, run {way}{command}" in item["details"]


@pytest.mark.slow
def test_a_rescued_server_in_error(site: Site) -> None:
    """Nova cannot unrescue it: only a hard reboot helps."""
    uuid = str(uuid4())
    own = domains.disk("vda", source=f"{domains.IMAGES}/{uuid}/disk.rescue")
    site.add(domains.domain(uuid, disks=[own]), vm_state="error", **OBSERVED)
    found = {item["check"]: item for item in of(site, "error-state", "definition", code=3)}
    told = found["error-state"]["details"]
    assert "cmp1 has the guest of its rescue" in told
    assert f"openstack server reboot --hard {uuid} builds its own guest" in told
    assert "after a hard reboot" in found["unreachable"]["details"]
