"""The journal: private, written before anything else is, read by history, undo and resume."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from novadev.state.store import open_state
from novadev.state.tables import metadata
from tests.cloud import Cloud
from tests.command import novadev
from tests.image_property.guests import SET_SCSI, add_guest, on_scsi, states, stored
from tests.image_property.processes import finish, start
from tests.state.places import journal_on_mariadb, place_journal

E1000 = ("image-property", "set", "--property", "hw_vif_model=e1000")
SET_E1000 = (*E1000, "--yes", "-f", "json")


@pytest.fixture
def mariadb_journal(mariadb_cloud: Cloud) -> Iterator[str]:
    """The URL of the MariaDB cloud's journal, which is on MariaDB."""
    with journal_on_mariadb(mariadb_cloud) as url:
        yield url


# The database


def test_the_file_and_its_folder_are_private(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "new" / "state.sqlite"
    place_journal(sqlite_cloud, f"sqlite:///{file}")
    assert novadev(sqlite_cloud, "history").code == 0
    assert _mode(file) == 0o600
    assert _mode(file.parent) == 0o700


def test_a_file_others_may_read_is_made_private(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite"
    file.touch()
    file.chmod(0o644)
    place_journal(sqlite_cloud, f"sqlite:///{file}")
    assert novadev(sqlite_cloud, "history").code == 0
    assert _mode(file) == 0o600


def test_the_schema_of_a_file_is_that_of_the_tables(tmp_path: Path) -> None:
    assert _differences(f"sqlite:///{tmp_path}/state.sqlite") == []


def test_the_schema_on_mariadb_is_that_of_the_tables(mariadb_journal: str) -> None:
    assert _differences(mariadb_journal) == []


def test_a_newer_schema_is_refused(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    novadev(sqlite_cloud, "history")
    engine = sa.create_engine(f"sqlite:///{sqlite_cloud.folder}/state.sqlite")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    refused = novadev(sqlite_cloud, "history")
    assert refused.code == 3
    assert "does not know: 9999" in refused.err


def test_nobody_waits_for_the_schemas_lock_once_it_is_made(mariadb_journal: str) -> None:
    database = open_state(mariadb_journal)
    with database.reading() as connection:
        assert connection.scalar(sa.text("SELECT IS_USED_LOCK('novadev_state_schema')")) is None
    database.close()


@pytest.mark.usefixtures("mariadb_journal")
@pytest.mark.slow
def test_a_run_is_kept_on_mariadb(mariadb_cloud: Cloud) -> None:
    uuid = add_guest(mariadb_cloud, name="größe")
    before = stored(mariadb_cloud, uuid)
    assert novadev(mariadb_cloud, *SET_SCSI, uuid).code == 0
    assert stored(mariadb_cloud, uuid) == on_scsi(before)
    assert novadev(mariadb_cloud, "undo", "1", "--yes").code == 0
    assert stored(mariadb_cloud, uuid) == before


@pytest.mark.slow
@pytest.mark.usefixtures("mariadb_journal")
def test_two_make_a_journal_on_mariadb_at_once(mariadb_cloud: Cloud) -> None:
    _two_at_once(mariadb_cloud)


@pytest.mark.slow
def test_two_make_a_journal_file_at_once(sqlite_cloud: Cloud) -> None:
    _two_at_once(sqlite_cloud)


def _two_at_once(cloud: Cloud) -> None:
    uuids = [add_guest(cloud), add_guest(cloud)]
    ends = [finish(process) for process in [start(cloud, *SET_SCSI, uuid) for uuid in uuids]]
    assert [end.code for end in ends] == [0, 0], ends
    runs = novadev(cloud, "history", "-f", "json").json
    assert [(run["state"], run["applied"]) for run in runs] == [("applied", 1)] * 2


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _differences(url: str) -> list[object]:
    database = open_state(url)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = list(compare_metadata(context, metadata))
    database.close()
    return found


# A journal that cannot be written


def test_a_folder_that_cannot_be_made(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place_journal(sqlite_cloud, f"sqlite:///{tmp_path}/file/state.sqlite")
    _expect_nothing_done(sqlite_cloud)


def test_a_file_of_another_kind(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database\n" * 100)
    place_journal(sqlite_cloud, f"sqlite:///{tmp_path}/text")
    _expect_nothing_done(sqlite_cloud)


def test_a_server_that_is_not_there(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    url = f"mysql+pymysql://novadev:secret@localhost/x?unix_socket={tmp_path}/none"
    place_journal(sqlite_cloud, url)
    _expect_nothing_done(sqlite_cloud)


def test_a_user_who_may_only_read(mariadb_cloud: Cloud, mariadb_journal: str) -> None:
    assert novadev(mariadb_cloud, "history").code == 0
    with mariadb_cloud.engine("api").connect() as connection:
        connection.execute(
            sa.text("CREATE OR REPLACE USER reader@localhost IDENTIFIED BY 'secret'")
        )
        connection.execute(sa.text("GRANT SELECT ON novadev_state.* TO reader@localhost"))
        try:
            url = mariadb_journal.replace("root@", "reader:secret@")
            place_journal(mariadb_cloud, url)
            _expect_nothing_done(mariadb_cloud)
        finally:
            connection.execute(sa.text("DROP USER reader@localhost"))


@pytest.mark.slow
def test_a_full_disk(sqlite_cloud: Cloud) -> None:
    """As good as: the process may not make any file longer than a page."""
    assert novadev(sqlite_cloud, "history").code == 0
    uuid = add_guest(sqlite_cloud)
    before = stored(sqlite_cloud, uuid)
    command = [sys.executable, "-m", "novadev", "--config-file", str(sqlite_cloud.config_file)]
    ended = subprocess.run(
        [*command, *SET_SCSI, uuid],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 8, ended.stderr
    assert ended.stderr.startswith("Error: state database")
    assert stored(sqlite_cloud, uuid) == before


def _expect_nothing_done(cloud: Cloud) -> None:
    uuid = add_guest(cloud)
    before = stored(cloud, uuid)
    result = novadev(cloud, *SET_SCSI, uuid)
    assert result.code == 8, result.err
    assert result.err.startswith("Error: state database")
    assert result.err.count("\n") == 1
    assert "secret" not in result.err
    assert stored(cloud, uuid) == before
    assert cloud.actions(uuid) == []


# History, undo, resume


def test_history_counts(cloud: Cloud, tmp_path: Path) -> None:
    uuids = cloud.add_instances(3)
    file = str(tmp_path / "plan")
    assert novadev(cloud, *E1000, "--plan-out", file, *uuids).code == 0
    cloud.update("instances", "cell1", {"uuid": uuids[1]}, vm_state="active")
    assert novadev(cloud, "apply", file, "--yes").code == 7
    assert novadev(cloud, *SET_E1000, uuids[0]).json["result"] == "nothing"
    (run,) = novadev(cloud, "history", "-f", "json").json
    assert run["started"] <= run["finished"]
    assert {name: run[name] for name in ("action", "state", "plans", "applied", "failed")} == {
        **{
            "action": "image-property set",
            "state": "partial",
            "plans": 3,
            "applied": 2,
            "failed": 1,
        }
    }
    changes = novadev(cloud, "history", "1", "-f", "json").json
    stale = [change for change in changes if change["state"] == "stale"]
    assert {change["instance"] for change in stale} == {uuids[1]}
    assert all("active" in change["error"] for change in stale)


def test_undo_twice(cloud: Cloud) -> None:
    uuid = add_guest(cloud)
    before = stored(cloud, uuid)
    assert novadev(cloud, *SET_SCSI, uuid).code == 0
    assert novadev(cloud, "undo", "1", "--yes").code == 0
    again = novadev(cloud, "undo", "1", "--yes", "-f", "json")
    assert (again.code, again.json["result"], again.json["plans"]) == (0, "nothing", [])
    assert stored(cloud, uuid) == before


def test_undo_of_an_undo(cloud: Cloud) -> None:
    uuid = add_guest(cloud)
    planned = on_scsi(stored(cloud, uuid))
    for command in (*SET_SCSI, uuid), ("undo", "1", "--yes"), ("undo", "2", "--yes"):
        assert novadev(cloud, *command).code == 0
    assert stored(cloud, uuid) == planned
    assert len(cloud.actions(uuid)) == 3


@pytest.mark.parametrize("value", ["usb", None])
def test_undo_of_an_unset(cloud: Cloud, value: str | None) -> None:
    uuid = cloud.add_instance(hw_input_bus=value)
    before = stored(cloud, uuid)
    unset = ("image-property", "unset", "--property", "hw_input_bus", "--yes", uuid)
    assert novadev(cloud, *unset).code == 0
    assert "image_hw_input_bus" not in cloud.system_metadata(uuid)
    assert novadev(cloud, "undo", "1", "--yes").code == 0
    assert stored(cloud, uuid) == before


def test_undo_of_a_run_that_is_not_there(sqlite_cloud: Cloud) -> None:
    assert novadev(sqlite_cloud, "undo", "5", "--yes").code == 2


def test_undo_leaves_what_has_changed_since(cloud: Cloud) -> None:
    changed, other = add_guest(cloud), add_guest(cloud)
    before = stored(cloud, other)
    assert novadev(cloud, *SET_SCSI, changed, other).code == 0
    where = {"instance_uuid": changed, "key": "image_hw_disk_bus"}
    cloud.update("instance_system_metadata", "cell1", where, value="sata")
    there = stored(cloud, changed)
    undone = novadev(cloud, "undo", "1", "--yes", "-f", "json")
    assert (undone.code, states(undone.out)) == (7, {changed: "stale", other: "applied"})
    assert stored(cloud, changed) == there
    assert stored(cloud, other) == before


def test_undo_stops_at_a_guest_that_runs(cloud: Cloud) -> None:
    uuid = add_guest(cloud)
    assert novadev(cloud, *SET_SCSI, uuid).code == 0
    cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    there = stored(cloud, uuid)
    assert novadev(cloud, "undo", "1", "--yes").code == 7
    assert stored(cloud, uuid) == there


def test_max_failures_ends_a_run_after_the_batch(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuids = sqlite_cloud.add_instances(150)
    file = str(tmp_path / "plan")
    assert novadev(sqlite_cloud, *E1000, "--plan-out", file, *uuids).code == 0
    for uuid in uuids[:2]:
        sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    ended = novadev(sqlite_cloud, "apply", file, "--yes", "--max-failures", "1", "-f", "json")
    assert (ended.code, ended.json["result"]) == (7, "partial")
    expected = ["stale"] * 2 + ["applied"] * 98 + ["planned"] * 50
    assert [states(ended.out)[uuid] for uuid in uuids] == expected
    assert "image_hw_vif_model" not in sqlite_cloud.system_metadata(uuids[100])
    resumed = novadev(sqlite_cloud, "resume", "--yes", "-f", "json")
    assert (resumed.code, set(states(resumed.out))) == (0, set(uuids[100:]))
    assert sqlite_cloud.system_metadata(uuids[149])["image_hw_vif_model"] == "e1000"


def test_max_failures_lets_so_many_fail(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuids = sqlite_cloud.add_instances(101)
    file = str(tmp_path / "plan")
    assert novadev(sqlite_cloud, *E1000, "--plan-out", file, *uuids).code == 0
    sqlite_cloud.update("instances", "cell1", {"uuid": uuids[0]}, vm_state="active")
    ended = novadev(sqlite_cloud, "apply", file, "--yes", "--max-failures", "1", "-f", "json")
    assert states(ended.out)[uuids[100]] == "applied"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_program_ends_a_run_between_two_batches(
    cloud: Cloud, number: signal.Signals
) -> None:
    uuids = cloud.add_instances(1000)
    process = start(cloud, *E1000, "--yes", "--all", stdout=subprocess.DEVNULL)
    _wait_for_actions(cloud)
    process.send_signal(number)
    ended = finish(process)
    assert ended.code == 130, ended.err
    assert "novadev resume 1" in ended.err
    done = _count_actions(cloud)
    assert 0 < done < 1000
    assert done % 100 == 0
    assert novadev(cloud, "resume", "--yes").code == 0
    assert _count_actions(cloud) == 1000
    values = {cloud.system_metadata(uuid)["image_hw_vif_model"] for uuid in uuids[::97]}
    assert values == {"e1000"}


def _wait_for_actions(cloud: Cloud) -> None:
    deadline = time.monotonic() + 30
    while not _count_actions(cloud):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _count_actions(cloud: Cloud) -> int:
    with cloud.engine("cell1").connect() as connection:
        return int(connection.scalar(sa.text("SELECT COUNT(*) FROM instance_actions")) or 0)


# Plan files


@pytest.fixture
def plan_file(sqlite_cloud: Cloud, tmp_path: Path) -> Path:
    """The saved plan of `E1000` for two instances."""
    file = tmp_path / "plan"
    uuids = sqlite_cloud.add_instances(2)
    assert novadev(sqlite_cloud, *E1000, "--plan-out", str(file), *uuids).code == 0
    return file


def test_a_plan_file_is_private(plan_file: Path) -> None:
    assert _mode(plan_file) == 0o600


def test_a_saved_plan_writes_nothing(sqlite_cloud: Cloud, plan_file: Path) -> None:
    assert plan_file.exists()
    assert novadev(sqlite_cloud, "history", "-f", "json").json == []
    assert sqlite_cloud.rows("instance_actions", "cell1") == []


def test_a_carried_out_file_is_as_the_command(cloud: Cloud, tmp_path: Path) -> None:
    uuid = add_guest(cloud)
    planned = on_scsi(stored(cloud, uuid))
    file = str(tmp_path / "plan")
    words = [word for word in SET_SCSI if word != "--yes"]
    assert novadev(cloud, *words, "--plan-out", file, uuid).code == 0
    assert novadev(cloud, "apply", file, "--yes").code == 0
    assert stored(cloud, uuid) == planned
    again = novadev(cloud, "apply", file, "--yes", "-f", "json")
    assert (again.code, states(again.out)) == (7, {uuid: "stale"})
    assert stored(cloud, uuid) == planned
    assert len(cloud.actions(uuid)) == 1


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda text: text.replace("e1000", "pcnet"), id="another value"),
        pytest.param(lambda text: _lines(text, drop=1), id="without a plan"),
        pytest.param(lambda text: _lines(text, drop=-1), id="without its end"),
        pytest.param(lambda text: text[: len(text) // 2], id="cut short"),
        pytest.param(lambda text: text[:-20], id="cut at the end"),
        pytest.param(lambda text: text + text, id="twice"),
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: "\xff\n", id="no plan"),
        pytest.param(lambda text: "[]\n", id="other JSON"),
    ],
)
def test_an_edited_file(sqlite_cloud: Cloud, plan_file: Path, edit: Callable[[str], str]) -> None:
    plan_file.write_text(edit(plan_file.read_text()), encoding="latin-1")
    _expect_refused(sqlite_cloud, plan_file)


def test_a_file_of_another_deployment(sqlite_cloud: Cloud, plan_file: Path) -> None:
    other = "33333333-3333-4333-8333-333333333333"
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell1"}, uuid=other)
    assert "another deployment" in _expect_refused(sqlite_cloud, plan_file)


def test_a_file_that_is_not_there(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    assert "cannot be read" in _expect_refused(sqlite_cloud, tmp_path / "none")


def test_a_file_that_cannot_be_written(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid = sqlite_cloud.add_instance()
    result = novadev(sqlite_cloud, *E1000, "--plan-out", str(tmp_path / "none" / "plan"), uuid)
    assert result.code == 4
    assert "its folder does not exist" in result.err
    assert os.listdir(tmp_path) == [sqlite_cloud.folder.name]


def _lines(text: str, drop: int) -> str:
    lines = text.splitlines(keepends=True)
    del lines[drop]
    return "".join(lines)


def _expect_refused(cloud: Cloud, file: Path) -> str:
    result = novadev(cloud, "apply", str(file), "--yes")
    assert result.code == 4
    assert result.err.count("\n") == 1
    assert cloud.rows("instance_actions", "cell1") == []
    return result.err


def test_a_cell_that_was_down_is_finished_by_resume(sqlite_cloud: Cloud) -> None:
    here, there = sqlite_cloud.add_instance(), sqlite_cloud.add_instance(cell="cell2")
    file = str(sqlite_cloud.folder / "plan")
    assert novadev(sqlite_cloud, *E1000, "--plan-out", file, here, there).code == 0
    url = sqlite_cloud.url("cell2")
    down = "mysql+pymysql://nova:s3cret@127.0.0.1:1/nova_cell2"
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=down)
    stopped = novadev(sqlite_cloud, "apply", file, "--yes")
    assert stopped.code == 8
    assert "novadev resume 1" in stopped.err
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=url)
    assert novadev(sqlite_cloud, "resume", "--yes").code == 0
    assert sqlite_cloud.system_metadata(there)["image_hw_vif_model"] == "e1000"
    assert len(sqlite_cloud.actions(here)) == 1


def test_an_undo_can_be_saved_and_applied(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    assert novadev(sqlite_cloud, *E1000, "--yes", uuid).code == 0
    file = str(sqlite_cloud.folder / "plan")
    assert novadev(sqlite_cloud, "undo", "1", "--plan-out", file).code == 0
    assert novadev(sqlite_cloud, "apply", file, "--yes").code == 0
    assert "image_hw_vif_model" not in sqlite_cloud.system_metadata(uuid)
    again = novadev(sqlite_cloud, "undo", "1", "--yes", "-f", "json")
    assert (again.code, again.json["result"]) == (0, "nothing")
