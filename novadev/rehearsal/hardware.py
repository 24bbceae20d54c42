"""The processors, memory and clock of a rehearsed guest: as little as the machine allows."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from novadev.virt import xml

if TYPE_CHECKING:
    from lxml import etree

_MANY = 64
"""Virtual processors up to which the number is never what a machine type refuses."""
_MEBIBYTES = {"ppc64": 256, "ppc64le": 256}
"""The least memory: pseries takes multiples of 256 MiB (QEMU, hw/ppc/spapr.c)."""
_LEAST = 64
_ADJUSTMENT = re.compile(r"-?\d{1,9}")
"""Seconds that QEMU can add to its clock, whatever the year; a longer number is left."""
_UNITS = {
    **{"b": 1, "bytes": 1, "KB": 10**3, "k": 2**10, "KiB": 2**10, "MB": 10**6, "M": 2**20},
    **{"MiB": 2**20, "GB": 10**9, "G": 2**30, "GiB": 2**30, "TiB": 2**40},
}


def resize(root: etree._Element, told: list[str]) -> None:
    """Give the domain ROOT the least memory and, if its number is no point of it, one processor."""
    cells = root.findall("cpu/numa/cell")
    memory = _least(root)
    _insert(root, "memory", str(memory * max(1, len(cells))), unit="MiB")
    for cell in cells:
        cell.set("memory", str(memory))
        cell.set("unit", "MiB")
    _processors(root, told, has_cells=bool(cells))
    clock = root.find("clock")
    if clock is not None and _ADJUSTMENT.fullmatch(clock.get("adjustment", "")):
        clock.set("adjustment", "0")


def _least(root: etree._Element) -> int:
    """Return the least memory in MiB: that of the machine, and one page of the largest size."""
    kind = root.find("os/type")
    arch = "" if kind is None else kind.get("arch", "")
    pages = root.findall("memoryBacking/hugepages/page")
    sizes = [_bytes(page.get("size", "0"), page.get("unit", "KiB")) >> 20 for page in pages]
    return max([_MEBIBYTES.get(arch, _LEAST), *sizes])


def _bytes(size: str, unit: str) -> int:
    return int(size) * _UNITS.get(unit, 1) if size.isdecimal() else 0


def _processors(root: etree._Element, told: list[str], has_cells: bool) -> None:
    element, topology = root.find("vcpu"), root.find("cpu/topology")
    if element is None:
        return
    if xml.drop_attributes(element, "cpuset"):
        told.append("vcpu cpuset")
    xml.drop_attributes(element, "placement")
    text = (element.text or "").strip()
    if has_cells or not _is_usual(text, element, topology) or _has_dies(topology):
        return
    if _is_in_features(root.find("cpu"), topology):
        return
    element.text = "1"
    xml.drop_attributes(element, "current")
    for cpu in root.findall("cpu"):
        xml.drop(cpu, "topology")


def _is_usual(text: str, element: etree._Element, topology: etree._Element | None) -> bool:
    """Whether the number is one that every host takes: not too many, and as the topology has it."""
    current = element.get("current", text)
    if not (text.isdecimal() and current.isdecimal() and int(current) <= int(text) <= _MANY):
        return False
    levels = ("sockets", "dies", "clusters", "cores", "threads")
    sizes = [] if topology is None else [topology.get(level, "1") for level in levels]
    fits = all(size.isdecimal() for size in sizes)
    return int(current) > 0 and fits and (not sizes or prod(map(int, sizes)) == int(text))


def _has_dies(topology: etree._Element | None) -> bool:
    """Whether the processors are laid out as only a newer QEMU, or one machine, can."""
    values = () if topology is None else (topology.get("dies", "1"), topology.get("clusters", "1"))
    return any(value != "1" for value in values)


def _is_in_features(cpu: etree._Element | None, topology: etree._Element | None) -> bool:
    """Whether libvirt may hold the number against the features of the processor.

    QEMU adds ``ht`` to some guests with several processors in a socket. Where a definition has to
    be met just as it is (``check='full'``), the number counts too.
    """
    if cpu is None or cpu.get("mode", "custom") != "custom" or cpu.find("model") is None:
        return False
    levels = () if topology is None else (topology.get("cores", "1"), topology.get("threads", "1"))
    return cpu.get("check") == "full" or any(level != "1" for level in levels)


def _insert(root: etree._Element, tag: str, text: str, **attributes: str) -> None:
    element = root.makeelement(tag, attributes)
    element.text = text
    root.insert(0, element)
