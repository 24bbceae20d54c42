"""The image properties of a request spec, read without making anything of the rest of it.

A request spec has some 3,000 characters, and an audit reads one for each server.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Properties(msgspec.Struct):
    data: dict[str, Any] | None = msgspec.field(name="nova_object.data", default=None)
    changes: list[str] | None = msgspec.field(name="nova_object.changes", default=None)


class _ImageFields(msgspec.Struct):
    properties: _Properties


class _Image(msgspec.Struct):
    data: _ImageFields = msgspec.field(name="nova_object.data")


class _SpecFields(msgspec.Struct):
    image: _Image


class _Spec(msgspec.Struct):
    data: _SpecFields = msgspec.field(name="nova_object.data")


_DECODER = msgspec.json.Decoder(_Spec)


def properties_in(text: str) -> dict[str, Any] | None:
    """Return the image properties in the request spec TEXT, or None for any but a common form.

    The fields of ``nova/objects/request_spec.py`` and ``nova/objects/image_meta.py`` as
    oslo.versionedobjects writes them.
    """
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return found.data.image.data.properties.data or {}
