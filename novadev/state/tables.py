"""The tables of the state database; ``migrations/`` makes them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

metadata = sa.MetaData()
_LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

runs = sa.Table(
    "runs",
    metadata,
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
    sa.Column("lease", sa.String(32)),
    sa.Column("machine", sa.String(64)),
    sa.Column("asked", sa.Text),
    sa.Column("message", sa.Text),
    sqlite_autoincrement=True,
)
"""The number of a run is never used again: an operator may have noted it."""

journal = sa.Table("journal", metadata, sa.Column("id", sa.String(36), primary_key=True))
"""One row: the journal's own UUID, which saved undos name."""

plans = sa.Table(
    "plans",
    metadata,
    sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("instance", sa.String(36), nullable=False, index=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("undoes", _BIG_ID),
    sa.Column("body", _LONG, nullable=False),
    sa.Column("unseen", sa.String(36)),
    sa.Index("ix_plans_run_state", "run_id", "state", "id"),
    sa.Index("ix_plans_undoes", "undoes"),
)

vm_dynamic = sa.Table(
    "vm_dynamic",
    metadata,
    sa.Column("vm_id", sa.String(36), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("seen", sa.DateTime, nullable=False),
)

vm_device = sa.Table(
    "vm_device",
    metadata,
    sa.Column("vm_id", sa.String(36), primary_key=True),
    sa.Column("device_id", sa.String(36), primary_key=True),
    sa.Column("type", sa.String(30), nullable=False),
    sa.Column("device", sa.String(255), nullable=False),
    sa.Column("address", sa.String(255), nullable=False),
    sa.Column("boot_order", sa.Integer),
    sa.Column("spec_params", _LONG, nullable=False),
    sa.Column("is_managed", sa.Boolean, nullable=False),
    sa.Column("is_plugged", sa.Boolean, nullable=False),
    sa.Column("is_readonly", sa.Boolean, nullable=False),
    sa.Column("is_optional", sa.Boolean, nullable=False),
    sa.Column("alias", sa.String(255), nullable=False),
    sa.Column("custom_properties", _LONG, nullable=False),
    sa.Column("snapshot_id", sa.String(36)),
    sa.Column("logical_name", sa.String(255)),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("label", sa.String(255), nullable=False),
    sa.Column("seen", sa.DateTime, nullable=False),
)

vm_device_history = sa.Table(
    "vm_device_history",
    metadata,
    sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
    sa.Column("vm_id", sa.String(36), nullable=False),
    sa.Column("device_id", sa.String(36), nullable=False),
    sa.Column("seen", sa.DateTime, nullable=False),
    sa.Column("body", _LONG),
    sa.Column("record_id", _BIG_ID),
    sa.Index("ix_vm_device_history", "vm_id", "device_id", "id"),
)
"""Every state a device was ever found in, pinned or not; without a body it was dropped."""

vm_record = sa.Table(
    "vm_record",
    metadata,
    sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
    sa.Column("made", sa.DateTime, nullable=False, index=True),
    sqlite_autoincrement=True,
)
"""Each record or import that changed a device; its number is never used again."""

vm_device_pin = sa.Table(
    "vm_device_pin",
    metadata,
    sa.Column("vm_id", sa.String(36), primary_key=True),
    sa.Column("device_id", sa.String(36), primary_key=True),
    sa.Column("address", sa.String(255), nullable=False),
    sa.Column("pinned", sa.DateTime, nullable=False),
)
"""The devices whose address in ``vm_device`` no record changes."""

vm_device_pin_history = sa.Table(
    "vm_device_pin_history",
    metadata,
    sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
    sa.Column("vm_id", sa.String(36), nullable=False, index=True),
    sa.Column("device_id", sa.String(36), nullable=False),
    sa.Column("label", sa.String(255), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("address", sa.String(255), nullable=False),
    sa.Column("is_pinned", sa.Boolean, nullable=False),
    sa.Column("made", sa.DateTime, nullable=False),
    sa.Column("user", sa.String(255), nullable=False),
)
"""Each time a device was pinned or unpinned, and by whom."""

keeping_host = sa.Table(
    "keeping_host",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("mode", sa.String(10), nullable=False),
    sa.Column("since", sa.DateTime, nullable=False),
    sa.Column("seen", sa.DateTime, nullable=False),
    sa.Column("aliases", sa.Boolean),
)
"""What the nova-compute of each host does with recorded addresses, as it last said."""

keeping_count = sa.Table(
    "keeping_count",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("outcome", sa.String(10), primary_key=True),
    sa.Column("reason", sa.String(30), primary_key=True),
    sa.Column("number", _BIG_ID, nullable=False),
    sa.Column("last", sa.DateTime, nullable=False),
)
"""How many definitions it has kept and passed through, and why; never reset."""
