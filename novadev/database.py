"""One database: connections that read, transactions that write, and errors without secrets.

Nova's databases and novadev's own are opened here in the same way, so that isolation, time
limits and the wording of failures are the same everywhere.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cached_property
from os.path import samestat
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from novadev.errors import BadInput, Busy, NovadevError, SchemaUnknown, Unreachable

if TYPE_CHECKING:
    from novadev.config import DatabaseOptions

_LOG = logging.getLogger("novadev.databases")

LOCK_WAIT = 10
"""Seconds a statement waits for a row lock before the batch is split."""
_MYSQL_BUSY = {1062, 1205, 1213}
"""A row that another transaction has just inserted, a lock wait, a deadlock."""
_MYSQL_SCHEMA = {1054, 1146}
_MYSQL_CONNECTION = {
    *(1040, 1045, 1049, 1053, 1129, 1130, 1203, 1226, 1251, 1524, 1698, 1820, 1862, 1927),
    *(3118, 3159, 4031, 4151),
}
"""Too many connections, no such account, password or plugin, TLS demanded, killed."""
_MYSQL_NO_ANSWER = {1047, 1317, 1969, 3024}
"""A Galera node outside of its cluster; a statement ended by another, or by a time limit."""
_PROXYSQL = range(9000, 10000)
"""ProxySQL's own errors: no server behind it answers (9001), and the like."""
_MYSQL_FULL = 1021
_MYSQL_NOT_WRITABLE = {1114, 1290, 1836}
"""Table full, server read-only (two of them)."""
_MYSQL_NO_RIGHT = {1044, 1142, 1143}
"""No right on a database, on a table, on a column."""
_SQLITE_UNUSABLE = (
    "unable to open database",
    "disk I/O error",
    "file is not a database",
)
_SQLITE_NOT_WRITABLE = "readonly database"
_SQLITE_FULL = "database or disk is full"
_SQLITE_SCHEMA = ("no such column", "no such table", "has no column named")


class Database:
    """A database with a name for messages ("cell cell1", "API database").

    OPTIONS are those that Nova's configuration has beside the URL; None for a database of ours.
    """

    def __init__(self, name: str, url: str, options: DatabaseOptions | None = None) -> None:
        self.name = name
        self._url = url
        self._options = options
        self._file: os.stat_result | None = None

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine; raises Unreachable when the URL is none or a file of it is missing.

        Raises BadInput for an option in it, or beside it, that the driver does not take.
        """
        url = parse_url(self.name, self._url)
        _LOG.info("%s: opened with %s", self.name, url.drivername)
        if url.get_backend_name() == "sqlite":
            self._file = _file(self.name, url)
            return _sqlite_engine(url)
        query = _query(self.name, url, self._options)
        return _mysql_engine(self.name, url, query, self._options)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite, which locks the file rather than rows."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection for SELECTs; errors are those of :func:`translated`, and name it."""
        try:
            with translated(self.name, Unreachable), self._connect() as connection:
                yield connection
        except NovadevError as error:
            error.database = error.database or self.name
            raise

    @property
    def is_replaced(self) -> bool:
        """Whether another SQLite file is by now where the opened one was."""
        return self._file is not None and not samestat(
            self._file, _file(self.name, self.engine.url)
        )

    def _check_file(self) -> None:
        """Raise Unreachable where the opened SQLite file is gone or is another one by now.

        An open file that is gone takes what is written, and nobody has it.
        """
        if self.is_replaced:
            raise Unreachable(
                f"{self.name}: the SQLite file {self.engine.url.database} was replaced while "
                "novadev had it open"
            )

    def _connect(self) -> sa.Connection:
        engine = self.engine
        self._check_file()
        try:
            return engine.connect()
        except (TypeError, ValueError):
            text = f"{self.name}: its connection has options that its driver does not accept"
            raise BadInput(text) from None

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
                self._check_file()

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
        raise Unreachable(f"{name}: novadev supports MySQL, MariaDB and SQLite, not {backend}")
    return url


def _query(name: str, url: URL, options: DatabaseOptions | None) -> dict[str, str]:
    """Return the options of the URL and of ``connection_parameters``, each once."""
    parameters = "" if options is None else options.connection_parameters
    try:
        added = parse_qsl(parameters, strict_parsing=True) if parameters else []
    except ValueError:
        raise BadInput(
            f"{name}: its connection_parameters do not have the form NAME=VALUE&NAME=VALUE"
        ) from None
    found: dict[str, str] = {}
    given = [(key, text) for key, texts in url.normalized_query.items() for text in texts]
    for key, text in [*given, *added]:
        if found.setdefault(key, text) != text:
            raise BadInput(f"{name}: the connection option {key} is given twice, with two values")
    return found


