"""What ``<cputune>`` asks for: shares and quotas of processor time, and processors of the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from novadev.capabilities.unlisted import OTHER, Setting
from novadev.virt.xml import children, local_name

if TYPE_CHECKING:
    from lxml import etree

_MOST_SHARES = 10_000
"""The largest weight of version 2 of cgroups (libvirt, src/util/vircgroupv2.c)."""
_WHOSE = ("", "emulator", "global", "iothread")
"""What has a period and a quota of its own; of the processors they have no such word before."""
_LEAST_TIME, _MOST_QUOTA = 1000, 17_592_186_044_415
"""In microseconds. libvirt 7.0 takes larger quotas (src/util/vircgroup.h)."""


def processor_time(element: etree._Element) -> Iterator[Setting]:
    """Yield what names processors of the host, and numbers that only some hosts take."""
    shares = (element.findtext("shares") or "2").strip()
    if not shares.isdecimal() or not 2 <= int(shares) <= _MOST_SHARES:
        yield Setting(f"cputune shares {shares}", "cpu shares", shares)
    for child in children(element):
        name, value = local_name(child), (child.text or "").strip()
        whose, _, last = name.rpartition("_")
        kind = last if whose in _WHOSE else name
        if kind == "quota" and value.isdecimal() and int(value) > _MOST_QUOTA:
            yield Setting(f"cputune {name} {value}", "cpu quota", value)
        elif kind in ("period", "quota") and not _is_plain_time(kind, value):
            yield Setting(f"cputune {name} {value}", OTHER)
        elif kind not in ("shares", "period", "quota"):
            yield Setting(f"cputune {name}", OTHER)


def _is_plain_time(kind: str, value: str) -> bool:
    """Whether every libvirt takes the microseconds; -1 and 0 are no quota at all."""
    most = {"period": 1_000_000, "quota": _MOST_QUOTA}[kind]
    is_none = kind == "quota" and value in ("-1", "0")
    return is_none or (value.isdecimal() and _LEAST_TIME <= int(value) <= most)
