"""How novadev connects to MySQL and MariaDB: what an operator can write in a URL, for PyMySQL.

Nova appends ``connection_parameters`` to each URL and hands the result to SQLAlchemy and PyMySQL
(``oslo_db/sqlalchemy/engines.py`` ``create_engine``). The same text is read here, so that a fault
in it is told by name, and so that TLS that was asked for is never given up.
"""

from __future__ import annotations

import configparser
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.charset import charset_by_name
from pymysql.constants import CLIENT
from pymysql.optionfile import Parser

from novadev.errors import BadInput, Unreachable

CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
_TEXTS = (
    *("bind_address", "charset", "collation", "database", "db", "host", "init_command"),
    *("passwd", "password", "program_name", "read_default_file", "read_default_group"),
    *("sql_mode", "unix_socket", "user"),
)
_NUMBERS = (
    *("client_flag", "connect_timeout", "max_allowed_packet", "port", "read_timeout"),
    "write_timeout",
)
_OURS = ("autocommit", "binary_prefix", "local_infile", "use_unicode")
"""How the driver gives results and ends transactions: accepted, and decided by novadev."""
_TLS_FILES = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key")
_TLS_TEXTS = (*_TLS_FILES, "ssl_cipher", "ssl_key_password")
_TLS_FLAGS = ("ssl_check_hostname", "ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")
_FILES = (*_TLS_FILES, "read_default_file", "unix_socket")
_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on", "t", "y", "required"), True),
    **dict.fromkeys(("0", "false", "no", "off", "f", "n", "none"), False),
}
_BAD_SETTING = {1064, 1115, 1193, 1227, 1229, 1231, 1232, 1238, 1253, 1273}
"""No SQL; a character set, variable, value or collation that is none, or not this account's."""


@dataclass(frozen=True)
class Session:
    """What is set in each new session: seconds to wait for a row lock, and options of Nova's.

    None leaves an option to the server.
    """

    lock_wait: int
    sql_mode: str | None = None
    wsrep_sync_wait: int | None = None


class _Connection(pymysql.connections.Connection):
    """PyMySQL's, without the machine's CA store where no certificate is verified.

    Where no TLS is asked for, PyMySQL uses it if the server offers it, and verifies nothing; it
    loads the store all the same, in 50 ms for each connection.
    """

    def _create_ssl_ctx(self, sslp: ssl.SSLContext | None) -> ssl.SSLContext:
        return sslp or _context({})


def connector(name: str, query: Mapping[str, str], url: Any, session: Session) -> Callable[[], Any]:
    """Return what opens a connection to the database NAME at the SQLAlchemy URL, options in QUERY.

    Raises BadInput for an option that PyMySQL does not take as it is written, and Unreachable for
    a file or socket that is not there. What is returned raises these, and PyMySQL's errors.
    """
    options = dict(query)
    _check_names(name, options)
    _check_files(name, options)
    options = {**_from_option_file(name, options), **options}
    init_command = options.pop("init_command", None)
    arguments = _arguments(name, options, url) | _tls(name, options)

    def connect() -> Any:
        connection = _open(name, arguments)
        try:
            _prepare(name, connection, init_command, session)
        except BaseException:
            connection.close()
            raise
        return connection

    return connect


def _check_names(name: str, options: Mapping[str, str]) -> None:
    known = {*_TEXTS, *_NUMBERS, *_OURS, *_TLS_TEXTS, *_TLS_FLAGS}
    for option in options:
        if option == "ssl":
            raise _fault(name, option, "cannot be given as text. Name a CA file with ssl_ca")
        if option not in known:
            raise _fault(name, option, "is unknown to PyMySQL, the driver of novadev")


def _check_files(name: str, options: Mapping[str, str]) -> None:
    for option in _FILES:
        path = options.get(option)
        if path is not None and not os.access(Path(path).expanduser(), os.R_OK):
            raise Unreachable(
                f"{name}: the file {path} of its connection option {option} does not exist or "
                "cannot be read"
            )


