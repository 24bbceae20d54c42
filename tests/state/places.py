"""Where a test keeps novadev's journal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import novadev.state
from novadev.state.store import state_database
from tests.cloud import Cloud

NAME = "novadev_state"


def place_journal(cloud: Cloud, url: str) -> None:
    """Keep a cloud's journal at `url` from now on."""
    text = cloud.config_file.read_text()
    head, _, _ = text.partition("state_connection = ")
    cloud.config_file.write_text(f"{head}state_connection = {url}\n")


@contextmanager
def journal_on_mariadb(cloud: Cloud) -> Iterator[str]:
    """Keep a MariaDB cloud's journal in an empty database on its server; the URL is given."""
    url = cloud.engine("api").url.set(database=NAME).render_as_string(hide_password=False)
    place_journal(cloud, url)
    with cloud.engine("api").connect() as connection:
        empty(connection)
        try:
            yield url
        finally:
            connection.execute(sa.text(f"DROP DATABASE {NAME}"))


def empty(connection: sa.Connection) -> None:
    """Make the journal's database anew."""
    connection.execute(sa.text(f"DROP DATABASE IF EXISTS {NAME}"))
    connection.execute(sa.text(f"CREATE DATABASE {NAME}"))


def of_schema(url: str, revision: str, *statements: str) -> None:
    """Make the state database at URL one of REVISION, which STATEMENTS take it back to."""
    database = state_database(url)
    with database.writing() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
        config = Config()
        folder = Path(novadev.state.__file__).with_name("migrations")
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.stamp(config, revision)
    database.close()
