"""The file of an export, written and read: our own JSON, or an OVF."""

from __future__ import annotations

import os
import stat

from novadev.errors import BadInput
from novadev.records import json_file
from novadev.records.file_contents import MAX_BYTES, BrokenInstance, ExportedInstance
from novadev.records.ovf import reader


def read(name: str) -> tuple[ExportedInstance | BrokenInstance, ...]:
    """Return the instances in the file NAME, which is JSON or an OVF by its first character.

    Raises BadInput, naming the file and the item, for what is no plain file, cannot be read, is
    over 16 MiB, is no text, or is none of the two; one of several instances may be broken alone.
    """
    text = _read_text(name)
    if text.lstrip()[:1] == "<":
        return (reader.loads(text, name),)
    return json_file.loads(text, name)


def _read_text(name: str) -> str:
    try:
        with open(name, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadInput(f"{name} is not a regular file")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"{name!r} is not a valid file name") from error
    if len(data) > MAX_BYTES:
        raise BadInput(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{name} is not text") from None


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the writer of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
