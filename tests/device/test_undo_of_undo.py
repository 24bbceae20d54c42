"""An undo on a real libvirt that is itself undone: what its run counts as then."""

import libvirt
import pytest
from lxml import etree

from tests import domains
from tests.cloud import Cloud
from tests.device.restoring import guest, record, restore, swap
from tests.device.site import Site
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def history(site: Site) -> list[str]:
    """The states of all runs, oldest first."""
    return [run["state"] for run in reversed(site.run("history", "-f", "json").json)]


def undo(site: Site, run: int) -> None:
    result = site.run("undo", str(run), "--yes")
    assert result.code == 0, result.err


def give_alias(site: Site, uuid: str, name: str) -> None:
    """Give the volume of a guest another alias, as another program would."""
    device = site.persistent(uuid).device("disk vdb").copy()
    etree.SubElement(device.element, "alias", name=name)
    text = domains.text(device.element)
    site.handle(uuid).updateDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def test_aliases_that_are_back_count_as_applied(site: Site) -> None:
    """Where another has given a device an alias meanwhile, its guest is there in part alone."""
    renamed, same = site.add(guest()), site.add(guest())
    site.migrate(renamed, same)
    undo(site, 1)
    undo(site, 2)
    assert history(site) == ["applied", "undone", "applied"]
    told = site.run("history", "1").err
    assert "run 2 was an undo of it: nothing of run 2 is in effect now" in told
    undo(site, 1)
    give_alias(site, renamed, "ua-odd")
    undo(site, 4)
    assert history(site) == ["partial", "undone", "applied", "undone", "applied"]
    first = site.run("history", "1", "-f", "json").json
    assert {item["instance"]: item["state"] for item in first} == {renamed: "half", same: "applied"}


def test_addresses_that_are_back_count_as_applied(site: Site) -> None:
    uuid = site.add(guest())
    record(site, uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    restore(site, uuid)
    for run in range(1, 5):
        undo(site, run)
    assert history(site) == ["applied", "undone", "applied", "undone", "applied"]
