"""Others at work between plan and apply: one of them gets a stale plan, nothing is lost."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.engine.default import DefaultDialect

from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.image_property.guests import SET_SCSI, TO_SCSI, add_guest, on_scsi, states, stored
from tests.image_property.processes import Finished, finish, run, start
from tests.nova_process import NovaProcess

Nova = Callable[[Cloud], NovaProcess]
SET_E1000 = ("image-property", "set", "--property", "hw_vif_model=e1000")


def _plan(cloud: Cloud, *command: str) -> str:
    """Save the plan of a command; the file's name is given."""
    file = cloud.folder / f"{len(list(cloud.folder.glob('*.plan')))}.plan"
    assert novadev(cloud, *command, "--plan-out", str(file)).code == 0
    return str(file)


def _apply(cloud: Cloud, file: str) -> Result:
    return novadev(cloud, "apply", file, "--yes", "-f", "json")


# Two novadevs


@pytest.mark.slow
def test_two_carry_out_plans_of_the_same_instances(cloud: Cloud) -> None:
    uuids = cloud.add_instances(20, hw_vif_model="virtio")
    models = ("e1000", "rtl8139")
    files = [
        _plan(cloud, "image-property", "set", "--property", f"hw_vif_model={model}", *uuids)
        for model in models
    ]
    ends = _at_once(cloud, *(("apply", file) for file in files))
    for uuid in uuids:
        found = [end.states[uuid] for end in ends]
        assert sorted(found) == ["applied", "stale"]
        winner = models[found.index("applied")]
        assert cloud.system_metadata(uuid)["image_hw_vif_model"] == winner
        assert cloud.spec_properties(uuid)["hw_vif_model"] == winner
        assert len(cloud.actions(uuid)) == 1
    for end in ends:
        assert end.code == (7 if "stale" in end.states.values() else 0)


@pytest.mark.slow
def test_two_set_different_values_at_once(cloud: Cloud) -> None:
    """What each says it applied forms a chain from the first value to the one that is stored."""
    uuids = cloud.add_instances(20, hw_vif_model="virtio")
    asked = [
        ("image-property", "set", "--property", f"hw_vif_model={model}", *uuids)
        for model in ("e1000", "rtl8139")
    ]
    ends = _at_once(cloud, *asked)
    for uuid in uuids:
        last = cloud.system_metadata(uuid)["image_hw_vif_model"]
        assert cloud.spec_properties(uuid)["hw_vif_model"] == last
        applied = _applied(ends, uuid)
        assert len(cloud.actions(uuid)) == len(applied) > 0
        assert _follow(applied, "virtio") == last
    for end in ends:
        assert end.code == (7 if "stale" in end.states.values() else 0)


def _at_once(cloud: Cloud, *commands: tuple[str, ...]) -> list[Finished]:
    novadev(cloud, "history")  # the journal is there
    processes = [start(cloud, *command, "--yes", "-f", "json") for command in commands]
    return [finish(process) for process in processes]


def _applied(ends: list[Finished], uuid: str) -> dict[str, str]:
    """Each value an applied plan was made from, and the one it stored."""
    plans = [plan for end in ends for plan in end.json["plans"] if plan["instance"] == uuid]
    return {
        plan["changes"][0]["before"]: plan["changes"][0]["after"]
        for plan in plans
        if plan["state"] == "applied"
    }


def _follow(steps: dict[str, str], value: str) -> str:
    for _ in steps:
        value = steps[value]
    return value


# Nova between plan and apply


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"vm_state": "active"}, "it is active now"),
        ({"task_state": "powering-on"}, "it has a task in progress now: powering-on"),
    ],
)
def test_nova_changes_an_instance(
    cloud: Cloud, nova: Nova, fields: dict[str, str], reason: str
) -> None:
    changed, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, changed, other)
    nova(cloud).call("update_instance", uuid=changed, **fields)
    _expect_stale(cloud, file, changed, reason, other)


@pytest.mark.slow
def test_nova_deletes_an_instance(cloud: Cloud, nova: Nova) -> None:
    gone, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, gone, other)
    nova(cloud).call("destroy_instance", uuid=gone)
    _expect_stale(cloud, file, gone, "it is deleted", other)


