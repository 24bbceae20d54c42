"""The state database: opened, made and brought up to date; readable by its owner only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from novadev.database import Database, full, parse_url
from novadev.errors import NotAsNeeded, NovadevError, Unreachable
from novadev.state.tables import metadata, vm_record

SCHEMAS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""The revisions in ``migrations/versions``, the newest last."""
_NAME = "state database"
_VERSIONS = "alembic_version"
_ROOM = 1_048_576
"""Bytes that a run takes at least, with SQLite's own journal."""


def open_state(url: str, is_known: bool = False) -> Database:
    """Return the state database at URL with the newest schema, made where there is none.

    IS_KNOWN: it was there before, and is not made anew. Raises Unreachable when it cannot be made
    or written, and when one that is known is gone or empty.
    """
    if not is_known:
        _make_private_file(url)
    database = state_database(url)
    found = _known_revision(database)
    if is_known and found is None:
        raise Unreachable(f"{_NAME}: its tables are gone")
    if found != SCHEMAS[-1]:
        _upgrade(database)
    return database


def state_database(url: str) -> Database:
    """Return the state database at URL as it is; nothing is looked at or made."""
    return Database(_NAME, url)


@dataclass(frozen=True)
class StateFacts:
    """A state database as it is.

    ``place`` is its file, or its server and name; ``revision`` is None where it is not made yet.
    A file has no accounts.
    """

    place: str
    revision: str | None
    bytes: int
    database: Database
    is_file: bool = False


def examine_state(url: str) -> StateFacts:
    """Return what the state database at URL is; nothing is made, and no schema upgraded.

    Raises Unreachable where it could not be made or written, and NotAsNeeded where it is not ours.
    """
    parsed = parse_url(_NAME, url)
    database = state_database(url)
    if parsed.get_backend_name() == "sqlite":
        return _examine_file(Path(parsed.database or ""), database)
    place = f"{parsed.database} on {parsed.host or 'this machine'}"
    return StateFacts(place, _known_revision(database), _bytes_of_tables(database), database)


def why_not_writable(facts: StateFacts) -> NovadevError | None:
    """Return why a server with the tables refuses to write, if it does: it may be a replica.

    It is asked by a statement that changes no row. A file is not: that would wait for its lock.
    """
    if facts.is_file:
        return None
    try:
        with facts.database.writing() as connection:
            connection.execute(sa.delete(vm_record).where(sa.false()))
    except NovadevError as error:
        return error
    return None


def _examine_file(path: Path, database: Database) -> StateFacts:
    there = path if path.exists() else next(filter(Path.exists, path.parents), path)
    if not os.access(there, os.W_OK):
        raise Unreachable(f"{_NAME} {path} cannot be written by this user")
    if not _has_room(there):
        raise full(f"{_NAME} {path}")
    if not path.exists() or not path.stat().st_size:
        return StateFacts(str(path), None, 0, database, is_file=True)
    size = path.stat().st_size
    return StateFacts(str(path), _known_revision(database), size, database, is_file=True)


def _has_room(path: Path) -> bool:
    """Whether this user can add some pages to the file system that PATH is on."""
    found = os.statvfs(path)
    free = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    return free * found.f_frsize >= _ROOM


def _known_revision(database: Database) -> str | None:
    found = _revision(database)
    if found is not None and found not in SCHEMAS:
        raise NotAsNeeded(f"the {_NAME} has a schema this novadev does not know: {found:.40}")
    return found


def _bytes_of_tables(database: Database) -> int:
    with database.reading() as connection:
        found = connection.scalar(
            sa.text(
                "SELECT SUM(data_length + index_length) FROM information_schema.tables"
                " WHERE table_schema = DATABASE()"
            )
        )
    return int(found or 0)


def _make_private_file(url: str) -> None:
    parsed = parse_url(_NAME, url)
    if parsed.get_backend_name() != "sqlite":
        return
    if not parsed.database or parsed.database == ":memory:":
        raise Unreachable(f"{_NAME}: the SQLite database has to be a file, not in memory")
    path = Path(parsed.database)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise Unreachable(f"{_NAME} {path} cannot be written: {error.strerror}") from None


def _revision(database: Database) -> str | None:
    """Return the schema's revision, None where there is none; raises where it is not ours."""
    with database.reading() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if not tables <= {*metadata.tables, _VERSIONS}:
            raise NotAsNeeded(
                f"the {_NAME} contains tables of another program: give novadev a "
                "database of its own"
            )
        if _VERSIONS not in tables:
            return None
        found = connection.scalar(sa.text(f"SELECT version_num FROM {_VERSIONS}"))  # noqa: S608
    return str(found) if found else None


def _upgrade(database: Database) -> None:
    """Run Alembic; imported only here, because it costs as much as everything else together."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with database.writing() as connection:
            _one_at_a_time(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.close()


def _one_at_a_time(connection: sa.Connection) -> None:
    """Wait for another novadev that is making the schema; SQLite's transaction does it there.

    The lock is the connection's: closing it gives the lock back, the end of a transaction does not.
    """
    if connection.dialect.name == "sqlite":
        return
    if connection.scalar(sa.text("SELECT GET_LOCK('novadev_state_schema', 60)")) != 1:
        raise NovadevError(f"another novadev is changing the schema of the {_NAME}")
