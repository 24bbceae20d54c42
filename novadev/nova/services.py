"""Nova's services, as a cell has them: which release a compute host runs."""

from __future__ import annotations

import sqlalchemy as sa

from novadev.nova.tables import services

RELEASES = {64: 26, 66: 29, 67: 30, 68: 31, 70: 32, 72: 33, 74: 34}
"""The newest release with a service version; 27 and 28 have that of 29.

Source: nova/objects/service.py, SERVICE_VERSION_ALIASES.
"""


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


def may_run(version: int, release: int) -> bool:
    """Whether a host whose nova-compute has this service VERSION may run RELEASE of Nova."""
    found = release_of(version)
    alike = min((number for number in RELEASES.values() if number >= release), default=None)
    return None in (found, alike) or found == alike


def release_of(version: int) -> int | None:
    """Return the release of a service version, None for one before or after those known."""
    known = [number for number in RELEASES if number <= version]
    return RELEASES[max(known)] if known and version <= max(RELEASES) else None


def find_oldest_release(connection: sa.Connection) -> int | None:
    """Return the oldest release that a compute service of the cell runs; None if nothing tells."""
    query = sa.select(sa.func.min(services.c.version)).where(
        services.c.binary == "nova-compute", services.c.deleted == 0, services.c.version > 0
    )
    version: int | None = connection.execute(query).scalar()
    return None if version is None else release_of(version)
