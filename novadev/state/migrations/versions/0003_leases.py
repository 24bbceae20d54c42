"""Leases that are tokens, what was asked for, and the journal's own identity."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NEW = (
    sa.Column("lease", sa.String(32)),
    sa.Column("machine", sa.String(64)),
    sa.Column("asked", sa.Text),
    sa.Column("message", sa.Text),
)


def upgrade() -> None:
    """Add what is not there yet: MySQL and MariaDB commit each statement by itself."""
    inspector = sa.inspect(op.get_bind())
    there = {column["name"] for column in inspector.get_columns("runs")}
    for column in NEW:
        if column.name not in there:
            op.add_column("runs", column)
    if "ix_plans_undoes" not in {index["name"] for index in inspector.get_indexes("plans")}:
        op.create_index("ix_plans_undoes", "plans", ["undoes"])
    if not inspector.has_table("journal"):
        op.create_table(
            "journal", sa.Column("id", sa.String(36), primary_key=True), mysql_charset="utf8mb4"
        )
    journal = sa.table("journal", sa.column("id"))
    if op.get_bind().scalar(sa.select(sa.func.count()).select_from(journal)) == 0:
        op.get_bind().execute(sa.insert(journal).values(id=str(uuid4())))
