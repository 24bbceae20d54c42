"""Names, numbers and secrets in a rehearsal: novadev's own, but refused where the guest's are.

What libvirt looks at is kept: the length, the characters that a name must not have, and which
of them are equal. Source: libvirt, src/conf/domain_conf.c and src/util/virutil.c (virValidateWWN).
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from typing import TYPE_CHECKING

from novadev.virt import xml

if TYPE_CHECKING:
    from lxml import etree

GENERATION = "6e6f7661-6465-4076-8000-000000000000"
_UUID = r"\s*[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\s*"
_FIT = {
    "name": re.compile(r"[^/\n]+"),
    "title": re.compile(r"[^\n]*"),
    "genid": re.compile(rf"({_UUID})?"),
}
"""What every libvirt takes as the text of these elements of a domain."""
_SERIAL = frozenset(string.ascii_letters + string.digits + "-_")
_HEXADECIMAL = frozenset(string.hexdigits)


def is_fit(tag: str, text: str | None) -> bool:
    """Return whether every libvirt takes TEXT in the element TAG of a domain."""
    known = _FIT.get(tag)
    return known is None or known.fullmatch(text or "") is not None


def like_password(text: str) -> str:
    """Return a password as long as TEXT in bytes, which libvirt counts."""
    return "x" * len(text.encode())


def name_cards(devices: etree._Element) -> None:
    """Give each network card of DEVICES a MAC address; that of a group stays one of a group."""
    for number, interface in enumerate(devices.iterfind("interface")):
        mac = xml.child(interface, "mac")
        first = "53" if _is_of_a_group(mac.get("address", "")) else "52"
        mac.set("address", f"{first}:54:00:6e:{number >> 8 & 255:02x}:{number & 255:02x}")


def _is_of_a_group(address: str) -> bool:
    digits = address.partition(":")[0]
    return bool(digits) and set(digits) <= _HEXADECIMAL and int(digits, 16) & 1 == 1


def name_disks(devices: etree._Element) -> None:
    """Give each disk of DEVICES that has a serial or a WWN another one; equal ones stay equal."""
    serials, wwns = (list(devices.iterfind(f"disk/{tag}")) for tag in ("serial", "wwn"))
    for element, number in _numbered(serials):
        element.text = _like(_text(element), f"novadev-{number}", _SERIAL, "x")
    for element, number in _numbered(wwns):
        prefix = "0x" if _text(element).startswith("0x") else ""
        digits = _text(element).removeprefix(prefix)
        element.text = prefix + _like(digits, f"5{number:03x}", _HEXADECIMAL, "0")


def _numbered(elements: Iterable[etree._Element]) -> list[tuple[etree._Element, int]]:
    """Return ELEMENTS with a number for each distinct text, from 0."""
    elements = list(elements)
    numbers: dict[str, int] = {}
    return [(one, numbers.setdefault(_text(one), len(numbers))) for one in elements]


def _text(element: etree._Element) -> str:
    return (element.text or "").strip()


def _like(text: str, name: str, common: frozenset[str], filler: str) -> str:
    """Return NAME at the places of TEXT where it has COMMON characters, and FILLER after it.

    It is as long as TEXT, or as NAME if that is longer: QEMU has its limits (hw/scsi/scsi-disk.c).
    """
    places = sum(one in common for one in text)
    letters = iter(name.ljust(places, filler))
    kept = [next(letters) if one in common else one for one in text]
    return "".join([*kept, *letters])
