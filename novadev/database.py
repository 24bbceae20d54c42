"""One database: connections that read, transactions that write, and errors without secrets.

Nova's databases and novadev's own are opened here in the same way, so that isolation, time
limits and the wording of failures are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from novadev.errors import Busy, NovadevError, SchemaUnknown, Unreachable

LOCK_WAIT = 10
"""Seconds a statement waits for a row lock before the batch is split."""
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
_MYSQL_BUSY = {1062, 1205, 1213}
"""A row that another transaction has just inserted, a lock wait, a deadlock."""
_MYSQL_SCHEMA = {1054, 1146}
_MYSQL_CONNECTION = {1040, 1044, 1045, 1049, 1053, 1129, 1130, 1203, 1226, 1698}
_MYSQL_NOT_WRITABLE = {1021, 1114, 1142, 1290, 1836}
"""Disk full, table full, no privilege, server read-only (two of them)."""
_SQLITE_UNUSABLE = (
    "unable to open database",
    "readonly database",
    "disk I/O error",
    "database or disk is full",
    "file is not a database",
)
_SQLITE_SCHEMA = ("no such column", "no such table", "has no column named")


class Database:
    """A database with a name for messages ("cell cell1", "API database")."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine; raises Unreachable when the URL is none or its file is missing."""
        url = parse_url(self.name, self._url)
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(self.name, url)
        return _mysql_engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite, which locks the file rather than rows."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection for SELECTs; errors are those of :func:`translated`."""
        with translated(self.name), self._connect() as connection:
            yield connection

    def _connect(self) -> sa.Connection:
        try:
            return self.engine.connect()
        except (TypeError, ValueError):
            text = f"{self.name}: its connection URL has options that its driver does not take"
            raise Unreachable(text) from None

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a transaction: committed at the end, rolled back by any error.

        READ COMMITTED on MySQL, so that a read after the row lock sees what others committed
        before it; BEGIN IMMEDIATE on SQLite, which has no FOR UPDATE.
        """
        with translated(self.name), self._connect() as connection:
            writer = connection.execution_options(novadev_writes=True)
            with writer.begin():
                yield writer

    def close(self) -> None:
        """Close every connection."""
        if "engine" in self.__dict__:
            self.engine.dispose()


def parse_url(name: str, text: str) -> URL:
    """Return TEXT as a URL with the driver novadev has for it; raises Unreachable, naming NAME."""
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except Exception:
        raise Unreachable(f"{name}: its connection is not a database URL") from None
    if backend in ("mysql", "mariadb"):
        return url.set(drivername="mysql+pymysql")
    if backend != "sqlite":
        raise Unreachable(f"{name}: novadev speaks to MySQL, MariaDB and SQLite, not {backend}")
    return url


def _sqlite_engine(name: str, url: URL) -> sa.Engine:
    if not url.database or not Path(url.database).exists():
        raise Unreachable(f"{name}: there is no SQLite file {url.database}")
    engine = sa.create_engine(url, connect_args={"timeout": LOCK_WAIT}, hide_parameters=True)
    sa.event.listen(engine, "connect", _leave_transactions_to_us)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("novadev_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _mysql_engine(url: URL) -> sa.Engine:
    return sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        pool_recycle=3600,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "write_timeout": READ_TIMEOUT,
            "init_command": f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}",
        },
    )


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn a database's own errors into ours: Busy, SchemaUnknown, Unreachable, NovadevError.

    The statement and its parameters are left out: they carry other people's data.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _explain(name, error) from error
    except sa.exc.SQLAlchemyError as error:
        raise NovadevError(f"{name}: {type(error).__name__}") from error


def _explain(name: str, error: sa.exc.DBAPIError) -> NovadevError:
    text = str(error.orig)
    code = error.orig.args[0] if error.orig is not None and error.orig.args else None
    if code in _MYSQL_BUSY or "database is locked" in text:
        return Busy(f"{name}: another writer holds a lock, or was first")
    if code in _MYSQL_SCHEMA or any(word in text for word in _SQLITE_SCHEMA):
        return SchemaUnknown(f"{name}: its schema is not one novadev knows ({_reason(error)})")
    if _is_connection_error(code, error):
        return Unreachable(f"{name} could not be reached: {_reason(error)}")
    return NovadevError(f"{name}: {_reason(error)}")


def _is_connection_error(code: object, error: sa.exc.DBAPIError) -> bool:
    if error.connection_invalidated or code in _MYSQL_CONNECTION | _MYSQL_NOT_WRITABLE:
        return True
    text = str(error.orig)
    lost = isinstance(code, int) and 2000 <= code < 3000
    return lost or any(word in text for word in _SQLITE_UNUSABLE)


def _reason(error: sa.exc.DBAPIError) -> str:
    arguments = error.orig.args if error.orig is not None else ()
    return " ".join(str(part) for part in arguments).splitlines()[0] if arguments else "no reason"
