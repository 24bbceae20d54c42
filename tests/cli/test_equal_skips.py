"""Skips as a user reads them: equal ones together, and counted as they are shown."""

import ast
import re
from pathlib import Path

import pytest

import novadev as package
from novadev.cli.grouping import without_own
from novadev.cli.session import Session
from novadev.cli.skips import Skips
from novadev.runs.plan import Skip
from tests.cloud import Cloud
from tests.command import novadev
from tests.doctor.test_doctor import poor_account

SERVERS = 24
HOSTS = 12


@pytest.fixture
def fleet(sqlite_cloud: Cloud) -> Cloud:
    """Servers on many hosts, of which none can be reached."""
    uuids = sqlite_cloud.add_instances(
        SERVERS, lambda n: {"name": f"web-{n}", "host": f"cmp{n % HOSTS + 1}"}, hw_disk_bus="virtio"
    )
    for uuid in uuids:
        sqlite_cloud.add_disk(uuid)
    return sqlite_cloud


def lines(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(word)]


WHO = "24 servers on 12 hosts (web-0, web-1, web-2 and 21 more)"


def test_a_reason_with_the_number_of_a_row_is_one_line(fleet: Cloud) -> None:
    wanted = ("--property", "hw_disk_bus=scsi", "--all", "--dry-run", "--summary")
    (line,) = lines(novadev(fleet, "image-property", "set", *wanted).err, "skipped")
    assert line.startswith(f"skipped: {WHO}: hw_scsi_model is not set and root (disk sda on bus")
    assert "block_device_mapping <row>)" in line


def test_a_reason_with_the_name_of_a_host_is_one_line(fleet: Cloud) -> None:
    """The first is told as it comes, because it may take hours until the last."""
    result = novadev(fleet, "stash-defaults", "--all", "--dry-run")
    first, rest = lines(result.err, "Error")
    assert first.startswith("Error: instance web-0 (")
    assert "no URI for host cmp1." in first
    assert rest.startswith(f"Error: {WHO.replace(' (', ' in all (')}: ")
    assert "no URI for host <host>." in rest


