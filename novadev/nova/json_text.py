"""JSON in Nova's databases, which anybody may have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any


def parsed(text: str | None) -> Any:
    """Return the value of the JSON TEXT, or None if it is not JSON or nested too deeply.

    msgspec reads it in a third of the time. What it does not take, such as half characters and
    infinite numbers, ``json`` reads as before.
    """
    try:
        return _fast()(text or "null")
    except (ValueError, RecursionError):
        return _exact(text or "null")


@cache
def _fast() -> Callable[[str], Any]:
    """Return msgspec's reader, imported when there is something to read."""
    import msgspec

    return msgspec.json.Decoder().decode


def _exact(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def data_of(value: object) -> dict[str, Any] | None:
    """Return the fields of a versioned object; None where VALUE is none."""
    data = value.get("nova_object.data") if isinstance(value, dict) else None
    return data if isinstance(data, dict) else None
