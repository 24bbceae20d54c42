"""A start in flight: Nova has read a server before novadev commits, and starts it afterwards."""

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from novadev.cli import actions
from novadev.deployment import Deployment
from novadev.runs import carry_out
from novadev.runs.second_look import SecondLook
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.image_property.guests import TO_SCSI, add_guest, on_scsi, stored
from tests.nova_process import NovaProcess

SET = ("image-property", "set", *TO_SCSI)
E1000 = ("image-property", "set", "--property", "hw_vif_model=e1000")
DELAY = 7


class Meanwhile:
    """What happens while a run waits: time passes, and somebody else is at work."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks: list[float] = []
        self.happens: Callable[[], Any] = lambda: None

    def sleep(self, seconds: float) -> None:
        """Let time pass; what happens does so once."""
        self.now += seconds
        happens, self.happens = self.happens, lambda: None
        happens()

    def of(self, look: SecondLook) -> SecondLook:
        """The same look in this time."""

        def noted(*written: Any) -> Any:
            self.looks.append(self.now)
            return look.look(*written)

        return replace(look, look=noted, delay=DELAY, clock=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """The wait of a run, in a time of its own."""
    made, real = Meanwhile(), actions.second_look

    def second_look(deployment: Deployment) -> SecondLook:
        return made.of(real(deployment))

    monkeypatch.setattr(actions, "second_look", second_look)
    return made


def becomes(cloud: Cloud, uuid: str, **fields: Any) -> Callable[[], int]:
    """What Nova writes into the row of the instance."""
    return lambda: cloud.update("instances", cloud.cell_of(uuid), {"uuid": uuid}, **fields)


def started(cloud: Cloud, meanwhile: Meanwhile, uuid: str, *command: str) -> Result:
    """Run a command in whose wait Nova starts the server."""
    meanwhile.happens = becomes(cloud, uuid, task_state="powering-on")
    result = novadev(cloud, *command, "--yes", "-f", "json")
    becomes(cloud, uuid, task_state=None)()
    return result


def test_every_command_that_stores_properties_sees_it(
    sqlite_cloud: Cloud, meanwhile: Meanwhile
) -> None:
    cloud, uuid = sqlite_cloud, add_guest(sqlite_cloud)
    file = str(cloud.folder / "saved.plan")
    assert novadev(cloud, *E1000, uuid, "--plan-out", file).code == 0
    for command, old in (
        (("apply", file), "no hw_vif_model"),
        (("undo", "1"), "hw_vif_model=e1000"),
        ((*SET, uuid), "hw_disk_bus=virtio, no hw_scsi_model), but with its disks as they are"),
        (("image-property", "unset", "--property", "hw_scsi_model", "--force", uuid), "hw_scsi"),
        (("machine-type", "set", "q35", "--force", uuid), "no hw_machine_type"),
        (("stash-defaults", "--source", "driver", "--assume-config", _kvm(cloud), uuid), "no hw_"),
    ):
        result = started(cloud, meanwhile, uuid, *command)
        (plan,) = result.json["plans"]
        assert (result.code, plan["state"]) == (7, "applied"), result.err
        assert "Nova was starting it" in plan["error"]
        assert "its task is powering-on" in plan["error"]
        assert old in plan["error"]
        assert plan["error"].endswith(f"openstack server reboot --hard {uuid}")
        run = str(result.json["run"])
        assert {item["error"] for item in novadev(cloud, "history", run, "-f", "json").json} == {
            plan["error"]
        }
        assert "applied: instance web-1" in result.err


def _kvm(cloud: Cloud) -> str:
    path = cloud.folder / "kvm.conf"
    path.write_text("[libvirt]\nvirt_type = kvm\n")
    return str(path)


def test_a_resumed_run_sees_it(
    sqlite_cloud: Cloud, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry_out, "BATCH", 1)
    cloud, uuids = sqlite_cloud, [add_guest(sqlite_cloud, name=f"web-{n}") for n in range(3)]
    file = str(cloud.folder / "saved.plan")
    assert novadev(cloud, *E1000, *uuids, "--plan-out", file).code == 0
    becomes(cloud, uuids[0], vm_state="active")()
    assert novadev(cloud, "apply", file, "--yes", "--max-failures", "0").code == 7
    result = started(cloud, meanwhile, uuids[2], "resume")
    assert [bool(plan["error"]) for plan in result.json["plans"]] == [False, True]
    assert result.code == 7


class Killed(BaseException):
    """What ends a process without a word of its own."""


def kill(*_: Any) -> None:
    """End the process that runs novadev."""
    raise Killed


def run_until_killed(cloud: Cloud, *uuids: str) -> None:
    """Run a command that is killed; its servers run afterwards, but for the last one."""
    with pytest.raises(Killed):
        novadev(cloud, *E1000, *uuids, "--yes")
    with closing(sqlite3.connect(cloud.folder / "state.sqlite")) as connection:
        connection.execute("UPDATE runs SET pid_started = 'before'")  # this process lives on
        connection.commit()
    for uuid in uuids[:-1]:
        becomes(cloud, uuid, vm_state="active")()


def test_resume_looks_at_what_was_written_and_never_looked_at(
    sqlite_cloud: Cloud, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the journal knows that a cell was written, or the cell alone does."""
    cloud, uuids = sqlite_cloud, [add_guest(sqlite_cloud, name=f"web-{n}") for n in range(2)]
    meanwhile.happens = kill
    run_until_killed(cloud, *uuids)
    (run,) = novadev(cloud, "history", "-f", "json").json
    assert (run["state"], run["applied"]) == ("interrupted", 2)
    preview = novadev(cloud, "resume", "--dry-run")
    assert "2 servers are still to be checked: without --dry-run, resume looks " in preview.err
    assert novadev(cloud, "resume", "--dry-run", "-f", "json").json["result"] == "planned"
    _assert_looked(cloud, uuids)
    (run,) = novadev(cloud, "history", "-f", "json").json
    assert run["state"] == "applied"
    assert novadev(cloud, "undo", "1", "--yes").code == 7  # one of them runs
    assert novadev(cloud, "resume", "--yes").err.endswith("There is no run to resume.\n")

    others = [add_guest(sqlite_cloud, name=f"db-{n}") for n in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr(carry_out.Journal, "mark", kill)
        run_until_killed(cloud, *others)
    _assert_looked(cloud, others)


def _assert_looked(cloud: Cloud, uuids: list[str]) -> None:
    result = novadev(cloud, "resume", "--yes", "-f", "json")
    assert result.code == 7, result.err
    errors = {plan["instance"]: plan["error"] for plan in result.json["plans"]}
    assert "or has started it since (it is active now)" in errors[uuids[0]]
    assert errors[uuids[1]] is None
    assert {plan["state"] for plan in result.json["plans"]} == {"applied"}


def stored_again(cloud: Cloud, uuid: str, **old: str | None) -> Callable[[], None]:
    """Nova stores these properties as it had read them; None takes one out."""

    def store() -> None:
        name = cloud.cell_of(uuid)
        for key, value in old.items():
            where = {"instance_uuid": uuid, "key": f"image_{key}"}
            if value is None:
                cloud.delete("instance_system_metadata", name, **where)
            else:
                cloud.update("instance_system_metadata", name, where, value=value)

    return store


OLD = {"hw_disk_bus": "virtio", "hw_scsi_model": None}


@pytest.mark.parametrize("way", ["resume", "undo"])
def test_old_values_that_nova_stores_again_are_seen(
    sqlite_cloud: Cloud, meanwhile: Meanwhile, way: str
) -> None:
    """It read them before novadev's write, for a request that is no task: `lock --reason`."""
    cloud, uuid = sqlite_cloud, add_guest(sqlite_cloud)
    before = stored(cloud, uuid)
    meanwhile.happens = stored_again(cloud, uuid, **OLD)
    result = novadev(cloud, *SET, uuid, "--yes", "-f", "json")
    (plan,) = result.json["plans"]
    assert (result.code, plan["state"]) == (7, "half"), result.err
    assert "hw_disk_bus=virtio, no hw_scsi_model is stored again, but its disks" in plan["error"]
    assert "(novadev resume) or take all of it back (novadev undo)" in plan["error"]
    assert novadev(cloud, "history", "1", "-f", "json").json[0]["state"] == "half"
    assert novadev(cloud, way, "1", "--yes").code == 0
    assert stored(cloud, uuid) == (before if way == "undo" else on_scsi(before))
    state = "applied" if way == "resume" else "undone"
    assert novadev(cloud, "history", "1", "-f", "json").json[0]["state"] == state


@pytest.mark.slow
def test_a_lock_of_the_real_nova_stores_old_values_again(
    sqlite_cloud: Cloud, meanwhile: Meanwhile, nova: Callable[[Cloud], NovaProcess]
) -> None:
    cloud, uuid = sqlite_cloud, add_guest(sqlite_cloud)
    before, process = stored(cloud, uuid), nova(cloud)
    process.call("hold_instance", uuid=uuid)
    meanwhile.happens = lambda: process.call("lock_held", uuid=uuid, reason="maintenance")
    result = novadev(cloud, *SET, uuid, "--yes", "-f", "json")
    assert (result.code, result.json["plans"][0]["state"]) == (7, "half")
    assert cloud.system_metadata(uuid)["image_hw_disk_bus"] == "virtio"
    assert novadev(cloud, "resume", "1", "--yes").code == 0
    after = stored(cloud, uuid)
    assert after.cell["disks"] == on_scsi(before).cell["disks"]
    assert cloud.system_metadata(uuid)["image_hw_scsi_model"] == "virtio-scsi"
    assert cloud.system_metadata(uuid)["locked_reason"] == "maintenance"


def test_an_undo_that_nova_overwrites_is_half_and_can_be_finished(
    sqlite_cloud: Cloud, meanwhile: Meanwhile
) -> None:
    cloud, uuid = sqlite_cloud, add_guest(sqlite_cloud)
    before = stored(cloud, uuid)
    assert novadev(cloud, *E1000, uuid, "--yes").code == 0
    value = {"key": "image_hw_vif_model", "value": "e1000", "deleted": 0}

    def again() -> None:
        name = cloud.cell_of(uuid)
        cloud.insert("instance_system_metadata", name, instance_uuid=uuid, **value)

    meanwhile.happens = again
    result = novadev(cloud, "undo", "1", "--yes", "-f", "json")
    assert (result.code, result.json["plans"][0]["state"]) == (7, "half"), result.err
    states = [novadev(cloud, "history", run, "-f", "json").json[0]["state"] for run in "12"]
    assert states == ["half", "half"]
    assert "novadev resume 2" in novadev(cloud, "undo", "1", "--yes").err
    assert novadev(cloud, "resume", "2", "--yes").code == 0
    states = [novadev(cloud, "history", run, "-f", "json").json[0]["state"] for run in "12"]
    assert states == ["undone", "applied"]
    assert stored(cloud, uuid).spec == before.spec
    assert "image_hw_vif_model" not in cloud.system_metadata(uuid)


def test_old_values_that_a_resumed_run_finds_are_somebody_elses_perhaps(
    sqlite_cloud: Cloud, meanwhile: Meanwhile
) -> None:
    """A process was killed before its look; since then anybody may have stored them."""
    cloud, uuids = sqlite_cloud, [add_guest(sqlite_cloud, name=f"web-{n}") for n in range(2)]
    meanwhile.happens = kill
    run_until_killed(cloud, *uuids)
    becomes(cloud, uuids[0], vm_state="stopped")()
    stored_again(cloud, uuids[0], hw_vif_model=None)()
    result = novadev(cloud, "resume", "--yes", "-f", "json")
    (plan,) = [plan for plan in result.json["plans"] if plan["instance"] == uuids[0]]
    assert (result.code, plan["state"]) == (7, "applied")
    assert "no hw_vif_model is stored again. Nova or somebody else" in plan["error"]
    assert "image_hw_vif_model" not in cloud.system_metadata(uuids[0])


def test_old_values_that_come_back_once_more_leave_it_half(
    sqlite_cloud: Cloud, meanwhile: Meanwhile
) -> None:
    """As at the end of a long task: what resume has written is looked at like any other."""
    cloud, uuid = sqlite_cloud, add_guest(sqlite_cloud)
    before = stored(cloud, uuid)
    meanwhile.happens = stored_again(cloud, uuid, **OLD)
    assert novadev(cloud, *SET, uuid, "--yes").code == 7
    meanwhile.happens = stored_again(cloud, uuid, **OLD)
    result = novadev(cloud, "resume", "1", "--yes", "-f", "json")
    assert (result.code, result.json["plans"][0]["state"]) == (7, "half")
    assert novadev(cloud, "undo", "1", "--yes").code == 0
    assert stored(cloud, uuid) == before


def test_what_another_run_has_stored_meanwhile_is_no_work_of_novas(
    sqlite_cloud: Cloud, meanwhile: Meanwhile
) -> None:
    cloud, uuid = sqlite_cloud, add_guest(sqlite_cloud, hw_vif_model="virtio")
    back = ("image-property", "set", "--property", "hw_vif_model=virtio", uuid, "--yes")
    meanwhile.happens = lambda: novadev(cloud, *back)
    result = novadev(cloud, *E1000, uuid, "--yes", "-f", "json")
    assert (result.code, result.json["plans"][0]["state"]) == (0, "applied"), result.err
    assert result.json["plans"][0]["error"] is None
    runs = novadev(cloud, "history", "-f", "json").json
    assert {run["state"] for run in runs} == {"applied"}


def test_the_properties_of_a_rebuild_are_those_of_its_image(
    sqlite_cloud: Cloud, meanwhile: Meanwhile
) -> None:
    cloud, uuid = sqlite_cloud, add_guest(sqlite_cloud)

    def rebuild() -> None:
        stored_again(cloud, uuid, **OLD)()
        becomes(cloud, uuid, task_state="rebuilding")()

    meanwhile.happens = rebuild
    result = novadev(cloud, *SET, uuid, "--yes", "-f", "json")
    (plan,) = result.json["plans"]
    assert (result.code, plan["state"]) == (7, "applied")
    assert "A rebuild stores the properties of its image" in plan["error"]


def test_an_undo_of_an_undo_that_nova_overwrites_ends_where_it_began(
    sqlite_cloud: Cloud, meanwhile: Meanwhile
) -> None:
    cloud, uuid = sqlite_cloud, add_guest(sqlite_cloud)
    assert novadev(cloud, *SET, uuid, "--yes").code == 0
    whole = stored(cloud, uuid)
    assert novadev(cloud, "undo", "1", "--yes").code == 0
    meanwhile.happens = stored_again(cloud, uuid, **OLD)
    assert novadev(cloud, "undo", "2", "--yes").code == 7
    assert novadev(cloud, "resume", "3", "--yes").code == 0
    states = [novadev(cloud, "history", run, "-f", "json").json[0]["state"] for run in "123"]
    assert states == ["applied", "undone", "applied"]
    assert stored(cloud, uuid) == whole


REBOOT = "openstack server reboot --hard"


@pytest.mark.parametrize(
    ("fields", "said", "way"),
    [
        ({"task_state": "powering-on"}, "was starting it", REBOOT),
        ({"task_state": "rescuing"}, "may store that again", f"unrescue; then {REBOOT}"),
        ({"vm_state": "rescued"}, "was starting it", f"unrescue; then {REBOOT}"),
        ({"task_state": "resize_prep"}, "may store that again", f"resize revert; then {REBOOT}"),
        ({"vm_state": "resized"}, "was starting it", f"resize revert; then {REBOOT}"),
        ({"task_state": "shelving"}, "Its snapshot may have", f"unshelve; then {REBOOT}"),
        ({"task_state": "shelving_image_uploading"}, "was shelving it", REBOOT),
        ({"task_state": "unshelving"}, "may store that again", REBOOT),
        ({"task_state": "rebuild_spawning"}, "properties of its image", "image-property list"),
        ({"vm_state": "paused"}, "was starting it", REBOOT),
        ({"vm_state": "error"}, "was starting it", REBOOT),
        ({"task_state": "powering-on", "vm_state": "shelved"}, "may store that again", REBOOT),
    ],
)
def test_what_mends_it_is_what_nova_takes_then(
    sqlite_cloud: Cloud, meanwhile: Meanwhile, fields: dict[str, Any], said: str, way: str
) -> None:
    """A hard reboot of a rescued, resized or shelved server would be refused."""
    uuid = add_guest(sqlite_cloud)
    meanwhile.happens = becomes(sqlite_cloud, uuid, **fields)
    result = novadev(sqlite_cloud, *E1000, uuid, "--yes", "-f", "json")
    (plan,) = result.json["plans"]
    assert result.code == 7
    assert said in plan["error"]
    assert plan["error"].endswith(f"{way} {uuid}")


def test_a_request_spec_that_a_resize_has_read(sqlite_cloud: Cloud, meanwhile: Meanwhile) -> None:
    cloud = sqlite_cloud
    uuid = cloud.add_instance(hw_disk_bus="scsi", vm_state="active", spec_properties={})
    meanwhile.happens = becomes(cloud, uuid, task_state="resize_prep")
    result = novadev(cloud, "image-property", "sync", uuid, "--yes", "-f", "json")
    assert result.code == 7
    assert "run the same command once more" in result.json["plans"][0]["error"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"vm_state": "active"}, 7),
        ({"vm_state": "error"}, 7),
        ({"vm_state": "resized"}, 7),
        ({"task_state": "unshelving"}, 7),
        ({"task_state": "a_task_of_the_future"}, 7),
        ({"task_state": "deleting"}, 0),
        ({"task_state": "image_snapshot"}, 0),
        ({"task_state": "shelving"}, 7),
        ({"task_state": "shelving_offloading", "vm_state": "shelved"}, 0),
        ({"vm_state": "shelved_offloaded"}, 0),
        ({"vm_state": "soft-delete"}, 0),
        ({"vm_state": "deleted", "deleted": 1}, 0),
        ({}, 0),
    ],
)
def test_what_counts_as_a_start(
    sqlite_cloud: Cloud, meanwhile: Meanwhile, fields: dict[str, Any], code: int
) -> None:
    uuid = add_guest(sqlite_cloud)
    if fields:
        meanwhile.happens = becomes(sqlite_cloud, uuid, **fields)
    result = novadev(sqlite_cloud, *E1000, uuid, "--yes")
    assert result.code == code, result.err
    assert (f"({uuid}): Nova was " in result.err) is bool(code)
    assert "Run 1: applied (1 applied)" in result.err


