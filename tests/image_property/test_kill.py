"""Kill -9 at any moment: each database is as before or as planned, and the job can be finished.

Every event of a run (killed.py) is the last one once, until a run survives.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from novadev.errors import NotAsNeeded
from novadev.runs.journal import Journal
from novadev.state.store import open_state
from tests.cloud import Cloud
from tests.command import novadev
from tests.image_property.guests import (
    SET_SCSI,
    Stored,
    add_guest,
    on_scsi,
    stored,
    with_properties,
)
from tests.image_property.killed import End, Killer
from tests.mortal import MORTAL
from tests.state.places import empty, journal_on_mariadb

pytestmark = pytest.mark.slow
Snapshot = dict[str, Stored]


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[Killer]:
    made = Killer(tmp_path)
    yield made
    made.close()


@dataclass(frozen=True)
class Job:
    """A command to kill, what is stored before it and after, and the newest run there was."""

    arguments: tuple[str, ...]
    before: Snapshot
    planned: Snapshot
    last: int = 0


@dataclass(frozen=True)
class Trial(Job):
    """A job that was killed at event `at`: who is written in the cell, whether it was begun."""

    at: int = 0
    end: End | None = None
    landed: frozenset[str] = frozenset()
    is_begun: bool = False
    run: str = ""
    actions: Mapping[str, int] = field(default_factory=dict)


@pytest.mark.parametrize("journal", ["sqlite", "mariadb"])
def test_set(mariadb_cloud: Cloud, killer: Killer, journal: str) -> None:
    def job(cloud: Cloud) -> Job:
        uuids, before, planned = _guests(cloud)
        return Job((*SET_SCSI, *uuids), before, planned, _newest(cloud)["run"])

    place = journal_on_mariadb if journal == "mariadb" else nullcontext
    with place(mariadb_cloud):
        assert _finish_everywhere(mariadb_cloud, killer, job) > 50


def test_undo(mariadb_cloud: Cloud, killer: Killer) -> None:
    def job(cloud: Cloud) -> Job:
        uuids, before, planned = _guests(cloud)
        assert novadev(cloud, *SET_SCSI, *uuids).code == 0
        run = _newest(cloud)["run"]
        return Job(("undo", str(run), "--yes"), planned, before, run)

    assert _finish_everywhere(mariadb_cloud, killer, job) > 50


def test_resume(mariadb_cloud: Cloud, killer: Killer) -> None:
    """A resume is killed as well, and another finishes the run all the same."""

    def job(cloud: Cloud) -> Job:
        uuids, before, planned = _guests(cloud)
        _kill_between_the_databases(cloud, killer, uuids)
        return Job(("resume", "--yes"), before, planned)

    for trial in _trials(mariadb_cloud, killer, job):
        assert trial.is_begun
        _finish_by_resume(mariadb_cloud, trial)
        assert _actions(mariadb_cloud, trial.before) == dict.fromkeys(trial.before, 1), trial.at
    assert trial.at > 50


def test_a_change_of_the_request_spec_alone(mariadb_cloud: Cloud, killer: Killer) -> None:
    """Of the cell's half only the action is written: after a kill between the two, once more."""
    asked = ("image-property", "set", "--property", "hw_vif_model=e1000", "--yes")

    def job(cloud: Cloud) -> Job:
        uuids = [cloud.add_instance(hw_vif_model="e1000", spec_properties={}) for _ in range(2)]
        before = {uuid: stored(cloud, uuid) for uuid in uuids}
        planned = {uuid: with_properties(before[uuid], hw_vif_model="e1000") for uuid in uuids}
        return Job((*asked, *uuids), before, planned, _newest(cloud)["run"])

    for trial in _trials(mariadb_cloud, killer, job):
        _finish_by_resume(mariadb_cloud, trial)
        allowed = ({1}, {2}) if trial.is_begun else ({0},)
        assert set(_actions(mariadb_cloud, trial.before).values()) in allowed, trial.at
    assert trial.at > 50


