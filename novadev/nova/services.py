"""Nova's services, as a cell has them: their version, which ``rules/releases.py`` knows."""

from __future__ import annotations

import sqlalchemy as sa

from novadev.nova.tables import services


def find_compute_version(connection: sa.Connection, host: str) -> int | None:
    """Return the service version of nova-compute on HOST, None where the cell has no such host."""
    query = sa.select(services.c.version).where(
        services.c.host == host, services.c.binary == "nova-compute", services.c.deleted == 0
    )
    version: int | None = connection.execute(query).scalar()
    return version


def list_compute_versions(connection: sa.Connection) -> dict[str, int]:
    """Return the service version of nova-compute on each host of the cell, as it last started."""
    query = sa.select(services.c.host, services.c.version).where(
        services.c.binary == "nova-compute", services.c.deleted == 0
    )
    return {row.host: row.version for row in connection.execute(query) if row.host}
