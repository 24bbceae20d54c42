"""Which device a pin or unpin means while a pinned one is elsewhere; what the history says."""

from dataclasses import replace
from shlex import quote
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.command import novadev
from tests.exchange.recorded import controller, device, disk, nic, pci, record


@pytest.fixture
def cloud(sqlite_cloud: Cloud) -> Cloud:
    """A server whose vdb is pinned where vda was found since."""
    uuid = sqlite_cloud.add_instance(name="web-1")
    first, second = disk("vda", pci(8), vm=uuid), disk("vdb", pci(9), vm=uuid)
    others = [nic("tapa", pci(3), vm=uuid), controller("scsi", 0, pci(5), vm=uuid)]
    record(sqlite_cloud, [first, second, *others])
    assert novadev(sqlite_cloud, "device", "pin", "web-1", "vdb").code == 0
    moved = [replace(first, address=pci(9)), replace(second, address=pci(8))]
    record(sqlite_cloud, [*moved, *others])
    return sqlite_cloud


@pytest.mark.parametrize("devices", [("vda",), ()])
def test_what_is_found_at_the_pin_of_another_cannot_be_pinned(
    cloud: Cloud, devices: tuple[str, ...]
) -> None:
    """The commands that help are whole, and the first one does."""
    refused = novadev(cloud, "device", "pin", "web-1", *devices)
    assert refused.code == 3
    assert "disk vda was last found at 0000:00:09.0, where disk vdb is pinned" in refused.err
    unpin = refused.err.partition("first run novadev ")[2].partition(". To keep")[0]
    assert unpin.startswith("device unpin ")
    assert unpin.endswith(" 'disk vdb'")
    words = [*unpin.partition(" 'disk")[0].split(), "disk vdb"]
    assert novadev(cloud, *words).code == 0
    assert novadev(cloud, "device", "pin", "web-1", *devices).code == 0


GONE, OUTDATED = "the guest no longer has", "can no longer be at its pinned address"
E1000, Q35 = {"model": "e1000"}, {"model": "pcie-root"}


@pytest.mark.parametrize(
    ("pinned", "then", "why"),
    [
        ("disk vdb", {}, GONE),
        ("rng virtio", {}, GONE),
        ("interface tapa", {"address": pci(7), "spec_params": E1000}, OUTDATED),
        ("controller pci 0", {"spec_params": Q35}, OUTDATED),
    ],
    ids=["gone", "gone, not managed", "another model", "another machine"],
)
def test_no_restore_is_offered_that_moves_nothing(
    sqlite_cloud: Cloud, pinned: str, then: dict[str, Any], why: str
) -> None:
    """The one command that is offered lifts the block, also after the next record."""
    uuid = sqlite_cloud.add_instance(name="web-1")
    devices = {
        item.label: item
        for item in (
            disk("vdb", pci(9), vm=uuid),
            nic("tapa", pci(3), vm=uuid),
            device("rng virtio", "rng", "rng", pci(6), vm=uuid),
            controller("pci", 0, vm=uuid, spec_params={"model": "pci-root"}),
        )
    }
    record(sqlite_cloud, devices.values())
    held = "disk vdb" if pinned.startswith("controller") else pinned
    assert novadev(sqlite_cloud, "device", "pin", "web-1", held).code == 0
    other, changed = disk("vdc", devices[held].address, vm=uuid), devices.pop(pinned)
    if held != pinned:
        devices[held] = replace(devices[held], address=pci(0x1C))
    now = [*devices.values(), other, *([replace(changed, **then)] if then else [])]
    for _ in range(2):
        record(sqlite_cloud, now)
        refused = novadev(sqlite_cloud, "device", "pin", "web-1", "vdc")
        assert refused.code == 3, refused.err
        assert f"where {held} is pinned" in refused.err
        assert "device restore cannot change this" in refused.err
        assert why in refused.err
        assert "after the next record" not in refused.err
    assert f"first run novadev device unpin {uuid} {quote(held)}\n" in refused.err
    assert novadev(sqlite_cloud, "device", "unpin", "web-1", held).code == 0
    assert novadev(sqlite_cloud, "device", "pin", "web-1", "vdc").code == 0


@pytest.mark.parametrize("name", ["0000:00:09.0", "00:09.0", "vdb"])
def test_unpin_means_the_pinned_device(cloud: Cloud, name: str) -> None:
    result = novadev(cloud, "device", "unpin", "web-1", name, "-f", "json")
    assert [item["label"] for item in result.json] == ["disk vdb"], result.err
    assert novadev(cloud, "device", "unpin", "web-1", "vda", "-f", "json").json[0]["label"] == (
        "disk vda"
    )


def test_pins_of_one_command_are_told_in_the_order_of_their_labels(cloud: Cloud) -> None:
    assert novadev(cloud, "device", "unpin", "web-1").code == 0
    assert novadev(cloud, "device", "pin", "web-1").code == 0
    told = novadev(cloud, "device", "history", "web-1", "-f", "json").json
    pins = [item["label"] for item in told if item["field"] == "pin" and item["after"]]
    assert pins[0] == "disk vdb"
    assert pins[1:] == ["controller scsi 0", "disk vda", "disk vdb", "interface tapa"]
