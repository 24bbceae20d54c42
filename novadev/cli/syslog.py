"""Writes a line to the system log when a run begins and when it ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING

from novadev.text import printable

if TYPE_CHECKING:
    from novadev.runs.journal_rows import Run

SOCKET = "/dev/log"
_PATIENCE = 1.0
"""Seconds that a log nobody reads may keep a run waiting."""


class _Quiet(SysLogHandler):
    """A handler that says nothing where there is no log, or a full one."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave the line out."""


def begun(run: Run, plans: int) -> None:
    """Log that RUN is carried out now."""
    _send(f"run {run.id} begins: {_about(run)}, {plans} plans")


def ended(run: Run, state: str, counts: Mapping[str, int]) -> None:
    """Log what became of RUN."""
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    _send(f"run {run.id} ends: {_about(run)}, {state} ({told})")


def _about(run: Run) -> str:
    message = f', "{run.message}"' if run.message else ""
    return printable(f"{run.user}, {run.action}{message}")


def _send(text: str) -> None:
    """Write one line; a machine without a log keeps nobody from working."""
    try:
        handler = _Quiet(SOCKET, SysLogHandler.LOG_DAEMON)
        if connection := getattr(handler, "socket", None):
            connection.settimeout(_PATIENCE)  # of a handler without a log, it is closed
    except OSError:
        return
    handler.ident = "novadev: "
    handler.emit(logging.LogRecord("novadev", logging.INFO, "", 0, text, None, None))
    handler.close()
