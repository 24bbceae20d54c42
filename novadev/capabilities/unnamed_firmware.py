"""What a definition says of firmware whose image it does not name.

Source: libvirt, src/conf/domain_conf.c, virDomainOSDefPostParse and virDomainDefParseBootXML;
src/conf/domain_validate.c, virDomainDefOSValidate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from novadev.capabilities.unlisted import Setting

if TYPE_CHECKING:
    from lxml import etree

_OF_NAMED_IMAGES = ("readonly", "type")
"""Attributes of a loader that some libvirts take only beside its path."""


def unnamed_firmware(element: etree._Element) -> Iterator[Setting]:
    """Yield what ELEMENT, a definition's ``os``, has of a loader without a path."""
    loader, nvram = element.find("loader"), element.find("nvram")
    if loader is not None and (loader.text or "").strip():
        return
    if element.get("firmware"):
        yield from () if loader is None else _beside_chosen(loader)
    elif loader is not None:
        yield Setting("loader without a path", "loader without path")
    elif nvram is not None:
        yield Setting("nvram without a loader", "nvram without loader")


def _beside_chosen(loader: etree._Element) -> Iterator[Setting]:
    said = [f"{name}={loader.get(name)}" for name in _OF_NAMED_IMAGES if loader.get(name)]
    if said:
        yield Setting(
            f"loader {' '.join(said)} of chosen firmware", "chosen loader", " ".join(said)
        )
