"""Accounts and rights of MySQL and MariaDB: who is connected, what is denied, what gives it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa

_DENIED = (1142, 1143)
"""The account has no such right on the table, or on a column of it."""
_DENIED_SCHEMA = re.compile(r"for user '(.*)'@'([^']*)' to database '(.*)'")
_NO_SCHEMA = re.compile(r"\b1049 Unknown database '(.*)'")
EVERY_TABLE = "*"


def account(user: str, host: str) -> str:
    """Return an account as GRANT takes it: ``'nova'@'%'``."""
    quoted = (text.replace("\\", "\\\\").replace("'", "''") for text in (user, host))
    return "@".join(f"'{text}'" for text in quoted)


def account_of(connection: sa.Connection) -> str:
    """Return the account that CONNECTION has, as GRANT takes it."""
    user, _, host = str(connection.scalar(sa.text("SELECT CURRENT_USER()"))).rpartition("@")
    return account(user, host)


def quoted(name: str) -> str:
    """Return the NAME of a database or table as a statement takes it."""
    return "`" + name.replace("`", "``") + "`"


def grant(rights: Sequence[str], schema: str, table: str, to: str, remark: str = "") -> str:
    """Return the statement that gives the account TO these rights on a table, or EVERY_TABLE.

    A REMARK stands in it as a comment of SQL.
    """
    name = table if table == EVERY_TABLE else quoted(table)
    comment = f" /* {remark} */" if remark else ""
    return f"GRANT {', '.join(rights)} ON {quoted(schema)}.{name} TO {to}{comment};"


def code_of(error: sa.exc.DBAPIError) -> object:
    """Return the number of a server's ERROR, None where it has none."""
    return error.orig.args[0] if error.orig is not None and error.orig.args else None


def is_denied(error: sa.exc.DBAPIError) -> bool:
    """Whether ERROR says that the account lacks a right on a table."""
    return code_of(error) in _DENIED


def denied_schema(error: Exception) -> tuple[str, str] | None:
    """Return the account, as GRANT takes it, and the database that ERROR says it may not open."""
    found = _DENIED_SCHEMA.search(str(error))
    return None if found is None else (account(found[1], found[2]), found[3])


def missing_schema(error: Exception) -> str | None:
    """Return the database that a server does not have, as ERROR says, None for another error."""
    found = _NO_SCHEMA.search(str(error))
    return None if found is None else found[1]


def is_text_of_denial(error: Exception) -> bool:
    """Whether ERROR, which has no number any more, says that a right on a table is lacking."""
    return any(f" {code} " in str(error) for code in _DENIED)
