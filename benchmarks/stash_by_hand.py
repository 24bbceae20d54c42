"""The limit: record given values for every stopped instance with plain SQL, batch by batch.

What PyMySQL takes to write the rows and request specs that ``novadev stash-defaults`` writes, and
nothing else: no rules, no look at what is missing, no journal, no undo.

Run as ``python -m benchmarks.stash_by_hand NOVA_CONF VALUES``. VALUES are the properties as JSON,
by the os_distro of the instances that they are for; that of "" is none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from datetime import datetime, timezone

from pymysql.cursors import Cursor

from benchmarks.by_hand import connect, lock_batch

Properties = Mapping[str, str | None]


def main(config_file: str, given: str) -> None:
    """Write the values in the databases of CONFIG_FILE ([database] is the cell)."""
    config = ConfigParser(interpolation=None)
    config.read(config_file)
    cell, api = (connect(config[part]["connection"]) for part in ("database", "api_database"))
    by_distro: dict[str, Properties] = json.loads(given)
    last = 0
    while rows := lock_batch(cell.cursor(), last):
        distros = read_distros(cell.cursor(), [row[1] for row in rows])
        due = {uuid: by_distro[distros.get(uuid, "")] for _, uuid in rows}
        write_cell(cell.cursor(), due)
        cell.commit()
        write_specs(api.cursor(), due)
        api.commit()
        last = rows[-1][0]


def read_distros(cursor: Cursor, uuids: list[str]) -> dict[str, str]:
    """Return the os_distro of the instances that have one."""
    cursor.execute(
        "SELECT instance_uuid, value FROM instance_system_metadata "
        "WHERE instance_uuid IN %s AND `key` = 'image_os_distro' AND deleted = 0",
        (uuids,),
    )
    return dict(cursor.fetchall())


def write_cell(cursor: Cursor, due: Mapping[str, Properties]) -> None:
    """Insert a row for every property of every instance, in one statement."""
    now = _now()
    cursor.executemany(
        "INSERT INTO instance_system_metadata (instance_uuid, `key`, value, created_at, deleted) "
        "VALUES (%s, %s, %s, %s, 0)",
        [
            (uuid, f"image_{name}", value, now)
            for uuid, properties in due.items()
            for name, value in properties.items()
        ],
    )


def write_specs(cursor: Cursor, due: Mapping[str, Properties]) -> None:
    """Edit the request specs of the instances, in one statement."""
    cursor.execute(
        "SELECT id, instance_uuid, spec FROM request_specs WHERE instance_uuid IN %s FOR UPDATE",
        (list(due),),
    )
    texts = {row: edited(text, due[uuid]) for row, uuid, text in cursor.fetchall()}
    cases = "WHEN %s THEN %s " * len(texts)
    cursor.execute(
        f"UPDATE request_specs SET spec = CASE id {cases}END, updated_at = %s WHERE id IN %s",
        (*_flat(texts), _now(), list(texts)),
    )


def edited(text: str, properties: Properties) -> str:
    """Return the spec TEXT with image properties set; it holds no null."""
    spec = json.loads(text)
    held = spec["nova_object.data"]["image"]["nova_object.data"]["properties"]
    values = {name: value for name, value in properties.items() if value is not None}
    held["nova_object.data"] |= values
    changes = held.setdefault("nova_object.changes", [])
    changes += [name for name in values if name not in changes]
    return json.dumps(spec)


def _flat(texts: Mapping[int, str]) -> Iterator[int | str]:
    for row, text in texts.items():
        yield row
        yield text


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
