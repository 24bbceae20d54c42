"""`device record --guest` with the real agent: names that come, go, and come late."""

import sqlite3
from typing import Any

import libvirt
import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.rig import Rig, volume_id
from tests.device.site import record
from tests.guest.micro import MicroGuest

pytestmark = pytest.mark.slow

BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
NO_ANSWER = "1 guest: the guest is not running"
COMPARING = (("drift",), ("list",), ("list", "--changed"), ("list", "--long"))
"""What compares a guest with its record, and stores nothing."""
VOLUME, TARGET = volume_id(9), "vdq"


@pytest.fixture
def rig(sqlite_cloud: Cloud, guest: MicroGuest) -> Rig:
    record(sqlite_cloud, guest.text, vm_state="active")
    return Rig(sqlite_cloud, [guest.host], 20)


def ask(rig: Rig, verb: str, *arguments: str, code: int = 0) -> Any:
    result = rig.novadev("device", verb, "-f", "json", "--all", *arguments)
    assert result.code == code, result.out + result.err
    return result.json


def recorded(rig: Rig) -> dict[str, str | None]:
    """The names in the state database, by the device's label."""
    with sqlite3.connect(rig.cloud.folder / "state.sqlite") as connection:
        query = "SELECT label, logical_name FROM vm_device WHERE type = 'disk' AND is_plugged"
        return dict(connection.execute(query).fetchall())


def shown(rig: Rig, guest: MicroGuest) -> dict[str, str | None]:
    found = rig.show(guest.uuid, "--guest")
    return {label: item["logical_name"] for label, item in found.items() if item["type"] == "disk"}


def plug(rig: Rig, guest: MicroGuest) -> None:
    """Attach the volume, and wait until the guest knows it."""
    rig.attach(guest.domain, domains.disk(TARGET, serial=VOLUME), BOTH)
    serial = VOLUME[:20]
    guest.wait_for(lambda: serial in guest.run("udevadm settle; ls /dev/disk/by-id"), 30)


def unplug(guest: MicroGuest) -> None:
    """Detach it, and wait until the guest has let it go."""
    guest.domain.detachDeviceFlags(domains.disk(TARGET, serial=VOLUME), BOTH)
    guest.wait_for(lambda: f"dev='{TARGET}'" not in guest.domain.XMLDesc(), 30)
    guest.wait_for(lambda: VOLUME[:20] not in guest.run("ls /dev/disk/by-id"), 30)


def test_names_are_recorded_and_part_of_the_hash(rig: Rig, guest: MicroGuest) -> None:
    (without,) = ask(rig, "record")
    assert set(recorded(rig).values()) == {None}
    (named,) = ask(rig, "record", "--guest")
    assert named["changed"] is True
    assert named["hash"] != without["hash"]
    assert recorded(rig) == shown(rig, guest)
    assert ask(rig, "record", "--guest")[0]["changed"] is False
    assert ask(rig, "record")[0]["changed"] is False


def test_no_answer_is_not_an_empty_answer(rig: Rig, guest: MicroGuest) -> None:
    ask(rig, "record", "--guest")
    before = recorded(rig)
    assert None not in before.values()
    guest.domain.suspend()
    try:
        result = rig.novadev("device", "record", "--all", "--guest", "-f", "json")
        assert ask(rig, "drift", "--guest") == []
        others = [rig.novadev("device", *verb, "--all", "--guest") for verb in COMPARING]
    finally:
        guest.domain.resume()
    for other in others:
        assert (other.code, f"note: {NO_ANSWER}" in other.err) == (0, True), other.err
    assert result.json[0]["changed"] is False
    assert "the guest is not running" in result.json[0]["notes"][0]
    assert "1 guest" in result.err
    assert recorded(rig) == before


def test_a_name_that_comes_late_is_a_change(rig: Rig, guest: MicroGuest) -> None:
    rig.cloud.add_volume(guest.uuid, VOLUME, f"/dev/{TARGET}")
    ask(rig, "record", "--guest")
    plug(rig, guest)
    try:
        assert ask(rig, "record")[0]["changed"] is True
        assert recorded(rig)[f"disk {TARGET}"] is None
        (late,) = ask(rig, "drift", "--guest", code=3)
        assert (late["label"], late["field"]) == (f"disk {TARGET}", "logical_name")
        assert late["found"] == shown(rig, guest)[f"disk {TARGET}"]
        assert ask(rig, "record", "--guest")[0]["changed"] is True
        assert recorded(rig)[f"disk {TARGET}"] == late["found"]
    finally:
        unplug(guest)


def test_a_disk_unplugged_and_plugged_in_again_has_its_name(rig: Rig, guest: MicroGuest) -> None:
    """With the hash alone as before, vdsm left it without one (its issue 396)."""
    rig.cloud.add_volume(guest.uuid, VOLUME, f"/dev/{TARGET}")
    plug(rig, guest)
    try:
        (before,) = ask(rig, "record", "--guest")
        unplug(guest)
        plug(rig, guest)
        (after,) = ask(rig, "record", "--guest")
        assert recorded(rig)[f"disk {TARGET}"] == shown(rig, guest)[f"disk {TARGET}"]
        assert recorded(rig)[f"disk {TARGET}"] is not None
        assert before["instance"] == after["instance"]
    finally:
        unplug(guest)
