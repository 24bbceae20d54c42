"""Cell mappings and instance mappings: which cells there are, and which an instance is in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import SplitResult, urlsplit

import sqlalchemy as sa

from novadev.nova.tables import cell_mappings, instance_mappings

CELL0_UUID = "00000000-0000-0000-0000-000000000000"
"""Where Nova buries instances that could not be scheduled (``objects/cell_mapping.py``)."""

_MYSQL_PORT = 3306
_WHERE = ("unix_socket", "read_default_file", "read_default_group")
"""Options of a URL that say where the server is."""


@dataclass(frozen=True)
class Cell:
    """A cell mapping; ``database_connection`` has its template filled in, and never shows.

    ``lacks_default`` says that it is a template, and that there is no URL to fill it in from.
    """

    id: int
    uuid: str
    name: str | None
    disabled: bool
    database_connection: str = field(repr=False)
    lacks_default: bool = False

    @property
    def label(self) -> str:
        """What messages call the cell: its name, else its UUID."""
        return f"cell {self.name or self.uuid}"

    @cached_property
    def database_key(self) -> str:
        """What two cells have in common whose URLs lead to one database.

        User, password and options do not count, but for options that say where the server is: as
        for PyMySQL, these go before what the URL itself says.
        Two names of one server count as two.
        """
        return _key_of(self.database_connection)


@dataclass(frozen=True)
class InstanceMapping:
    """Where the API database says an instance is; ``cell_id`` None is not yet scheduled.

    ``is_queued``: Nova has queued it for delete, or had once. The flag may be stale: Nova writes it
    after the cell, and reads it for cells that are down (``nova/compute/api.py``,
    ``_update_queued_for_deletion``).
    """

    instance: str
    cell_id: int | None
    is_queued: bool = False


def list_cells(connection: sa.Connection, default_connection: str | None) -> tuple[Cell, ...]:
    """Return every cell, cell0 and disabled ones too, in the order Nova lists them (by id)."""
    rows = connection.execute(sa.select(cell_mappings).order_by(cell_mappings.c.id))
    return tuple(
        Cell(
            id=row.id,
            uuid=row.uuid,
            name=row.name,
            disabled=bool(row.disabled),
            database_connection=format_url(row.database_connection, default_connection),
            lacks_default=not default_connection and bool(_fields(row.database_connection)),
        )
        for row in rows
    )


def list_mappings(
    connection: sa.Connection, instances: Iterable[str]
) -> dict[str, InstanceMapping]:
    """Return the mappings of INSTANCES by UUID.

    ``queued_for_delete`` NULL counts as false, as for Nova (``objects/instance_mapping.py``).
    """
    query = sa.select(
        instance_mappings.c.instance_uuid,
        instance_mappings.c.cell_id,
        instance_mappings.c.queued_for_delete,
    ).where(instance_mappings.c.instance_uuid.in_(tuple(instances)))
    return {
        uuid: InstanceMapping(uuid, cell_id, bool(queued))
        for uuid, cell_id, queued in connection.execute(query)
    }


def _key_of(url: str) -> str:
    try:
        parts = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # the error comes when the cell is opened
        return url
    backend = parts.get_backend_name().replace("mariadb", "mysql")
    if backend == "sqlite":
        return f"{backend}:{parts.database}"
    given = {name: str(value) for name, value in parts.query.items()}
    database = given.get("database") or given.get("db") or parts.database
    host = given.get("host") or parts.host
    if "unix_socket" in given or not host:  # PyMySQL takes the socket before the host
        where = [(name, given[name]) for name in _WHERE if name in given]
        return f"{backend}:{database}:{where}"
    port = given.get("port") or parts.port or _MYSQL_PORT
    return f"{backend}:{host.lower()}:{port}:{database}"


def format_url(template: str, default: str | None) -> str:
    """Return TEMPLATE with ``{hostname}``, ``{username1}`` … taken from the DEFAULT URL.

    As Nova does it (``objects/cell_mapping.py`` ``CellMapping._format_url``): a part that DEFAULT
    lacks becomes the text ``None``, and a URL that does not format is used as it is.
    """
    if default is None or "{" not in template:
        return template
    try:
        values = _parts(urlsplit(default))
    except ValueError:  # DEFAULT is no URL
        return template
    fields = _fields(template)
    plain = re.sub(r"\{[a-z]+\d*\}", "", template)
    if "{" in plain or "}" in plain or any(name not in values for name in fields):
        return template
    return re.sub(r"\{([a-z]+\d*)\}", lambda match: str(values[match[1]]), template)


def _fields(template: str) -> list[str]:
    """Return the names in braces: parts of a URL, of one of several hosts with its number."""
    return re.findall(r"\{([a-z]+\d*)\}", template)


def _parts(url: SplitResult) -> dict[str, object]:
    parts: dict[str, object] = {
        "scheme": url.scheme,
        "path": url.path.lstrip("/"),
        "query": url.query,
        "fragment": url.fragment,
        "username": url.username,
        "password": url.password,
        "hostname": url.hostname,
        "port": _port(url),
    }
    if "," in url.netloc:
        for index, netloc in enumerate(url.netloc.split(","), start=1):
            parts.update(_indexed(netloc, index))
    return parts


def _indexed(netloc: str, index: int) -> dict[str, object]:
    """Return the parts of one of several hosts as ``username1``, ``hostname1`` …."""
    one = urlsplit(f"//{netloc}")
    return {
        f"username{index}": one.username,
        f"password{index}": one.password,
        f"hostname{index}": one.hostname,
        f"port{index}": _port(one),
    }


def _port(url: SplitResult) -> int | None:
    try:
        return url.port
    except ValueError:
        return None
