"""An undo and a saved plan have the notes that the command for the same change has."""

from pathlib import Path
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.command import novadev
from tests.image_property.starts import act, age
from tests.image_property.test_undo import FIRST, server
from tests.image_property.test_unstarted import SET_IDE, SET_SATA, SET_VIRTIO, TO_PC, TO_Q35, apply

STATES: dict[str, dict[str, Any]] = {
    "stopped": {},
    "shelved": {"vm_state": "shelved"},
    "offloaded": {"vm_state": "shelved_offloaded", "host": None},
}
VIF = ("image-property", "set", "--property", "hw_vif_model=virtio")
VIF_BACK = ("image-property", "set", "--property", "hw_vif_model=e1000")
SCSI = ("image-property", "set", "--property", "hw_scsi_model=virtio-scsi", "--force")
NO_SCSI = ("image-property", "unset", "--property", "hw_scsi_model", "--force")
THERE_AND_BACK = {
    "disks": (SET_SATA, SET_VIRTIO),
    "another property": (VIF, VIF_BACK),
    "a property that goes again": (SCSI, NO_SCSI),
    "machine type": (TO_Q35, TO_PC),
}
SNAPSHOT = "77777777-7777-4777-8777-777777777777"
OVERRULED = "forced: "


def notes(cloud: Cloud, *words: str) -> set[str]:
    """The notes of a preview, without what --force has overruled."""
    (plan,) = novadev(cloud, *words, "--dry-run", "-f", "json").json["plans"]
    found = (plan["note"] or "").splitlines()
    return {note for note in found if not note.startswith(OVERRULED)}


def shelvable(cloud: Cloud, state: str) -> str:
    uuid = server(cloud, "virtio", "vd", **STATES[state])
    snapshot = {"instance_uuid": uuid, "key": "shelved_image_id", "value": SNAPSHOT, "deleted": 0}
    cloud.insert("instance_system_metadata", "cell1", **snapshot)
    return uuid


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", THERE_AND_BACK)
def test_an_undo_has_every_note_of_the_command_back(
    sqlite_cloud: Cloud, state: str, change: str
) -> None:
    """Also those of a guest that was not started since the run."""
    there, back = THERE_AND_BACK[change]
    uuid = shelvable(sqlite_cloud, state)
    act(sqlite_cloud, uuid, "create", 60)
    apply(sqlite_cloud, uuid, *there)
    expected = notes(sqlite_cloud, *back, uuid)
    found = notes(sqlite_cloud, "undo", "1")
    if change == "machine type":  # the way back by the command leaves the disks on sata
        expected = {note for note in expected if not note.startswith("if the server has not")}
    assert expected <= found
    assert any(SNAPSHOT in note for note in found) == (state != "stopped")


@pytest.mark.parametrize("state", STATES)
def test_a_saved_plan_has_the_notes_of_what_it_finds(
    sqlite_cloud: Cloud, state: str, tmp_path: Path
) -> None:
    uuid = shelvable(sqlite_cloud, "stopped")
    act(sqlite_cloud, uuid, "create", 60)
    saved = str(tmp_path / "saved.plan")
    assert novadev(sqlite_cloud, *VIF, "--dry-run", "--plan-out", saved, uuid).code == 0
    now = {"vm_state": "stopped", **STATES[state]}
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, **now)
    apply(sqlite_cloud, uuid, *SET_SATA)
    found = novadev(sqlite_cloud, "apply", saved, "--dry-run", "-f", "json").json["plans"][0][
        "note"
    ]
    assert "since run 1, its guest still has what it had before that run, and sees: root " in found
    assert (SNAPSHOT in found) == (state != "stopped")


