"""Which rights the account lacks in the state database. Nothing there is written or made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from novadev.database import Database
from novadev.grants import account_of, is_denied
from novadev.state.tables import metadata

_ABSENT = "novadev_doctor_asks"
"""A table that is not there: the server looks at the rights first."""
_ROWS = {
    "SELECT": "SELECT 1 FROM {} LIMIT 0",
    "INSERT": "EXPLAIN INSERT INTO {} () VALUES ()",
    "UPDATE": "EXPLAIN UPDATE {} SET {} = NULL WHERE FALSE",
    "DELETE": "EXPLAIN DELETE FROM {} WHERE FALSE",
}
_SCHEMA = {
    "CREATE": f"CREATE TABLE {_ABSENT} (a INT, a INT)",  # no table has a column twice
    "ALTER": f"ALTER TABLE {_ABSENT} ADD COLUMN a INT",
    "INDEX": f"CREATE INDEX a ON {_ABSENT} (a)",
    "DROP": f"DROP TABLE {_ABSENT}",
}
_REFERENCES = "REFERENCES"
"""MySQL demands it for a foreign key, and there is no asking for it: it goes with CREATE."""
EVERY_RIGHT = (*_ROWS, *_SCHEMA, _REFERENCES)


@dataclass(frozen=True)
class Lack:
    """The ``rights`` that an account, as GRANT takes it, does not have in the database SCHEMA."""

    rights: tuple[str, ...]
    account: str
    schema: str


def find_lack(database: Database, is_made: bool) -> Lack | None:
    """Return what the account of DATABASE, on MySQL or MariaDB, lacks; None where it lacks nothing.

    Rights on rows count and, unless the newest schema IS_MADE, those to make tables.
    """
    with database.reading() as connection:
        found = [*_of_rows(connection, is_made), *(() if is_made else _of_schema(connection))]
        if not found:
            return None
        schema = str(connection.scalar(sa.text("SELECT DATABASE()")))
        more = (_REFERENCES,) if "CREATE" in found else ()
        return Lack((*found, *more), account_of(connection), schema)


def _of_rows(connection: sa.Connection, is_made: bool) -> Iterator[str]:
    """Yield the rights that are lacking on any table."""
    tables = metadata.sorted_tables if is_made else [sa.table(_ABSENT, sa.column("a"))]
    for right, statement in _ROWS.items():
        asked = (statement.format(table.name, next(iter(table.columns)).name) for table in tables)
        if any(_is_denied(connection, text) for text in asked):
            yield right


def _of_schema(connection: sa.Connection) -> Iterator[str]:
    return (right for right, text in _SCHEMA.items() if _is_denied(connection, text))


def _is_denied(connection: sa.Connection, statement: str) -> bool:
    """Whether the account may not do that; what else the server has against it does not count."""
    try:
        connection.execute(sa.text(statement)).close()
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        return is_denied(error)
    return False
