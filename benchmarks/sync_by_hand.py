"""The limit: write what each cell stores into the request spec with plain SQL, batch by batch.

What a careful operator's script would do, with PyMySQL and nothing else: no plan to read first, no
journal, no undo, no look at what the spec says already or at what Nova can read.

Run as ``python -m benchmarks.sync_by_hand NOVA_CONF NAME...``.
"""

from __future__ import annotations

import sys
from configparser import ConfigParser

from pymysql.cursors import Cursor

from benchmarks.by_hand import connect, lock_batch
from benchmarks.stash_by_hand import Properties, write_specs


def main(config_file: str, *names: str) -> None:
    """Copy the properties NAMES between the databases of CONFIG_FILE ([database] is the cell)."""
    config = ConfigParser(interpolation=None)
    config.read(config_file)
    cell, api = (connect(config[part]["connection"]) for part in ("database", "api_database"))
    last = 0
    while rows := lock_batch(cell.cursor(), last):
        write_specs(api.cursor(), read_cell(cell.cursor(), [row[1] for row in rows], names))
        api.commit()
        cell.commit()
        last = rows[-1][0]


def read_cell(cursor: Cursor, uuids: list[str], names: tuple[str, ...]) -> dict[str, Properties]:
    """Return the stored properties NAMES by instance."""
    cursor.execute(
        "SELECT instance_uuid, `key`, value FROM instance_system_metadata "
        "WHERE instance_uuid IN %s AND `key` IN %s AND deleted = 0",
        (uuids, [f"image_{name}" for name in names]),
    )
    found: dict[str, dict[str, str | None]] = {uuid: {} for uuid in uuids}
    for uuid, key, value in cursor.fetchall():
        found[uuid][key.removeprefix("image_")] = value
    return dict(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
