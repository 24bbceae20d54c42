"""A server that is suspended has what its save image brings back, whatever its definition says."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import libvirt
import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.restoring import guest, record, restore, rows, swap
from tests.device.site import Site
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


@pytest.fixture
def uuid(site: Site) -> str:
    """A guest that runs as it was recorded, and whose definition has two disks exchanged."""
    found = site.add(guest())
    record(site, found)
    site.host.start(found)
    site.cloud.update("instances", "cell1", {"uuid": found}, vm_state="active", power_state=1)
    swap(site, found, "disk vda", "disk vdb")
    return found


def states(site: Site, uuid: str) -> Iterator[str]:
    """The guest runs, is suspended as by Nova, and resumes."""
    yield "running"
    site.handle(uuid).managedSave()
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="suspended", power_state=4)
    yield "suspended"
    site.handle(uuid).create()
    site.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active", power_state=1)
    yield "resumed"


def drift(site: Site, *uuids: str) -> tuple[int, list[tuple[str, str]]]:
    result = site.run("device", "drift", *uuids, "-f", "json")
    found: Any = result.json
    return result.code, sorted((item["device_id"], item["field"]) for item in found)


def test_what_is_saved_counts_and_not_the_definition(site: Site, uuid: str) -> None:
    """A move that only the next start from the definition brings is no drift of what it has."""
    known = rows(site, uuid)
    for state in states(site, uuid):
        assert drift(site, uuid) == (0, []), state
        (listed,) = site.run("device", "list", uuid, "-f", "json").json
        assert listed["changed"] is False, state
        record(site, uuid)
        assert rows(site, uuid) == known, state
        told = site.run("device", "show", uuid).err
        assert ("managed save image" in told) == (state == "suspended")


def test_a_drift_is_there_until_the_guest_is_started_anew(site: Site, uuid: str) -> None:
    """Restore puts the definition right; a guest that is saved meanwhile still has the drift."""
    site.handle(uuid).destroy()
    site.host.start(uuid)
    assert restore(site, uuid, "--yes").code == 0
    found = drift(site, uuid)
    assert found[0] == 3
    assert found[1]
    for state in states(site, uuid):
        assert drift(site, uuid) == found, state
        assert site.run("device", "drift", "--all", "-f", "json").code == 3


def test_a_device_that_only_the_running_guest_has_is_not_lost(site: Site, uuid: str) -> None:
    volume = str(uuid4())
    disk = domains.disk("vdd", serial=volume)
    site.host.make_files(disk)
    site.handle(uuid).attachDeviceFlags(disk, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    site.cloud.add_volume(uuid, volume, "/dev/vdd")
    record(site, uuid)
    known = rows(site, uuid)
    assert any(row.spec_params.get("serial") == volume for row in known.values())
    for state in states(site, uuid):
        record(site, uuid)
        assert rows(site, uuid) == known, state


def test_a_save_image_that_cannot_be_read_is_said(site: Site, uuid: str) -> None:
    """Neither alone nor among others is its definition taken for what it has."""
    other = site.add(guest(name="other", uuid=str(uuid4())))
    site.handle(uuid).managedSave()
    (image,) = site.host.folder.rglob("*.save")
    image.write_bytes(b"no save image" * 100)
    for asked in ((uuid,), (uuid, other)):
        result = site.run("device", "record", *asked)
        assert result.code != 0
        assert uuid in result.err
    assert drift(site, other) == (0, [])
    image.unlink()


def test_the_forecast_begins_with_what_the_guest_has(site: Site, uuid: str) -> None:
    told = []
    for state in states(site, uuid):
        result = site.run("device", "forecast", uuid, "-f", "json")
        assert ("managed save image" in result.err) == (state == "suspended"), result.err
        told.append([{**item, "when": None} for item in result.json])
        soft = site.run("device", "forecast", "--after", "soft-reboot", uuid)
        assert ("it is suspended: a soft reboot" in soft.err) == (state == "suspended")
    assert told[0] == told[1] == told[2]
    assert told[0]
