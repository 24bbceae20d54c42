"""Shows servers that have something in common as one group."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from novadev.text import many, printable

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
MANY = 20
"""From so many servers on a terminal shows groups."""
_NAMED = 5
"""A group of so many servers names all of them; a larger one names fewer."""
_FIRST = 3
_SERVER = re.compile(r"\b(instance|domain) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
_OWN = re.compile(
    r"(?P<uuid>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|(?P<mac>\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b)"
    r"|(?P<pci>\b[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b)"
    r"|(?P<tap>\btap[0-9a-f]{8}-[0-9a-f]{2}\b)"
    r"|(?P<row>(?<=block_device_mapping )[0-9]+\b)"
)
_PLACEHOLDERS = {
    "uuid": "<UUID>",
    "mac": "<MAC>",
    "pci": "<PCI address>",
    "tap": "<tap>",
    "row": "<row>",
}
"""What stands in the text of a group for what each server has another value of."""
_KEPT = 2
"""So many members of a group are kept: the memory must not grow with the number of servers."""


def server_label(uuid: str, name: str | None) -> str:
    """Return ``NAME (UUID)``, what a server is called everywhere; the UUID alone without a name."""
    return f"{printable(name)} ({printable(uuid)})" if name and name != uuid else printable(uuid)


def labelled(text: str, uuid: str | None, name: str | None) -> str:
    """Return TEXT, in which a server is ``instance UUID``, with its name beside the UUID.

    A text in which it is not, such as that of a cell that is down, gets it in front.
    """
    if uuid and uuid not in text and repr(uuid) not in text:
        text = f"instance {uuid}: {text}"
    if not uuid or not name or f"{name} (" in text:
        return text
    return with_names(text, {uuid: name})


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Return TEXT with the names of the servers in it that are in NAMES, by their UUIDs."""

    def label(found: re.Match[str]) -> str:
        return f"{found[1]} {server_label(found[2], names.get(found[2]))}"

    return _SERVER.sub(label, text)


def common(text: str, uuid: str | None, name: str | None = None) -> str:
    """Return TEXT without what is this server's alone, so that equal reasons are equal texts."""
    if not uuid:
        return text
    plain = text.removeprefix(f"instance {uuid}: ").replace(f"instance {uuid}", "each")
    plain = plain.replace(uuid, "INSTANCE")
    return plain.replace(f" {name} ", " each ") if name else plain


def without_own(text: str, host: str | None = None) -> str:
    """Return TEXT with placeholders for what each server has another value of.

    These are UUIDs, addresses, taps, numbers of rows, and the server's HOST.
    """
    if host:
        text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)", "<host>", text)
    return _OWN.sub(lambda found: _PLACEHOLDERS[str(found.lastgroup)], text)


@dataclass
class Group(Generic[K, T]):
    """What some servers have in common: KEY; ``members`` are the first of them alone.

    ``text`` is what is said of each, where that is equal to the letter; else None.
    """

    key: K
    text: str | None = None
    count: int = 0
    names: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    hosted: int = 0
    members: list[T] = field(default_factory=list)

    @property
    def is_exception(self) -> bool:
        """Whether it is so small that each of its members can be shown in full."""
        return self.count <= _KEPT

    @property
    def spread(self) -> str:
        """On how many hosts its servers are, as `` on 3 hosts``; empty for a single host."""
        return self.on(many(len(self.hosts), "host")) if len(self.hosts) > 1 else ""

    def on(self, hosts: str) -> str:
        """Return `` on HOSTS``; a shelved server is on none, and one may not be known."""
        if self.hosted < self.count:
            return f", {self.hosted} of them on {hosts}"
        return f" on {hosts}"

    @property
    def named(self) -> str:
        """The names of the group's servers, or the first few and the number of the others."""
        shown = self.names if self.count <= _NAMED else self.names[:_FIRST]
        more = self.count - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")


class Groups(Generic[K, T]):
    """Groups of servers, by their keys; what comes after LIMIT keys is only counted."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._groups: dict[K, Group[K, T]] = {}
        self.others = 0
        self.count = 0

    def add(
        self, key: K, name: str, member: T, host: str | None = None, text: str | None = None
    ) -> Group[K, T] | None:
        """Count MEMBER, of the server NAME; return its group, None where there are too many.

        TEXT is what is said of it, where KEY has placeholders.
        """
        self.count += 1
        if key not in self._groups and len(self._groups) >= self._limit:
            self.others += 1
            return None
        group = self._groups.setdefault(key, Group(key, text))
        group.count += 1
        group.text = text if group.text == text else None
        if len(group.names) < _NAMED:
            group.names.append(printable(name))
        if len(group.members) < _KEPT:
            group.members.append(member)
        if host:
            group.hosts.add(host)
            group.hosted += 1
        return group

    def __iter__(self) -> Iterator[Group[K, T]]:
        """Yield the groups, the largest first; those of one size as they came."""
        return iter(sorted(self._groups.values(), key=lambda group: -group.count))


def wrapped(text: str, width: int | None, indent: str = "  ") -> list[str]:
    """Return TEXT as lines of WIDTH, all but the first indented; one line without a WIDTH."""
    if width is None or len(text) <= width:
        return [text]
    import textwrap

    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def names_of(uuids: Iterable[str], names: Mapping[str, str]) -> list[str]:
    """Return what the servers UUIDS are called."""
    return [server_label(uuid, names.get(uuid)) for uuid in uuids]
