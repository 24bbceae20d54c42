"""What is known of each release of Nova, as `tools/release_facts.py` read it off the release."""

import json
from functools import cache
from typing import Any

import sqlalchemy as sa

from novadev.nova.tables import api_metadata, cell_metadata
from tests.cached import ROOT

FOLDER = ROOT / "tests" / "releases"
DATABASES = {"api": api_metadata, "cell": cell_metadata}
COLUMNS = sa.text(
    "SELECT table_name, column_name, column_type, is_nullable, column_default, extra"
    " FROM information_schema.columns WHERE table_schema = :name ORDER BY table_name, column_name"
)


def known_releases() -> list[int]:
    """The releases that have facts, the oldest first."""
    return sorted(int(path.stem) for path in FOLDER.glob("*.json"))


@cache
def read_facts(release: int) -> dict[str, Any]:
    """The facts of a release: `nova`, `service_version`, `image_properties`, `api`, `cell` …"""
    facts: dict[str, Any] = json.loads((FOLDER / f"{release}.json").read_text())
    return facts


def read_columns(connection: sa.Connection, kind: str, name: str) -> dict[str, dict[str, str]]:
    """Return table → column → type of what novadev uses, and what an INSERT must give.

    `kind` is a key of DATABASES, `name` what such a database is called on the MariaDB server.
    """
    found: dict[str, dict[str, str]] = {}
    for table, column, *about in connection.execute(COLUMNS, {"name": name}):
        used = DATABASES[kind].tables.get(table)
        if used is not None and (column in used.c or is_required(*about)):
            suffix = " required" if is_required(*about) else ""
            found.setdefault(table, {})[column] = f"{about[0]}{suffix}"
    return found


def is_required(_type: str, nullable: str, default: str | None, extra: str) -> bool:
    """Return whether an INSERT has to name the column."""
    return nullable == "NO" and default is None and "auto_increment" not in extra
