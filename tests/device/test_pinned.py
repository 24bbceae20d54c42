"""Addresses that a record has overwritten, and pinned ones, on a real libvirt."""

import pytest

from tests.cloud import Cloud
from tests.device.restoring import (
    OTHER_TAP,
    TAP,
    guest,
    moves,
    place,
    plan,
    record,
    restore,
    rows,
    swap,
)
from tests.device.site import Site
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def drift(site: Site, *arguments: str) -> dict[str, tuple[str, str]]:
    """What has drifted, by label: the address recorded and the one found."""
    result = site.run("device", "drift", "-f", "json", *arguments)
    found = {item["label"]: (item["recorded"], item["found"]) for item in result.json}
    assert result.code == (3 if found else 0), result.err
    return found


def test_a_record_after_a_drift_loses_no_address(site: Site) -> None:
    uuid, other = site.add(guest()), site.add(guest())
    record(site, uuid)
    before = site.persistent(uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    for number in (2, None):  # the second time there is nothing to write
        made = site.run("device", "record", uuid, other, "-f", "json")
        assert {item["record"] for item in made.json} == {number}
        assert ("This is record 2." in made.err) is (number == 2)
    told = site.run("device", "history", uuid, "-f", "json").json
    assert {item["record"] for item in told} == {1, 2}
    assert (drift(site, uuid), set(drift(site, uuid, "--as-of", "1"))) == (
        {},
        {"disk vda", "disk vdb"},
    )
    (planned,) = plan(site, "--as-of", "1", uuid)["plans"]
    told = "The recorded addresses are those as of record 1, not the newest ones."
    assert told in planned["note"]
    late = restore(site, "--as-of", "1", uuid, other, "-f", "json", code=3).json
    assert [skip["instance"] for skip in late["skipped"]] == [other]
    assert "its first record is record 2" in late["skipped"][0]["reason"]
    assert site.persistent(uuid).canonical == before.canonical
    assert drift(site, uuid, "--as-of", "1") == {}
    assert set(drift(site, uuid)) == {"disk vda", "disk vdb"}


def test_a_pinned_device_is_put_back_after_every_record(site: Site) -> None:
    """The pinned card gets its place from another, which is recorded there since."""
    uuid = site.add(guest())
    record(site, uuid)
    card = site.persistent(uuid).device(TAP)
    pinned = place(site.persistent(uuid), TAP)
    mac = next(row.spec_params["mac"] for row in rows(site, uuid).values() if row.label == TAP)
    assert site.run("device", "pin", uuid, str(mac)).code == 0
    for _ in range(2):
        swap(site, uuid, TAP, OTHER_TAP)
        for _ in range(2):
            result = site.run("device", "record", uuid)
            assert "a pinned device is not where it is pinned" in result.err
        assert set(drift(site, uuid)) == {TAP}
        assert card.address
        assert rows(site, uuid)[TAP].address == card.address.ovirt_text
        assert set(moves(plan(site, uuid))) == {TAP, OTHER_TAP}
        restore(site, uuid)
        assert place(site.persistent(uuid), TAP) == pinned
        record(site, uuid)
        assert drift(site, uuid) == {}
    swap(site, uuid, TAP, OTHER_TAP)
    record(site, uuid)
    audit = site.run("audit", uuid, "--check", "drift", "-f", "json").json
    assert [item["remedy"] for item in audit] == [f"novadev device restore {uuid}"]
    assert site.run("device", "unpin", uuid).code == 0
    record(site, uuid)
    assert drift(site, uuid) == {}