@pytest.mark.parametrize("backend", ["sqlite", "mariadb"])
def test_making_the_journal(
    make_cloud: Callable[[str, str], Cloud], killer: Killer, backend: str
) -> None:
    cloud = make_cloud(backend, "34")
    place = journal_on_mariadb if backend == "mariadb" else nullcontext
    with place(cloud):
        for at in count(1):
            end = killer.run(at, cloud.config_file, "history")
            after = novadev(cloud, "history", "-f", "json")
            assert (after.code, after.out.strip()) == (0, "[]"), f"{at}: {after.err}"
            if not end.was_killed:
                break
            _remove_journal(cloud)
    assert at > 10


def test_a_run_that_is_alive_is_left_alone(mariadb_cloud: Cloud) -> None:
    uuid = add_guest(mariadb_cloud)
    with _locked(mariadb_cloud, uuid), _started(mariadb_cloud, *SET_SCSI, uuid) as process:
        run = _wait_for_run(mariadb_cloud)
        refused = [novadev(mariadb_cloud, name, run, "--yes") for name in ("resume", "undo")]
        nothing = novadev(mariadb_cloud, "resume", "--yes")
    host = os.uname().nodename
    text = f"Error: run {run} is being carried out by process {process.pid} on {host}"
    assert [(result.code, result.err.strip()) for result in refused] == [(3, text)] * 2
    assert nothing.code == 0
    assert process.wait(timeout=30) == 0
    assert mariadb_cloud.system_metadata(uuid)["image_hw_disk_bus"] == "scsi"


def test_a_killed_run_nobody_has_waited_for_is_dead(mariadb_cloud: Cloud) -> None:
    """Its process is a zombie: a container's first process may never wait for it."""
    uuid = add_guest(mariadb_cloud)
    with _locked(mariadb_cloud, uuid), _started(mariadb_cloud, *SET_SCSI, uuid) as process:
        _wait_for_run(mariadb_cloud)
        process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    resumed = novadev(mariadb_cloud, "resume", "--yes")
    assert process.wait() == -9
    assert resumed.code == 0
    assert mariadb_cloud.system_metadata(uuid)["image_hw_disk_bus"] == "scsi"


def test_only_one_takes_over(mariadb_cloud: Cloud, killer: Killer) -> None:
    """Both have seen that the run's process is dead."""
    _kill_between_the_databases(mariadb_cloud, killer, _guests(mariadb_cloud)[0])
    database = open_state(f"sqlite:///{mariadb_cloud.folder}/state.sqlite")
    ours, theirs = (Journal(database).get(1) for _ in range(2))
    Journal(database).take_over(ours)
    with pytest.raises(NotAsNeeded, match="is being carried out by process"):
        Journal(database).take_over(theirs)
    database.close()


def test_resume_finishes_the_request_spec_of_a_started_guest(
    mariadb_cloud: Cloud, killer: Killer
) -> None:
    uuids, _, planned = _guests(mariadb_cloud)
    half = _kill_between_the_databases(mariadb_cloud, killer, uuids)
    mariadb_cloud.update("instances", "cell1", {"uuid": half}, vm_state="active")
    resumed = novadev(mariadb_cloud, "resume", "--yes")
    assert resumed.code == 7, "it may have been started with the old values"
    assert f"openstack server reboot --hard {half}" in resumed.err
    assert stored(mariadb_cloud, half).spec == planned[half].spec


