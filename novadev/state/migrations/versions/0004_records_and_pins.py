"""Records have numbers, and recorded addresses can be pinned."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what is not there yet: MySQL and MariaDB commit each statement by itself."""
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table("vm_record"):
        op.create_table(
            "vm_record",
            sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
            sa.Column("made", sa.DateTime, nullable=False, index=True),
            sqlite_autoincrement=True,
            mysql_charset="utf8mb4",
        )
    if not inspector.has_table("vm_device_pin"):
        op.create_table(
            "vm_device_pin",
            sa.Column("vm_id", sa.String(36), primary_key=True),
            sa.Column("device_id", sa.String(36), primary_key=True),
            sa.Column("address", sa.String(255), nullable=False),
            sa.Column("pinned", sa.DateTime, nullable=False),
            mysql_charset="utf8mb4",
        )
    there = {column["name"] for column in inspector.get_columns("vm_device_history")}
    if "record_id" not in there:
        op.add_column("vm_device_history", sa.Column("record_id", BIG_ID))
    _number_earlier_records()


def _number_earlier_records() -> None:
    """Give the records of earlier releases their numbers: a time at which states were written."""
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "INSERT INTO vm_record (made) SELECT DISTINCT seen FROM vm_device_history"
            " WHERE record_id IS NULL ORDER BY seen"
        )
    )
    connection.execute(
        sa.text(
            "UPDATE vm_device_history SET record_id = (SELECT MAX(vm_record.id) FROM vm_record"
            " WHERE vm_record.made = vm_device_history.seen) WHERE record_id IS NULL"
        )
    )
