"""One parser for every XML novadev reads, and the canonical form it compares by.

What it reads is somebody else's: comments, CDATA and processing instructions survive, and no
entity is ever resolved, neither from the text itself nor from a file or an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from lxml import etree

from novadev.errors import BadInput

MAX_BYTES = 4 * 1024 * 1024
"""No larger string passes libvirt's RPC (``remote_protocol.x`` REMOTE_STRING_MAX)."""
_DOCTYPE = re.compile(
    rb"(?:(?=(\s+|\xef\xbb\xbf|<\?.*?\?>|<!--.*?-->))\1)*<!DOCTYPE",  # (?=(x))\1 is an atomic x
    re.DOTALL,
)


def parse(text: str | bytes, what: str = "the XML", max_bytes: int = MAX_BYTES) -> etree._Element:
    """Return the root element of TEXT, which is UTF-8 when bytes.

    Raises BadInput, naming WHAT, for more than MAX_BYTES, a DOCTYPE, a reference to an entity, and
    what is not well-formed.
    """
    return _parse(_checked(text, what, max_bytes), what, _parser(remove_blank_text=False))


def serialise(element: etree._Element) -> str:
    """Return ELEMENT as text; of a root element, the comments around it too."""
    if element.getparent() is None:
        return etree.tostring(element.getroottree(), encoding="unicode")
    return etree.tostring(element, encoding="unicode", with_tail=False)


def canonical(text: str | bytes, what: str = "the XML") -> bytes:
    """Return TEXT in canonical form (C14N with comments, without blanks between elements).

    Equal for two texts when they differ in quotes, the order of attributes or indentation alone.
    What stands outside the root element is left out: libvirt never keeps it. Raises as `parse`.
    """
    return canonical_element(_parse(_checked(text, what), what, _parser(remove_blank_text=True)))


def canonical_element(element: etree._Element) -> bytes:
    """Return ELEMENT in canonical form, with the blanks it has.

    C14N 1.0 has no form for a relative namespace, which metadata may have; the second does, but
    takes seven times as long.
    """
    try:
        return etree.tostring(element, method="c14n", with_tail=False)
    except etree.C14NError:
        return etree.tostring(element, method="c14n2", with_tail=False)


@cache
def _parser(remove_blank_text: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        strip_cdata=False,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_blank_text=remove_blank_text,
    )


def _checked(text: str | bytes, what: str, max_bytes: int = MAX_BYTES) -> bytes:
    try:
        data = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise BadInput(f"{what} is not Unicode text") from None
    if len(data) > max_bytes:
        taken = "libvirt takes" if max_bytes == MAX_BYTES else "is read"
        raise BadInput(f"{what} has {len(data)} bytes: more than {taken} ({max_bytes})")
    if _DOCTYPE.match(data):
        raise BadInput(f"{what} has a DOCTYPE: novadev does not accept document types or entities")
    return data


def _parse(data: bytes, what: str, parser: etree.XMLParser) -> etree._Element:
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise BadInput(f"{what} cannot be parsed: {error.msg}") from None


def children(parent: etree._Element) -> Iterator[etree._Element]:
    """Yield the children that are elements, and no comments."""
    return parent.iterchildren(tag=etree.Element)


def child(parent: etree._Element, tag: str) -> etree._Element:
    """Return the first child TAG of PARENT, made at its end where there is none."""
    found = parent.find(tag)
    return etree.SubElement(parent, tag) if found is None else found


def drop(parent: etree._Element, *tags: str) -> None:
    """Take every child called one of TAGS out of PARENT."""
    for element in [item for item in children(parent) if item.tag in tags]:
        parent.remove(element)


def keep_attributes(element: etree._Element, *names: str) -> None:
    """Leave ELEMENT no attribute but those called NAMES."""
    for name in set(element.attrib) - set(names):
        del element.attrib[name]


def drop_attributes(element: etree._Element, *names: str) -> bool:
    """Take the attributes NAMES out of ELEMENT; return whether it had one."""
    found = set(element.attrib) & set(names)
    for name in found:
        del element.attrib[name]
    return bool(found)


def local_name(element: etree._Element) -> str:
    """Return the tag without its namespace."""
    return etree.QName(element).localname
