"""Checks Nova's databases: the connection, the release, and missing rights of the account."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from novadev.database import Database
from novadev.deployment import Deployment
from novadev.doctor.result import Result, failure
from novadev.errors import NotAsNeeded, NovadevError, SchemaUnknown
from novadev.grants import denied_schema, grant
from novadev.nova import rights
from novadev.nova.rights import Access
from novadev.rules.releases import NEWEST_RELEASE, SCHEMA_REVISIONS, TABLES_CAME_WITH
from novadev.text import many


def examine(deployment: Deployment) -> Iterator[Result]:
    """Yield a result for each of Nova's databases, then for each the rights that are lacking."""
    if not deployment.has_databases:
        text = "none is configured ([api_database] connection), so novadev uses libvirt only"
        yield Result("database", "Nova's databases", "skipped", text)
        return
    opened: list[tuple[str, Access]] = []
    yield _examined(deployment.api, "api", opened)
    try:
        cells = deployment.cells
    except NovadevError:
        cells = ()  # that of the API database was told
    for cell in cells:
        try:
            database = deployment.cell_database(cell)
        except NovadevError as error:
            yield failure("database", cell.label, error)
        else:
            yield _examined(database, "main", opened)
    for name, access in opened:
        yield from _rights(name, access)


def _examined(database: Database, kind: str, opened: list[tuple[str, Access]]) -> Result:
    """Return the result of a database; one that can be read is added to OPENED."""
    began = time.monotonic()
    try:
        with database.reading() as connection:
            access = rights.get_access(connection, kind, tuple(TABLES_CAME_WITH))
    except SchemaUnknown as error:
        return failure("database", database.name, error)
    except NovadevError as error:
        return failure("database", database.name, error, *_grants_to_enter(error, kind))
    opened.append((database.name, access))
    return _reached(database.name, kind, access, time.monotonic() - began)


def _grants_to_enter(error: NovadevError, kind: str) -> list[str]:
    """Return the statements for an account that may not even open the database."""
    found = denied_schema(error)
    if found is None:
        return []
    to, schema = found
    return _grants(rights.all_rights(kind), schema, to, is_known=False)


def _grants(
    lacking: Mapping[str, Sequence[str]], schema: str, to: str, is_known: bool
) -> list[str]:
    """Return the statements that give the account TO the rights that are LACKING.

    A statement fails for a table that is not there, so those that older releases have not come
    last. IS_KNOWN: the release of the schema is, and so whether they are there.
    """
    later = {name: f"only from Nova {release} on" for name, release in TABLES_CAME_WITH.items()}
    return [
        grant(lacking[table], schema, table, to, "" if is_known else later.get(table, ""))
        for table in sorted(lacking, key=lambda name: (name in later, name))
    ]


def _reached(name: str, kind: str, access: Access, seconds: float) -> Result:
    release, is_known = release_text(kind, access.revision)
    details = f"{access.server}, {release}, answered in {seconds:.2f} s"
    return Result("database", name, "ok" if is_known else "warning", details)


def release_text(kind: str, revision: str | None) -> tuple[str, bool]:
    """Return the release whose schema has Alembic's REVISION, and whether novadev knows it."""
    if revision is None:
        return "its schema revision (alembic_version) cannot be read", False
    releases = SCHEMA_REVISIONS[kind].get(revision)
    if releases is None:
        return f"revision {revision} belongs to no release of Nova that novadev knows", False
    first, last = releases
    return f"schema of Nova {first}" + (f" to {last}" if last > first else ""), True


def _rights(name: str, access: Access) -> Iterator[Result]:
    """Yield what the account lacks: to read at all, or only to change anything."""
    if access.account is None:
        return
    lacking = _of_tables_there(access)
    if not lacking:
        yield Result("rights", name, "ok", f"{access.account} may read and write what it needs")
        return
    lines = _grants(lacking, access.schema, access.account, access.revision is not None)
    needed = [table for table in lacking if table != rights.REVISION_TABLE]
    unread = [table for table in needed if "SELECT" in lacking[table]]
    if unread:
        yield _lacking(name, f"{access.account} cannot read {_few(unread)}", lines, True)
        return
    text = f"can read everything but cannot write {_few(needed)}"
    if not needed:
        text = f"cannot read {rights.REVISION_TABLE}, which says the release of the schema"
    yield _lacking(name, f"{access.account} {text}", lines, False)


def _of_tables_there(access: Access) -> dict[str, Sequence[str]]:
    """Return the rights that are lacking, but for tables that the release of the schema has not.

    MySQL denies a table alike that is not there and that the account may not read.
    """
    releases = SCHEMA_REVISIONS["main"].get(access.revision or "")
    newest = releases[1] if releases else NEWEST_RELEASE
    return {
        table: lacking
        for table, lacking in access.lacking.items()
        if TABLES_CAME_WITH.get(table, 0) <= newest
    }


def _few(tables: Sequence[str]) -> str:
    shown = ", ".join(tables[:3])
    return f"{shown} and {many(len(tables) - 3, 'more table')}" if len(tables) > 3 else shown


def _lacking(name: str, text: str, grants: Sequence[str], is_failure: bool) -> Result:
    code = NotAsNeeded.exit_code if is_failure else 0
    return Result("rights", name, "failure" if is_failure else "warning", text, tuple(grants), code)
