"""The limit: read what is stored of one instance, with the libraries and queries of novadev.

What ``novadev image-property show`` and ``list`` of one instance have to do at least: import the
libraries, read the configuration, open both databases, and ask what novadev asks. There are no
names to look up, no checks, no records and no messages.

Run as ``python benchmarks/show_by_hand.py NOVA_CONF UUID``.
"""

import json
import sys

import click
import pymysql
import sqlalchemy as sa
from oslo_config import cfg

CELLS = "SELECT id, uuid, name, transport_url, database_connection, disabled FROM cell_mappings"
MAPPING = "SELECT instance_uuid, cell_id FROM instance_mappings WHERE instance_uuid = :uuid"
INSTANCE = (
    "SELECT id, uuid, display_name, host, vm_state, task_state, project_id, user_id, image_ref, "
    "root_device_name, config_drive, ephemeral_gb, vm_mode FROM instances "
    "WHERE uuid = :uuid AND deleted = 0"
)
PROPERTIES = (
    "SELECT instance_uuid, id, `key`, value FROM instance_system_metadata "
    "WHERE instance_uuid = :uuid AND `key` LIKE 'image\\_%' AND deleted = 0"
)
SPEC = "SELECT id, instance_uuid, spec FROM request_specs WHERE instance_uuid = :uuid"


def main(config_file: str, uuid: str) -> None:
    """Print the network model of an instance, in its cell and in its request spec."""
    config = cfg.ConfigOpts()
    config.register_opt(cfg.StrOpt("connection"), "api_database")
    config(["--config-file", config_file], project="nova")
    api = sa.create_engine(config.api_database.connection).connect()
    cells = {row.id: row for row in api.execute(sa.text(CELLS))}
    mapping = api.execute(sa.text(MAPPING), {"uuid": uuid}).one()
    cell = sa.create_engine(cells[mapping.cell_id].database_connection).connect()
    instance = cell.execute(sa.text(INSTANCE), {"uuid": uuid}).one()
    stored = {row.key: row.value for row in cell.execute(sa.text(PROPERTIES), {"uuid": uuid})}
    spec = json.loads(api.execute(sa.text(SPEC), {"uuid": uuid}).one().spec)
    image = spec["nova_object.data"]["image"]["nova_object.data"]
    properties = image["properties"]["nova_object.data"]
    found = stored["image_hw_vif_model"], properties["hw_vif_model"]
    click.echo("  ".join((instance.display_name, *found)))


if __name__ == "__main__":
    assert pymysql.VERSION
    main(*sys.argv[1:])
