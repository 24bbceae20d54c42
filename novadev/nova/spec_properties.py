"""The image properties of a request spec, read without making anything of the rest of it.

A request spec has some 3,000 characters, and an audit reads one for each server.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Properties(msgspec.Struct):
    data: msgspec.Raw = msgspec.field(name="nova_object.data", default_factory=msgspec.Raw)
    changes: list[str] | None = msgspec.field(name="nova_object.changes", default=None)


class _ImageFields(msgspec.Struct):
    properties: _Properties


class _Image(msgspec.Struct):
    data: _ImageFields = msgspec.field(name="nova_object.data")


class _SpecFields(msgspec.Struct):
    image: _Image


class _Spec(msgspec.Struct):
    data: _SpecFields = msgspec.field(name="nova_object.data")


_SPEC = msgspec.json.Decoder(_Spec)
_PROPERTIES = msgspec.json.Decoder(dict[str, Any] | None)


def properties_in(text: str) -> dict[str, Any] | None:
    """Return the image properties in the request spec TEXT, or None for any but a common form."""
    held = raw_properties_in(text)
    if held is None:
        return None
    try:
        return _PROPERTIES.decode(held or b"null") or {}
    except (ValueError, RecursionError):
        return None


def raw_properties_in(text: str | None) -> bytes | None:
    """Return the same as the JSON that they are, empty for none; None as `properties_in`.

    What is in this JSON is not looked at. The fields are those of ``nova/objects/request_spec.py``
    and ``nova/objects/image_meta.py``, as oslo.versionedobjects writes them.
    """
    try:
        found = _SPEC.decode(text or "")
    except (ValueError, RecursionError):
        return None
    return bytes(found.data.image.data.properties.data)


def spec_of(properties: bytes) -> str:
    """Return a request spec that has nothing but what `raw_properties_in` returns."""
    held = b'{"nova_object.data":%s}' % (properties or b"null")
    for field in (b"properties", b"image"):
        held = b'{"nova_object.data":{"%s":%s}}' % (field, held)
    return held.decode()
