"""A device that is not recorded makes room for one that is recorded where it is now."""

from typing import Any

import pytest
from lxml import etree

from novadev.records.device import VmDevice
from novadev.records.restore_layout import lay_out
from novadev.virt.domain import Domain
from novadev.virt.host import PERSISTENT
from tests import domains
from tests.cloud import Cloud
from tests.device.restoring import guest, moves, place, plan, record, restore
from tests.device.site import Site
from tests.device.test_restore_random import everything
from tests.hypervisor import Hypervisor
from tests.previewing import kept

pytestmark = pytest.mark.slow

PORT, MAC = "c1c2d3e4-0001-4c8c-9b3e-6e1f0f2f5d13", "fa:16:3e:00:00:09"
NEW = f"interface tap{PORT[:11]}"


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def written_anew(site: Site, uuid: str) -> Domain:
    """Nova's next definition of a guest with a new port: libvirt chooses every address again."""
    root = site.persistent(uuid).root
    for address in root.findall("devices/*/address[@type='pci']"):
        address.getparent().remove(address)
    card = etree.fromstring(domains.interface(MAC, port=PORT))
    root.findall("devices/interface")[-1].addnext(card)
    site.host.connection.defineXML(etree.tostring(root, encoding="unicode"))
    site.cloud.add_port(uuid, PORT, MAC)
    return site.persistent(uuid)


def drifted(site: Site, uuid: str, *more: str) -> dict[str, Any]:
    """The devices that differ from the record, each with what differs."""
    found = site.run("device", "drift", uuid, *more, "-f", "json").json
    return {item["label"]: item["field"] for item in found}


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_new_card_and_a_definition_without_addresses(site: Site, machine: str) -> None:
    uuid = site.add(guest(machine=machine))
    record(site, uuid)
    anew = written_anew(site, uuid)
    assert {*drifted(site, uuid).values()} == {"address", "device"}
    document = plan(site, uuid)
    assert NEW in moves(document)
    note = document["plans"][0]["note"]
    assert f"{NEW} is not recorded. It gets another address, because " in note
    restore(site, uuid)
    assert drifted(site, uuid) == {NEW: "device"}
    assert place(site.persistent(uuid), NEW) != place(anew, NEW)
    undone = kept(site.run, "undo", "1")
    assert undone.code == 0, undone.err
    assert site.persistent(uuid).canonical == anew.canonical


def test_a_record_that_was_made_in_between_loses_no_address(site: Site) -> None:
    uuid = site.add(guest())
    record(site, uuid)
    home = site.persistent(uuid)
    written_anew(site, uuid)
    record(site, uuid)
    assert drifted(site, uuid) == {}
    note = plan(site, uuid, "--as-of", "1")["plans"][0]["note"]
    assert f"{NEW} was not recorded as of record 1. It gets another address" in note
    restore(site, uuid, "--as-of", "1")
    assert drifted(site, uuid, "--as-of", "1") == {NEW: "device"}
    assert place(site.persistent(uuid), "disk vda") == place(home, "disk vda")


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_device_of_any_bus_makes_room(hypervisor: Hypervisor, machine: str) -> None:
    """Whichever is not recorded: each recorded device is at home, and libvirt takes it as it is."""
    handle = hypervisor.define(everything(machine, "virtio-scsi"))
    handle = hypervisor.connection.defineXML(handle.XMLDesc(PERSISTENT))
    domain = Domain.from_xml(handle.XMLDesc(PERSISTENT))
    places = {item: item.address for item in domain.devices if item.address}
    kinds = set()
    for new, there in places.items():
        alike = [
            other
            for other in places
            if other is not new
            and (other.element.tag, other.bus) == (new.element.tag, new.bus)
            and new.element.tag not in ("controller", "watchdog")
        ]
        for mover in alike[:1]:
            homes = {**places, mover: there}
            rows = {
                item: VmDevice("", "", item.type, "", address.ovirt_text)
                for item, address in homes.items()
                if item is not new
            }
            layout = lay_out(domain, rows)
            assert dict(layout.displaced) == {new: mover}
            assert layout.moves[mover].text == there.text
            text = domain.with_addresses(layout.moves)
            handle = hypervisor.connection.defineXML(text)
            assert Domain.from_xml(handle.XMLDesc(PERSISTENT)).canonical == (
                Domain.from_xml(text).canonical
            )
            kinds.add(there.type)
    assert kinds == {"pci", "drive", "virtio-serial", "usb"}
