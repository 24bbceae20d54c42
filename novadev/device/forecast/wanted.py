"""A device of a guest's next power-on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from novadev.device.inventory import Entry
from novadev.virt.outline import Outline


@dataclass(frozen=True)
class Wanted:
    """A device of the next power-on: the entry it is now, and its outline.

    ``entry`` is None for one that is new and no attachment's: ``label`` is what it is called.
    """

    entry: Entry | None
    label: str
    outline: Outline | None


def tag_of(entry: Entry) -> str:
    """Return the tag of ENTRY's device, an empty one for a ghost."""
    return str(entry.device.element.tag) if entry.device is not None else ""


def kept(entries: Sequence[Entry], *tags: str) -> Iterator[Wanted]:
    """Yield those of ENTRIES with one of TAGS, as they are."""
    for entry in entries:
        if entry.device is not None and tag_of(entry) in tags:
            yield Wanted(entry, entry.label, Outline.of_device(entry.device))
