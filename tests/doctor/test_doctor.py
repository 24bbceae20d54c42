"""`doctor`: what it finds wrong on real databases, real hosts and in real files."""

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from novadev.capabilities.content import age_text
from novadev.database import Database
from novadev.doctor.databases import release_text
from novadev.doctor.hosts import login
from novadev.doctor.units import TIMERS, WATCH, service_result, timer_result
from novadev.errors import Unreachable
from novadev.grants import grant
from novadev.nova import rights
from novadev.nova.tables import api_metadata, cell_metadata
from novadev.rules.releases import NEWEST_RELEASE, OLDEST_RELEASE, SCHEMA_REVISIONS
from tests.cached import ROOT
from tests.capabilities.samples import saved
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.hypervisor import Hypervisors
from tests.state.places import NAME as STATE
from tests.state.places import journal_on_mariadb

SECRET = "p\u00e4ss-word"


def doctor(cloud: Cloud, *arguments: str) -> tuple[Result, list[dict[str, Any]]]:
    result = novadev(cloud, "doctor", *arguments, "-f", "json")
    return result, json.loads(result.out)


def of(check: str, found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["subject"]: item for item in found if item["check"] == check}


def add_options(cloud: Cloud, text: str) -> None:
    with cloud.config_file.open("a") as file:
        file.write(text)


def test_all_is_well(any_cloud: Cloud) -> None:
    result, found = doctor(any_cloud)
    assert (result.code, {item["status"] for item in found}) == (0, {"ok", "skipped"})
    databases = of("database", found)
    assert set(databases) == {"API database", "cell cell0", "cell cell1", "cell cell2"}
    release = any_cloud.release
    assert f"schema of Nova {release}," in databases["cell cell1"]["details"]
    assert {item["status"] for item in of("rights", found).values()} <= {"ok"}


@pytest.mark.parametrize("release", ["28", "34"])
def test_the_revisions_are_those_of_nova(make_cloud: Any, release: str) -> None:
    cloud = make_cloud("sqlite", release)
    for name, kind in (("api", "api"), ("cell1", "main")):
        with cloud.engine(name).connect() as connection:
            revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        first, last = SCHEMA_REVISIONS[kind][revision]
        assert first <= int(release) <= last
    assert release_text("main", "0123456789ab")[1] is False


@pytest.mark.parametrize("kind", SCHEMA_REVISIONS)
def test_every_release_has_a_revision(kind: str) -> None:
    known = [range(first, last + 1) for first, last in SCHEMA_REVISIONS[kind].values()]
    wanted = range(OLDEST_RELEASE, NEWEST_RELEASE + 1)
    assert sorted(release for found in known for release in found) == list(wanted)


