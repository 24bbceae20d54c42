"""Writes a file that only its owner can read, either completely or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from novadev.errors import BadInput

STDOUT = "-"
"""What names standard output where an option can take that; it is no file elsewhere."""


def _check_replaceable(name: str | Path, what: str) -> None:
    """Raise BadInput, which calls the file WHAT, unless NAME is free or a regular file."""
    path = Path(name)
    if path.is_symlink():
        raise BadInput(f"{what} {str(name)!r}: the path is a symbolic link")
    if path.exists() and not path.is_file():
        raise BadInput(f"{what} {str(name)!r}: the path exists and is not a regular file")


def check(name: str, what: str) -> None:
    """Raise BadInput, which calls the file WHAT (``report``), where NAME could not be written.

    To be asked before work that takes long: `write` may still fail.
    """
    if name == STDOUT:
        raise BadInput(f"{what} {name!r}: it cannot go to standard output, it needs a file")
    try:
        with suppress(OSError):
            os.lstat(name)  # raises ValueError for what is no name of a file at all
        _check_replaceable(name, what)
        if not (folder := Path(name).parent).is_dir():
            why = f"{str(folder)!r} is not a folder"
            raise BadInput(
                f"{what} {name!r}: {why if folder.exists() else 'its folder does not exist'}"
            )
        if not os.access(Path(name).parent, os.W_OK | os.X_OK):
            raise BadInput(f"{what} {name!r}: its folder is not writable")
    except ValueError:
        raise BadInput(f"{name!r} is not a valid file name") from None


def write(name: str, text: str, what: str) -> None:
    """Write TEXT to the file NAME; replace only a regular file.

    Raises BadInput, which calls the file WHAT (``export file``).
    """
    check(name, what)
    try:
        with replacing(name) as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"{what} {name} cannot be written: {error.strerror}") from None


@contextmanager
def replacing(name: str | Path) -> Iterator[TextIO]:
    """Give a file (0600, UTF-8) beside NAME that takes its place in the end, and is gone on errors.

    Raises OSError, and what was there stays as it was.
    """
    path = Path(name)
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
        Path(aside).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(aside).unlink()
        raise