@pytest.mark.slow
def test_nova_stores_another_value(cloud: Cloud, nova: Nova) -> None:
    changed, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, changed, other)
    nova(cloud).call("image_property_set", uuid=changed, properties={"hw_disk_bus": "sata"})
    reason = "hw_disk_bus is sata now; the plan expected virtio"
    _expect_stale(cloud, file, changed, reason, other)


@pytest.mark.slow
def test_nova_registers_another_property(cloud: Cloud, nova: Nova) -> None:
    """What nova-manage image_property set would delete: hw_video_model is not in the plan."""
    uuid = add_guest(cloud)
    file = _plan(cloud, *SET_E1000, uuid)
    metadata = {**cloud.system_metadata(uuid), "image_hw_video_model": "virtio", "tag": "kept"}
    nova(cloud).call("update_instance", uuid=uuid, system_metadata=metadata)
    assert _apply(cloud, file).code == 0
    assert cloud.system_metadata(uuid) == {**metadata, "image_hw_vif_model": "e1000"}


def test_a_property_of_the_plan_is_registered(cloud: Cloud) -> None:
    changed, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, *SET_E1000, changed, other)
    row = {"key": "image_hw_vif_model", "value": None, "deleted": 0}
    cloud.insert("instance_system_metadata", "cell1", instance_uuid=changed, **row)
    before = stored(cloud, changed)
    result = _apply(cloud, file)
    assert (result.code, states(result.out)) == (7, {changed: "stale", other: "applied"})
    assert "hw_vif_model is null now; the plan expected absent" in result.err
    assert stored(cloud, changed) == before


def test_a_property_is_stored_twice(cloud: Cloud) -> None:
    uuid, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, uuid, other)
    row = {"key": "image_hw_disk_bus", "value": "virtio", "deleted": 0}
    cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)
    _expect_stale(cloud, file, uuid, "image_hw_disk_bus is stored 2 times", other)


def test_a_disk_is_attached_to_a_guest_whose_disks_move(cloud: Cloud) -> None:
    uuid, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, uuid, other)
    cloud.add_disk(uuid, "/dev/vdc", boot_index=None)
    _expect_stale(cloud, file, uuid, "its disks have changed since the plan", other)


def test_a_disk_is_detached_from_a_guest_whose_disks_move(cloud: Cloud) -> None:
    uuid, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, uuid, other)
    row = cloud.disks(uuid)[1]["id"]
    cloud.update("block_device_mapping", "cell1", {"id": row}, deleted=row)
    _expect_stale(cloud, file, uuid, f"its block_device_mapping {row} is gone", other)


def test_a_disk_is_no_obstacle_to_another_property(cloud: Cloud) -> None:
    uuid = add_guest(cloud)
    file = _plan(cloud, *SET_E1000, uuid)
    cloud.add_disk(uuid, "/dev/vdc", boot_index=None)
    assert _apply(cloud, file).code == 0
    assert cloud.system_metadata(uuid)["image_hw_vif_model"] == "e1000"


def test_the_request_spec_changes(cloud: Cloud) -> None:
    uuid, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, uuid, other)
    text = cloud.rows("request_specs", "api", instance_uuid=uuid)[0]["spec"]
    where = {"instance_uuid": uuid}
    assert '"hw_disk_bus": "virtio"' in text
    text = text.replace('"hw_disk_bus": "virtio"', '"hw_disk_bus": "sata"')
    cloud.update("request_specs", "api", where, spec=text)
    reason = "request_spec hw_disk_bus is sata now; the plan expected virtio"
    _expect_stale(cloud, file, uuid, reason, other)


def test_the_request_spec_is_gone(cloud: Cloud) -> None:
    uuid, other = add_guest(cloud), add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, uuid, other)
    cloud.delete("request_specs", "api", instance_uuid=uuid)
    result = _apply(cloud, file)
    assert (result.code, states(result.out)) == (7, {uuid: "stale", other: "applied"})
    assert "its request spec is gone" in result.err
    assert cloud.system_metadata(uuid)["image_hw_disk_bus"] == "virtio"


