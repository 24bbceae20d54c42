"""Text compared byte by byte, alike on all databases, and by patterns.

The collations of Nova's tables on MySQL and MariaDB ignore case, accents and blanks at the end:
there ``image_HW_VIF_MODEL`` equals ``image_hw_vif_model``, and Nova, which compares in Python,
knows only the one. SQLite compares bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _SameBytes(FunctionElement[bool]):
    """Whether two texts that are equal are so byte by byte."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(_SameBytes)
def _always(_element: _SameBytes, _compiler: SQLCompiler, **_options: Any) -> str:
    return "1"


@compiles(_SameBytes, "mysql", "mariadb")
def _as_binary(element: _SameBytes, compiler: SQLCompiler, **options: Any) -> str:
    """Compare in one character set: the connection's may be another than the column's."""
    texts = (compiler.process(part, **options) for part in element.clauses)
    return "({})".format(" = ".join(f"CAST(CONVERT({x} USING utf8mb4) AS BINARY)" for x in texts))


def exactly(column: sa.ColumnElement[Any], value: object) -> sa.ColumnElement[bool]:
    """Return whether COLUMN has VALUE, text byte by byte; None is NULL.

    The plain equality stands beside the bytes, for it can use an index.
    """
    if value is None:
        return column.is_(None)
    same = column == value
    return sa.and_(same, _SameBytes(column, value)) if isinstance(value, str) else same


WILD = frozenset("*?")
"""What stands for any text, and for one character, in a pattern."""


class _Like(FunctionElement[bool]):
    """Whether a text is as a pattern says, upper and lower case apart."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(_Like)
def _glob(element: _Like, compiler: SQLCompiler, **options: Any) -> str:
    """SQLite's GLOB tells cases apart; in a pattern a bracket stands for itself."""
    column, glob, _like = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} GLOB {glob})"


@compiles(_Like, "mysql", "mariadb")
def _binary_like(element: _Like, compiler: SQLCompiler, **options: Any) -> str:
    """Compare by code points in one character set, whatever the column's collation ignores."""
    column, _glob, like = (compiler.process(part, **options) for part in element.clauses)
    texts = (f"CONVERT({x} USING utf8mb4) COLLATE utf8mb4_bin" for x in (column, like))
    return "({} LIKE {} ESCAPE '|')".format(*texts)


def matches(column: sa.ColumnElement[Any], pattern: str) -> sa.ColumnElement[bool]:
    """Return whether COLUMN is as PATTERN says: * any text, ? one character, else exactly that."""
    if not WILD & {*pattern}:
        return exactly(column, pattern)
    glob = pattern.replace("[", "[[]")
    like = "".join(f"|{x}" if x in "|%_" else {"*": "%", "?": "_"}.get(x, x) for x in pattern)
    return _Like(column, sa.literal(glob), sa.literal(like))


def is_like(text: str, pattern: str) -> bool:
    """Return whether TEXT is as PATTERN says, by the rule of :func:`matches`."""
    parts = ({"*": ".*", "?": "."}.get(x, re.escape(x)) for x in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def in_full(wanted: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the names WANTED; in place of a pattern, those of the KNOWN names that match it."""
    names = sorted({*known})
    found = (
        [name for name in names if is_like(name, word)] if WILD & {*word} else [word]
        for word in wanted
    )
    return list(dict.fromkeys(name for some in found for name in some))
