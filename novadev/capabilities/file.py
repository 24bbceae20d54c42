"""A capability file: JSON in a fixed order, so that two files can be compared with diff.

It ends with a sum over everything but the time. Written aside and renamed, readable by its owner
only. A file that was edited is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from novadev.capabilities.content import Capabilities
from novadev.capabilities.encoding import decode, encode
from novadev.errors import BadInput
from novadev.strict_json import begins_with, parse

VERSION = 3
"""The format. A reader takes older ones, and leaves alone the keys that it does not know.

The second has what the guests of each machine type can have, and QEMU's devices; the third also
processors, firmware, features of the machine and the sizes of memory pages.
"""
_FORMAT = "novadev_capabilities"
_NOT_IN_SUM = ("saved_at", "sha256")


def dumps(found: Capabilities) -> str:
    """Return FOUND as the text of a capability file."""
    data = {_FORMAT: VERSION, **encode(found)}
    return _text({**data, "sha256": _sum(data)}) + "\n"


def _sum(data: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in data.items() if key not in _NOT_IN_SUM}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: Any, depth: int = 0) -> str:
    """Return VALUE as JSON; from the second level on, what is flat stands on one line."""
    if not isinstance(value, dict) or not value or (depth > 1 and _is_flat(value)):
        return json.dumps(value, sort_keys=True)
    indent = "  " * (depth + 1)
    names = sorted(value) if depth else value
    lines = [f"{indent}{json.dumps(name)}: {_text(value[name], depth + 1)}" for name in names]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(item, dict) for item in value.values())


def _edited(what: str) -> BadInput:
    return BadInput(f"{what} is incomplete or was edited: save it again")


def loads(text: str, name: str | Path) -> Capabilities:
    """Return what TEXT says, the content of the capability file NAME.

    Raises BadInput for what is none, was edited or cut short, or is of a newer format.
    """
    what = f"capability file {name}"
    try:
        data = parse(text)
    except ValueError:
        if begins_with(text, _FORMAT):
            raise _edited(what) from None
        data = None
    version = data.get(_FORMAT) if isinstance(data, dict) else None
    if type(version) is not int or version < 1:
        raise BadInput(f"{name} is not a capability file written by novadev")
    if version > VERSION:
        raise BadInput(
            f"{what} has format {version}, but this novadev knows only {VERSION}: use a newer "
            "novadev"
        )
    if data.get("sha256") != _sum(data):
        raise _edited(what)
    return decode(data, what)