def test_a_server_that_ran_before_was_not_started(
    sqlite_cloud: Cloud, meanwhile: Meanwhile
) -> None:
    uuid = add_guest(sqlite_cloud, vm_state="active", spec_properties={})
    assert novadev(sqlite_cloud, "image-property", "sync", uuid, "--yes").code == 0
    assert len(meanwhile.looks) == 1


def test_one_look_a_batch_and_one_wait_a_run(
    sqlite_cloud: Cloud, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is looked at once; only the last one makes the run wait."""
    monkeypatch.setattr(carry_out, "BATCH", 2)
    uuids = sqlite_cloud.add_instances(6)
    real = carry_out.Waiting.add

    def add(waiting: carry_out.Waiting, *batch: Any, **more: Any) -> None:
        real(waiting, *batch, **more)
        meanwhile.now += 4  # what the next batch takes

    monkeypatch.setattr(carry_out.Waiting, "add", add)
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    assert meanwhile.looks == pytest.approx([8, 12, 15])


def test_nothing_waits_for_what_no_start_reads(sqlite_cloud: Cloud, meanwhile: Meanwhile) -> None:
    uuid = add_guest(sqlite_cloud)
    file = str(sqlite_cloud.folder / "saved.plan")
    assert novadev(sqlite_cloud, *E1000, uuid, "--plan-out", file).code == 0
    becomes(sqlite_cloud, uuid, vm_state="active")()
    assert novadev(sqlite_cloud, "apply", file, "--yes").code == 7
    assert (meanwhile.now, meanwhile.looks) == (0, [])


def test_a_cell_that_answers_no_more(sqlite_cloud: Cloud, meanwhile: Meanwhile) -> None:
    uuid = add_guest(sqlite_cloud)

    def lost() -> None:
        with sqlite_cloud.engine("cell1").begin() as connection:
            connection.exec_driver_sql("ALTER TABLE instances RENAME TO gone")

    meanwhile.happens = lost
    result = novadev(sqlite_cloud, *E1000, uuid, "--yes", "-f", "json")
    (plan,) = result.json["plans"]
    assert plan["state"] == "applied"
    assert "could not check whether Nova was starting it" in plan["error"]
    assert result.code not in (0, 7)
    assert sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"] == "e1000"


def test_ctrl_c_ends_the_wait(sqlite_cloud: Cloud, meanwhile: Meanwhile) -> None:
    uuid = add_guest(sqlite_cloud)
    meanwhile.happens = _interrupt
    result = novadev(sqlite_cloud, *E1000, uuid, "--yes")
    assert result.code == 0, result.err
    assert meanwhile.now < 1
    assert len(meanwhile.looks) == 1


def _interrupt() -> None:
    signal.raise_signal(signal.SIGINT)
