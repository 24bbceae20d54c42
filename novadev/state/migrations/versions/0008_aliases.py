"""Whether the nova-compute of each host keeps aliases; null where it has not said so."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add what is not there yet: MySQL and MariaDB commit each statement by itself."""
    columns = sa.inspect(op.get_bind()).get_columns("keeping_host")
    if "aliases" not in {column["name"] for column in columns}:
        op.add_column("keeping_host", sa.Column("aliases", sa.Boolean))
