"""The log of what novadev does: in the log file, and on stderr with ``--verbose``.

Modules that reach something log to ``novadev.…`` by the standard library's ``logging``. No line
has a connection URL, a password, or a value out of a database's statement.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress

from novadev.cli.talk import heard, tell
from novadev.errors import BadInput
from novadev.private_file import STDOUT
from novadev.text import printable

LOGGER = logging.getLogger("novadev")
_LINE = "%(asctime)s %(process)d %(levelname)s %(message)s"
_PRIORITIES = {logging.ERROR: "<3>", logging.WARNING: "<4>", logging.INFO: "<6>"}
"""What begins a line that journald reads (sd-daemon(3)), by the level of the line."""


class _Screen(logging.Handler):
    """Says each line on stderr; journald gets its priority with it."""

    def __init__(self) -> None:
        super().__init__()
        self._is_journal = is_journal()

    def emit(self, record: logging.LogRecord) -> None:
        """Say one line; what was said anyway is not said again."""
        if not getattr(record, "is_said", False):
            prefix = _PRIORITIES.get(record.levelno, "") if self._is_journal else ""
            tell(f"{prefix}{printable(record.getMessage())}")


class _File(logging.FileHandler):
    """Appends to a file that its owner alone can read; a full disk ends no run."""

    is_whole = True
    """Whether every line was written."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave the line out, and say once that lines are missing."""
        if self.is_whole:
            self.is_whole = False
            tell(
                f"The log file {printable(self.baseFilename)} cannot be written; lines are missing."
            )

    def close(self) -> None:
        """Close the file, with what is left in its buffer as far as the disk takes it."""
        with suppress(OSError):
            super().close()


class _OneLine(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return when it was, in UTC."""
        return time.strftime(datefmt or "", time.gmtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in which nothing can pass for another line."""
        return printable(super().format(record))


def is_journal() -> bool:
    """Whether stderr leads to journald, as systemd says of it in ``JOURNAL_STREAM``."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def to_screen() -> None:
    """Say from now on what is logged."""
    _add(_Screen())


def to_file(name: str) -> None:
    """Append from now on what is logged to the file NAME (0600); raises BadInput."""
    if name == STDOUT:
        raise BadInput(f"the log file {name!r} cannot be standard output; -v logs to stderr")
    try:
        os.close(os.open(name, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        handler = _File(name, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadInput(f"the log file {name} cannot be written: {error.strerror}") from None
    handler.setFormatter(_OneLine(_LINE, "%Y-%m-%dT%H:%M:%SZ"))
    _add(handler)
    heard[:] = [said]


def said(text: str) -> None:
    """Log TEXT, which was also printed."""
    LOGGER.info(text.strip(), extra={"is_said": True})


def end() -> None:
    """Close every log."""
    for handler in LOGGER.handlers[:]:
        LOGGER.removeHandler(handler)
        handler.close()
    heard.clear()
    LOGGER.setLevel(logging.NOTSET)


def _add(handler: logging.Handler) -> None:
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
