"""Who pinned and unpinned what, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what is not there yet: MySQL and MariaDB commit each statement by itself."""
    if sa.inspect(op.get_bind()).has_table("vm_device_pin_history"):
        return
    op.create_table(
        "vm_device_pin_history",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("vm_id", sa.String(36), nullable=False, index=True),
        sa.Column("device_id", sa.String(36), nullable=False),
        sa.Column("label", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("is_pinned", sa.Boolean, nullable=False),
        sa.Column("made", sa.DateTime, nullable=False),
        sa.Column("user", sa.String(255), nullable=False),
        mysql_charset="utf8mb4",
    )
