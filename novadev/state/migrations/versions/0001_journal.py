"""The journal: runs and their plans."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make both tables."""
    _remove_unfinished()
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("action", sa.String(255), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("pid_started", sa.String(32), nullable=False),
        sa.Column("started", sa.DateTime, nullable=False),
        sa.Column("heartbeat", sa.DateTime, nullable=False),
        sa.Column("finished", sa.DateTime),
        sa.Column("undoes", sa.Integer),
        sqlite_autoincrement=True,
        mysql_charset="utf8mb4",
    )
    op.create_table(
        "plans",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("instance", sa.String(36), nullable=False, index=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("undoes", BIG_ID),
        sa.Column("body", LONG, nullable=False),
        mysql_charset="utf8mb4",
    )
    op.create_index("ix_plans_run_state", "plans", ["run_id", "state", "id"])


def _remove_unfinished() -> None:
    """Drop the empty tables a killed novadev left: MySQL and MariaDB commit every CREATE TABLE."""
    connection = op.get_bind()
    there = set(sa.inspect(connection).get_table_names())
    for name in ("plans", "runs"):
        if name in there and not connection.scalar(sa.text(f"SELECT COUNT(*) FROM {name}")):  # noqa: S608
            op.drop_table(name)