def test_something_else_in_the_request_spec_changes(cloud: Cloud) -> None:
    """It survives: the spec is edited as it is when the plan is applied."""
    uuid = add_guest(cloud)
    file = _plan(cloud, "image-property", "set", *TO_SCSI, uuid)
    text = cloud.rows("request_specs", "api", instance_uuid=uuid)[0]["spec"]
    text = text.replace('"availability_zone": null', '"availability_zone": "az1"')
    cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec=text)
    assert _apply(cloud, file).code == 0
    assert cloud.request_spec(uuid)["nova_object.data"]["availability_zone"] == "az1"
    assert cloud.spec_properties(uuid)["hw_disk_bus"] == "scsi"


def _expect_stale(cloud: Cloud, file: str, uuid: str, reason: str, other: str) -> None:
    """The plan of UUID is stale for that reason and writes nothing; that of OTHER lands."""
    before, planned = stored(cloud, uuid), on_scsi(stored(cloud, other))
    actions = cloud.actions(uuid)
    result = _apply(cloud, file)
    assert (result.code, states(result.out)) == (7, {uuid: "stale", other: "applied"})
    errors = {plan["instance"]: plan["error"] for plan in result.json["plans"]}
    assert reason in errors[uuid]
    assert stored(cloud, uuid) == before
    assert cloud.actions(uuid) == actions
    assert stored(cloud, other) == planned


# Locks


@pytest.mark.slow
def test_a_lock_that_stays(mariadb_cloud: Cloud) -> None:
    uuids = mariadb_cloud.add_instances(5, hw_disk_bus="virtio")
    for uuid in uuids:
        mariadb_cloud.add_disk(uuid)
    with _locked(mariadb_cloud, uuids[2]):
        end = run(mariadb_cloud, *SET_SCSI, *uuids, "-f", "json", lock_wait=1)
    expected = {uuid: "failed" if uuid == uuids[2] else "applied" for uuid in uuids}
    assert (end.code, end.states) == (8, expected)
    assert "another writer holds a lock" in end.err
    stored_now = [mariadb_cloud.system_metadata(uuid)["image_hw_disk_bus"] for uuid in uuids]
    assert stored_now == ["scsi", "scsi", "virtio", "scsi", "scsi"]
    assert mariadb_cloud.spec_properties(uuids[2]) == {"hw_disk_bus": "virtio"}


@pytest.mark.slow
def test_a_lock_that_goes(mariadb_cloud: Cloud) -> None:
    uuid = add_guest(mariadb_cloud)
    with _locked(mariadb_cloud, uuid):
        process = start(mariadb_cloud, *SET_SCSI, uuid, "-f", "json", lock_wait=1)
        time.sleep(2)
    end = finish(process)
    assert (end.code, end.states) == (0, {uuid: "applied"})
    assert len(mariadb_cloud.actions(uuid)) == 1


@pytest.mark.slow
def test_a_locked_sqlite_file(sqlite_cloud: Cloud) -> None:
    uuid = add_guest(sqlite_cloud)
    before = stored(sqlite_cloud, uuid)
    with sqlite_cloud.engine("cell1").connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        end = run(sqlite_cloud, *SET_SCSI, uuid, "-f", "json", lock_wait=1)
    assert (end.code, end.states) == (8, {uuid: "failed"})
    assert stored(sqlite_cloud, uuid) == before


@pytest.mark.slow
def test_a_deadlock(mariadb_cloud: Cloud) -> None:
    """Another connection holds the last instance and wants the first; its work weighs more."""
    uuids = [add_guest(mariadb_cloud, uuid=f"{n:08}-0000-4000-8000-000000000000") for n in (1, 2)]
    table = mariadb_cloud.table("instances", "cell1")
    before = _deadlocks(mariadb_cloud)
    with mariadb_cloud.engine("cell1").connect() as connection, connection.begin():
        _weigh(connection, mariadb_cloud)
        connection.execute(_lock(table, uuids[1]))
        process = start(mariadb_cloud, *SET_SCSI, *uuids, "-f", "json")
        _wait_until(lambda: _is_waiting(mariadb_cloud))
        connection.execute(_lock(table, uuids[0]))
    end = finish(process)
    assert _deadlocks(mariadb_cloud) == before + 1
    assert (end.code, end.states) == (0, dict.fromkeys(uuids, "applied"))
    assert [len(mariadb_cloud.actions(uuid)) for uuid in uuids] == [1, 1]


