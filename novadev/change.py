"""A change: what it is about, what was there before, what is there after."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Absent(Enum):
    """A stored value has three states: text, null, and not there at all, which is this."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent.ABSENT

Value = str | int | None | Absent


@dataclass(frozen=True)
class Change:
    """One value that a plan changes.

    ``what`` is its address, stable for scripts: ``hw_disk_bus``, ``request_spec hw_disk_bus``,
    ``block_device_mapping 17 disk_bus``, ``root_device_name``.
    """

    what: str
    before: Value
    after: Value

    @property
    def inverse(self) -> Change:
        """The change that takes this one back."""
        return Change(self.what, self.after, self.before)


def to_json(value: Value) -> object:
    """Return VALUE for a JSON document: absent is ``{"absent": true}``, null is null."""
    return {"absent": True} if value is ABSENT else value


def from_json(value: object) -> Value:
    """Return the value that :func:`to_json` wrote; raises ValueError for anything else."""
    if value is None or isinstance(value, str | int):
        return value
    if value == {"absent": True}:
        return ABSENT
    raise ValueError(f"not a value: {value!r:.40}")
