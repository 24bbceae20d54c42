"""Where the traceback of an unexpected error goes."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Sequence


def keep(arguments: Sequence[str]) -> str:
    """Append the present traceback to the log file of ``--log-file``, else to a new file.

    Returns the file's name; the file is readable by its owner only.
    """
    text = traceback.format_exc()
    name = _log_file(arguments)
    try:
        target = os.open(name, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600) if name else -1
    except OSError:
        target = -1
    if target < 0:
        target, name = tempfile.mkstemp(prefix="novadev-", suffix=".log")
    with os.fdopen(target, "a", encoding="utf-8") as file:
        file.write(text)
    return name


def _log_file(arguments: Sequence[str]) -> str:
    words = list(arguments)
    for position, word in enumerate(words):
        if word.startswith("--log-file="):
            return word.partition("=")[2]
        if word == "--log-file" and position + 1 < len(words):
            return words[position + 1]
    return ""
