"""A filter that names what the deployment does not have is an error; an empty selection is not."""

import json
import subprocess

import pytest

from novadev.cli import selection_options
from novadev.nova import statuses
from tests.cli.test_residence import DOWN
from tests.cli.test_selection import listing
from tests.cloud import Cloud
from tests.command import novadev
from tests.templates import RELEASES, nova_environment, nova_program

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
    assert result.code == 2
    assert _has_nothing(result.out, command)
    assert "host 'cmp9' not found" in result.err
    assert "; did you mean cmp1 or cmp2?" in result.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_that_nothing_was_chosen(fleet: Cloud, command: str) -> None:
    words = ("--host", "cmp1", "--vm-state", "rescued")
    result = novadev(fleet, *command.split(), *words)
    assert result.code == 0
    assert "No server matches the filters (--host cmp1 --vm-state rescued)." in result.err
    if "json" in command:
        assert _has_nothing(result.out, command)


def _has_nothing(printed: str, command: str) -> bool:
    """Whether PRINTED is a document in which there is no server, or no text at all."""
    if "json" not in command:
        return printed == ""
    found = json.loads(printed)
    return found == [] or (found["plans"], [one["instance"] for one in found["skipped"]]) in (
        ([], []),
        ([], [None]),
    )


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
    assert "No server matches the filters (" in result.err


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


def listed(cloud: Cloud, *arguments: str) -> set[str]:
    """The names of the servers that a list has."""
    result = novadev(cloud, "image-property", "list", "--wide", *arguments, "-f", "json")
    assert result.code == 0, result.err
    return {server["name"] for server in result.json}


def test_several_hosts_and_patterns(cloud: Cloud) -> None:
    """Upper and lower case apart, and nothing else than * and ? stands for anything."""
    names = ("web-1", "web-22", "Web-3", "web[1]", "w%b-1", "wéb-1", "db_1")
    for number, name in enumerate(names):
        cloud.add_instance(name=name, host=f"cmp{number + 1}")
    assert listed(cloud, "--name", "web-*") == {"web-1", "web-22"}
    assert listed(cloud, "--name", "web-?") == {"web-1"}
    assert listed(cloud, "--name", "w?b-1") == {"web-1", "w%b-1", "wéb-1"}
    assert listed(cloud, "--name", "web[*") == {"web[1]"}
    assert listed(cloud, "--name", "w%*") == {"w%b-1"}
    assert listed(cloud, "--name", "d?_1", "--name", "Web-3") == {"db_1", "Web-3"}
    assert listed(cloud, "--name", "web-1") == {"web-1"}
    assert listed(cloud, "--host", "cmp1", "--host", "cmp2") == {"web-1", "web-22"}
    assert listed(cloud, "--host", "cmp*", "--name", "db*") == {"db_1"}


def test_one_of_several_hosts_that_nobody_has(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(host="cmp1")
    for hosts in (("cmp1", "cpm2"), ("cpm*",)):
        words = [word for host in hosts for word in ("--host", host)]
        result = novadev(sqlite_cloud, "image-property", "list", *words)
        assert result.code == 2, hosts
        assert f"host {hosts[-1]!r} not found" in result.err
    empty = novadev(sqlite_cloud, "image-property", "list", "--name", "x*")
    assert (empty.code, empty.err) == (0, "No server matches the filters (--name x*).\n")


def test_a_status_is_what_the_api_shows(sqlite_cloud: Cloud) -> None:
    states = {
        "off": ("stopped", None),
        "starting": ("stopped", "powering-on"),
        "resizing": ("stopped", "resize_prep"),
        "running": ("active", None),
        "rebooting": ("active", "rebooting_hard"),
    }
    for name, (vm_state, task_state) in states.items():
        sqlite_cloud.add_instance(name=name, vm_state=vm_state, task_state=task_state)
    assert listed(sqlite_cloud, "--status", "shutoff") == {"off", "starting"}
    assert listed(sqlite_cloud, "--status", "RESIZE") == {"resizing"}
    assert listed(sqlite_cloud, "--status", "ACTIVE") == {"running"}
    assert listed(sqlite_cloud, "--status", "HARD_REBOOT") == {"rebooting"}


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
def test_the_statuses_are_those_of_nova(release: str) -> None:
    script = (
        "import json; from nova.api.openstack import common; print(json.dumps(common._STATE_MAP))"
    )
    python = str(nova_program(release, "python"))
    ran = subprocess.run(
        [python, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        env=nova_environment(),
        check=True,
    )
    found = json.loads(ran.stdout.splitlines()[-1])
    del found["deleted"]
    assert {state: tasks.pop("default") for state, tasks in found.items()} == statuses.DEFAULTS
    assert {state: tasks for state, tasks in found.items() if tasks} == statuses.TASKS
    assert selection_options.STATUSES == statuses.STATUSES
