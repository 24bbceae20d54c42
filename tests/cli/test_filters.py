"""A filter that names what the deployment does not have is an error; an empty selection is not."""

import json

import pytest

from tests.cli.test_residence import DOWN
from tests.cli.test_selection import listing
from tests.cloud import Cloud
from tests.command import novadev

COMMANDS = (
    "image-property list -f json",
    "image-property set --property hw_vif_model=e1000 --yes",
    "image-property set --property hw_vif_model=e1000 --dry-run -f json",
    "image-property unset --property hw_vif_model --yes",
    "machine-type set q35 --yes",
    "stash-defaults --yes",
    "device list",
    "device record",
    "device drift",
    "device forecast",
    "device alias-migrate --yes",
    "device restore --yes",
    "audit -f prometheus",
    "audit -f json --check not-stashed",
)


@pytest.fixture
def fleet(sqlite_cloud: Cloud) -> Cloud:
    sqlite_cloud.add_instance(
        name="web-9", host="cmp1", columns={"project_id": "blue"}, os_distro="debian"
    )
    sqlite_cloud.add_instance(host="cmp2", cell="cell2", columns={"project_id": "red"})
    return sqlite_cloud


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_host_that_nothing_has(fleet: Cloud, command: str) -> None:
    result = novadev(fleet, *command.split(), "--host", "cmp9")
    assert (result.code, result.out) == (2, "")
    assert "host 'cmp9' not found" in result.err
    assert "; did you mean cmp1 or cmp2?" in result.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_that_nothing_was_chosen(fleet: Cloud, command: str) -> None:
    words = ("--host", "cmp1", "--vm-state", "rescued")
    result = novadev(fleet, *command.split(), *words)
    assert result.code == 0
    assert "No server passes the filters (--host cmp1 --vm-state rescued)." in result.err
    if "json" in command:
        found = json.loads(result.out)
        assert found == [] or (found["plans"], found["skipped"]) == ([], [])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--project", "bleu"),
            "project 'bleu' not found: no server belongs to it; did you mean blue?",
        ),
        (
            ("--project", "x"),
            "project 'x' not found: no server belongs to it; the deployment has blue, red",
        ),
        (("--host", "CMP1"), "did you mean cmp1 or cmp2?"),
        (("--host", "cmp1", "--project", "x"), "project 'x' not found"),
        (("--cell", "cell1", "--host", "cmp9"), "host 'cmp9' not found"),
        (("web-9", "--host", "cmp9"), "host 'cmp9' not found"),
        (("--where", "hw_dsk_bus=scsi"), "did you mean hw_disk_bus"),
        (("--where", "os_distros=debian"), "did you mean os_distro"),
        (("--where", "mine=1"), "image property 'mine' not found"),
        (("--all", "--without", "hw_dsk_bus"), "did you mean hw_disk_bus"),
    ],
)
def test_a_name_that_nothing_has(fleet: Cloud, words: tuple[str, ...], told: str) -> None:
    result = listing(fleet, *words)
    assert result.code == 2
    assert told in result.err


@pytest.mark.parametrize(
    "words",
    [
        ("--host", "cmp3"),  # a service is there, and no server
        ("--cell", "cell1", "--host", "cmp2"),
        ("--host", "cmp1", "--project", "red"),
        ("--where", "hw_disk_bus=scsi"),
        ("--where", "hw_tpm_model=tpm-crb"),  # Nova knows it, nobody stores it
        ("--cell", "cell0"),
        ("--all", "--host", "cmp2", "--where", "os_distro=debian"),
    ],
)
def test_a_selection_that_is_only_empty(fleet: Cloud, words: tuple[str, ...]) -> None:
    service = {"host": "cmp3", "binary": "nova-compute", "deleted": 0, "report_count": 0}
    fleet.insert("services", "cell2", **service)
    result = listing(fleet, *words)
    assert (result.code, result.json) == (0, [])
    assert "No server passes the filters (" in result.err


def test_nothing_is_there_or_nobody_was_named(sqlite_cloud: Cloud) -> None:
    assert "The deployment has no server." in listing(sqlite_cloud, "--all").err
    assert "No server was named." in listing(sqlite_cloud, "--from-file", "-", stdin="\n").err


def test_a_property_that_nobody_was_given_yet(fleet: Cloud) -> None:
    result = listing(fleet, "--all", "--without", "mine")
    assert (result.code, len(result.json)) == (0, 22)
    assert "No server stores the image property 'mine'." in result.err


def test_an_empty_selection_is_no_skip(fleet: Cloud) -> None:
    assert listing(fleet, "--cell", "cell0", "--fail-on-skip").code == 0


def test_a_cell_that_is_down_may_have_it(fleet: Cloud) -> None:
    fleet.update("cell_mappings", "api", {"name": "cell2"}, database_connection=DOWN)
    for words in (
        ("--host", "cmp9"),
        ("--cell", "cell1", "--project", "x"),
        ("--all", "--without", "mine"),
    ):
        result = listing(fleet, *words)
        assert (result.code, result.json) == (8, []), words
        assert "cell cell2 could not be reached" in result.err
        assert "not found" not in result.err


def test_whoever_is_chosen_costs_no_look_at_the_names(fleet: Cloud) -> None:
    for cell in ("cell1", "cell2"):
        with fleet.engine(cell).begin() as connection:
            connection.exec_driver_sql("ALTER TABLE services RENAME TO serfs")
    assert listing(fleet, "--host", "cmp1", "--without", "hw_rng_model").code == 0
