"""Who lives is what the cells say; a mapping that says something else hides nobody."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from novadev.errors import Unreachable
from novadev.nova import writes
from tests.cli.test_selection import chosen, listing, uuids
from tests.cloud import CELLS, Cloud
from tests.command import Result, novadev

DOWN = "mysql+pymysql://nova:s3cret@127.0.0.1:1/nova_cell2"


def remap(cloud: Cloud, uuid: str, **columns: object) -> None:
    cloud.update("instance_mappings", "api", {"instance_uuid": uuid}, **columns)


def unmap(cloud: Cloud, uuid: str) -> None:
    cloud.delete("instance_mappings", "api", instance_uuid=uuid)


WRONG: dict[str, Callable[[Cloud, str], None]] = {
    "unmapped": unmap,
    "no cell": lambda cloud, uuid: remap(cloud, uuid, cell_id=None),
    "other cell": lambda cloud, uuid: remap(cloud, uuid, cell_id=CELLS["cell2"]["id"]),
    "cell that is gone": lambda cloud, uuid: remap(cloud, uuid, cell_id=99),
    "stale flag": lambda cloud, uuid: remap(cloud, uuid, queued_for_delete=True),
    "no cell, stale flag": lambda cloud, uuid: remap(
        cloud, uuid, cell_id=None, queued_for_delete=True
    ),
}


def set_model(cloud: Cloud, *arguments: str) -> Result:
    words = ("--property", "hw_vif_model=e1000", "--yes", *arguments)
    return novadev(cloud, "image-property", "set", *words)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_living_server_is_found_and_changed_whatever_its_mapping_says(
    sqlite_cloud: Cloud, wrong: str
) -> None:
    uuid = sqlite_cloud.add_instance(name="web-1", hw_vif_model="virtio")
    other = sqlite_cloud.add_instance(name="web-2", host="cmp2", cell="cell2")
    WRONG[wrong](sqlite_cloud, uuid)
    for words in ((uuid,), ("web-1",), ("--host", "cmp1"), (uuid, "--cell", "cell1")):
        assert chosen(sqlite_cloud, *words) == {uuid}, words
    assert chosen(sqlite_cloud, "--all") == {uuid, other}
    assert set_model(sqlite_cloud, uuid).code == 0
    assert sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"] == "e1000"
    assert sqlite_cloud.spec_properties(uuid)["hw_vif_model"] == "e1000"
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"] == "virtio"


@pytest.mark.parametrize("wrong", WRONG)
def test_no_mapping_makes_a_deleted_server_alive(sqlite_cloud: Cloud, wrong: str) -> None:
    gone, there = sqlite_cloud.add_instances(2)
    sqlite_cloud.soft_delete(gone)
    WRONG[wrong](sqlite_cloud, gone)
    assert listing(sqlite_cloud, gone).code == 2
    assert chosen(sqlite_cloud, "--all") == {there}


def doubled(cloud: Cloud, **columns: object) -> str:
    uuid = cloud.add_instance(name="web-1", hw_vif_model="virtio")
    copy = {"name": "web-1", "mapped": False, "request_spec": False, "hw_vif_model": "virtio"}
    cloud.add_instance(uuid=uuid, cell="cell2", columns=columns, **copy)
    return uuid


@pytest.mark.parametrize("home", ["cell1", "cell2", None])
def test_nothing_is_written_where_two_cells_have_the_server(
    sqlite_cloud: Cloud, home: str | None
) -> None:
    uuid = doubled(sqlite_cloud)
    there = sqlite_cloud.add_instance(name="web-2", hw_vif_model="virtio", cell="cell2")
    remap(sqlite_cloud, uuid, cell_id=home and CELLS[home]["id"])
    for words in ((uuid,), ("web-1",)):
        result = set_model(sqlite_cloud, *words)
        assert (result.code, "cell cell1 and in cell cell2" in result.err) == (3, True), words
    detach = novadev(sqlite_cloud, "device", "detach", uuid, "vdb", "--yes")
    assert (detach.code, "cell cell1 and in cell cell2" in detach.err) == (3, True)
    result = set_model(sqlite_cloud, "--all")
    assert result.code == 3
    assert result.err.count("lives in cell") == 1
    told = novadev(sqlite_cloud, "image-property", "list", "--all")
    assert (told.code, "Error: instance web-1" in told.err) == (3, True)
    for cell in ("cell1", "cell2"):
        rows = sqlite_cloud.rows("instance_system_metadata", cell, instance_uuid=uuid)
        assert "e1000" not in {row["value"] for row in rows}
    assert sqlite_cloud.system_metadata(there)["image_hw_vif_model"] == "e1000"


def test_a_copy_that_is_hidden_or_deleted_is_none(sqlite_cloud: Cloud) -> None:
    uuid = doubled(sqlite_cloud, hidden=True)
    assert set_model(sqlite_cloud, uuid).code == 0


@pytest.mark.parametrize("wrong", ["unmapped", "no cell", "cell that is gone"])
def test_a_cell_that_is_down_may_have_it_too(sqlite_cloud: Cloud, wrong: str) -> None:
    stray = sqlite_cloud.add_instance()
    mapped = sqlite_cloud.add_instance()
    WRONG[wrong](sqlite_cloud, stray)
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=DOWN)
    for words in ((stray,), ("--all",), ("--cell", "cell1"), (stray, mapped)):
        result = listing(sqlite_cloud, *words)
        assert result.code == 8, words
        assert uuids(result) <= {mapped}
        assert "cell cell2 could not be reached" in result.err
    nobody = listing(sqlite_cloud, "00000000-0000-0000-0000-00000000dead")
    assert nobody.code == 8
    assert set_model(sqlite_cloud, mapped).code == 0


def test_one_that_is_mapped_is_found_without_asking_another_cell(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    with sqlite_cloud.engine("cell2").begin() as connection:
        connection.exec_driver_sql("ALTER TABLE instances RENAME TO stances")
    assert listing(sqlite_cloud, uuid).err == ""


@pytest.mark.parametrize("options", ["", "?timeout=5"])
def test_two_mappings_that_lead_to_one_database_double_no_server(
    sqlite_cloud: Cloud, options: str
) -> None:
    url = sqlite_cloud.url("cell1") + options
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=url)
    names = ("here", "there", "unmapped")
    uuids = dict(
        zip(names, sqlite_cloud.add_instances(3, hw_vif_model="virtio", name="web-1"), strict=True)
    )
    sqlite_cloud.update("instances", "cell1", {"uuid": uuids["here"]}, display_name="web-2")
    remap(sqlite_cloud, uuids["there"], cell_id=CELLS["cell2"]["id"])
    unmap(sqlite_cloud, uuids["unmapped"])
    (found, told) = ([], [])
    for cell in ("cell1", "cell2"):
        result = listing(sqlite_cloud, "--cell", cell)
        found += [record["instance"] for record in result.json]
        told.append(result.err.count("cell cell1 and cell cell2 use the same database"))
    assert (sorted(found), told) == (sorted(list(uuids.values()) * 11), [1, 1])
    assert chosen(sqlite_cloud, "web-2") == {uuids["here"]}
    result = set_model(sqlite_cloud, "--all")
    assert (result.code, result.err.count("use the same database")) == (0, 1)
    for uuid in uuids.values():
        assert sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"] == "e1000"
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    items = novadev(sqlite_cloud, "audit", "--all", "--check", "mapping", "-f", "json")
    assert items.out.count("use the same database") == 1
    assert "rows are deleted" not in items.out + items.err


COMMANDS = {
    "set": ("image-property", "set", "--property", "hw_video_model=qxl"),
    "sync": ("image-property", "sync"),
    "machine type": ("machine-type", "set", "q35"),
}


def saved(cloud: Cloud, folder: Path, command: str, uuid: str) -> str:
    """A file with the plan of COMMAND for the server."""
    file = str(folder / "plan")
    assert novadev(cloud, *COMMANDS[command], uuid, "--plan-out", file).code == 0
    return file


def everything_of(cloud: Cloud, uuid: str) -> list[object]:
    """What a writer could change of the server, in both cells and in its request spec."""
    tables = ("instance_system_metadata", "block_device_mapping", "instance_actions")
    cells = ("cell1", "cell2")
    rows = [cloud.rows(table, cell, instance_uuid=uuid) for table in tables for cell in cells]
    places = [cloud.rows("instances", cell, uuid=uuid) for cell in cells]
    return [rows, places, cloud.request_spec(uuid)]


def appears_in_cell2(cloud: Cloud, uuid: str) -> None:
    """Write a living row of the server into cell2, as a cross-cell resize or a restore does."""
    copy = {"mapped": False, "request_spec": False, "hw_vif_model": "virtio"}
    cloud.add_instance(uuid=uuid, cell="cell2", **copy)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_writer_takes_a_hidden_row_for_the_server(
    sqlite_cloud: Cloud, tmp_path: Path, command: str
) -> None:
    uuid = sqlite_cloud.add_instance(
        hw_vif_model="virtio", spec_properties={"hw_vif_model": "pcnet"}
    )
    assert set_model(sqlite_cloud, "--no-request-spec", uuid).code == 0
    file = saved(sqlite_cloud, tmp_path, command, uuid)
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, hidden=True)
    before = everything_of(sqlite_cloud, uuid)
    for words in (("apply", file), ("undo", "1")):
        result = novadev(sqlite_cloud, *words, "--yes")
        assert (result.code, "hidden" in result.err) == (7, True), words
    assert everything_of(sqlite_cloud, uuid) == before


@pytest.mark.parametrize("has_moved", [False, True])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_another_cell_has_since_it_was_planned_is_stale(
    sqlite_cloud: Cloud, tmp_path: Path, command: str, has_moved: bool
) -> None:
    uuid, other = sqlite_cloud.add_instances(
        2, hw_vif_model="virtio", spec_properties={"hw_vif_model": "pcnet"}
    )
    assert set_model(sqlite_cloud, "--no-request-spec", uuid, other).code == 0
    file = str(tmp_path / "plan")
    assert novadev(sqlite_cloud, *COMMANDS[command], uuid, other, "--plan-out", file).code == 0
    appears_in_cell2(sqlite_cloud, uuid)
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, hidden=has_moved)
    before = everything_of(sqlite_cloud, uuid), everything_of(sqlite_cloud, other)
    for words in (("apply", file), ("undo", "1")):
        result = novadev(sqlite_cloud, *words, "--yes")
        assert result.code == 7, words
        assert f"({uuid}) lives in cell" in result.err
        assert all(f"cell {name}" in result.err for name in ("cell1", "cell2"))
    assert everything_of(sqlite_cloud, uuid) == before[0]
    assert everything_of(sqlite_cloud, other) != before[1], "the others of the batch land"


def test_a_cell_that_is_down_stops_no_plan_of_another(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid = sqlite_cloud.add_instance(hw_vif_model="virtio")
    file = saved(sqlite_cloud, tmp_path, "set", uuid)
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=DOWN)
    for words in (("apply", file), ("undo", "1")):
        assert novadev(sqlite_cloud, *words, "--yes").code == 0


def test_resume_leaves_a_plan_started_while_two_cells_have_its_server(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    uuid = sqlite_cloud.add_instance(hw_vif_model="virtio")
    file = saved(sqlite_cloud, tmp_path, "set", uuid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writes, "write_request_specs", Mock(side_effect=Unreachable("away")))
        assert novadev(sqlite_cloud, "apply", file, "--yes").code == 8
    appears_in_cell2(sqlite_cloud, uuid)
    result = novadev(sqlite_cloud, "resume", "--yes")
    assert (result.code, "lives in cell cell1 and in cell cell2" in result.err) == (7, True)
    sqlite_cloud.update("instances", "cell2", {"uuid": uuid}, hidden=True)
    assert novadev(sqlite_cloud, "resume", "--yes").code == 0
    assert sqlite_cloud.spec_properties(uuid)["hw_video_model"] == "qxl"


@pytest.mark.parametrize("is_down", [False, True])
def test_what_was_begun_is_not_forgotten_where_its_server_has_moved(
    sqlite_cloud: Cloud, tmp_path: Path, is_down: bool
) -> None:
    """A copy took along what was written: it is told, by resume and by undo, until it is mended."""
    uuid = sqlite_cloud.add_instance(hw_vif_model="virtio")
    file = saved(sqlite_cloud, tmp_path, "set", uuid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writes, "write_request_specs", Mock(side_effect=Unreachable("away")))
        assert novadev(sqlite_cloud, "apply", file, "--yes").code == 8
    appears_in_cell2(sqlite_cloud, uuid)
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, hidden=True)
    remap(sqlite_cloud, uuid, cell_id=CELLS["cell2"]["id"])
    if is_down:
        sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=DOWN)
    for command in ("resume", "undo 1", "undo 1"):
        result = novadev(sqlite_cloud, *command.split(), "--yes")
        assert result.code in (7, 8), (command, result.err)
        assert uuid in result.err
