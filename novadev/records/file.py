"""The file of an export, written and read: our own JSON, or an OVF."""

from __future__ import annotations

from novadev.foreign_file import read_text
from novadev.records import json_file
from novadev.records.file_contents import MAX_BYTES, BrokenInstance, ExportedInstance
from novadev.records.ovf import reader


def read(name: str) -> tuple[ExportedInstance | BrokenInstance, ...]:
    """Return the instances in the file NAME, which is JSON or an OVF by its first character.

    Raises BadInput, naming the file and the item, for what is no plain file, cannot be read, is
    over 16 MiB, is no text, or is none of the two; one of several instances may be broken alone.
    """
    text = read_text(name, MAX_BYTES)
    if text.lstrip()[:1] == "<":
        return (reader.loads(text, name),)
    return json_file.loads(text, name)
