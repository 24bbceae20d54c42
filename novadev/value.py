"""A stored value: text, a number, null, or nothing at all."""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypedDict


class Absent(Enum):
    """The third state of a stored value: neither text nor null, but not there at all."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent.ABSENT

Value = str | int | None | Absent


class AbsentValue(TypedDict):
    """The JSON form of a value that is absent."""

    absent: Literal[True]


JsonValue = str | int | bool | None | AbsentValue


def to_json(value: Value) -> JsonValue:
    """Return VALUE for a JSON document: absent is ``{"absent": true}``, null is null."""
    return {"absent": True} if value is ABSENT else value


def from_json(value: object) -> Value:
    """Return the value that :func:`to_json` wrote; raises ValueError for anything else."""
    if value is None or isinstance(value, str | int):
        return value
    if value == {"absent": True}:
        return ABSENT
    raise ValueError(f"not a value: {value!r:.40}")


def shown(value: Value) -> str:
    """Return VALUE in a message: the three states look different."""
    return "absent" if value is ABSENT else "null" if value is None else str(value)
