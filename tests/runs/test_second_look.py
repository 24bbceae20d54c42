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
from tests.image_property.guests import TO_SCSI, add_guest

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
    assert ("Nova was starting it" in result.err) is bool(code)
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
