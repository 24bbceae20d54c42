"""What a cell has a name for: hosts, projects and image properties."""

from __future__ import annotations

import sqlalchemy as sa

from novadev.nova.exact import exactly, matches
from novadev.nova.image_fields import FIELDS
from novadev.nova.image_properties import PREFIX
from novadev.nova.instances import LIVING
from novadev.nova.tables import instance_system_metadata, instances, services


def has_host(connection: sa.Connection, host: str) -> bool:
    """Return whether a service of Nova's runs on HOST (a name or pattern), or an instance does."""
    runs = sa.select(services.c.id).where(matches(services.c.host, host), services.c.deleted == 0)
    lives = sa.select(instances.c.id).where(LIVING, matches(instances.c.host, host))
    return any(connection.execute(query.limit(1)).first() for query in (runs, lives))


def list_hosts(connection: sa.Connection) -> set[str]:
    """Return the hosts of nova-compute, and those that instances are on."""
    runs = sa.select(services.c.host).where(
        services.c.binary == "nova-compute", services.c.deleted == 0
    )
    lives = sa.select(instances.c.host).where(LIVING).distinct()
    return {host for query in (runs, lives) for host in connection.scalars(query) if host}


def list_servers(connection: sa.Connection, limit: int) -> set[str]:
    """Return the names and UUIDs of the newest servers, of LIMIT servers at most."""
    query = sa.select(instances.c.display_name, instances.c.uuid).where(LIVING)
    rows = connection.execute(query.order_by(instances.c.id.desc()).limit(limit))
    return {name for row in rows for name in row if name}


def has_project(connection: sa.Connection, project: str) -> bool:
    """Return whether PROJECT has an instance, or had one that is not purged yet."""
    query = sa.select(instances.c.id).where(exactly(instances.c.project_id, project)).limit(1)
    return connection.execute(query).first() is not None


def list_projects(connection: sa.Connection) -> set[str]:
    """Return the projects that have instances."""
    query = sa.select(instances.c.project_id).where(LIVING).distinct()
    return {project for project in connection.scalars(query) if project}


def has_property(connection: sa.Connection, name: str) -> bool:
    """Return whether an instance stores the image property NAME."""
    table = instance_system_metadata
    query = sa.select(table.c.id).where(exactly(table.c.key, PREFIX + name), table.c.deleted == 0)
    return connection.execute(query.limit(1)).first() is not None


def list_properties(connection: sa.Connection) -> set[str]:
    """Return the image properties that Nova knows, and those that instances store."""
    column = instance_system_metadata.c.key
    query = sa.select(column).where(column.startswith(PREFIX, autoescape=True)).distinct()
    return {*FIELDS, *(key[len(PREFIX) :] for key in connection.scalars(query))}
