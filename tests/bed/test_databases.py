"""Every deployment is whole, empty and apart from the others."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cloud import CELLS, Cloud
from tests.conftest import MakeCloud
from tests.deployments import MariaDBHost
from tests.templates import DATABASES


def test_cells_point_at_their_databases(any_cloud: Cloud) -> None:
    mapped = {row["name"]: row for row in any_cloud.rows("cell_mappings", "api")}
    assert {name: mapped[name]["database_connection"] for name in CELLS} == {
        name: any_cloud.url(name) for name in CELLS
    }


def test_schemas_are_novas(any_cloud: Cloud) -> None:
    for name in DATABASES:
        tables = sa.inspect(any_cloud.engine(name)).get_table_names()
        assert "alembic_version" in tables
        assert ("request_specs" if name == "api" else "instances") in tables


def test_starts_empty_and_is_filled(any_cloud: Cloud) -> None:
    assert any_cloud.rows("request_specs", "api") == []
    for cell in CELLS:
        assert any_cloud.rows("instances", cell) == []
        any_cloud.add_disk(any_cloud.add_instance(cell=cell))


def test_starts_empty_again(any_cloud: Cloud) -> None:
    test_starts_empty_and_is_filled(any_cloud)


def test_a_changed_cell_mapping_is_restored(mariadb_cloud: Cloud, make_cloud: MakeCloud) -> None:
    mariadb_cloud.update("cell_mappings", "api", {"name": "cell1"}, database_connection="x")
    again = make_cloud("mariadb", "28")
    assert again.rows("cell_mappings", "api", name="cell1")[0]["database_connection"] != "x"


def test_a_transaction_left_open_does_not_block_the_next_test(
    mariadb_cloud: Cloud, mariadb_host: MariaDBHost, tmp_path: Path
) -> None:
    uuid = mariadb_cloud.add_instance()
    with mariadb_cloud.engine("cell1").connect() as connection:
        connection.execute(sa.text("SELECT * FROM instances FOR UPDATE"))
        assert mariadb_host.cloud("34", tmp_path).rows("instances", "cell1", uuid=uuid) == []
        connection.invalidate()


@pytest.mark.fresh
def test_mariadb_takes_row_locks(mariadb_cloud: Cloud) -> None:
    mariadb_cloud.add_instance()
    engine = mariadb_cloud.engine("cell1")
    with engine.connect() as holder, engine.connect() as other:
        holder.execute(sa.text("SELECT * FROM instances FOR UPDATE"))
        other.execute(sa.text("SET innodb_lock_wait_timeout = 1"))
        failed = None
        try:
            other.execute(sa.text("UPDATE instances SET progress = 1"))
        except sa.exc.OperationalError as error:
            failed = error
        assert "Lock wait timeout" in str(failed)
        other.invalidate()