def test_resume_says_what_is_done_of_a_request_spec_that_changed(
    mariadb_cloud: Cloud, killer: Killer
) -> None:
    """It is half written, which undo takes back: what somebody else wrote is left."""
    uuids, before, planned = _guests(mariadb_cloud)
    half = _kill_between_the_databases(mariadb_cloud, killer, uuids)
    text = mariadb_cloud.rows("request_specs", "api", instance_uuid=half)[0]["spec"]
    text = text.replace('"hw_disk_bus": "virtio"', '"hw_disk_bus": "sata"')
    mariadb_cloud.update("request_specs", "api", {"instance_uuid": half}, spec=text)
    resumed = novadev(mariadb_cloud, "resume", "--yes")
    assert resumed.code == 7
    reason = (
        "request_spec hw_disk_bus is sata now; the plan expected virtio; its cell is as planned"
    )
    assert f"half: instance web-1 ({half}): {reason}" in resumed.err
    assert stored(mariadb_cloud, half).cell == planned[half].cell
    assert mariadb_cloud.spec_properties(half) == {"hw_disk_bus": "sata"}
    assert stored(mariadb_cloud, uuids[2]) == planned[uuids[2]]
    run = _newest(mariadb_cloud)
    assert (run["state"], run["half"], run["applied"]) == ("partial", 1, 2)
    undone = novadev(mariadb_cloud, "undo", str(run["run"]), "--yes")
    assert undone.code == 0
    assert f"({half}): request_spec hw_disk_bus is sata" in undone.err
    assert stored(mariadb_cloud, half).cell == before[half].cell
    assert mariadb_cloud.spec_properties(half) == {"hw_disk_bus": "sata"}


def test_undo_leaves_a_started_guest_alone(mariadb_cloud: Cloud, killer: Killer) -> None:
    uuids, before, _ = _guests(mariadb_cloud)
    half = _kill_between_the_databases(mariadb_cloud, killer, uuids)
    mariadb_cloud.update("instances", "cell1", {"uuid": half}, vm_state="active")
    there = stored(mariadb_cloud, half)
    undone = novadev(mariadb_cloud, "undo", str(_newest(mariadb_cloud)["run"]), "--yes")
    assert undone.code == 7
    assert f"stale: instance web-1 ({half}): it is active now" in undone.err
    assert stored(mariadb_cloud, half) == there
    assert stored(mariadb_cloud, uuids[2]) == before[uuids[2]]


# What the above share


def _guests(cloud: Cloud) -> tuple[list[str], Snapshot, Snapshot]:
    """Three guests in two cells: their UUIDs, what is stored, and what SET_SCSI makes of it."""
    uuids = [add_guest(cloud, cell=cell) for cell in ("cell1", "cell1", "cell2")]
    before = {uuid: stored(cloud, uuid) for uuid in uuids}
    return uuids, before, {uuid: on_scsi(before[uuid]) for uuid in uuids}


def _kill_between_the_databases(cloud: Cloud, killer: Killer, uuids: list[str]) -> str:
    """Kill SET_SCSI when the first cell is written; the UUID of a guest in it is given."""
    end = killer.run("UPDATE request_specs", cloud.config_file, *SET_SCSI, *uuids)
    assert end.was_killed
    assert cloud.system_metadata(uuids[0])["image_hw_disk_bus"] == "scsi"
    assert cloud.spec_properties(uuids[0]) == {"hw_disk_bus": "virtio"}
    return uuids[0]


def _finish_everywhere(cloud: Cloud, killer: Killer, job: Callable[[Cloud], Job]) -> int:
    """Kill a job at each of its events; finish it by resume and undo by turns; count the events."""
    novadev(cloud, "history")
    for trial in _trials(cloud, killer, job):
        if trial.at % 2 or not trial.is_begun:
            _finish_by_resume(cloud, trial)
            once = dict.fromkeys(trial.before, int(trial.is_begun))
            assert _more_actions(cloud, trial) == once, trial.at
        else:
            _finish_by_undo(cloud, trial)
    return trial.at


