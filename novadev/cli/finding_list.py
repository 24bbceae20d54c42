"""Findings as text for people: one server after the other or, if there are many, in groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from novadev.audit.remedies import for_many
from novadev.cli.grouping import MANY, Group, Groups, server_label, without_own, wrapped
from novadev.text import many, printable

if TYPE_CHECKING:
    from novadev.audit.finding import Finding

Key = tuple[str, str, str, str]
"""Severity, check, details and remedy, without what is one server's alone."""
_VARIANTS = 5
"""So many kinds of details are shown of one check."""


def place_of(item: Finding) -> str:
    """Return what ITEM is about: a server, a host, or the whole deployment."""
    if item.instance:
        return f"{server_label(item.instance, item.name)} on {printable(item.host or 'no host')}"
    return printable(item.host or "deployment")


def key_of(item: Finding) -> Key:
    """Return what ITEM has in common with those of other servers."""
    return item.severity, item.check, without_own(item.details, item.host), _mending(item)


def _mending(item: Finding) -> str:
    """Return the remedy without the server, and without what only a shell needs."""
    command = for_many(item.remedy, item.instance) if item.remedy else None
    text = command or item.remedy or ""
    plain = text.replace(item.instance, "INSTANCE") if item.instance else text
    return without_own(plain, item.host).replace(" --yes", "", 1)


def is_many(findings: Iterable[Finding]) -> bool:
    """Whether FINDINGS are of so many servers that a terminal shows them in groups."""
    return len({item.instance for item in findings}) >= MANY


class FindingGroups:
    """Findings by what is wrong; each server counts once in a group."""

    def __init__(self) -> None:
        self._groups: Groups[Key, Finding] = Groups()
        self._last: dict[Key, str | None] = {}

    def add(self, item: Finding) -> None:
        """Count ITEM."""
        key = key_of(item)
        if item.instance is not None and self._last.get(key) == item.instance:
            return
        if len(self._last) < 10_000:
            self._last[key] = item.instance
        self._groups.add(key, item.name or place_of(item), item, item.host, item.details)

    def lines(self, width: int | None) -> Iterator[str]:
        """Yield what a terminal of WIDTH shows: failures first, the most frequent first."""
        shown: Counter[str] = Counter()
        left: Counter[str] = Counter()
        order = ("failure", "warning")
        for group in sorted(self._groups, key=lambda group: order.index(group.key[0])):
            check = group.key[1]
            shown[check] += 1
            if shown[check] > _VARIANTS:
                left[check] += group.count
            else:
                yield from _group_lines(group, width)
        for check, number in left.items():
            yield f"{many(number, 'other finding')} of {check}"
        if self._groups.others:
            yield f"{many(self._groups.others, 'other finding')}"
        yield "--details shows each server, --report FILE.html writes a page with all of them."


def _group_lines(group: Group[Key, Finding], width: int | None) -> Iterator[str]:
    severity, check, details, remedy = group.key
    if group.count == 1:
        of = place_of(group.members[0])
    elif group.members[0].instance:
        of = f"{many(group.count, 'server')}{group.spread} ({group.named})"
    else:
        of = f"{many(group.count, 'host')} ({group.named})"
    details = group.text or details
    yield from wrapped(f"{severity}  {check}  {of}", width)
    inner = width and width - 2
    for line in wrapped(printable(details), inner):
        yield f"  {line}"
    if remedy:
        yield from wrapped(f"  fix: {printable(remedy)}", width, "    ")
