"""Kinds of text that an option of ``[novadev]`` takes, each with what it can be in words."""

from __future__ import annotations

import re
from typing import Any

from oslo_config import types


class Text(types.String):
    """A text of which PATTERN is the whole, or none; ``allowed`` says what it can be."""

    def __init__(self, pattern: str, allowed: str) -> None:
        super().__init__()
        self._pattern, self.allowed = re.compile(pattern), allowed

    def __call__(self, value: Any) -> str:
        """Return VALUE as text; raises ValueError, without the value, for another."""
        text = str(super().__call__(value))
        if text and not self._pattern.fullmatch(text):
            raise ValueError(f"must be {self.allowed}")
        return text


DATABASE_URL = Text(
    r"(sqlite|mysql|mariadb)(\+\w+)?://.*",
    "the URL of a SQLite, MySQL or MariaDB database, such as "
    "mysql+pymysql://USER:PASSWORD@HOST/novadev",
)
LIBVIRT_URI = Text(
    r"([^{}]|\{host\})+",
    "a URI in which only {host} is in braces, such as qemu+tls://{host}/system",
)
DEVICE_KIND = Text(r"[^:\s]+:[^:\s]+", "a list of type:device, such as rng:virtio or *:usb")
