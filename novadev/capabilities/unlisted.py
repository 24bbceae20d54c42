"""What of an element stands in no table of what every host has.

Such a part of a definition is a setting that no judge knows: "not checked".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from novadev.capabilities.neutral import Table, is_plain
from novadev.virt.xml import children, local_name

if TYPE_CHECKING:
    from lxml import etree


@dataclass(frozen=True)
class Setting:
    """One thing that a guest needs: ``kind`` is the judge that knows it, ``value`` what is asked.

    ``subject`` is what people know it by.
    """

    subject: str
    kind: str
    value: str = ""


OTHER = "other"
"""The kind of what no judge knows."""
COPIES = ("backingStore", "mirror")
"""Parts of a disk that are disks once more."""


def unlisted(label: str, element: etree._Element, table: Table) -> Iterator[Setting]:
    """Yield each attribute, text and empty element in ELEMENT that is not plain by TABLE.

    LABEL is what ELEMENT is called.
    """
    for path, value in parts(element):
        if not is_plain(table, path, value):
            where, _, name = path.removesuffix("()").partition("@")
            words = (label, where, f"{name}={value}" if name else value)
            yield Setting(" ".join(word for word in words if word), OTHER)


def parts(element: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield the path of each attribute, text and empty element in ELEMENT, and its value."""
    for where, node in _nodes(element):
        text = (node.text or "").strip()
        for name, value in attributes(node):
            yield f"{where}@{name}", value
        if text:
            yield f"{where}()", text
        if where and not (text or node.items() or any(True for _ in children(node))):
            yield where, ""


def attributes(element: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each attribute of ELEMENT."""
    return ((str(name), str(value)) for name, value in element.items())


def _nodes(element: etree._Element, where: str = "") -> Iterator[tuple[str, etree._Element]]:
    """Yield ELEMENT and all in it with their paths; a disk's copies have the path of the disk."""
    yield where, element
    for child in children(element):
        name = (
            "" if child.tag in COPIES and (len(child) or child.get("type")) else local_name(child)
        )
        yield from _nodes(child, "/".join(filter(None, (where, name))))