def _sqlite_engine(url: URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": LOCK_WAIT}, hide_parameters=True)
    sa.event.listen(engine, "connect", _leave_transactions_to_us)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _file(name: str, url: URL) -> os.stat_result:
    """Return the SQLite file of URL; raises Unreachable where there is none."""
    try:
        return os.stat(url.database or "")
    except OSError:
        raise Unreachable(f"{name}: there is no SQLite file {url.database}") from None


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("novadev_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _mysql_engine(
    name: str, url: URL, query: dict[str, str], options: DatabaseOptions | None
) -> sa.Engine:
    """Return an engine whose own URL holds no password: connections are opened by ours."""
    from novadev import mysql

    session = mysql.Session(LOCK_WAIT)
    if options is not None:
        modes = (options.mysql_sql_mode, options.mysql_wsrep_sync_wait)
        session = mysql.Session(LOCK_WAIT, *modes)
    return sa.create_engine(
        "mysql+pymysql://",
        creator=mysql.connector(name, query, url, session),
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        pool_pre_ping=True,
        pool_recycle=3600 if options is None else options.connection_recycle_time,
    )


def now_of(connection: sa.Connection) -> datetime:
    """Return the time (UTC) by the database's own clock, so that those of hosts may differ."""
    if connection.dialect.name == "sqlite":
        return datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    found: datetime = connection.execute(sa.select(sa.func.utc_timestamp())).scalar_one()
    return found


@contextmanager
def translated(name: str, otherwise: type[NovadevError] = NovadevError) -> Iterator[None]:
    """Turn a database's own errors into ours: Busy, SchemaUnknown, Unreachable, NovadevError.

    OTHERWISE is the class of a server's error that none of the known codes explains. The statement
    and its parameters are left out: they carry other people's data.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _explain(name, error, otherwise) from error
    except sa.exc.SQLAlchemyError as error:
        raise NovadevError(f"{name}: {type(error).__name__}") from error


def _explain(name: str, error: sa.exc.DBAPIError, otherwise: type[NovadevError]) -> NovadevError:
    text = str(error.orig)
    code = error.orig.args[0] if error.orig is not None and error.orig.args else None
    if code in _MYSQL_BUSY or "database is locked" in text:
        return Busy(f"{name}: another writer holds a lock or wrote first")
    if code in _MYSQL_SCHEMA or any(word in text for word in _SQLITE_SCHEMA):
        return SchemaUnknown(f"{name}: novadev does not know its schema ({_reason(error)})")
    if code in _MYSQL_NO_ANSWER or (isinstance(code, int) and code in _PROXYSQL):
        return Unreachable(f"{name} does not answer: {_reason(error)}")
    if code in _MYSQL_NO_RIGHT:
        text = f"{name}: the account lacks a right (see novadev doctor): {_reason(error)}"
        return Unreachable(text)
    if code == _MYSQL_FULL or _SQLITE_FULL in text:
        return full(name)
    if code in _MYSQL_NOT_WRITABLE or _SQLITE_NOT_WRITABLE in text:
        return Unreachable(f"{name} cannot be written: {_reason(error)}")
    if _is_connection_error(code, error):
        return Unreachable(f"{name} could not be reached: {_reason(error)}")
    is_the_servers = isinstance(error, sa.exc.OperationalError | sa.exc.InternalError)
    kind = otherwise if is_the_servers else NovadevError
    return kind(f"{name}: {_reason(error)}")


def full(name: str) -> Unreachable:
    """Return the error of a database, called NAME, whose disk takes no more."""
    return Unreachable(f"{name} cannot be written: its disk is full")


def _is_connection_error(code: object, error: sa.exc.DBAPIError) -> bool:
    if error.connection_invalidated or code in _MYSQL_CONNECTION:
        return True
    text = str(error.orig)
    lost = isinstance(code, int) and 2000 <= code < 3000
    return lost or any(word in text for word in _SQLITE_UNUSABLE)


def _reason(error: sa.exc.DBAPIError) -> str:
    arguments = error.orig.args if error.orig is not None else ()
    return " ".join(str(part) for part in arguments).splitlines()[0] if arguments else "no reason"