@pytest.mark.parametrize("database", ["cell1", "api"])
def test_a_deadlock_at_commit(
    mariadb_cloud: Cloud, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    """What a Galera cluster does, and one server never."""
    uuids = [add_guest(mariadb_cloud) for _ in range(3)]
    planned = {uuid: on_scsi(stored(mariadb_cloud, uuid)) for uuid in uuids}
    failures = _fail_commits(monkeypatch, f"nova34_{database}", times=2)
    result = novadev(mariadb_cloud, *SET_SCSI, *uuids, "-f", "json")
    assert failures == [1213, 1213]
    assert (result.code, states(result.out)) == (0, dict.fromkeys(uuids, "applied"))
    assert {uuid: stored(mariadb_cloud, uuid) for uuid in uuids} == planned
    assert [len(mariadb_cloud.actions(uuid)) for uuid in uuids] == [1, 1, 1]


def test_the_api_database_never_commits(
    mariadb_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = add_guest(mariadb_cloud)
    before = stored(mariadb_cloud, uuid)
    with monkeypatch.context() as patched:
        _fail_commits(patched, "nova34_api", times=100)
        result = novadev(mariadb_cloud, *SET_SCSI, uuid, "-f", "json")
    assert (result.code, states(result.out)) == (8, {uuid: "half"})
    assert stored(mariadb_cloud, uuid).cell == on_scsi(before).cell
    assert stored(mariadb_cloud, uuid).spec == before.spec
    assert novadev(mariadb_cloud, "resume", "--yes").code == 0
    assert stored(mariadb_cloud, uuid) == on_scsi(before)
    assert len(mariadb_cloud.actions(uuid)) == 1


def _fail_commits(monkeypatch: pytest.MonkeyPatch, database: str, times: int) -> list[int]:
    """Let the next commits to a database end in a deadlock; the list grows with each."""
    failures: list[int] = []
    commit = DefaultDialect.do_commit

    def fail(dialect: DefaultDialect, connection: Any) -> None:
        if _database_of(connection) == database and len(failures) < times:
            failures.append(1213)
            connection.rollback()
            raise pymysql.err.OperationalError(1213, "Deadlock found when trying to get lock")
        commit(dialect, connection)

    monkeypatch.setattr(MySQLDialect_pymysql, "do_commit", fail)
    return failures


def _database_of(connection: Any) -> str:
    name = getattr(connection, "dbapi_connection", connection).db
    return str(name.decode() if isinstance(name, bytes) else name)


@contextmanager
def _locked(cloud: Cloud, uuid: str) -> Iterator[None]:
    """Hold the lock of an instance's row."""
    table = cloud.table("instances", "cell1")
    with cloud.engine("cell1").begin() as connection:
        connection.execute(_lock(table, uuid))
        yield


def _lock(table: sa.Table, uuid: str) -> sa.Select[Any]:
    return sa.select(table.c.id).where(table.c.uuid == uuid).with_for_update()


def _weigh(connection: sa.Connection, cloud: Cloud) -> None:
    """Write rows, so that InnoDB ends the other transaction of a deadlock."""
    table = cloud.table("instance_id_mappings", "cell1")
    rows = [{"uuid": f"{n:036}", "deleted": 0} for n in range(200)]
    connection.execute(table.insert(), rows)


def _is_waiting(cloud: Cloud) -> bool:
    """Whether a transaction waits for a row lock."""
    asked = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    with cloud.engine("api").connect() as connection:
        return bool(connection.scalar(sa.text(asked)))


def _deadlocks(cloud: Cloud) -> int:
    """How many deadlocks the server has met."""
    with cloud.engine("api").connect() as connection:
        return int(connection.execute(sa.text("SHOW STATUS LIKE 'innodb_deadlocks'")).one()[1])


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)  # InnoDB gives an older answer to who asks more often
