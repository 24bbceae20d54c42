"""Which servers were written and have not been looked at again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what is not there yet: MySQL and MariaDB commit each statement by itself."""
    columns = sa.inspect(op.get_bind()).get_columns("plans")
    if "unseen" not in {column["name"] for column in columns}:
        op.add_column("plans", sa.Column("unseen", sa.String(36)))
