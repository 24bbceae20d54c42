"""What a change is about, as a value with one text form and one parser.

The text is what scripts see as ``what``; the journal and plan files keep it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """The kinds of places that novadev writes to."""

    PROPERTY = "image property in the cell"
    SPEC = "image property in the request spec"
    IMAGE = "image in the request spec"
    DISK = "column of a block_device_mapping"
    ROOT = "root_device_name"
    HIDDEN = "row of an image property that Nova never reads, for a later one has its key"
    ALIAS = "alias of a device"
    ADDRESS = "address of a device"
    CUSTOM_PROPERTIES = "custom properties of a recorded device"
    DETACH = "device that is taken out"


@dataclass(frozen=True)
class Place:
    """A place in Nova's databases, in a definition or in novadev's records.

    ``name`` is the property, the column or the device's label; ``row`` is the id of a
    block_device_mapping or, of a hidden row, of system_metadata.
    """

    kind: Kind
    name: str = ""
    row: int | None = None

    def __str__(self) -> str:
        if self.kind is Kind.DISK:
            return f"block_device_mapping {self.row} {self.name}"
        if self.kind is Kind.HIDDEN:
            return f"instance_system_metadata {self.row} image_{self.name}"
        prefix, suffix = _AFFIXES[self.kind]
        return prefix + self.name + suffix

    @classmethod
    @lru_cache(4_096)
    def parse(cls, text: str) -> Place:
        """Return the place with this text form; raises ValueError for an empty one.

        What is nothing else is an image property, whatever its name.
        """
        if text in _ALONE:
            return cls(_ALONE[text])
        if found := _DISK.fullmatch(text):
            return cls(Kind.DISK, found[2], int(found[1]))
        if found := _HIDDEN.fullmatch(text):
            return cls(Kind.HIDDEN, found[2], int(found[1]))
        for kind in _DEVICES:
            prefix, suffix = _AFFIXES[kind]
            name = text.removeprefix(prefix).removesuffix(suffix)
            if name and text == prefix + name + suffix:
                return cls(kind, name)
        kind = Kind.SPEC if text.startswith(_SPEC) else Kind.PROPERTY
        name = text.removeprefix(_AFFIXES[kind][0])
        if not name:
            raise ValueError(f"not a place: {text!r:.120}")
        return cls(kind, name)

    @property
    def is_in_cell(self) -> bool:
        """Whether it is in the cell's database: all of a plan's are written in one transaction."""
        return self.kind in (Kind.PROPERTY, Kind.DISK, Kind.ROOT, Kind.HIDDEN)


_ROOT = "root_device_name"
_SPEC = "request_spec "
_IMAGE = "request_spec image"
_ALONE = {_ROOT: Kind.ROOT, _IMAGE: Kind.IMAGE}
_DISK = re.compile(r"block_device_mapping ([0-9]{1,18}) (disk_bus|device_name)")
_HIDDEN = re.compile(r"instance_system_metadata ([0-9]{1,18}) image_(.*)", re.DOTALL)
_AFFIXES = {
    Kind.PROPERTY: ("", ""),
    Kind.SPEC: (_SPEC, ""),
    Kind.ROOT: (_ROOT, ""),
    Kind.IMAGE: (_IMAGE, ""),
    Kind.DETACH: ("detach ", ""),
    Kind.ALIAS: ("", " alias"),
    Kind.ADDRESS: ("", " address"),
    Kind.CUSTOM_PROPERTIES: ("", " custom properties"),
}
_DEVICES = (Kind.DETACH, Kind.ALIAS, Kind.ADDRESS, Kind.CUSTOM_PROPERTIES)


def in_cell(name: str) -> Place:
    """Return the place of the image property NAME in system_metadata."""
    return Place(Kind.PROPERTY, name)


def in_spec(name: str) -> Place:
    """Return the place of the image property NAME in the request spec."""
    return Place(Kind.SPEC, name)
