"""The image properties inside a request spec: read, and edited in place.

The spec is one JSON text of nested versioned objects. Only the planned properties change, and
their names in that object's ``nova_object.changes``; everything else, the object versions too,
stays as found: conductors of an older release must still read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from novadev.errors import BadInput
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.nova.json_text import data_of, parsed
from novadev.nova.tables import request_specs
from novadev.value import ABSENT, Absent, Value

_SET = (*PROPERTIES, MACHINE_TYPE)
_PLAIN = (str, int, type(None))


@dataclass(frozen=True)
class RequestSpec:
    """A row of ``request_specs``."""

    id: int
    instance: str
    text: str

    @cached_property
    def _content(self) -> Any:
        return parsed(self.text)

    @property
    def is_readable(self) -> bool:
        """Whether it holds an image that novadev knows, or none at all."""
        is_known = self.image_properties is not None or self.has_null_image
        return is_known and self._odd_property is None

    @property
    def fault(self) -> BadInput:
        """The error, if the request spec cannot be read."""
        if self._odd_property is not None:
            return self._odd(self._odd_property)
        return self._unreadable("Nova cannot read it either")

    def _unreadable(self, reason: str) -> BadInput:
        return BadInput(f"instance {self.instance}: its request spec cannot be read: {reason}")

    def _odd(self, name: str) -> BadInput:
        kind = type((self.image_properties or {})[name]).__name__
        return self._unreadable(f"{name} is a {kind} there")

    @cached_property
    def _odd_property(self) -> str | None:
        """One of the properties that novadev sets that is neither a text nor a number."""
        held = self.image_properties or {}
        return next((name for name in _SET if not isinstance(held.get(name), _PLAIN)), None)

    @cached_property
    def image_properties(self) -> dict[str, Any] | None:
        """The properties of its image by name; None where it holds no image that novadev knows."""
        from novadev.nova.spec_properties import properties_in

        found = properties_in(self.text or "")
        if found is not None:
            return found
        holder = _properties_holder(self._content)
        return None if holder is None else dict(holder.get("nova_object.data") or {})

    def value(self, name: str) -> Value:
        """Return a property of its image, ABSENT where it has none of that name.

        Raises BadInput where Nova could not read it: a list, for example.
        """
        value = (self.image_properties or {}).get(name, ABSENT)
        if value is ABSENT or isinstance(value, _PLAIN):
            return value
        raise self._odd(name)

    @cached_property
    def has_null_image(self) -> bool:
        """Whether Nova reads it, and finds no image in it."""
        data = data_of(self._content)
        return data is not None and data.get("image") is None

    @cached_property
    def image(self) -> str | Absent | None:
        """Its image as `image_text` writes one; None where it holds none that novadev knows.

        ABSENT is a spec that Nova reads and that has no such field at all, not even a null.
        """
        if self.image_properties is None:
            fields = data_of(self._content)
            return ABSENT if fields is not None and "image" not in fields else None
        data = self._content["nova_object.data"]["image"]["nova_object.data"]
        return image_text(data | {"properties": self.image_properties})

    def with_image(self, image: str | Absent | None) -> str:
        """Return its text with IMAGE (see `image_text`) instead of its own image.

        None stands for a null, ABSENT takes the field out.

        Raises ValueError where it is no request spec.
        """
        data = data_of(self._content)
        if data is None:
            raise ValueError("not a request spec")
        if isinstance(image, Absent):
            data = {name: value for name, value in data.items() if name != "image"}
        else:
            data = data | {"image": image and _image_object(image)}
        return json.dumps(self._content | {"nova_object.data": data})

    def edited(self, values: Mapping[str, Value]) -> str:
        """Return its text with its image's properties set to VALUES; ABSENT takes one out.

        Raises ValueError where it holds no image.
        """
        spec = dict(self._content) if isinstance(self._content, dict) else {}
        holder = _copied_holder(spec)
        if holder is None:
            raise ValueError("the request spec has no image")
        data = holder["nova_object.data"] = dict(holder.get("nova_object.data") or {})
        changes = set(holder.get("nova_object.changes") or ())
        for name, value in values.items():
            if value is ABSENT:
                data.pop(name, None)
                changes.discard(name)
            else:
                data[name] = value
                changes.add(name)
        _keep_order(holder, changes)
        return json.dumps(spec)


def image_text(data: Mapping[str, Any]) -> str:
    """Return an image as one text: its fields as JSON, "properties" a plain object among them."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _image_object(image: str) -> dict[str, Any]:
    """Return Nova's object for what `image_text` wrote, in versions that each release reads."""
    data = json.loads(image)
    properties = _object("ImageMetaProps", "1.34", data["properties"])
    return _object("ImageMeta", "1.8", data | {"properties": properties})


def _object(name: str, version: str, data: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"nova_object.name": name, "nova_object.namespace": "nova"}
    made |= {"nova_object.version": version, "nova_object.data": data}
    return made | ({"nova_object.changes": sorted(data)} if data else {})


def list_request_specs(
    connection: sa.Connection, instances: Iterable[str], lock: bool = False
) -> dict[str, RequestSpec]:
    """Return the request specs of INSTANCES by UUID; LOCK holds their rows (in order of id)."""
    query = (
        sa.select(request_specs.c.id, request_specs.c.instance_uuid, request_specs.c.spec)
        .where(request_specs.c.instance_uuid.in_(tuple(instances)))
        .order_by(request_specs.c.id)
    )
    rows = connection.execute(query.with_for_update() if lock else query)
    return {row.instance_uuid: RequestSpec(row.id, row.instance_uuid, row.spec) for row in rows}


def _keep_order(holder: dict[str, Any], changes: set[str]) -> None:
    known = [name for name in holder.get("nova_object.changes") or () if name in changes]
    names = known + sorted(changes - set(known))
    if names:
        holder["nova_object.changes"] = names
    else:
        holder.pop("nova_object.changes", None)


def _copied_holder(spec: dict[str, Any]) -> dict[str, Any] | None:
    """Return what `_properties_holder` finds, as a copy inside SPEC, and all that leads to it."""
    if _properties_holder(spec) is None:
        return None
    for key in ("image", "properties"):
        data = spec["nova_object.data"] = dict(spec["nova_object.data"])
        spec = data[key] = dict(data[key])
    return spec


def _properties_holder(spec: Any) -> dict[str, Any] | None:
    """Return the object that holds the image's properties, if the spec has one that is sound."""
    for key in ("image", "properties"):
        data = data_of(spec)
        spec = None if data is None else data.get(key)
    if not isinstance(spec, dict):
        return None
    data, changes = spec.get("nova_object.data"), spec.get("nova_object.changes") or []
    is_sound = isinstance(changes, list) and all(isinstance(name, str) for name in changes)
    return spec if is_sound and (data is None or isinstance(data, dict)) else None