def test_a_reason_of_one_host_names_it(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instances(3, lambda n: {"name": f"web-{n}", "host": "far"})
    result = novadev(sqlite_cloud, "stash-defaults", "--all", "--dry-run")
    last = lines(result.err, "Error")[-1]
    assert last.startswith("Error: 3 servers in all (web-0, web-1, web-2): ")
    assert "no URI for host far." in last


def test_a_note_with_the_name_of_a_host_is_one_line(fleet: Cloud) -> None:
    result = novadev(fleet, "machine-type", "set", "q35", "--all", "--dry-run", "--summary")
    (note,) = [line for line in lines(result.out, "note") if "not known whether" in line]
    assert note.startswith(f"note for {WHO}: it is not known whether <host> has q35")


def test_hosts_that_an_audit_cannot_reach_are_one_group(fleet: Cloud) -> None:
    result = novadev(fleet, "audit", "--all", "--summary")
    (line,) = lines(result.out, "failure")
    assert line == "failure  unreachable  12 hosts (cmp1, cmp2, cmp3 and 9 more)"
    assert "host <host>: novadev runs on " in result.out
    assert "12 findings of unreachable: what could not be reached was not checked." in result.err
    assert "a person has to decide" not in result.err


@pytest.mark.parametrize(
    ("text", "host", "shown"),
    [
        ("no URI for host cmp1. Set", "cmp1", "no URI for host <host>. Set"),
        ("host cmp1: no", "cmp1", "host <host>: no"),
        ("cmp1.example and cmp10", "cmp1", "cmp1.example and cmp10"),
        ("block_device_mapping 7 disk_bus", None, "block_device_mapping <row> disk_bus"),
        ("7 disks", None, "7 disks"),
    ],
)
def test_what_is_one_server_s_own(text: str, host: str | None, shown: str) -> None:
    assert without_own(text, host) == shown


def told(*skips: Skip, planned: str = "") -> str:
    found = Skips(Session())
    found.plan(planned)
    for skip in skips:
        found.add(skip)
    return found.told


def test_what_is_skipped_is_counted_as_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = Skip("a", "instance a: x"), Skip("a", "instance a: y")
    assert told() == "0 skipped"
    assert told(one, Skip("b", "instance b: x")) == "2 skipped"
    assert told(one, other) == "1 server skipped, for 2 reasons"
    assert told(one, other, planned="a") == "0 skipped"
    assert told(Skip(None, "cell2 is down", 8)) == "1 cell or host not read"
    assert (
        told(one, Skip(None, "cell2", 3, database="cell2")) == "1 skipped, 1 cell or host not read"
    )
    capsys.readouterr()


def test_a_part_of_a_planned_server_is_not_called_skipped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Skips(Session())
    found.plan("a")
    found.add(Skip("a", "instance a: hw_input_bus: not recorded"))
    found.add(Skip("b", "instance b: hw_input_bus: not recorded"))
    found.tell_groups()
    assert capsys.readouterr().err.splitlines() == [
        "planned in part: instance a: hw_input_bus: not recorded",
        "skipped: instance b: hw_input_bus: not recorded",
    ]
    assert [entry["instance"] for entry in found] == ["a", "b"]


def test_each_named_server_has_a_line_in_a_pipe(fleet: Cloud) -> None:
    names = "\n".join(f"web-{n}" for n in range(SERVERS))
    result = novadev(fleet, "stash-defaults", "--from-file", "-", "--dry-run", stdin=names)
    found = {re.sub(r".*instance (\S+) .*", r"\1", line) for line in lines(result.err, "Error")}
    assert found == set(names.split())
    assert result.err.endswith(f"0 planned, {SERVERS} skipped; nothing was changed.\n")


def test_each_skip_of_a_server_says_whether_that_was_named() -> None:
    """One that does not has no line of its own in a pipe."""
    silent = []
    for path in Path(package.__file__).parent.rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if is_of_server(node))
        silent += [f"{path.name}: {ast.unparse(call)}" for call in calls if not says_named(call)]
    assert silent == []


def is_of_server(node: ast.AST) -> bool:
    is_skip = isinstance(node, ast.Call) and ast.unparse(node.func) in ("Skip", "Skip.of")
    return is_skip and ast.unparse(node.args[0]) != "None"  # type: ignore[attr-defined]


def says_named(call: ast.Call) -> bool:
    place = 2 if ast.unparse(call.func) == "Skip.of" else 3
    return len(call.args) > place or any(word.arg == "named" for word in call.keywords)


@pytest.mark.slow
def test_an_account_that_lacks_a_right_is_told_so(mariadb_cloud: Cloud) -> None:
    """Both cells are reached: one may be read only, the other may not be opened."""
    for n in range(3):
        mariadb_cloud.add_instance(name=f"m-{n}", hw_disk_bus="virtio", vm_state="stopped")
    names = {name: mariadb_cloud.engine(name).url.database for name in ("api", "cell0", "cell1")}
    who = "TO 'po''or'@localhost"
    given = [f"GRANT ALL ON {names['api']}.* {who}", f"GRANT SELECT ON {names['cell0']}.* {who}"]
    with poor_account(mariadb_cloud, *given, f"GRANT SELECT ON {names['cell1']}.* {who}"):
        wanted = ("--property", "hw_vif_model=virtio", "--all", "--yes")
        result = novadev(mariadb_cloud, "image-property", "set", *wanted)
    assert "could not be reached" not in result.err
    failed = lines(result.err, "failed")
    assert len(failed) == 3
    lacks = "cell cell1: the account lacks a right (see novadev doctor): 1142 "
    assert all(lacks in line for line in failed)
    assert "cell cell2: the account lacks a right (see novadev doctor): 1044 " in result.err
    assert "partial (3 failed and still planned, 1 cell or host not read)." in result.err
    assert result.code == 8
