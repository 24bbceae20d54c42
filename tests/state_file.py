"""novadev's own database as a file that is there: its migrations take longer than a test."""

import sqlite3
import tempfile
import uuid
from contextlib import closing
from functools import cache
from pathlib import Path

from novadev.state.store import open_state


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory(prefix="novadev-state-") as folder:
        path = Path(folder) / "state.sqlite"
        open_state(f"sqlite:///{path}").close()
        return path.read_bytes()


def place_state(path: Path) -> None:
    """Put an empty state database at `path`, with a journal of its own."""
    path.touch(mode=0o600)
    path.write_bytes(_template())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("UPDATE journal SET id = ?", [str(uuid.uuid4())])
        connection.commit()
