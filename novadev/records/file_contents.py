"""What a file has of an instance, and the limits for everything that comes from one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from novadev.errors import BadInput
from novadev.records.device import VmDevice

MAX_BYTES = 16 * 1024 * 1024
"""What a file may have."""
MAX_DEVICES = 10_000
"""Devices of one instance, or items of one OVF."""
LONGEST = {"type": 30, "device": 255, "address": 255, "alias": 255, "label": 255, "host": 255}
"""Characters that a column of ``vm_device`` has."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class ExportedInstance:
    """The devices of an instance as a file has them.

    ``instance`` is its UUID, empty where the file does not tell it; ``hash`` that of its record,
    empty where the file has none.
    """

    instance: str
    name: str
    hash: str
    devices: tuple[VmDevice, ...]


@dataclass(frozen=True)
class BrokenInstance:
    """An instance of a file of several whose part cannot be read, and why.

    ``instance`` is its UUID, None where that cannot be read either.
    """

    instance: str | None
    error: BadInput


def read_uuid(text: str, what: str) -> str:
    """Return the UUID that TEXT is, in lower case; raises BadInput, naming WHAT."""
    if not _PLAIN_UUID.fullmatch(text):
        raise BadInput(f"{what}: {text!r:.60} is not a UUID")
    return str(uuid.UUID(text))


def is_uuid(text: str) -> bool:
    """Whether TEXT is a UUID with its hyphens."""
    return _PLAIN_UUID.fullmatch(text) is not None


def check_text(text: str, what: str, field: str = "") -> str:
    """Return TEXT where a file of either kind can hold it, and its column; raises BadInput."""
    if _NOT_XML.search(text):
        raise BadInput(f"{what}: it has characters that XML does not allow")
    longest = LONGEST.get(field, MAX_BYTES)
    if len(text) > longest:
        raise BadInput(f"{what}: it is longer than {longest} characters")
    return text


def check_distinct(devices: Iterable[VmDevice], what: str) -> None:
    """Raise BadInput where two of DEVICES have one id, naming both."""
    seen: dict[str, VmDevice] = {}
    for device in devices:
        other = seen.setdefault(device.device_id, device)
        if other is not device:
            both = f"{other.label!r:.80} and {device.label!r:.80}"
            raise BadInput(f"{what}: {both} have the same id {device.device_id}")
