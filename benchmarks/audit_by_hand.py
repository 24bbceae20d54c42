"""The bare queries: fetch, batch by batch, the rows that the checks of ``novadev audit`` look at.

Run as ``python -m benchmarks.audit_by_hand NOVA_CONF``. PyMySQL and nothing else: no row is looked
at, no JSON is read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from configparser import ConfigParser
from typing import Any

from pymysql.cursors import Cursor

from benchmarks.by_hand import connect

BATCH = 500
INSTANCES = (
    "SELECT id, uuid, display_name, host, vm_state, task_state, project_id, user_id, image_ref, "
    "root_device_name, config_drive, ephemeral_gb, vm_mode FROM instances "
    "WHERE id > %s AND deleted = 0 ORDER BY id LIMIT %s"
)
OF_CELL = (
    "SELECT id, instance_uuid, `key`, value FROM instance_system_metadata "
    "WHERE instance_uuid IN %s AND deleted = 0 "
    "AND (`key` LIKE 'image\\_%%' OR `key` LIKE 'shelved\\_%%')",
    "SELECT instance_uuid, id, source_type, destination_type, device_type, disk_bus, device_name, "
    "boot_index, volume_id, guest_format, no_device, connection_info IS NULL "
    "FROM block_device_mapping WHERE instance_uuid IN %s AND deleted = 0",
    "SELECT instance_uuid, flavor FROM instance_extra WHERE instance_uuid IN %s AND deleted = 0",
)
OF_API = (
    "SELECT instance_uuid, cell_id FROM instance_mappings WHERE instance_uuid IN %s",
    "SELECT id, instance_uuid, spec FROM request_specs WHERE instance_uuid IN %s",
)


def main(config_file: str) -> None:
    """Fetch the rows of every instance of the databases of CONFIG_FILE ([database] is the cell)."""
    config = ConfigParser(interpolation=None)
    config.read(config_file)
    cell, api = (
        connect(config[part]["connection"]).cursor() for part in ("database", "api_database")
    )
    last = 0
    while found := fetch(cell, INSTANCES, (last, BATCH)):
        uuids = [row[1] for row in found]
        for cursor, queries in ((cell, OF_CELL), (api, OF_API)):
            for query in queries:
                fetch(cursor, query, (uuids,))
        last = found[-1][0]


def fetch(cursor: Cursor, query: str, given: tuple[Any, ...]) -> Sequence[Any]:
    """Return the rows of QUERY."""
    cursor.execute(query, given)
    return cursor.fetchall()


if __name__ == "__main__":
    main(*sys.argv[1:])