def _from_option_file(name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return what the option file says of TLS; PyMySQL reads the rest of it itself.

    PyMySQL would take only the paths, and would log in without TLS where the file asks for TLS
    without any (``ssl``, ``ssl-mode``).
    """
    path = options.get("read_default_file")
    if path is None:
        return {}
    parser = Parser(strict=False)
    try:
        parser.read(Path(path).expanduser())
    except (configparser.Error, UnicodeDecodeError):
        raise _fault(
            name, "read_default_file", f"names {path}, which is not an option file"
        ) from None
    group = options.get("read_default_group", "client")
    if not parser.has_section(group):
        return {}
    keys = {f"ssl-{key[4:]}": key for key in (*_TLS_FILES, "ssl_cipher")}
    found = {keys[key]: parser.get(group, key) for key in keys if parser.has_option(group, key)}
    _check_files(name, found)
    return found | ({"ssl_required": "true"} if _asks_for_tls(parser, group) else {})


def _asks_for_tls(parser: Parser, group: str) -> bool:
    mode = parser.get(group, "ssl-mode") if parser.has_option(group, "ssl-mode") else ""
    if mode and mode.upper() in ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"):
        return True
    if not parser.has_option(group, "ssl"):
        return False
    return _FLAGS.get((parser.get(group, "ssl") or "true").lower(), True)


def _arguments(name: str, options: Mapping[str, str], url: Any) -> dict[str, Any]:
    """Return PyMySQL's arguments without TLS."""
    given = {"host": url.host, "port": url.port, "database": url.database}
    given |= {"user": url.username, "password": url.password}
    given |= {"connect_timeout": CONNECT_TIMEOUT}
    given |= {"read_timeout": READ_TIMEOUT, "write_timeout": READ_TIMEOUT}
    given = {key: value for key, value in given.items() if value is not None}
    given |= {key: options[key] for key in _TEXTS if key in options}
    for key in _NUMBERS:
        if key in options:
            given[key] = _number(name, key, options[key])
    if charset_by_name(given.get("charset", "utf8mb4")) is None:
        raise _fault(name, "charset", f"names no character set: {given['charset']!r}")
    for old, new in (("db", "database"), ("passwd", "password")):
        if old in given:
            given[new] = given.pop(old)
    # A guarded UPDATE counts the rows that it matched, not those whose values it changed.
    given["client_flag"] = given.get("client_flag", 0) | CLIENT.FOUND_ROWS
    return given


def _tls(name: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Return PyMySQL's arguments for TLS: required with a context of ours, else left to it."""
    texts = {key: options[key] for key in (*_TLS_TEXTS, "ssl_required") if key in options}
    flags = {key: _flag(name, key, options[key]) for key in _TLS_FLAGS if key in options}
    wanted = bool(texts) or bool(flags.keys() - {"ssl_disabled"})
    if flags.get("ssl_disabled"):
        if wanted:
            raise _fault(name, "ssl_disabled", "contradicts the other options of TLS")
        return {"ssl_disabled": True}
    if "ssl_key" in texts and "ssl_cert" not in texts:
        raise _fault(name, "ssl_key", "needs ssl_cert beside it")
    if not wanted:
        return {}
    try:
        return {"ssl": _context(texts | flags)}
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not valid"
        reason = reason.replace("_", " ").lower()
        files = ", ".join(f"{key}={texts[key]}" for key in _TLS_FILES if key in texts)
        what = files or ", ".join(key for key in texts if key != "ssl_key_password")
        raise Unreachable(f"{name}: TLS cannot be set up with {what}: {reason}") from None


def _context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the context that OPTIONS ask for; without any, one that verifies nothing.

    A CA is verified, with the host's name, unless an option says otherwise, as in PyMySQL
    (``Connection._create_ssl_ctx``). ``ssl_verify_cert`` alone says nothing of the name. Together
    with ``ssl_ca``, PyMySQL would forget that CA.
    """
    has_ca = "ssl_ca" in options or "ssl_capath" in options
    checks_name = options.get("ssl_verify_identity", options.get("ssl_check_hostname"))
    verifies = options.get("ssl_verify_cert", has_ca) or bool(checks_name)
    if checks_name is None:
        checks_name = has_ca and "ssl_verify_cert" not in options
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = checks_name
    context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
    if has_ca:
        context.load_verify_locations(options.get("ssl_ca"), options.get("ssl_capath"))
    elif verifies:
        context.load_default_certs()
    if "ssl_cert" in options:
        password = options.get("ssl_key_password", "")  # without one, OpenSSL would ask for it
        context.load_cert_chain(options["ssl_cert"], options.get("ssl_key"), lambda: password)
    if "ssl_cipher" in options:
        context.set_ciphers(options["ssl_cipher"])
    return context


def _open(name: str, arguments: Mapping[str, Any]) -> Any:
    try:
        return _Connection(**arguments)
    except pymysql.Error as error:
        raise _refused(name, error) or error from None
    except UnicodeEncodeError:
        raise BadInput(f"{name}: its password has characters that PyMySQL cannot send") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"{name}: its connection options are not valid: {error}") from None
    except RuntimeError as error:  # the account's password needs a package that is not installed
        raise Unreachable(f"{name} could not be reached: {str(error).splitlines()[0]}") from None


def _prepare(name: str, connection: Any, init_command: str | None, session: Session) -> None:
    """Set the session's variables: the operator's command first, so that ours stay."""
    settings: dict[str, object] = {"innodb_lock_wait_timeout": session.lock_wait}
    if session.sql_mode is not None:
        settings["sql_mode"] = session.sql_mode
    if session.wsrep_sync_wait is not None:
        settings["wsrep_sync_wait"] = session.wsrep_sync_wait
    with connection.cursor() as cursor:
        if init_command:
            _init(name, cursor, init_command)
        text = ", ".join(f"{variable} = %s" for variable in settings)
        try:
            cursor.execute(f"SET SESSION {text}", list(settings.values()))
        except pymysql.Error as error:
            raise _refused(name, error) or error from None


def _init(name: str, cursor: Any, command: str) -> None:
    try:
        cursor.execute(command)
    except pymysql.Error as error:
        raise _refused(name, error, "init_command") or error from None


def _refused(name: str, error: pymysql.Error, what: str = "a setting") -> BadInput | None:
    """Return BadInput where the server refuses what the operator's configuration sets."""
    if not error.args or error.args[0] not in _BAD_SETTING:
        return None
    reason = str(error.args[-1]).splitlines()[0]
    return BadInput(f"{name}: the server refuses {what} from the configuration: {reason}")


def _number(name: str, option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _fault(name, option, f"is not a number: {text!r}") from None


def _flag(name: str, option: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise _fault(name, option, f"is neither true nor false: {text!r}")
    return _FLAGS[text.lower()]


def _fault(name: str, option: str, fault: str) -> BadInput:
    return BadInput(f"{name}: the connection option {option} {fault}")
