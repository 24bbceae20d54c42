"""The check of the mappings: whoever lives is audited, and what does not lead there is named."""

import json
import subprocess

import pytest

from tests.audit.auditing import audit, healthy
from tests.cli.test_residence import DOWN, WRONG, doubled, remap
from tests.cloud import CELLS, Cloud
from tests.command import novadev
from tests.templates import nova_program

MAP = f"nova-manage cell_v2 map_instances --cell_uuid {CELLS['cell1']['uuid']} --reset"


@pytest.mark.parametrize("wrong", WRONG)
def test_a_mapping_that_does_not_lead_there(sqlite_cloud: Cloud, wrong: str) -> None:
    uuid = healthy(sqlite_cloud)
    healthy(sqlite_cloud, cell="cell2")
    WRONG[wrong](sqlite_cloud, uuid)
    is_flag = wrong == "stale flag"
    (item,) = audit(sqlite_cloud, "--all", "--check", "mapping", code=0 if is_flag else 3)
    assert (item["instance"], item["check"]) == (uuid, "mapping")
    assert item["severity"] == ("warning" if is_flag else "failure")
    assert item["remedy"] == (MAP if wrong == "unmapped" else None)
    assert MAP in (item["remedy"] or item["details"])


@pytest.mark.slow
def test_what_is_advised_mends_it(sqlite_cloud: Cloud) -> None:
    servers = [healthy(sqlite_cloud) for _ in range(4)]
    for uuid, wrong in zip(
        servers, ("unmapped", "no cell", "other cell", "stale flag"), strict=True
    ):
        WRONG[wrong](sqlite_cloud, uuid)
        WRONG["unmapped"](sqlite_cloud, uuid)  # the details say: delete the row
    program = nova_program(sqlite_cloud.release, "nova-manage")
    words = [program, "--config-file", sqlite_cloud.config_file, *MAP.split()[1:]]
    subprocess.run(words, check=True, capture_output=True)
    assert audit(sqlite_cloud, "--all", "--check", "mapping") == []


@pytest.mark.parametrize(
    "states",
    [{"vm_state": "soft-delete"}, {"task_state": "deleting"}, {"task_state": "soft-deleting"}],
)
def test_the_flag_of_what_is_being_deleted_is_right(
    sqlite_cloud: Cloud, states: dict[str, str]
) -> None:
    uuid = healthy(sqlite_cloud, **states)
    remap(sqlite_cloud, uuid, queued_for_delete=True)
    assert audit(sqlite_cloud, "--all", "--check", "mapping") == []


@pytest.mark.parametrize("home", ["cell1", "cell2", None])
def test_a_server_in_two_cells_is_one_failure(sqlite_cloud: Cloud, home: str | None) -> None:
    uuid = doubled(sqlite_cloud)
    remap(sqlite_cloud, uuid, cell_id=home and CELLS[home]["id"])
    for words in (("--all",), (uuid,)):
        (item,) = audit(sqlite_cloud, *words, "--check", "mapping", code=3)
        assert (item["instance"], item["severity"]) == (uuid, "failure")
        assert "cell cell1 and in cell cell2" in item["details"]
        if home is not None:
            assert (item["name"], item["host"]) == ("web-1", "cmp1")


def test_whatever_is_asked_for_no_row_of_it_is_audited_or_listed(sqlite_cloud: Cloud) -> None:
    uuid = doubled(sqlite_cloud)
    for command in ("audit --check not-stashed", "image-property list"):
        for chosen in (uuid, "web-1", "--all"):
            result = novadev(sqlite_cloud, *command.split(), chosen, "-f", "json")
            assert (result.code, json.loads(result.out)) == (3, []), (command, chosen)
            assert "lives in cell cell1 and in cell cell2" in result.err


def test_a_cell_that_could_not_be_asked_for_the_server_is_named(sqlite_cloud: Cloud) -> None:
    uuid = healthy(sqlite_cloud)
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=DOWN)
    for words in ((uuid,), ("--cell", "cell1"), ("--all",)):
        (item,) = audit(sqlite_cloud, *words, "--check", "mapping", code=8)
        assert (item["check"], item["cell"]) == ("unreachable", CELLS["cell2"]["uuid"])
        assert "cell cell2 could not be reached" in item["details"]
    assert audit(sqlite_cloud, "--cell", "cell1", "--check", "not-stashed", code=0) == []
