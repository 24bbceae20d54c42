"""What of a device its stand-in has no more, where not every host has it: to be named.

The tables of the verdicts say what every host has, so that a rehearsal says of no part less than
they do: it is rehearsed, or plain, or named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from novadev.capabilities.device_settings import of_device
from novadev.capabilities.neutral import ANY, Table, is_plain, table_of
from novadev.capabilities.unlisted import parts

if TYPE_CHECKING:
    from lxml import etree

_SPOKEN_OF: Mapping[str, tuple[str, ...]] = {
    "disk": (
        *("@type", "driver@type", "encryption@*", "encryption/**"),
        *("source/encryption@*", "source/encryption/**"),
    ),
    "interface": ("@type",),
    "rng": ("backend@model", "backend()"),
    "video": ("driver@name", "model/acceleration@accel3d"),
}
"""By device, the paths of what a stand-in replaces and names in words of its own."""


def lost(before: etree._Element, after: etree._Element) -> Iterator[str]:
    """Yield what was in BEFORE and is not in AFTER, where not every host has it.

    That is what no table calls plain, and what a judge of the verdicts looks at by itself. Of a
    part that the stand-in itself speaks of nothing is said twice.
    """
    tag = str(before.tag)
    table = {**table_of_device(before), **dict.fromkeys(_SPOKEN_OF.get(tag, ()), ANY)}
    kept = set(parts(after))
    for part in parts(before):
        if part not in kept and not is_plain(table, *part):
            yield f"{tag} {_words(part[0], after)}"
    judged = set(of_device(after))
    yield from (one.subject for one in of_device(before) if one not in judged)


def table_of_device(element: etree._Element) -> Table:
    """Return what of ELEMENT is plain, by its bus, its model and its type."""
    target, model = element.find("target"), element.find("model")
    bus = element.get("bus") if target is None else target.get("bus")
    kind = None if model is None else model.get("type")
    return table_of(str(element.tag), bus, element.get("model"), kind, element.get("type"))


def _words(path: str, after: etree._Element) -> str:
    """Return what a PATH is called: its first element that AFTER has no more, or its attribute."""
    where, _, name = path.removesuffix("()").partition("@")
    elements = where.split("/") if where else []
    for number in range(1, len(elements) + 1):
        if after.find("/".join(elements[:number])) is None:
            return " ".join(elements[:number])
    return " ".join([*elements, name]).strip()
