"""Plans of stash-defaults in files, and what changes between plan and apply."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.image_property.guests import states, stored
from tests.image_property.processes import finish, start
from tests.stash_defaults.stashing import BY_RULES, KVM, Stash

DRIVER = ("--source", "driver")
ABSENT = {"absent": True}


@pytest.fixture
def stash(sqlite_cloud: Cloud) -> Stash:
    return Stash(sqlite_cloud, cmp1=KVM)


def _plan(stash: Stash, *uuids: str, name: str = "plan") -> Path:
    file = stash.cloud.folder / name
    given = ("stash-defaults", *uuids, *DRIVER, "--plan-out", str(file))
    assert novadev(stash.cloud, *given).code == 0
    return file


def _apply(stash: Stash, file: Path) -> Result:
    return novadev(stash.cloud, "apply", str(file), "--yes", "-f", "json")


def test_a_plan_in_a_file_is_applied_and_taken_back(stash: Stash) -> None:
    uuid = stash.add()
    before = stored(stash.cloud, uuid)
    file = _plan(stash, uuid)
    assert stored(stash.cloud, uuid) == before
    assert states(_apply(stash, file).out) == {uuid: "applied"}
    assert stash.stored(uuid) == stash.cloud.spec_properties(uuid) == BY_RULES
    assert states(_apply(stash, file).out) == {uuid: "stale"}
    undo = stash.cloud.folder / "undo"
    assert novadev(stash.cloud, "undo", "1", "--plan-out", str(undo)).code == 0
    assert _apply(stash, undo).code == 0
    assert stored(stash.cloud, uuid) == before
    assert stash.cloud.actions(uuid) == []


def _with(change: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda plan: plan.update(changes=[plan["changes"][0] | change])


def _twice(plan: dict[str, Any]) -> None:
    plan["changes"] *= 2


@pytest.mark.parametrize(
    ("forge", "code", "words"),
    [
        (_with({"before": "q35"}), 6, "hw_machine_type is there, and is never overwritten"),
        (_with({"after": "pc; rm"}), 6, "hw_machine_type cannot become 'pc; rm'"),
        (_with({"after": ABSENT}), 6, "hw_machine_type cannot become"),
        (_with({"what": "hw_disk_bus", "after": "floppy"}), 6, "cannot become 'floppy'"),
        (_with({"what": "hw_video_model", "after": "Virtio"}), 6, "cannot become 'Virtio'"),
        (_with({"what": "hw_rescue_bus", "after": "usb"}), 5, "stash-defaults does not change"),
        (_with({"what": "hw_cpu_cores", "after": "4"}), 5, "stash-defaults does not change"),
        (_with({"what": "root_device_name"}), 5, "stash-defaults does not change"),
        (_with({"what": "block_device_mapping 1 disk_bus"}), 5, "does not change"),
        (_with({"what": "request_spec hw_disk_bus", "after": None}), 6, "cannot become None"),
        (_with({"what": "hw_scsi_model", "after": None}), 6, "cannot become None"),
        (_with({"before": None, "after": None}), 6, "cannot become None"),
        (_twice, 4, "no change, or the same change twice"),
        (lambda plan: plan["changes"].clear(), 4, "no change, or the same change twice"),
        (lambda plan: plan.update(instance="web-1"), 4, "is not an instance"),
        (lambda plan: plan.update(cell=""), 4, "cell"),
        (lambda plan: plan.update(action="image-property set"), None, ""),
    ],
)
def test_a_forged_plan_is_refused(
    stash: Stash, forge: Callable[[dict[str, Any]], None], code: int | None, words: str
) -> None:
    uuid = stash.add()
    before = stored(stash.cloud, uuid)
    file = _plan(stash, uuid)
    _rewrite(file, forge)
    result = _apply(stash, file)
    assert result.code in ((code,) if code else (4, 5, 6)), result.err
    assert words in result.err
    assert stored(stash.cloud, uuid) == before


def _rewrite(file: Path, forge: Callable[[dict[str, Any]], None]) -> None:
    """Change the first plan, and make the sum fit again."""
    head, line, *_ = file.read_text().splitlines()
    draft = json.loads(line)
    forge(draft["plan"])
    body = f"{head}\n{json.dumps(draft)}\n"
    end = {"plans": 1, "sha256": hashlib.sha256(body.encode()).hexdigest()}
    file.write_text(body + json.dumps(end) + "\n")


# Others at work between plan and apply


@pytest.mark.parametrize("value", ["vga", None])
def test_a_value_that_appears_meanwhile_is_not_overwritten(cloud: Cloud, value: str | None) -> None:
    stash = Stash(cloud, cmp1=KVM)
    uuid, other = stash.add(), stash.add()
    file = _plan(stash, uuid, other)
    row = {"key": "image_hw_video_model", "value": value, "deleted": 0}
    cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)
    before = stored(cloud, uuid)
    result = _apply(stash, file)
    assert (result.code, states(result.out)) == (7, {uuid: "stale", other: "applied"})
    assert f"hw_video_model is {value or 'null'} now; the plan expected absent" in result.err
    assert stored(cloud, uuid) == before
    assert stash.stored(other) == BY_RULES


def test_a_value_that_appears_in_the_request_spec(stash: Stash) -> None:
    uuid = stash.add()
    file = _plan(stash, uuid)
    theirs = ("image-property", "set", "--property", "hw_video_model=vga", "--yes", uuid)
    assert novadev(stash.cloud, *theirs).code == 0
    stash.cloud.delete(
        "instance_system_metadata", "cell1", instance_uuid=uuid, key="image_hw_video_model"
    )
    before = stored(stash.cloud, uuid)
    result = _apply(stash, file)
    assert (result.code, states(result.out)) == (7, {uuid: "stale"})
    assert "request_spec hw_video_model is vga now; the plan expected absent" in result.err
    assert stored(stash.cloud, uuid) == before


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"vm_state": "building"}, "it is building now"),
        ({"task_state": "rebooting"}, "it has a task in progress now: rebooting"),
    ],
)
def test_an_instance_that_is_in_transition_meanwhile(
    stash: Stash, columns: dict[str, str], reason: str
) -> None:
    uuid = stash.add()
    file = _plan(stash, uuid)
    stash.cloud.update("instances", "cell1", {"uuid": uuid}, **columns)
    result = _apply(stash, file)
    assert (result.code, states(result.out)) == (7, {uuid: "stale"})
    assert reason in result.err
    assert stash.stored(uuid) == {}


def test_a_guest_that_is_started_meanwhile_is_no_obstacle(stash: Stash) -> None:
    uuid = stash.add()
    file = _plan(stash, uuid)
    stash.cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    assert _apply(stash, file).code == 0
    assert stash.stored(uuid) == BY_RULES


def test_undo_leaves_what_somebody_changed_since(stash: Stash) -> None:
    uuid, other = stash.add(), stash.add()
    stash.run(uuid, other, *DRIVER)
    theirs = ("image-property", "set", "--property", "hw_video_model=vga", "--yes", uuid)
    assert novadev(stash.cloud, *theirs).code == 0
    undone = novadev(stash.cloud, "undo", "1", "--yes")
    assert undone.code == 7
    assert stash.stored(uuid) == {**BY_RULES, "hw_video_model": "vga"}
    assert stash.stored(other) == {}


@pytest.mark.slow
def test_two_writers_race(cloud: Cloud) -> None:
    stash = Stash(cloud, cmp1=KVM)
    uuids = [stash.add() for _ in range(20)]
    ours = _plan(stash, *uuids, name="ours")
    stash.know("cmp1", KVM + "hw_machine_type = x86_64=q35\n")
    theirs = _plan(stash, *uuids, name="theirs")
    novadev(cloud, "history")  # the journal is there
    given = ("--yes", "-f", "json")
    writers = [start(cloud, "apply", str(file), *given) for file in (ours, theirs)]
    ends = [finish(writer) for writer in writers]
    for uuid in uuids:
        found = [end.states[uuid] for end in ends]
        assert sorted(found) == ["applied", "stale"]
        is_ours = found[0] == "applied"
        expected = {"hw_machine_type": "pc" if is_ours else "q35"}
        expected["hw_cdrom_bus"] = "ide" if is_ours else "sata"
        assert stash.stored(uuid) == {**BY_RULES, **expected}
        assert cloud.spec_properties(uuid) == stash.stored(uuid)