def test_a_run_before_the_last_start_is_in_the_guest(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud, "virtio", "vd")
    apply(sqlite_cloud, uuid, *SET_SATA)
    age(sqlite_cloud, 1, 30)
    act(sqlite_cloud, uuid, "start", 20)
    assert not [note for note in notes(sqlite_cloud, *VIF, uuid) if "run 1" in note]
    apply(sqlite_cloud, uuid, *VIF)
    apply(sqlite_cloud, uuid, *SET_VIRTIO)
    (note,) = [note for note in notes(sqlite_cloud, *SET_SATA, uuid) if "run " in note]
    assert note == (
        "if the server has not been started since run 2, its guest still has what it had before "
        "that run, and sees: root disk sata sda (stays); volume sdb sata sdb (stays); volume sdc "
        "sata sdc (stays); hw_vif_model e1000 -> virtio"
    )


def test_an_undo_after_the_last_start_is_not_in_the_guest(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud, "virtio", "vd")
    apply(sqlite_cloud, uuid, *VIF)
    age(sqlite_cloud, 1, 30)
    act(sqlite_cloud, uuid, "start", 20)
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    (note,) = [note for note in notes(sqlite_cloud, *SET_SATA, uuid) if "run " in note]
    assert note.endswith(
        "since run 2, its guest still has what it had before that run, and sees: "
        "hw_vif_model virtio -> e1000"
    )


UNCERTAIN: dict[str, list[tuple[str, int, str | None]]] = {
    "a start that failed": [("start", 20, "Error")],
    "a start that did not end": [("start", 20, None)],
    "an unshelve": [("unshelve", 20, "Success")],
    "a resize": [("resize", 20, "Success")],
    "a reboot after a rescue": [("unrescue", 22, "Success"), ("reboot", 20, "Success")],
    "a run within a minute": [("start", 30, "Success")],
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_what_a_guest_has_is_not_guessed(sqlite_cloud: Cloud, case: str) -> None:
    uuid = server(sqlite_cloud, "virtio", "vd")
    act(sqlite_cloud, uuid, "create", 60)
    apply(sqlite_cloud, uuid, *SET_SATA)
    age(sqlite_cloud, 1, 30)
    for action in UNCERTAIN[case]:
        act(sqlite_cloud, uuid, *action)
    for words in ((*VIF, uuid), ("undo", "1")):
        (note,) = [note for note in notes(sqlite_cloud, *words) if "run 1" in note]
        assert note.startswith("run 1 changed what is stored, and it is not certain")
        assert "if the server has not been started" not in note


@pytest.mark.parametrize("action", ["start", "reboot", "rebuild", "restore", "evacuate"])
def test_what_starts_a_guest_anew(sqlite_cloud: Cloud, action: str) -> None:
    uuid = server(sqlite_cloud, "virtio", "vd")
    act(sqlite_cloud, uuid, "create", 60)
    apply(sqlite_cloud, uuid, *SET_SATA)
    age(sqlite_cloud, 1, 30)
    assert [note for note in notes(sqlite_cloud, *VIF, uuid) if "run 1" in note]
    act(sqlite_cloud, uuid, action, 20)
    assert not [note for note in notes(sqlite_cloud, *VIF, uuid) if "run 1" in note]


@pytest.mark.parametrize("is_started", [True, False])
def test_a_name_that_only_the_definition_has(sqlite_cloud: Cloud, is_started: bool) -> None:
    """IDE has no name for the sixth disk; on the way back it keeps the letter that it has got."""
    uuid = server(sqlite_cloud, "virtio", "vd")
    act(sqlite_cloud, uuid, "create", 60)
    where = {"instance_uuid": uuid, "volume_id": FIRST}
    sqlite_cloud.update("block_device_mapping", "cell1", where, device_name="/dev/vdf")
    apply(sqlite_cloud, uuid, *SET_IDE)
    age(sqlite_cloud, 1, 30)
    if is_started:
        act(sqlite_cloud, uuid, "start", 20)
    found = notes(sqlite_cloud, *SET_VIRTIO, uuid)
    expected = "a name that the server's definition may still have (vdf)"
    assert any(note.endswith(expected) for note in found) == (not is_started)
