"""The security labels of a guest: which drivers of libvirt they need, and which are its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from novadev.capabilities.unlisted import OTHER, Setting
from novadev.virt.domain import Domain

if TYPE_CHECKING:
    from lxml import etree

_DRIVER = "security driver"
_EVERYWHERE = (None, "none", "dac")
"""The security drivers that every libvirt has; None is whichever there is."""


def labels(domain: Domain, is_carried: bool) -> Iterator[Setting]:
    """Yield the security drivers that are asked for, and labels that were not made by libvirt.

    A migration takes along each label of a libvirtd that was restarted meanwhile, also those that
    it made: seen with 7.0, 9.0 and 11.3.
    """
    for element in domain.root.iterfind("seclabel"):
        model, is_own = element.get("model"), is_written_label(element)
        if model not in _EVERYWHERE and (is_own or is_carried):
            kind = "security driver unless none" if element.get("type") == "none" else _DRIVER
            yield Setting(f"security driver {model}", kind, model or "")
        if element.get("type") == "static" or element.find("baselabel") is not None:
            yield Setting(f"seclabel {model or ''}".strip(), OTHER)


def is_written_label(element: etree._Element) -> bool:
    """Return whether a ``seclabel`` asks for something that another host may lack.

    It does if it is static, has a label to begin with, or names a security driver that not every
    host has. libvirt adds a dynamic label for each driver of the host to the live definition, with
    the label that was made, and to no other definition: seen with 7.0, 9.0 and 11.3.
    Source: libvirt, src/security/security_manager.c, virSecurityManagerGenLabel.
    """
    if element.get("type") == "static" or element.find("baselabel") is not None:
        return True
    is_made = element.find("label") is not None or element.find("imagelabel") is not None
    return element.get("model") not in _EVERYWHERE and not is_made
