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
