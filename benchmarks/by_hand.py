"""The limit: set an image property of every stopped instance with plain SQL, batch by batch.

What a careful operator's script would do, with PyMySQL and nothing else: no plan to read first,
no journal, no undo, no check of what was there before.

Run as ``python -m benchmarks.by_hand NOVA_CONF NAME VALUE``.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Sequence
from configparser import ConfigParser
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

BATCH = 100


def main(config_file: str, name: str, value: str) -> None:
    """Set NAME to VALUE in the databases of CONFIG_FILE ([database] is the cell)."""
    config = ConfigParser(interpolation=None)
    config.read(config_file)
    cell, api = (connect(config[part]["connection"]) for part in ("database", "api_database"))
    last = 0
    while rows := lock_batch(cell.cursor(), last):
        uuids = [row[1] for row in rows]
        write_cell(cell.cursor(), [row[0] for row in rows], uuids, f"image_{name}", value)
        cell.commit()
        write_specs(api.cursor(), uuids, name, value)
        api.commit()
        last = rows[-1][0]


def connect(url: str) -> Connection[Cursor]:
    """Open the database of a SQLAlchemy URL."""
    parts = urlsplit(url)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    return pymysql.connect(
        host=parts.hostname or "localhost",
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.path.lstrip("/"),
        unix_socket=query.get("unix_socket"),
        charset="utf8",
        init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )


def lock_batch(cursor: Cursor, last: int) -> Sequence[Any]:
    """Lock and return (id, uuid) of the next instances that are stopped and idle."""
    cursor.execute(
        "SELECT id, uuid FROM instances WHERE id > %s AND deleted = 0 AND vm_state = 'stopped' "
        "AND task_state IS NULL ORDER BY id LIMIT %s FOR UPDATE",
        (last, BATCH),
    )
    return cursor.fetchall()


def write_cell(cursor: Cursor, ids: list[int], uuids: list[str], key: str, value: str) -> None:
    """Store KEY for the instances, touch them, and record an instance action each."""
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    cursor.execute(
        "SELECT id, instance_uuid FROM instance_system_metadata "
        "WHERE instance_uuid IN %s AND `key` = %s AND deleted = 0",
        (uuids, key),
    )
    found = {owner: row for row, owner in cursor.fetchall()}
    if found:
        cursor.execute(
            "UPDATE instance_system_metadata SET value = %s, updated_at = %s WHERE id IN %s",
            (value, now, list(found.values())),
        )
    cursor.executemany(
        "INSERT INTO instance_system_metadata (instance_uuid, `key`, value, created_at, deleted) "
        "VALUES (%s, %s, %s, %s, 0)",
        [(owner, key, value, now) for owner in uuids if owner not in found],
    )
    cursor.execute("UPDATE instances SET updated_at = %s WHERE id IN %s", (now, ids))
    cursor.executemany(
        "INSERT INTO instance_actions (action, instance_uuid, request_id, start_time, "
        "finish_time, created_at, updated_at, deleted) VALUES (%s, %s, %s, %s, %s, %s, %s, 0)",
        [
            ("update_image_property", owner, f"req-{uuid.uuid4()}", now, now, now, now)
            for owner in uuids
        ],
    )


def write_specs(cursor: Cursor, uuids: list[str], name: str, value: str) -> None:
    """Edit the request specs of the instances."""
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    cursor.execute(
        "SELECT id, spec FROM request_specs WHERE instance_uuid IN %s FOR UPDATE", (uuids,)
    )
    cursor.executemany(
        "UPDATE request_specs SET spec = %s, updated_at = %s WHERE id = %s",
        [(edited(text, name, value), now, row) for row, text in cursor.fetchall()],
    )


def edited(text: str, name: str, value: str) -> str:
    """Return the spec TEXT with one image property set."""
    spec = json.loads(text)
    image = spec["nova_object.data"]["image"]["nova_object.data"]
    image["properties"]["nova_object.data"][name] = value
    changes = image["properties"].setdefault("nova_object.changes", [])
    if name not in changes:
        changes.append(name)
    return json.dumps(spec)


if __name__ == "__main__":
    main(*sys.argv[1:])
