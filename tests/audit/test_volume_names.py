"""Volumes that Nova's rows name otherwise than the definition that Nova reads for a resize."""

from typing import Any

import pytest

from tests import domains
from tests.audit.test_hosts import OBSERVED, of, site
from tests.command import novadev
from tests.device.rig import volume_id
from tests.device.site import Site

__all__ = ["site"]
pytestmark = pytest.mark.slow

CHECK = "volume-name"


def guest(
    number: int = 0, root: int | None = None, uuid: str | None = None, bus: str = "virtio"
) -> str:
    """A guest with two volumes on BUS, and with a disk of its own or a root volume."""
    first = {} if root is None else {"serial": volume_id(root), "alias": f"ua-{volume_id(root)}"}
    prefix = {"virtio": "vd", "sata": "sd"}[bus]
    more = [
        domains.disk(
            f"{prefix}{letter}", bus, serial=volume_id(item), alias=f"ua-{volume_id(item)}"
        )
        for letter, item in (("b", number), ("c", number + 1))
    ]
    return domains.domain(uuid, disks=[domains.disk(f"{prefix}a", bus, **first), *more])


def rename(site: Site, uuid: str, number: int, name: str | None) -> None:
    where = {"instance_uuid": uuid, "volume_id": volume_id(number)}
    assert site.cloud.update("block_device_mapping", "cell1", where, device_name=name) == 1


def test_a_set_that_waits_for_its_start_and_no_other_server(site: Site) -> None:
    """After the start the guest has the names of the rows: nothing is left to say."""
    uuid = site.add(guest(), **OBSERVED)
    site.add(guest(2), **OBSERVED)
    running = site.add(guest(4), start=True, **OBSERVED)
    words = ("--property", "hw_disk_bus=sata", "--yes", uuid)
    assert novadev(site.cloud, "image-property", "set", *words).code == 0
    (item,) = of(site, CHECK)
    assert (item["instance"], item["severity"], item["needs"]) == (uuid, "warning", "decision")
    assert "(vdb is sdb in Nova, vdc is sdc in Nova)" in item["details"]
    assert item["details"].endswith("(openstack server start)")
    site.handle(uuid).undefine()
    site.host.define(guest(uuid=uuid, bus="sata"))
    assert of(site, CHECK) == []
    rename(site, running, 4, "/dev/sdb")
    (item,) = of(site, CHECK)
    assert item["instance"] == running
    assert item["details"].endswith("(openstack server reboot --hard)")


@pytest.mark.parametrize(
    ("number", "name", "told"),
    [
        (9, "/dev/sda", "(vda is sda in Nova)"),
        (0, "sdb", "(vdb is sdb in Nova)"),
        (0, "vdb", None),
        (0, None, None),
    ],
)
def test_whatever_wrote_the_names(site: Site, number: int, name: Any, told: str | None) -> None:
    """A root volume counts too, and a row without a name, or without the folder, names no other."""
    uuid = site.add(guest(root=9), **OBSERVED)
    rename(site, uuid, number, name)
    assert [told in item["details"] for item in of(site, CHECK)] == [True] * (told is not None)


def test_names_that_have_changed_places(site: Site) -> None:
    """Each device is known by its serial, not by the name."""
    uuid = site.add(guest(), **OBSERVED)
    rename(site, uuid, 0, "/dev/vdc")
    rename(site, uuid, 1, "/dev/vdb")
    (item,) = of(site, CHECK)
    assert "(vdb is vdc in Nova, vdc is vdb in Nova)" in item["details"]


def test_a_disk_of_the_servers_own_has_no_name_that_counts(site: Site) -> None:
    uuid = site.add(guest(), **OBSERVED)
    where = {"instance_uuid": uuid, "volume_id": None}
    site.cloud.update("block_device_mapping", "cell1", where, device_name="/dev/sda")
    assert of(site, CHECK) == []
