"""Addresses carried from one real guest's record to another's, and into its definition."""

from pathlib import Path
from typing import Any

import pytest

from novadev.virt.domain import Domain
from tests import domains
from tests.cloud import Cloud
from tests.device.restoring import RNG, record, restore, swap
from tests.device.rig import mac, port_id, volume_id
from tests.device.site import Site
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def guest(number: int, **more: Any) -> str:
    """A guest with volumes and ports of its own: two of each, a CD-ROM, and some hardware."""
    volumes = [volume_id(2 * number), volume_id(2 * number + 1)]
    ports = [port_id(2 * number), port_id(2 * number + 1)]
    return domains.domain(
        disks=[
            domains.disk("vda"),
            *(domains.disk(f"vd{'bc'[place]}", serial=item) for place, item in enumerate(volumes)),
            domains.disk("sda", "scsi", device="cdrom"),
        ],
        interfaces=[
            domains.interface(mac(2 * number + place), port=port)
            for place, port in enumerate(ports)
        ],
        devices=[domains.scsi_controller(), RNG, '<input type="tablet" bus="usb"/>'],
        ports=ports,
        **more,
    )


def layout(domain: Domain) -> list[tuple[str, str]]:
    """What is where, by kind, in which no name of the guest's is."""
    return sorted(
        (f"{item.type} {item.model} {item.bus}", item.address.ovirt_text)
        for item in domain.devices
        if item.address
    )


def places(domain: Domain) -> dict[str, str]:
    """Where the disks are."""
    found = domain.devices
    return {item.label: str(item.address) for item in found if item.label.startswith("disk ")}


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("form", ["--json", "--ovf"])
def test_a_guest_gets_the_addresses_of_another(
    site: Site, tmp_path: Path, machine: str, form: str
) -> None:
    mine = site.add(guest(0, machine=machine, name="web-1"))
    theirs = site.add(guest(1, machine=machine, name="web-2"))
    swap(site, mine, "disk vda", "disk vdc", f"interface tap{port_id(0)[:11]}", "disk vdb")
    expected = site.persistent(mine)
    assert places(site.persistent(theirs)) != places(expected)
    record(site, mine, theirs)
    file = str(tmp_path / "file")
    assert site.run("device", "export", form, mine, "-o", file).code == 0
    result = site.run("device", "import", file, "--instance", theirs, "--yes")
    assert result.code == 0, result.err
    assert site.run("device", "drift", theirs).code == 3
    restore(site, theirs)
    found = site.persistent(theirs)
    assert layout(found) == layout(expected)
    assert places(found) == places(expected)
    assert site.run("device", "drift", theirs).code == 0
    again = site.run("device", "import", file, "--instance", theirs, "--yes")
    assert "Nothing to do" in again.err


def test_a_guest_of_another_machine_type_is_refused(site: Site, tmp_path: Path) -> None:
    """The slots of a pc are not those of a q35: its disk is behind a root port."""
    mine = site.add(guest(0, machine="q35", name="web-1"))
    theirs = site.add(guest(1, machine="pc", name="web-2"))
    record(site, mine, theirs)
    file = str(tmp_path / "file")
    assert site.run("device", "export", mine, "-o", file).code == 0
    result = site.run("device", "import", file, "--instance", theirs, "--yes")
    assert result.code == 4
    assert "has no controller pci" in result.err
