"""The elements of an OVF, whose children have the envelope's namespace or none at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from novadev.records.ovf import words

if TYPE_CHECKING:
    from lxml import etree

_NAMESPACES = ("", *words.FLAVOURS)


def split(element: etree._Element) -> tuple[str, str]:
    """Return the namespace, empty for none, and the local name; both empty of a comment."""
    if not isinstance(element.tag, str):
        return "", ""
    namespace, _, name = element.tag.rpartition("}")
    return namespace.removeprefix("{"), name


def children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """Yield the children of this NAME, in the envelope's namespace or none.

    The engine's own flavour gives them none; inside an OVA they have the default one.
    """
    for child in element:
        namespace, local = split(child)
        if local == name and namespace in _NAMESPACES:
            yield child


def find_child(element: etree._Element, name: str) -> etree._Element | None:
    """Return the first child of this NAME, if any."""
    return next(children(element, name), None)


def attribute(element: etree._Element, name: str) -> str:
    """Return the attribute of this NAME, with the envelope's namespace or none; else empty."""
    values = (element.get(f"{{{space}}}{name}" if space else name) for space in _NAMESPACES)
    return next((str(value).strip() for value in values if value is not None), "")


def text_of(element: etree._Element | None) -> str:
    """Return all the text inside, without comments; empty of no element."""
    if element is None:
        return ""
    return str(element.xpath("string()")) if len(element) else element.text or ""
