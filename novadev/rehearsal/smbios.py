"""The SMBIOS tables of a rehearsed guest: their entries are kept, and say what novadev says.

Source: libvirt, src/util/virsysinfo.c and src/conf/domain_conf.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novadev.capabilities.settings import is_unusual_smbios, is_unusual_sysinfo
from novadev.virt import xml

if TYPE_CHECKING:
    from lxml import etree

_TEXT = "novadev"
_READ = ("date", "release")
"""Entries that libvirt or QEMU reads; of the others they take any text."""


def keep_tables(root: etree._Element, told: list[str]) -> None:
    """Leave the tables in the domain ROOT that are the guest's own, with other texts.

    Adds to TOLD what is not rehearsed: what is of the host, and a UUID that is not the guest's.
    """
    for table in root.findall("sysinfo"):
        if is_unusual_sysinfo(table):
            root.remove(table)
            told.append("sysinfo")
            continue
        _uuid(table, (root.findtext("uuid") or "").strip(), told)
        for entry in table.iter("entry"):
            if entry.get("name") not in _READ:
                entry.text = _TEXT
    for os in root.iterfind("os"):
        for mode in os.findall("smbios"):
            if is_unusual_smbios(mode):
                os.remove(mode)
                told.append("os smbios")
    _without_empty(root)


def _uuid(table: etree._Element, uuid: str, told: list[str]) -> None:
    """Take the entry that must be the guest's UUID: a rehearsed guest has another."""
    for system in table.iterfind("system"):
        for entry in system.findall("entry[@name='uuid']"):
            system.remove(entry)
            if (entry.text or "").strip().lower() != uuid.lower():
                told.append("sysinfo uuid")


def _without_empty(root: etree._Element) -> None:
    """Take tables that say nothing, and what refers to them."""
    tables = root.findall("sysinfo")
    if tables and all(table.find(".//entry") is None for table in tables):
        xml.drop(root, "sysinfo")
        for os in root.iterfind("os"):
            xml.drop(os, "smbios")
