"""SQLite without its waits for the disk."""

import sqlite3
from typing import Any

import sqlalchemy as sa


def wait_for_no_disk() -> None:
    """Let this process no longer wait for the disk when it commits to SQLite.

    Only what survives a power cut is given up, as with the settings in `mariadb.py`. Transactions
    and locks stay real, and so does what a killed process leaves. A commit would take 10 to 20 ms
    with the wait.
    """
    sa.event.listen(sa.Engine, "connect", _wait_for_no_disk)


def _wait_for_no_disk(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
