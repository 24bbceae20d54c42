"""The account that the docs give nova-compute is enough for it, and for nothing else."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from novadev.state.keeping import list_keeping
from novadev.state.store import open_state
from tests.cached import ROOT
from tests.cloud import Cloud
from tests.compute.test_disturbed import KEPT, Beside, record_of
from tests.compute.test_keeper import DRIFTED, addresses
from tests.state.places import NAME, journal_on_mariadb

PAGE = (ROOT / "docs" / "keep_addresses.rst").read_text()
ACCOUNT = "'novadev-compute'@'%'"


def documented() -> list[str]:
    """The statements of the page, on the tests' database."""
    found = re.findall(r"^   ((?:CREATE USER|GRANT) .*);$", PAGE, re.MULTILINE)
    return [
        line.replace(" ON novadev.", f" ON {NAME}.").replace("'%'", "localhost") for line in found
    ]


@pytest.mark.slow
def test_it_records_keeps_and_reports(
    mariadb_cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("novadev.compute.state_database.LIMIT", 60.0)
    statements = documented()
    assert len(statements) > 3
    with journal_on_mariadb(mariadb_cloud) as url, mariadb_cloud.engine("api").connect() as root:
        open_state(url).close()
        for line in statements:
            root.execute(sa.text(line.replace(":", "\\:")))
        try:
            poor = sa.make_url(url).set(username="novadev-compute", password="ANOTHER SECRET")
            beside = Beside(tmp_path, poor.render_as_string(hide_password=False))
            beside.see(DRIFTED)
            assert beside.rows() == addresses(record_of(DRIFTED).devices)
            assert beside.kept() == KEPT
            beside.ask("count", missed=[("kept", "", 1)])
            beside.keeper.report()
            beside.keeper.end()
            assert beside.keeper.troubles() == []
            assert [*list_keeping(url)] == ["cmp7"]
            writable = _writable(root)
            assert writable == {line.split()[-3].partition(".")[2] for line in statements[2:]}
        finally:
            root.execute(sa.text("DROP USER 'novadev-compute'@localhost"))


def _writable(root: sa.Connection) -> set[str]:
    """The tables on which the account may write: none of the journal."""
    query = (
        "SELECT table_name FROM information_schema.table_privileges WHERE grantee LIKE "
        "'%novadev-compute%' AND privilege_type = 'INSERT'"
    )
    return set(root.execute(sa.text(query)).scalars())
