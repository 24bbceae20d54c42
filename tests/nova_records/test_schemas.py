"""The columns of novadev/nova/tables.py, in the schema of every release of Nova."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from novadev.nova.tables import instance_actions, instance_system_metadata
from novadev.rules.releases import NEWEST_RELEASE, OLDEST_RELEASE, TABLES_CAME_WITH
from tests.cloud import Cloud
from tests.release_facts import DATABASES, known_releases, read_columns, read_facts
from tests.templates import RELEASES

TYPES: dict[type, tuple[str, ...]] = {
    sa.BigInteger: ("bigint(20)",),
    sa.Boolean: ("tinyint(1)",),
    sa.DateTime: ("datetime",),
    sa.Integer: ("int(11)",),
    sa.Text: ("text", "mediumtext"),
}
"""What MariaDB calls the types of SQLAlchemy."""


def test_every_release_from_the_oldest_to_the_newest_is_known() -> None:
    assert known_releases() == list(range(OLDEST_RELEASE, NEWEST_RELEASE + 1))
    for release in known_releases():
        assert read_facts(release)["nova"].startswith(f"{release}.")


@pytest.mark.parametrize("release", known_releases())
def test_every_column_is_there_with_its_type(release: int) -> None:
    wrong = [
        f"{table.name}.{column.name} is {found}"
        for kind, metadata in DATABASES.items()
        for table in metadata.tables.values()
        if release >= TABLES_CAME_WITH.get(table.name, 0)
        for column in table.c
        for found in [column_of(release, kind, column)]
        if found not in expected(column)
    ]
    assert wrong == []


@pytest.mark.parametrize("release", known_releases())
def test_a_table_is_missing_only_in_releases_that_it_came_after(release: int) -> None:
    there = {name for kind in DATABASES for name in read_facts(release)[kind]}
    wanted = {name for metadata in DATABASES.values() for name in metadata.tables}
    assert wanted - there == {name for name, came in TABLES_CAME_WITH.items() if release < came}
    assert there <= wanted


@pytest.mark.parametrize("release", known_releases())
@pytest.mark.parametrize("table", [instance_actions, instance_system_metadata])
def test_an_insert_gives_what_the_table_demands(release: int, table: sa.Table) -> None:
    columns = read_facts(release)["cell"][table.name]
    demanded = {name for name, text in columns.items() if text.endswith(" required")}
    given = {column.name for column in table.c if not column.nullable and not column.primary_key}
    assert demanded == given


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
def test_what_is_known_of_a_release_is_what_its_nova_manage_makes(
    make_cloud: Callable[[str, str], Cloud], release: str
) -> None:
    cloud = make_cloud("mariadb", release)
    for kind, name in (("api", "api"), ("cell", "cell1")):
        with cloud.engine(name).connect() as connection:
            found = read_columns(connection, kind, str(cloud.engine(name).url.database))
        assert found == read_facts(int(release))[kind]


def column_of(release: int, kind: str, column: "sa.Column[object]") -> str | None:
    """What MariaDB has of a column of a release, without the word that an INSERT must give it."""
    columns: dict[str, str] = read_facts(release)[kind].get(column.table.name, {})
    text = columns.get(column.name)
    return text and text.removesuffix(" required")


def expected(column: "sa.Column[object]") -> tuple[str, ...]:
    """What MariaDB may have of a column; migrations.migration_type is an enumeration of Nova's."""
    if column.table.name == "migrations" and column.name == "migration_type":
        return ("enum('migration','resize','live-migration','evacuation')",)
    if isinstance(column.type, sa.String) and not isinstance(column.type, sa.Text):
        return (f"varchar({column.type.length})",)
    return TYPES[type(column.type)]
