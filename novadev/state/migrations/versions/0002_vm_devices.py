"""The recorded devices of guests, and their history."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"

LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the three tables."""
    _remove_unfinished()
    op.create_table(
        "vm_dynamic",
        sa.Column("vm_id", sa.String(36), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("seen", sa.DateTime, nullable=False),
        mysql_charset="utf8mb4",
    )
    op.create_table(
        "vm_device",
        sa.Column("vm_id", sa.String(36), primary_key=True),
        sa.Column("device_id", sa.String(36), primary_key=True),
        sa.Column("type", sa.String(30), nullable=False),
        sa.Column("device", sa.String(255), nullable=False),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("boot_order", sa.Integer),
        sa.Column("spec_params", LONG, nullable=False),
        sa.Column("is_managed", sa.Boolean, nullable=False),
        sa.Column("is_plugged", sa.Boolean, nullable=False),
        sa.Column("is_readonly", sa.Boolean, nullable=False),
        sa.Column("is_optional", sa.Boolean, nullable=False),
        sa.Column("alias", sa.String(255), nullable=False),
        sa.Column("custom_properties", LONG, nullable=False),
        sa.Column("snapshot_id", sa.String(36)),
        sa.Column("logical_name", sa.String(255)),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("label", sa.String(255), nullable=False),
        sa.Column("seen", sa.DateTime, nullable=False),
        mysql_charset="utf8mb4",
    )
    op.create_table(
        "vm_device_history",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("vm_id", sa.String(36), nullable=False),
        sa.Column("device_id", sa.String(36), nullable=False),
        sa.Column("seen", sa.DateTime, nullable=False),
        sa.Column("body", LONG),
        mysql_charset="utf8mb4",
    )
    op.create_index("ix_vm_device_history", "vm_device_history", ["vm_id", "device_id", "id"])


def _remove_unfinished() -> None:
    """Drop the empty tables a killed novadev left: MySQL and MariaDB commit every CREATE TABLE."""
    connection = op.get_bind()
    there = set(sa.inspect(connection).get_table_names())
    for name in ("vm_device_history", "vm_device", "vm_dynamic"):
        if name in there and not connection.scalar(sa.text(f"SELECT COUNT(*) FROM {name}")):  # noqa: S608
            op.drop_table(name)