def _trials(cloud: Cloud, killer: Killer, job: Callable[[Cloud], Job]) -> Iterator[Trial]:
    """Kill a new job at each event until one survives; in between the caller finishes it."""
    for at in count(1):
        given = job(cloud)
        actions = _actions(cloud, given.before)
        end = killer.run(at, cloud.config_file, *given.arguments)
        assert end.was_killed or end.code == 0, end.out
        landed = frozenset(_check_halves(cloud, given, at))
        new = _newest(cloud)
        begun = new["run"] > given.last and new["state"] not in ("planning", "nothing")
        yield Trial(
            **vars(given),
            **{"at": at, "end": end, "landed": landed, "is_begun": begun},
            **{"run": str(new["run"]), "actions": actions},
        )
        if not end.was_killed:
            return


def _check_halves(cloud: Cloud, job: Job, at: int) -> Iterator[str]:
    """Each database is as before or as planned, never the spec first; yield who is in the cell."""
    for uuid, before in job.before.items():
        now, planned = stored(cloud, uuid), job.planned[uuid]
        assert now.cell in (before.cell, planned.cell), at
        assert now.spec in (before.spec, planned.spec), at
        if now.cell == planned.cell:
            yield uuid
        else:
            assert now.spec == before.spec, at


def _finish_by_resume(cloud: Cloud, trial: Trial) -> None:
    resumed = novadev(cloud, "resume", "--yes", "-f", "json")
    assert resumed.code == 0, f"{trial.at}: {resumed.err}"
    results = {"nothing", "applied"} if trial.is_begun else {"nothing"}
    assert resumed.json["result"] in results, trial.at
    expected = trial.planned if trial.is_begun else trial.before
    assert _snapshot(cloud, trial) == expected, trial.at


def _finish_by_undo(cloud: Cloud, trial: Trial) -> None:
    assert novadev(cloud, "undo", trial.run, "--yes").code == 0, trial.at
    assert _snapshot(cloud, trial) == trial.before, trial.at
    there_and_back = {uuid: 2 * (uuid in trial.landed) for uuid in trial.before}
    assert _more_actions(cloud, trial) == there_and_back, trial.at
    assert novadev(cloud, "resume", "--yes", "-f", "json").json["result"] == "nothing", trial.at


def _snapshot(cloud: Cloud, job: Job) -> Snapshot:
    return {uuid: stored(cloud, uuid) for uuid in job.before}


def _actions(cloud: Cloud, uuids: Snapshot) -> dict[str, int]:
    return {uuid: len(cloud.actions(uuid)) for uuid in uuids}


def _more_actions(cloud: Cloud, trial: Trial) -> dict[str, int]:
    now = _actions(cloud, trial.before)
    return {uuid: now[uuid] - trial.actions[uuid] for uuid in now}


def _newest(cloud: Cloud) -> dict[str, Any]:
    """The newest run in the history, run 0 where there is none."""
    found = novadev(cloud, "history", "-f", "json").json
    return found[0] if found else {"run": 0, "state": "planning"}


def _remove_journal(cloud: Cloud) -> None:
    if cloud.backend == "mariadb":
        with cloud.engine("api").connect() as connection:
            empty(connection)
    for file in cloud.folder.glob("state.sqlite*"):
        file.unlink()


@contextmanager
def _locked(cloud: Cloud, uuid: str) -> Iterator[None]:
    """Hold the lock of an instance's row."""
    table = cloud.table("instances", cloud.cell_of(uuid))
    with cloud.engine(cloud.cell_of(uuid)).begin() as connection:
        connection.execute(sa.select(table.c.id).where(table.c.uuid == uuid).with_for_update())
        yield


@contextmanager
def _started(cloud: Cloud, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A real process of novadev; ended at the latest after the test."""
    command = [*MORTAL, sys.executable, "-m", "novadev", "--config-file", str(cloud.config_file)]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield process
    except BaseException:
        process.kill()
        process.wait()
        raise


def _wait_for_run(cloud: Cloud) -> str:
    """The number of the run that is being carried out."""
    deadline = time.monotonic() + 20
    while (newest := _newest(cloud))["state"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return str(newest["run"])
