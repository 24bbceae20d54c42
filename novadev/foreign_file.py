"""A text file that anybody may have written, read with limits."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from novadev.errors import BadInput

MAX_BYTES = 16 * 1024 * 1024
"""What such a file may have, unless its reader says otherwise."""


def read_text(name: str | Path, max_bytes: int = MAX_BYTES) -> str:
    """Return the text of the file NAME.

    Raises BadInput for what is no plain file, cannot be read, is over MAX_BYTES or is not UTF-8.
    """
    try:
        with open(name, "rb", opener=_open_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadInput(f"{name} is not a regular file")
            # A file of /proc has no size, and any may grow while it is read.
            data = file.read(max_bytes + 1) if found.st_size <= max_bytes else None
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInput(f"{str(name)!r} is not a valid file name") from None
    if data is None or len(data) > max_bytes:
        raise BadInput(f"{name} is larger than {max_bytes >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{name} is not text") from None


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the writer of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
