"""Pinned devices that a restore moves only because they make room: of them it has no row."""

from pathlib import Path

import pytest

from novadev.cli import mutating
from tests.cloud import Cloud
from tests.device.restoring import guest, place, plan, record, restore
from tests.device.site import Site
from tests.device.test_restore_room import NEW, written_anew
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def recorded_anew(site: Site) -> str:
    """Record a guest, then its next definition, in which a new card has taken a place."""
    uuid = site.add(guest())
    record(site, uuid)
    written_anew(site, uuid)
    record(site, uuid)
    return uuid


def pin(site: Site, uuid: str, label: str = NEW) -> str:
    """Pin a device, mostly the new card; the note that it leaves this place comes back."""
    assert site.run("device", "pin", uuid, label).code == 0
    return f"{label} is pinned at {place(site.persistent(uuid), label)} but moves away from it."


def test_an_older_record_moves_a_device_it_has_not_off_its_pin_with_a_word(site: Site) -> None:
    uuid = recorded_anew(site)
    as_of = "--as-of", "1", uuid
    assert "is pinned at" not in plan(site, *as_of)["plans"][0]["note"]
    note = pin(site, uuid)
    assert note in plan(site, *as_of)["plans"][0]["note"]
    restore(site, *as_of)  # what the plan has said is no surprise
    assert NEW not in str(plan(site, *as_of)["plans"])


@pytest.mark.parametrize("is_recorded", [True, False], ids=["by then", "later"])
def test_a_later_pin_of_a_device_that_makes_room(
    site: Site, tmp_path: Path, is_recorded: bool
) -> None:
    """Recorded or not when the plan was made: it goes by the id that a record gives the device."""
    uuid, saved = site.add(guest()), str(tmp_path / "plan")
    record(site, uuid)
    before = written_anew(site, uuid)
    if is_recorded:
        record(site, uuid)
    command = ("device", "restore", uuid, "--plan-out", saved, "--as-of", "1")
    assert site.run(*command[: None if is_recorded else -2]).code == 0
    record(site, uuid)
    pin(site, uuid)
    stale = site.run("apply", saved, "--yes")
    assert stale.code == 7, stale.err
    assert f"{NEW} is pinned at {place(before, NEW)} now" in stale.err
    assert site.persistent(uuid).canonical == before.canonical
    assert site.run("device", "unpin", uuid).code == 0
    assert site.run("apply", saved, "--yes").code == 0


def test_an_undo_names_a_pinned_device_that_had_made_room(site: Site) -> None:
    uuid = recorded_anew(site)
    restore(site, "--as-of", "1", uuid)
    record(site, uuid)
    note = pin(site, uuid)
    (planned,) = site.run("undo", "1", "--dry-run", "-f", "json").json["plans"]
    assert note in planned["note"]
    assert planned["note"].count("is pinned at") == 1
    assert site.run("undo", "1", "--yes").code == 0


@pytest.mark.parametrize("label", [NEW, "disk vda"])
def test_a_pin_that_is_set_while_an_undo_waits_for_its_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    """What nobody has seen when he said yes is not done; the next undo says it in a note."""
    uuid = recorded_anew(site)
    restore(site, "--as-of", "1", uuid)
    record(site, uuid)
    before = site.persistent(uuid)
    with monkeypatch.context() as patched:
        patched.setattr(mutating, "confirm", lambda *_: pin(site, uuid, label))
        stale = site.run("undo", "1")
    assert stale.code == 7, stale.err
    assert f"{label} is pinned at {place(before, label)} now, but the undo moves" in stale.err
    assert "plan again" not in stale.err
    assert site.persistent(uuid).canonical == before.canonical
    undone = site.run("undo", "1", "--yes")
    assert (undone.code, f"{label} is pinned at" in undone.out + undone.err) == (0, True)
    assert site.persistent(uuid).canonical != before.canonical


def test_two_devices_of_one_name_are_told_apart(site: Site) -> None:
    """A restore calls the pinned ones as its plan and its undo do."""
    uuid = recorded_anew(site)
    assert site.run("device", "pin", uuid).code == 0
    (planned,) = plan(site, "--as-of", "1", uuid)["plans"]
    moved = {item["what"].removesuffix(" address") for item in planned["changes"]}
    assert {"rng virtio #2", NEW} <= moved
    told = {text.split(" is pinned at")[0] for text in planned["note"].splitlines()}
    assert moved <= told, planned["note"]
