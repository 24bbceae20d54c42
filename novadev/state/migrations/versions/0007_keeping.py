"""What the nova-compute of each host does with recorded addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what is not there yet: MySQL and MariaDB commit each statement by itself."""
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table("keeping_host"):
        op.create_table(
            "keeping_host",
            sa.Column("host", sa.String(255), primary_key=True),
            sa.Column("mode", sa.String(10), nullable=False),
            sa.Column("since", sa.DateTime, nullable=False),
            sa.Column("seen", sa.DateTime, nullable=False),
            mysql_charset="utf8mb4",
        )
    if not inspector.has_table("keeping_count"):
        op.create_table(
            "keeping_count",
            sa.Column("host", sa.String(255), primary_key=True),
            sa.Column("outcome", sa.String(10), primary_key=True),
            sa.Column("reason", sa.String(30), primary_key=True),
            sa.Column("number", BIG_ID, nullable=False),
            sa.Column("last", sa.DateTime, nullable=False),
            mysql_charset="utf8mb4",
        )
