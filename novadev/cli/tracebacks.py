"""Where the traceback of an unexpected error goes."""

from __future__ import annotations

import os
import tempfile
import traceback


def text() -> str:
    """Return the present traceback."""
    return traceback.format_exc()


def keep(log_file: str | None) -> str:
    """Append the present traceback to LOG_FILE (``--log-file``), else write it to a new file.

    Returns the file's name; the file is readable by its owner only.
    """
    target, name = _open(log_file)
    with os.fdopen(target, "a", encoding="utf-8") as file:
        file.write(text())
    return name


def _open(log_file: str | None) -> tuple[int, str]:
    try:
        if log_file:
            return os.open(log_file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), log_file
    except OSError:
        pass  # The traceback matters more than where it goes.
    return tempfile.mkstemp(prefix="novadev-", suffix=".log")
