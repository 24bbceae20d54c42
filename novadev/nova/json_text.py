"""JSON in Nova's databases, which anybody may have written."""

from __future__ import annotations

import json
from typing import Any


def parsed(text: str | None) -> Any:
    """Return what the JSON TEXT says; None where it is no JSON, or is nested too deeply."""
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def data_of(value: object) -> dict[str, Any] | None:
    """Return the fields of a versioned object; None where VALUE is none."""
    data = value.get("nova_object.data") if isinstance(value, dict) else None
    return data if isinstance(data, dict) else None
