"""Where a test's databases come from: SQLite copies, or a MariaDB server emptied in between."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from tests import mariadb
from tests.cloud import Cloud
from tests.templates import DATABASES, RELEASES, mariadb_name, mariadb_template, sqlite_template

KEPT = ("alembic_version", "cell_mappings")


def sqlite_cloud(release: str, folder: Path) -> Cloud:
    """A new deployment on SQLite files in `folder`."""
    template = sqlite_template(release)
    for name in DATABASES:
        shutil.copyfile(template / f"{name}.sqlite", folder / f"{name}.sqlite")
    engines = {name: _sqlite_engine(folder / f"{name}.sqlite") for name in DATABASES}
    return Cloud("sqlite", release, engines, folder)


class MariaDBHost:
    """A MariaDB server holding one deployment of every release."""

    def __init__(self, server: mariadb.MariaDB) -> None:
        self._engines = {
            release: {name: _engine(server, release, name) for name in DATABASES}
            for release in RELEASES
        }
        self._tables: dict[sa.Engine, list[str]] = {}

    def cloud(self, release: str, folder: Path) -> Cloud:
        """The deployment of `release`, empty; the cloud given before for it is no longer valid."""
        engines = self._engines[release]
        for engine in engines.values():
            self._empty(engine)
        return Cloud("mariadb", release, engines, folder)

    def close(self) -> None:
        """Close every connection."""
        for engines in self._engines.values():
            for engine in engines.values():
                engine.dispose()

    def _empty(self, engine: sa.Engine) -> None:
        """Remove every row but those of the schema; other connections are ended first."""
        with engine.connect() as connection:
            _end_other_connections(connection)
            connection.execute(sa.text("SET SESSION foreign_key_checks = 0"))
            for table in self._used(connection):
                connection.execute(sa.text(f"TRUNCATE `{table}`"))
            connection.execute(sa.text("SET SESSION foreign_key_checks = 1"))

    def _used(self, connection: sa.Connection) -> list[str]:
        if connection.engine not in self._tables:
            names = set(sa.inspect(connection).get_table_names()) - set(KEPT)
            self._tables[connection.engine] = sorted(names)
        tables = self._tables[connection.engine]
        asked = (f"(SELECT '{name}' FROM `{name}` LIMIT 1)" for name in tables)
        return list(connection.execute(sa.text(" UNION ALL ".join(asked))).scalars())


@contextmanager
def mariadb_host() -> Iterator[MariaDBHost]:
    """A server on a fresh copy of the template, stopped at the end."""
    with mariadb.serve_copy(mariadb_template()) as server:
        host = MariaDBHost(server)
        yield host
        host.close()


def _engine(server: mariadb.MariaDB, release: str, name: str) -> sa.Engine:
    return sa.create_engine(server.url(mariadb_name(release, name)), pool_pre_ping=True)


def _sqlite_engine(path: Path) -> sa.Engine:
    return sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)


def _end_other_connections(connection: sa.Connection) -> None:
    """End what an earlier test left, so that no transaction of it holds a lock."""
    asked = "SELECT id FROM information_schema.processlist WHERE db = DATABASE()"
    others = connection.execute(sa.text(f"{asked} AND id <> CONNECTION_ID()")).scalars().all()
    for thread in others:
        with suppress(sa.exc.OperationalError):  # it may have ended by itself
            connection.execute(sa.text(f"KILL {int(thread)}"))