def test_an_option_that_nobody_knows(sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    add_options(sqlite_cloud, "workerz = 8\nhost-timeout = 3\n\n[novadevs]\nworkers = 3\n")
    monkeypatch.setenv("OS_NOVADEV__STATE_CONECTION", SECRET)
    result, found = doctor(sqlite_cloud)
    assert result.code == 4
    told = [item["details"] for item in found if item["status"] == "failure"]
    assert told == [
        "[novadev] workerz is not an option of novadev and has no effect; did you mean workers?",
        "[novadev] host-timeout is not an option of novadev and has no effect; did you mean "
        "host_timeout?",
        "group [novadevs] is not an option of novadev and has no effect; did you mean [novadev]?",
        "OS_NOVADEV__STATE_CONECTION is not an option of novadev and has no effect",
    ]
    assert SECRET not in result.out + result.err


def test_a_value_that_an_option_cannot_have(sqlite_cloud: Cloud) -> None:
    """It is told beside all that doctor finds else; other commands tell it alone."""
    values = "workerz = 8\nhost_timeout = abc\nworkers = 65\nkeep_addresses = yes\nsyslog = x\n"
    add_options(sqlite_cloud, f"{values}start_check_delay = -1\n\n[vnc]\nenabled = maybe\n")
    wrong = [
        "[vnc] enabled must be true or false",
        "[novadev] host_timeout must be a whole number from 1 to 86400",
        "[novadev] workers must be a whole number from 1 to 64",
        "[novadev] keep_addresses must be one of off, log, on",
        "[novadev] start_check_delay must be a whole number from 0 to 60",
        "[novadev] syslog must be true or false",
    ]
    for arguments in ((), ("--workers", "2")):
        result, found = doctor(sqlite_cloud, *arguments)
        failed = [item for item in found if item["status"] == "failure"]
        assert (result.code, {item["check"] for item in failed}) == (4, {"configuration"})
        assert {item["subject"] for item in failed} == {str(sqlite_cloud.config_file)}
        told = [item["details"] for item in failed]
        assert (told[0].partition(" is not")[0], told[1:]) == ("[novadev] workerz", wrong)
        assert of("database", found)["cell cell1"]["status"] == "ok"
        assert {"state database", "timer"} <= {item["check"] for item in found}
    other = novadev(sqlite_cloud, "history")
    lines = "; ".join(f"{sqlite_cloud.config_file}: {text}" for text in wrong)
    assert (other.code, other.err) == (4, f"Error: {lines}\n")


@pytest.mark.parametrize(
    ("line", "text", "is_place"),
    [
        ("log_file = /nonexistent/x.log", "the log file /nonexistent/x.log", False),
        ("cloud_name = $nosuch", "has a single $; write it as $$", False),
        ("host_timeout = 99999999999999999999", "must be a whole number from 1 to 86400", False),
        ("special_managed_devices = rng:virtio, junk", "must be a list of type:device", False),
        ("special_managed_devices = a:b:c", "must be a list of type:device", False),
        ("libvirt_uri = qemu+ssh://root@{hots}/system", "must be a URI in which only", True),
        ("state_connection = blah", "must be the URL of a SQLite, MySQL or MariaDB", True),
        ("state_connection = postgresql://a:b@c/d", "must be the URL of a SQLite,", True),
    ],
)
def test_a_wrong_value_ends_only_what_hangs_on_it(
    sqlite_cloud: Cloud, line: str, text: str, is_place: bool
) -> None:
    """Without the place of a database or of libvirt nothing is asked; all else goes on."""
    name = line.partition(" ")[0]
    add_options(sqlite_cloud, f"{line}\n")
    result, found = doctor(sqlite_cloud)
    [failed] = [item for item in found if item["check"] == "configuration" and item["exit_code"]]
    assert failed["subject"] == str(sqlite_cloud.config_file)
    assert failed["details"].startswith(f"[novadev] {name} ")
    assert text in failed["details"]
    assert result.code == 4
    databases = [item["status"] for item in found if item["check"] == "database"]
    assert databases == (["skipped"] if is_place else ["ok"] * len(databases))
    other = novadev(sqlite_cloud, "history")
    assert (other.code, "Traceback" in other.err) == (4, False)
    assert text in other.err


@pytest.mark.parametrize("name", ["state_connection", "libvirt_uri", "special_managed_devices"])
def test_an_option_without_a_value_is_not_set(sqlite_cloud: Cloud, name: str) -> None:
    add_options(sqlite_cloud, f"{name} =\n")
    assert [item for item in doctor(sqlite_cloud)[1] if item["exit_code"] == 4] == []


def test_where_a_wrong_value_stands(
    sqlite_cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the file that counts, under an older name, or in the environment; never with a secret."""
    add_options(sqlite_cloud, "workers = 3\n")
    (tmp_path / "last.conf").write_text("[novadev]\nworkers = x\n[DEFAULT]\nvnc_enabled = x\n")
    also = ("--config-file", str(sqlite_cloud.config_file), "--config-dir", str(tmp_path))
    monkeypatch.setenv("OS_NOVADEV__HOST_TIMEOUT", "0")
    monkeypatch.setenv("OS_NOVADEV__STATE_CONNECTION", f"mysql://nova:{SECRET}$x@db/novadev")
    result = novadev(None, *also, "doctor", "-f", "json")
    assert (result.code, SECRET in result.out + result.err) == (4, False)
    found = json.loads(result.out)
    assert [
        (item["subject"], item["details"].split()[1]) for item in found if item["exit_code"]
    ] == [
        (str(tmp_path / "last.conf"), "enabled"),
        ("environment variable OS_NOVADEV__STATE_CONNECTION", "state_connection"),
        ("environment variable OS_NOVADEV__HOST_TIMEOUT", "host_timeout"),
        (str(tmp_path / "last.conf"), "workers"),
    ]
    assert [item["subject"] for item in found if item["check"] == "database"] == [
        "databases and hosts"
    ]


@contextmanager
def poor_account(cloud: Cloud, *grants: str) -> Iterator[None]:
    """The cloud's configuration and mappings with an account that has only these GRANTs."""
    with cloud.engine("api").connect() as connection:
        connection.execute(
            sa.text("CREATE OR REPLACE USER 'po''or'@localhost IDENTIFIED BY 'se cret'")
        )
        for line in grants:
            connection.execute(sa.text(line))
        connection.execute(sa.text("FLUSH PRIVILEGES"))
        text = cloud.config_file.read_text().replace("root@", "po%27or:se%20cret@")
        cloud.config_file.write_text(text)
        for name in ("cell0", "cell1", "cell2"):
            url = cloud.url(name).replace("root@", "po%27or:se%20cret@")
            cloud.update("cell_mappings", "api", {"name": name}, database_connection=url)
        try:
            yield
        finally:
            connection.execute(sa.text("DROP USER 'po''or'@localhost"))


def test_the_rights_that_an_account_lacks_can_be_pasted(mariadb_cloud: Cloud) -> None:
    """Every missing right is found; after the statements have run, nothing is missing."""
    names = {name: mariadb_cloud.engine(name).url.database for name in ("api", "cell1", "cell2")}
    given = [
        f"GRANT SELECT ON {names['api']}.* TO 'po''or'@localhost",
        f"GRANT SELECT, UPDATE ON {names['cell1']}.* TO 'po''or'@localhost",
        f"GRANT SELECT ON {names['cell2']}.instances TO 'po''or'@localhost",
    ]
    with poor_account(mariadb_cloud, *given):
        result, found = doctor(mariadb_cloud)
        assert result.code == 8
        lacking = of("rights", found)
        assert lacking["API database"]["status"] == "warning"
        assert lacking["API database"]["remedies"] == [
            f"GRANT UPDATE ON `{names['api']}`.`request_specs` TO 'po''or'@'localhost';"
        ]
        of_cell1 = "\n".join(lacking["cell cell1"]["remedies"])
        assert "GRANT INSERT, DELETE ON " in of_cell1
        assert "UPDATE" not in of_cell1
        assert lacking["cell cell2"]["status"] == "failure"
        entry = of("database", found)["cell cell0"]
        told = [re.findall("`([^`]+)`", line)[1] for line in entry["remedies"]]
        assert (entry["status"], {*told}) == (
            "failure",
            {*cell_metadata.tables, "alembic_version"},
        )
        assert told[-1] == "share_mapping"
        shown = novadev(mariadb_cloud, "doctor")
        assert shown.out.count("\ndatabase\n") + shown.out.startswith("database\n") == 1
        assert len(re.findall("^rights$", shown.out, re.MULTILINE)) == 1
        every = [line for item in found for line in item["remedies"]]
        assert all(f"\n  {line}\n" in shown.out for line in every)
        assert "cret" not in result.out + result.err + shown.out
        with mariadb_cloud.engine("api").connect() as connection:
            for line in every:
                connection.execute(sa.text(line))
        result, found = doctor(mariadb_cloud)
        assert {item["status"] for item in of("database", found).values()} == {"ok"}
        assert (result.code, {item["status"] for item in of("rights", found).values()}) == (
            0,
            {"ok"},
        ), result.out


def documented_rights(cloud: Cloud, but: str) -> list[str]:
    """The statements that give the poor account all rights that novadev needs, BUT on one table."""
    return [
        grant(needed, str(cloud.engine(name).url.database), table, "'po''or'@'localhost'")
        for name in ("api", "cell0", "cell1", "cell2")
        for table, needed in rights.all_rights("api" if name == "api" else "main").items()
        if table != but
    ]


@pytest.mark.slow
def test_a_table_that_the_release_does_not_have_gets_no_grant(make_cloud: Any) -> None:
    """With the rights of the documentation, MySQL denies such a table instead of missing it."""
    cloud = make_cloud("mariadb", "28")
    given = documented_rights(cloud, "share_mapping")
    with poor_account(cloud, *given):
        result, found = doctor(cloud)
    assert (result.code, {item["status"] for item in of("rights", found).values()}) == (0, {"ok"})


def test_what_only_the_doctor_reads_is_a_warning(mariadb_cloud: Cloud) -> None:
    given = documented_rights(mariadb_cloud, "alembic_version")
    with poor_account(mariadb_cloud, *given):
        result, found = doctor(mariadb_cloud)
    lacking = of("rights", found).values()
    assert (result.code, {item["status"] for item in lacking}) == (0, {"warning"})
    assert all(
        re.fullmatch(r"GRANT SELECT ON `\w+`.`alembic_version` TO .*;", *item["remedies"])
        for item in lacking
    )


def test_the_rights_are_those_of_the_documentation() -> None:
    page = (ROOT / "docs" / "configuration.rst").read_text()
    metadata = {"API": ("api", api_metadata), "cell": ("main", cell_metadata)}
    for name, (kind, tables) in metadata.items():
        assert {*rights.all_rights(kind)} > {*tables.tables}
        for table, wanted in rights.all_rights(kind).items():
            [row] = [
                row
                for row in page.split("   * - ")
                if row.startswith(f"{name}\n") and f"``{table}``" in row
            ]
            assert ", ".join(f"``{right}``" for right in wanted) in row, table


def test_a_database_of_another_program(sqlite_cloud: Cloud) -> None:
    """It lacks a table; another one has a revision that no release has."""
    with sqlite_cloud.engine("cell1").begin() as connection:
        connection.execute(sa.text("DROP TABLE pci_devices"))
    with sqlite_cloud.engine("cell2").begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'abc'"))
    result, found = doctor(sqlite_cloud)
    databases = of("database", found)
    assert (result.code, databases["cell cell1"]["status"]) == (3, "failure")
    assert "pci_devices" in databases["cell cell1"]["details"]
    assert databases["cell cell2"]["status"] == "warning"


def test_hosts_that_cannot_be_reached(sqlite_cloud: Cloud) -> None:
    """One takes the connection and stays silent; a host without a URI; one that nobody has."""
    for host in ("cmp1", "cmp2"):
        sqlite_cloud.add_instance(host=host)
    _, found = doctor(sqlite_cloud)
    assert {item["exit_code"] for item in of("host", found).values()} == {8}
    told = novadev(sqlite_cloud, "doctor")
    assert re.search(
        "^failure  2 hosts: cmp1, cmp2 +novadev runs on .* no URI for host <host>",
        told.out,
        re.MULTILINE,
    )
    folded = re.findall(r"^failure  (?:(\d+) hosts: )?", told.out, re.MULTILINE)
    assert told.err.startswith(f"{sum(int(number or 1) for number in folded)} failures, ")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        add_options(
            sqlite_cloud, f"libvirt_uri = qemu+tcp://127.0.0.1:{port}/{{host}}\nhost_timeout = 1\n"
        )
        result, found = doctor(sqlite_cloud, "--host", "cmp2", "--host", "elsewhere")
    hosts = of("host", found)
    assert (result.code, set(hosts)) == (8, {"cmp2", "elsewhere"})
    assert "no answer within 1 s" in hosts["cmp2"]["details"]
    assert hosts["elsewhere"]["exit_code"] == 2


def test_hosts_by_a_pattern(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    for host in ("cmp1", "cmp2", "other"):
        sqlite_cloud.add_instance(host=host)
    add_options(sqlite_cloud, f"compute_config_dir = {tmp_path}\n")
    result, found = doctor(sqlite_cloud, "--host", "cmp*", "--host", "cmp1")
    assert (result.code, set(of("host", found))) == (8, {"cmp1", "cmp2"})
    [files] = of("capabilities", found).values()
    assert files["details"] == "2 hosts without one: cmp1, cmp2"


def test_a_host_that_does_not_exist_lacks_no_file(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    sqlite_cloud.add_instance(host="cmp1")
    add_options(sqlite_cloud, f"compute_config_dir = {tmp_path}\n")
    for word in ("elsewhere", "else*"):
        result, found = doctor(sqlite_cloud, "--host", word)
        [only] = of("host", found).values()
        assert (result.code, only["details"]) == (2, f"no cell has a compute host '{word}'")
        assert not of("capabilities", found)
        assert set(of("addresses", found)) <= {"compute hosts"}


@pytest.mark.slow
def test_a_host_that_answers(sqlite_cloud: Cloud, hypervisors: Hypervisors) -> None:
    [host] = hypervisors.take()
    sqlite_cloud.add_instance(host=host.name)
    add_options(sqlite_cloud, f"libvirt_uri = {host.uri}\n")
    add_options(sqlite_cloud, f"\n[DEFAULT]\nhost = {host.name}\n")
    result, found = doctor(sqlite_cloud)
    [only] = of("host", found).values()
    assert (result.code, only["status"]) == (0, "ok"), only
    assert "QEMU " in only["details"]
    assert "0 guests (0 running)" in only["details"]


@pytest.mark.parametrize(
    ("uri", "means"),
    [
        ("qemu:///system", "the rights of the socket"),
        ("qemu+unix:///system?socket=/x", "the rights of the socket"),
        ("qemu+ssh://root@cmp1/system", "an ssh key"),
        ("qemu://cmp1/system", "TLS certificates"),
        ("qemu+tcp://cmp1/system", "SASL, or no login at all"),
    ],
)
def test_how_a_uri_logs_in(uri: str, means: str) -> None:
    assert login(uri) == means


def test_the_state_database_and_who_uses_it(sqlite_cloud: Cloud) -> None:
    file = sqlite_cloud.folder / "state.sqlite"
    uuid = sqlite_cloud.add_instance(hw_vif_model="e1000")
    novadev(sqlite_cloud, "image-property", "set", "--property", "hw_vif_model=virtio", uuid, "-y")
    _, found = doctor(sqlite_cloud)
    states = of("state database", found)
    assert "MiB" in states[str(file)]["details"]
    assert states[f"used by {socket.gethostname()}"]["details"].startswith("1 run, the last on 20")
    file.unlink()
    _, found = doctor(sqlite_cloud)
    assert "does not exist yet" in of("state database", found)[str(file)]["details"]
    assert not file.exists()


@pytest.mark.parametrize(
    ("given", "is_made"),
    [
        ("", False),
        ("SELECT", False),
        ("INSERT, CREATE", False),
        ("SELECT, UPDATE, DELETE", True),
        ("INSERT", True),
    ],
)
def test_the_rights_on_the_state_database_can_be_pasted(
    mariadb_cloud: Cloud, given: str, is_made: bool
) -> None:
    """What is lacking is told at once; after the statements have run, records can be written."""
    uuid = mariadb_cloud.add_instance(hw_vif_model="virtio")
    change = ("image-property", "set", "--property", "hw_vif_model=e1000", uuid, "--yes")
    with journal_on_mariadb(mariadb_cloud):
        if is_made:
            assert novadev(mariadb_cloud, "history").code == 0
        lines = documented_rights(mariadb_cloud, "")
        if given:
            lines.append(f"GRANT {given} ON {STATE}.* TO 'po''or'@localhost")
        with poor_account(mariadb_cloud, *lines):
            assert novadev(mariadb_cloud, *change).code == 8
            result, found = doctor(mariadb_cloud)
            [told] = [
                item for item in found if item["check"] == "state database" and item["remedies"]
            ]
            assert (result.code, told["status"], told["exit_code"]) == (8, "failure", 8)
            assert "see novadev doctor" not in told["details"]
            [line] = told["remedies"]
            assert not {*re.findall(r"[A-Z]+", given)} & {*line.partition(" ON ")[0].split(", ")}, (
                line
            )
            with mariadb_cloud.engine("api").connect() as connection:
                connection.execute(sa.text(line))
            assert {
                item["status"] for item in of("state database", doctor(mariadb_cloud)[1]).values()
            } == {"ok"}
            ended = novadev(mariadb_cloud, *change)
            assert ended.code == 0, ended.err


def test_a_state_database_that_is_not_there_yet(mariadb_cloud: Cloud) -> None:
    with journal_on_mariadb(mariadb_cloud):
        with mariadb_cloud.engine("api").connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {STATE}"))
            [told] = of("state database", doctor(mariadb_cloud)[1]).values()
            assert told["remedies"] == [f"CREATE DATABASE `{STATE}`;"]
            connection.execute(sa.text(told["remedies"][0]))
        assert of("state database", doctor(mariadb_cloud)[1]).popitem()[1]["status"] == "ok"


def test_a_state_database_on_a_replica_is_no_fine_one(mariadb_cloud: Cloud) -> None:
    """All rights are there, and the server writes nothing: as after a failover."""
    with journal_on_mariadb(mariadb_cloud):
        assert novadev(mariadb_cloud, "history").code == 0
        lines = [
            *documented_rights(mariadb_cloud, ""),
            f"GRANT ALL ON {STATE}.* TO 'po''or'@localhost",
        ]
        with poor_account(mariadb_cloud, *lines), mariadb_cloud.engine("api").connect() as root:
            for read_only, status in ((0, "ok"), (1, "failure")):
                root.execute(sa.text(f"SET GLOBAL read_only = {read_only}"))
                try:
                    _, found = doctor(mariadb_cloud)
                finally:
                    root.execute(sa.text("SET GLOBAL read_only = 0"))
                told = of("state database", found)
                (place,) = [item for subject, item in told.items() if "used by" not in subject]
                assert place["status"] == status
                assert ("cannot be written" in place["details"]) == (status == "failure")


def test_a_full_or_read_only_database_is_reached(tmp_path: Path) -> None:
    """It is written to no longer, and the words are those of doctor."""
    state = Database("state database", f"sqlite:///{tmp_path}/state")
    (tmp_path / "state").touch()
    with state.writing() as connection:
        connection.execute(sa.text("CREATE TABLE t (x)"))
    for pragma, why in (("max_page_count = 1", "its disk is full"), ("query_only = 1", ".*read")):
        with pytest.raises(Unreachable, match=f"^state database cannot be written: {why}"):
            _fill(state, pragma)


def _fill(state: Database, pragma: str) -> None:
    with state.writing() as connection:
        connection.execute(sa.text(f"PRAGMA {pragma}"))
        connection.execute(sa.text("INSERT INTO t VALUES (zeroblob(100000))"))


def test_a_full_disk_below_the_state_database(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.statvfs(sqlite_cloud.folder)
    full = os.statvfs_result((*found[:3], 0, 0, *found[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    result, answers = doctor(sqlite_cloud)
    [told] = of("state database", answers).values()
    assert (result.code, told["details"].partition("written: ")[2]) == (8, "its disk is full")


def test_capability_files(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    for host in ("cmp1", "cmp2", "cmp3"):
        sqlite_cloud.add_instance(host=host)
    folder = tmp_path / "hosts"
    folder.mkdir()
    add_options(sqlite_cloud, f"compute_config_dir = {folder}\n")
    saved(folder, "cmp1.json")
    (folder / "cmp2.json").write_text("{}")
    _, found = doctor(sqlite_cloud)
    files = of("capabilities", found)
    assert "saved " in files[str(folder / "cmp1.json")]["details"]
    assert files[str(folder / "cmp2.json")]["exit_code"] == 4
    assert files[str(folder)]["details"] == "1 host without one: cmp3"
    for place, host in ((folder / "cmp2.json", "cmp2"), (folder, "cmp3")):
        assert files[str(place)]["remedies"] == [
            f"# On {host}, with the configuration files of its nova-compute:",
            f"novadev capabilities save -o {host}.json",
            f"# Then copy the file to this machine, into the folder {folder}",
        ]
    (folder / "cmp2.json").unlink()
    shown = novadev(sqlite_cloud, "doctor").out
    assert "\n  # On each of these hosts (HOST is its name in Nova), with" in shown
    assert f"\n  # Then copy the file to this machine, into the folder {folder}\n" in shown


def test_how_old_a_file_is() -> None:
    now = datetime(2026, 11, 28, tzinfo=timezone.utc)
    assert age_text("2026-11-27T23:00:00Z", now) == "today"
    assert age_text("2026-11-01T00:00:00Z", now) == "27 days ago"
    assert age_text("2026-12-01T00:00:00Z", now) == "3 days in the future"
    assert age_text("2026-11-28T00:05:00", now) == "today"
    assert age_text("long ago", now) == "at long ago"


def test_the_units_are_those_that_are_installed() -> None:
    """Each timer has its service; the watch is the one service without a timer."""
    known = {f"{name}.{kind}" for name in TIMERS for kind in ("timer", "service")} | {WATCH}
    assert known == {path.name for path in (ROOT / "systemd").iterdir()}


RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "ActiveEnterTimestamp": "Mon 2026-11-23 08:00:00 UTC",
    "StatusText": "Watching 3 of 3 hosts",
    "NRestarts": "0",
    "Result": "success",
}
AGAIN = {"ActiveState": "activating", "Result": "exit-code", "ExecMainStatus": "8"}


@pytest.mark.parametrize(
    ("service", "status", "text"),
    [
        ({}, "skipped", "not installed"),
        ({"LoadState": "loaded", "ActiveState": "inactive"}, "skipped", "not started"),
        (RUNNING, "ok", "since Mon 2026-11-23 08:00:00 UTC: Watching 3 of 3 hosts; its last lines"),
        (RUNNING | {"NRestarts": "2"}, "warning", "restarted 2 times"),
        (RUNNING | AGAIN, "failure", "exit code 8, and systemd starts it again; its last lines"),
        (RUNNING | AGAIN | {"ActiveState": "failed"}, "failure", "with exit code 8; its last"),
        (RUNNING | {"ActiveState": "activating"}, "warning", "being started"),
    ],
)
def test_what_systemd_says_of_the_watch(service: dict[str, str], status: str, text: str) -> None:
    found = service_result(service, ("host cmp1: one", "host cmp1: two"))
    assert found.status == status
    assert text in found.details
    is_shown = "host cmp1: one | host cmp1: two" in found.details
    assert is_shown == (service.get("ActiveState") in ("active", "activating", "failed"))
    assert found.exit_code == (3 if status == "failure" else 0)


@pytest.mark.parametrize(
    ("timer", "service", "status", "text"),
    [
        ({}, {}, "skipped", "not installed"),
        ({"LoadState": "loaded", "ActiveState": "inactive"}, {}, "warning", "not started"),
        ({"LoadState": "loaded", "ActiveState": "active"}, {}, "ok", "not run yet"),
        (
            {"LoadState": "loaded", "ActiveState": "active", "LastTriggerUSec": "Mon 01:00"},
            {"Result": "exit-code", "ExecMainStatus": "8"},
            "failure",
            "Mon 01:00 and failed with exit code 8",
        ),
        (
            {"LoadState": "loaded", "ActiveState": "active", "LastTriggerUSec": "Mon 01:00"},
            {"Result": "success"},
            "ok",
            "last ran Mon 01:00",
        ),
    ],
)
def test_what_systemd_says_of_a_timer(
    timer: dict[str, str], service: dict[str, str], status: str, text: str
) -> None:
    found = timer_result("novadev-record", timer, service)
    assert found.status == status
    assert text in found.details
