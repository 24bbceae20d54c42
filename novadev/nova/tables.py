"""The columns of Nova's tables that novadev uses: Nova's schema, not ours.

They are the same in every release that ``rules/releases.py`` knows; ``tests/releases`` has what
each release's own nova-manage made. Source: ``nova/db/main/models.py`` and
``nova/db/api/models.py``. Every table of a cell but
``share_mapping`` (from Nova 29 on) has ``deleted``: 0, or the row's id once soft-deleted. Those of
the API database have not.
"""

from __future__ import annotations

import sqlalchemy as sa

api_metadata = sa.MetaData()
cell_metadata = sa.MetaData()


def _timestamps() -> tuple[sa.Column[object], ...]:
    return (sa.Column("created_at", sa.DateTime), sa.Column("updated_at", sa.DateTime))


def _cell_columns() -> tuple[sa.Column[object], ...]:
    return (*_timestamps(), sa.Column("deleted", sa.Integer, default=0))


cell_mappings = sa.Table(
    "cell_mappings",
    api_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("uuid", sa.String(36), nullable=False),
    sa.Column("name", sa.String(255)),
    sa.Column("transport_url", sa.Text, nullable=False),
    sa.Column("database_connection", sa.Text, nullable=False),
    sa.Column("disabled", sa.Boolean, default=False),
    *_timestamps(),
)

instance_mappings = sa.Table(
    "instance_mappings",
    api_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("instance_uuid", sa.String(36), nullable=False, unique=True),
    sa.Column("cell_id", sa.Integer),
    sa.Column("project_id", sa.String(255), nullable=False),
    sa.Column("queued_for_delete", sa.Boolean, default=False),
    *_timestamps(),
)

request_specs = sa.Table(
    "request_specs",
    api_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("instance_uuid", sa.String(36), nullable=False, unique=True),
    sa.Column("spec", sa.Text(2**24 - 1)),
    *_timestamps(),
)

instances = sa.Table(
    "instances",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("uuid", sa.String(36), nullable=False, unique=True),
    sa.Column("display_name", sa.String(255)),
    sa.Column("host", sa.String(255)),
    sa.Column("vm_state", sa.String(255)),
    sa.Column("task_state", sa.String(255)),
    sa.Column("project_id", sa.String(255)),
    sa.Column("user_id", sa.String(255)),
    sa.Column("image_ref", sa.String(255)),
    sa.Column("root_device_name", sa.String(255)),
    sa.Column("config_drive", sa.String(255)),
    sa.Column("ephemeral_gb", sa.Integer),
    sa.Column("vm_mode", sa.String(255)),
    sa.Column("launched_at", sa.DateTime),
    sa.Column("hidden", sa.Boolean, default=False),
    *_cell_columns(),
)

instance_system_metadata = sa.Table(
    "instance_system_metadata",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("instance_uuid", sa.String(36), nullable=False, index=True),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("value", sa.String(255)),
    *_cell_columns(),
)

instance_extra = sa.Table(
    "instance_extra",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("instance_uuid", sa.String(36), nullable=False, index=True),
    sa.Column("flavor", sa.Text),
    *_cell_columns(),
)

block_device_mapping = sa.Table(
    "block_device_mapping",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("uuid", sa.String(36)),
    sa.Column("instance_uuid", sa.String(36), index=True),
    sa.Column("source_type", sa.String(255)),
    sa.Column("destination_type", sa.String(255)),
    sa.Column("guest_format", sa.String(255)),
    sa.Column("device_type", sa.String(255)),
    sa.Column("disk_bus", sa.String(255)),
    sa.Column("device_name", sa.String(255)),
    sa.Column("boot_index", sa.Integer),
    sa.Column("volume_id", sa.String(36)),
    sa.Column("volume_size", sa.Integer),
    sa.Column("no_device", sa.Boolean),
    sa.Column("connection_info", sa.Text(2**24 - 1)),
    sa.Column("attachment_id", sa.String(36)),
    *_cell_columns(),
)

instance_info_caches = sa.Table(
    "instance_info_caches",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("instance_uuid", sa.String(36), nullable=False, unique=True),
    sa.Column("network_info", sa.Text(2**24 - 1)),
    *_cell_columns(),
)

pci_devices = sa.Table(
    "pci_devices",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("uuid", sa.String(36)),
    sa.Column("address", sa.String(12), nullable=False),
    sa.Column("status", sa.String(36), nullable=False),
    sa.Column("request_id", sa.String(36)),
    sa.Column("instance_uuid", sa.String(36), index=True),
    *_cell_columns(),
)

share_mapping = sa.Table(
    "share_mapping",
    cell_metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("instance_uuid", sa.String(36), index=True),
    sa.Column("share_id", sa.String(36)),
    sa.Column("tag", sa.String(48)),
    sa.Column("export_location", sa.Text),
    *_timestamps(),
)

migrations = sa.Table(
    "migrations",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("instance_uuid", sa.String(36), index=True),
    sa.Column("status", sa.String(255)),
    sa.Column("migration_type", sa.String(255)),
    *_cell_columns(),
)

services = sa.Table(
    "services",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("host", sa.String(255)),
    sa.Column("binary", sa.String(255)),
    sa.Column("version", sa.Integer),
    *_cell_columns(),
)

instance_actions = sa.Table(
    "instance_actions",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("action", sa.String(255)),
    sa.Column("instance_uuid", sa.String(36), index=True),
    sa.Column("request_id", sa.String(255)),
    sa.Column("user_id", sa.String(255)),
    sa.Column("project_id", sa.String(255)),
    sa.Column("start_time", sa.DateTime),
    sa.Column("finish_time", sa.DateTime),
    sa.Column("message", sa.String(255)),
    *_cell_columns(),
)

instance_actions_events = sa.Table(
    "instance_actions_events",
    cell_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("event", sa.String(255)),
    sa.Column("action_id", sa.Integer, index=True),
    sa.Column("start_time", sa.DateTime),
    sa.Column("finish_time", sa.DateTime),
    sa.Column("result", sa.String(255)),
    *_cell_columns(),
)
