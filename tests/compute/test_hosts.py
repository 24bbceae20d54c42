"""What the nova-compute of each host says of recorded addresses, and who tells it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from novadev.compute.report import Report
from novadev.database import now_of
from novadev.errors import Unreachable
from novadev.state.keeping import (
    KEPT,
    REASONS,
    SILENCE,
    list_keeping,
    passed,
    unrecorded,
    write_keeping,
)
from novadev.state.store import open_state
from novadev.state.tables import keeping_host
from tests.audit.auditing import audit, healthy
from tests.cached import ROOT
from tests.cloud import Cloud
from tests.command import novadev
from tests.state.places import journal_on_mariadb

HOSTS = ("cmp1", "cmp2", "cmp3", "cmp4")


def say(url: str) -> None:
    """cmp1 keeps, cmp2 only logs, cmp3 says nothing, cmp4 has been silent for long."""
    database = open_state(url)
    for _ in range(2):
        write_keeping(database, "cmp1", "on", True, {KEPT: 3, passed("no-answer"): 1})
    write_keeping(database, "cmp2", "log", False, {KEPT: 1, unrecorded("state-database"): 4})
    write_keeping(database, "cmp4", "on", False, {})
    with database.writing() as connection:
        then = now_of(connection) - SILENCE - timedelta(seconds=5)
        of_it = keeping_host.c.host == "cmp4"
        connection.execute(sa.update(keeping_host).where(of_it).values(seen=then))
    database.close()


def doctor(cloud: Cloud) -> dict[str, tuple[str, str]]:
    found = novadev(cloud, "doctor", "-f", "json").json
    return {
        item["subject"]: (item["status"], item["details"])
        for item in found
        if item["check"] == "addresses"
    }


def not_keeping(cloud: Cloud) -> dict[str, str]:
    found = audit(cloud, "--all", "--check", "not-keeping")
    return {item["host"]: item["details"] for item in found}


def test_hosts_that_share_a_state_database(mariadb_cloud: Cloud) -> None:
    for host in HOSTS:
        healthy(mariadb_cloud, host=host)
    with journal_on_mariadb(mariadb_cloud) as url:
        assert doctor(mariadb_cloud)["compute hosts"][0] == "skipped"
        assert not_keeping(mariadb_cloud) == {}
        say(url)
        told = doctor(mariadb_cloud)
        found = not_keeping(mariadb_cloud)
        metrics = novadev(mariadb_cloud, "audit", "--all", "-f", "prometheus").out
    assert [told[host][0] for host in HOSTS] == ["ok", "ok", "skipped", "warning"]
    assert told["cmp1"][1].startswith("keep_addresses = on, keep_aliases = true since ")
    assert told["cmp1"][1].endswith("6 kept, 2 passed through (no-answer 2)")
    assert told["cmp2"][1].startswith("keep_addresses = log, keep_aliases = false since ")
    assert told["cmp2"][1].endswith("1 kept, 0 passed through, 4 not recorded (state-database 4)")
    assert told["cmp3"][1] == "not known: its nova-compute has told this state database nothing"
    assert set(found) == {"cmp2", "cmp3", "cmp4"}
    assert found["cmp2"].startswith("keep_addresses is log here, and 1 other host")
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    modes = families["novadev_audit_keeping_hosts"].samples
    assert {sample.labels["mode"]: sample.value for sample in modes} == {
        **{"on": 1, "log": 1, "off": 0, "silent": 1}
    }
    counted = families["novadev_audit_keeping_definitions"].samples
    assert {tuple(sample.labels.values()): sample.value for sample in counted} == {
        ("cmp1", "kept", ""): 6,
        ("cmp1", "passed", "no-answer"): 2,
        ("cmp2", "kept", ""): 1,
        ("cmp2", "unrecorded", "state-database"): 4,
    }


def test_a_host_that_cannot_write_there_is_not_known(sqlite_cloud: Cloud) -> None:
    """A file of one machine: "not known" is never "does not keep"."""
    for host in HOSTS:
        healthy(sqlite_cloud, host=host)
    say(f"sqlite:///{sqlite_cloud.folder / 'state.sqlite'}")
    assert set(not_keeping(sqlite_cloud)) == {"cmp2", "cmp4"}
    assert doctor(sqlite_cloud)["cmp3"][1].endswith("which is a file of this machine")


def test_what_cannot_be_written_is_written_with_what_comes_later(sqlite_cloud: Cloud) -> None:
    url = f"sqlite:///{sqlite_cloud.folder / 'state.sqlite'}"
    report, waiting = Report(), []
    report.count(KEPT)
    report.send(waiting.append, "cmp1", "on", True)
    report.send(waiting.append, "cmp1", "on", True)
    assert len(waiting) == 1, "no more than one waits, however long the database hangs"

    def away() -> None:
        raise Unreachable("it is away")

    with pytest.raises(Unreachable):
        waiting.pop()(away)
    report.count(KEPT)
    report.send(waiting.append, "cmp1", "on", True)
    waiting.pop()(lambda: open_state(url))
    assert list_keeping(url)["cmp1"].counts == {KEPT: 2}


def test_the_page_has_every_reason() -> None:
    page = (ROOT / "docs" / "keep_addresses.rst").read_text()
    assert all(f"   * - ``{name}``\n     - {means}\n" in page for name, means in REASONS.items())
