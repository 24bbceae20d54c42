"""Checks Nova's databases: the connection, the release, and missing rights of the account."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from novadev.database import Database
from novadev.deployment import Deployment
from novadev.doctor.result import Result, failure
from novadev.errors import NotAsNeeded, NovadevError, SchemaUnknown
from novadev.nova import rights
from novadev.nova.rights import Access
from novadev.rules.releases import SCHEMA_REVISIONS, TABLES_CAME_WITH

_DENIED_SCHEMA = re.compile(r"for user '(.*)'@'([^']*)' to database '(.*)'")


def examine(deployment: Deployment) -> Iterator[Result]:
    """Yield a result for each of Nova's databases, and one for the rights that are lacking."""
    if not deployment.has_databases:
        text = "none is configured ([api_database] connection), so novadev uses libvirt only"
        yield Result("database", "Nova's databases", "skipped", text)
        return
    yield from _examined(deployment.api, "api")
    try:
        cells = deployment.cells
    except NovadevError:
        return  # that of the API database was told
    for cell in cells:
        try:
            database = deployment.cell_database(cell)
        except NovadevError as error:
            yield failure("database", cell.label, error)
        else:
            yield from _examined(database, "main")


def _examined(database: Database, kind: str) -> Iterator[Result]:
    began = time.monotonic()
    try:
        with database.reading() as connection:
            access = rights.get_access(connection, kind, tuple(TABLES_CAME_WITH))
    except SchemaUnknown as error:
        yield failure("database", database.name, error)
    except NovadevError as error:
        yield failure("database", database.name, error, *_grants_to_enter(error, kind))
    else:
        seconds = time.monotonic() - began
        yield _reached(database.name, kind, access, seconds)
        yield from _rights(database.name, access)


def _grants_to_enter(error: NovadevError, kind: str) -> Iterator[str]:
    """Yield the statements for an account that may not even open the database."""
    found = _DENIED_SCHEMA.search(str(error))
    if found:
        user, host, schema = found.groups()
        to = rights.account(user, host)
        yield from rights.all_grants(kind, schema, to, tuple(TABLES_CAME_WITH))


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
    if not access.lacking:
        yield Result("rights", name, "ok", f"{access.account} may read and write what it needs")
        return
    lines = [
        rights.grant(lacking, access.schema, table, access.account)
        for table, lacking in access.lacking.items()
    ]
    unread = [table for table, lacking in access.lacking.items() if "SELECT" in lacking]
    if unread:
        yield _lacking(name, f"{access.account} cannot read {_few(unread)}", lines, True)
    else:
        tables = _few(list(access.lacking))
        text = f"{access.account} can read everything but cannot write {tables}"
        yield _lacking(name, text, lines, False)


def _few(tables: Sequence[str]) -> str:
    shown = ", ".join(tables[:3])
    return f"{shown} and {len(tables) - 3} more tables" if len(tables) > 3 else shown


def _lacking(name: str, text: str, grants: Sequence[str], is_failure: bool) -> Result:
    code = NotAsNeeded.exit_code if is_failure else 0
    return Result("rights", name, "failure" if is_failure else "warning", text, tuple(grants), code)
