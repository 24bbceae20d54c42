"""An XML text written element by element, as ovirt-engine's ``XmlTextWriter`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from xml.sax import saxutils

_ESCAPED = {"\r": "&#13;"}
NO_ATTRIBUTES: Mapping[str, str] = {}


class XmlText:
    """An XML text in the making, with an element on a line."""

    def __init__(self) -> None:
        self._lines = ['<?xml version="1.0" encoding="UTF-8"?>']
        self._depth = 0

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"

    @contextmanager
    def element(self, name: str, attributes: Mapping[str, str] = NO_ATTRIBUTES) -> Iterator[None]:
        """Write an element around what is written inside."""
        self._line(f"<{name}{_text(attributes)}>")
        self._depth += 1
        yield
        self._depth -= 1
        self._line(f"</{name}>")

    def leaf(self, name: str, text: str = "") -> None:
        """Write an element that has nothing but a text, maybe an empty one."""
        self._line(f"<{name}>{saxutils.escape(text, _ESCAPED)}</{name}>")

    def empty(self, name: str, attributes: Mapping[str, str]) -> None:
        """Write an element that has nothing but attributes."""
        self._line(f"<{name}{_text(attributes)}></{name}>")

    def _line(self, text: str) -> None:
        self._lines.append("  " * self._depth + text)


def _text(attributes: Mapping[str, str]) -> str:
    return "".join(f" {name}={saxutils.quoteattr(value)}" for name, value in attributes.items())
