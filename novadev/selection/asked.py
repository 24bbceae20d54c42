"""What an operator asked for, and in which pieces it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from novadev.errors import BadInput
from novadev.nova.cells import Cell, InstanceMapping
from novadev.nova.instances import Instance, InstanceFilter

CHUNK = 500
"""Instances read at a time."""


@dataclass(frozen=True)
class Selection:
    """What the operator asked for; ``names`` are UUIDs, display names or domain names.

    Without WITH_METADATA the filters' instances come as if nothing was stored in their system
    metadata: most of what there is to read of many guests.
    """

    names: Iterable[str] | None = None
    everything: bool = False
    cell: str | None = None
    narrow: InstanceFilter = field(default_factory=InstanceFilter)
    limit: int | None = None
    with_metadata: bool = True

    def __post_init__(self) -> None:
        filtered = self.cell is not None or self.narrow.chooses
        if self.names is None and not self.everything and not filtered:
            raise BadInput(_nothing_asked(self.narrow))
        if self.names is not None and self.everything:
            raise BadInput("name instances or give --all, not both")

    @property
    def is_named(self) -> bool:
        """Whether instances were named, so that what happens to each gives the exit code."""
        return self.names is not None

    @property
    def is_whole(self) -> bool:
        """Whether it is every instance of the deployment."""
        is_narrow = self.cell is not None or self.limit is not None
        return self.everything and not is_narrow and self.narrow == InstanceFilter()


def _nothing_asked(narrow: InstanceFilter) -> str:
    if narrow.without:
        return "--without alone may select almost every server: add --all if that is meant"
    return "name instances, or select them with --all or a filter such as --host"


@dataclass(frozen=True)
class Chunk:
    """Some instances of one cell, and the mappings that the API database has of them."""

    cell: Cell
    instances: tuple[Instance, ...]
    mappings: Mapping[str, InstanceMapping]
