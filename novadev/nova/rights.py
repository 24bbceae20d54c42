"""Which rights the account of a database has, and which schema is there. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from novadev.grants import account_of, code_of, is_denied
from novadev.nova.tables import api_metadata, cell_metadata

METADATA = {"api": api_metadata, "main": cell_metadata}
NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
    "api": {"request_specs": ("UPDATE",)},
    "main": {
        "block_device_mapping": ("UPDATE",),
        "instance_actions": ("INSERT",),
        "instance_system_metadata": ("INSERT", "UPDATE", "DELETE"),
        "instances": ("UPDATE",),
    },
}
"""The rights to write, by table (:mod:`novadev.nova.writes`). Each table needs SELECT."""
REVISION_TABLE = "alembic_version"
"""Alembic's: only the doctor reads it, to name the release of the schema."""
_NO_TABLE = 1146
_REVISIONS = sa.table(REVISION_TABLE, sa.column("version_num"))
_STATEMENTS = {
    "INSERT": "INSERT INTO {} () VALUES ()",
    "UPDATE": "UPDATE {} SET updated_at = NULL WHERE FALSE",
    "DELETE": "DELETE FROM {} WHERE FALSE",
}


@dataclass(frozen=True)
class Access:
    """What a database is, and what its account may not do there.

    ``revision`` is Alembic's, None where it cannot be read. ``lacking`` are rights by table;
    ``account`` is as GRANT takes it, None on SQLite, which has no accounts.
    """

    server: str
    revision: str | None
    account: str | None
    schema: str
    lacking: Mapping[str, Sequence[str]]


def get_access(connection: sa.Connection, kind: str, later_tables: Sequence[str]) -> Access:
    """Return what the account of CONNECTION finds in a database of KIND (``api``, ``main``).

    Tables in LATER_TABLES may be missing: older releases have them not. EXPLAIN demands the rights
    of the statement and does not carry it out.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    lacking = {
        table.name: tuple(_lacking(connection, kind, table, is_sqlite))
        for table in METADATA[kind].sorted_tables
        if not (table.name in later_tables and _is_missing(connection, table))
    }
    if not _is_missing(connection, _REVISIONS) and _is_denied(connection, sa.select(_REVISIONS)):
        lacking[REVISION_TABLE] = ("SELECT",)
    return Access(
        server=f"SQLite {connection.scalar(sa.text('SELECT sqlite_version()'))}"
        if is_sqlite
        else _server(str(connection.scalar(sa.text("SELECT VERSION()")))),
        revision=_revision(connection),
        account=None if is_sqlite else account_of(connection),
        schema="" if is_sqlite else str(connection.scalar(sa.text("SELECT DATABASE()"))),
        lacking={name: rights for name, rights in sorted(lacking.items()) if rights},
    )


def _server(version: str) -> str:
    name = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    return f"{name} {version.partition('-')[0]}"


def all_rights(kind: str) -> dict[str, tuple[str, ...]]:
    """Return, by table, all rights that novadev needs in a database of KIND (``api``, ``main``)."""
    names = sorted({*METADATA[kind].tables, REVISION_TABLE})
    return {name: ("SELECT", *NEEDED[kind].get(name, ())) for name in names}


def _revision(connection: sa.Connection) -> str | None:
    try:
        found = connection.scalar(sa.select(_REVISIONS.c.version_num))
    except sa.exc.DBAPIError as error:
        is_known = is_denied(error) or code_of(error) == _NO_TABLE
        if connection.dialect.name != "sqlite" and not is_known:
            raise
        return None
    return None if found is None else str(found)


def _is_missing(connection: sa.Connection, table: sa.TableClause) -> bool:
    """Whether TABLE is not there; one that the account may not read counts as there."""
    try:
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(0))
    except sa.exc.DBAPIError as error:
        return "no such table" in str(error.orig) or code_of(error) == _NO_TABLE
    return False


def _lacking(
    connection: sa.Connection, kind: str, table: sa.Table, is_sqlite: bool
) -> Iterator[str]:
    """Yield which rights on TABLE the account lacks; errors of the schema are raised."""
    if _is_denied(connection, sa.select(table).limit(0)):
        yield "SELECT"
    for right in () if is_sqlite else NEEDED[kind].get(table.name, ()):
        if _is_denied(connection, sa.text("EXPLAIN " + _STATEMENTS[right].format(table.name))):
            yield right


def _is_denied(connection: sa.Connection, statement: sa.Executable) -> bool:
    try:
        connection.execute(statement).close()
    except sa.exc.DBAPIError as error:
        if not is_denied(error):
            raise
        return True
    return False
