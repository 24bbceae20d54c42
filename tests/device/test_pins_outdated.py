"""Pins of a guest that is another machine since, or whose device is: they are for what was."""

import json

import pytest

from tests.cloud import Cloud
from tests.device.restoring import TAP, guest, plan, reason, record, rows
from tests.device.site import Site
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow
MACHINES = {"pc": "q35", "q35": "pc"}


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("devices", [("vda", "vdb"), ()], ids=["two", "all"])
def test_another_machine_type_ends_what_pins_mean(
    site: Site, machine: str, devices: tuple[str, ...]
) -> None:
    """However often the guest is recorded since: only to unpin ends it, and everybody says so."""
    uuid = site.add(guest(machine=machine))
    record(site, uuid)
    assert site.run("device", "pin", uuid, *devices).code == 0
    site.host.define(guest(uuid=uuid, machine=MACHINES[machine]))
    before = site.persistent(uuid).canonical
    for _ in range(3):
        told = site.run("device", "drift", uuid)
        assert told.code == 3
        assert "can no longer be at their pinned address" in told.err
        assert "puts a device" not in told.err
        why = reason(site, uuid)
        assert "its machine type has changed since the record" in why
        assert "novadev device unpin removes them" in why
        made = site.run("device", "record", uuid)
        assert made.code == 0
        assert "device restore puts the device back" not in made.err
        assert "novadev device unpin removes the pin" in made.err
    (finding,) = [
        item
        for item in site.run("audit", "--check", "drift", uuid, "-f", "json").json
        if item["check"] == "drift"
    ]
    assert finding["remedy"].startswith("novadev device unpin")
    assert site.run("device", "unpin", uuid).code == 0
    record(site, uuid)
    assert site.run("device", "drift", uuid).code == 0
    assert plan(site, uuid)["plans"] == []
    assert site.persistent(uuid).canonical == before


def test_another_model_ends_what_a_pin_means(site: Site) -> None:
    """A card of another model is in another kind of slot, on q35 even on another bus."""
    uuid = site.add(guest(machine="q35"))
    record(site, uuid)
    there = rows(site, uuid)[TAP]
    assert site.run("device", "pin", uuid, TAP).code == 0
    text = guest(uuid=uuid, machine="q35").replace(
        '<model type="virtio"/>', '<model type="e1000"/>'
    )
    site.host.define(text)
    assert site.persistent(uuid).device(TAP).model == "e1000"
    for _ in range(3):
        told = site.run("device", "drift", uuid)
        assert told.code == 3
        assert "can no longer be at their pinned address" in told.err
        assert "it is pinned: novadev device unpin removes the pin" in json.dumps(plan(site, uuid))
        assert "novadev device unpin removes the pin" in site.run("device", "record", uuid).err
        assert rows(site, uuid)[TAP] == there
    assert site.run("device", "unpin", uuid).code == 0
    record(site, uuid)
    assert rows(site, uuid)[TAP].model == "e1000"
    assert site.run("device", "drift", uuid).code == 0
