"""What is stored: the value in the cell beside the one in the request spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, make_dataclass
from difflib import get_close_matches
from itertools import groupby
from typing import Any

from novadev.deployment import Deployment
from novadev.errors import NotAsNeeded, NotFound
from novadev.nova.image_fields import FIELDS
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.nova.instances import Instance
from novadev.nova.request_specs import RequestSpec, list_request_specs
from novadev.rules.image_meta import as_read
from novadev.runs.plan import Skip
from novadev.selection import Chunk, Selection, iter_selected, of_chunks

_NEAR_ENOUGH = 0.7
LISTED = (*sorted(PROPERTIES), MACHINE_TYPE)


@dataclass(frozen=True)
class PropertyRecord:
    """One property of one instance.

    ``stored`` and ``request_spec`` are ``absent``, ``null`` or ``value``. A ``request_spec`` may
    also be ``missing``, or ``unreadable`` where Nova could not read it, either. ``agrees`` is None
    where there is nothing to compare.
    """

    instance: str
    name: str
    property: str
    stored: str
    value: str | None
    request_spec: str
    request_spec_value: str | None
    agrees: bool | None


ServerProperties = make_dataclass(
    "ServerProperties",
    [
        ("instance", str),
        ("name", str),
        *((name, "str | None") for name in LISTED),
        ("differing", "tuple[str, ...]"),
    ],
    frozen=True,
)
"""One instance with the allow-list and the machine type; None where no value is stored.

``differing`` are those for which the request spec says something else: ``NAME=VALUE`` as it has
them, without a VALUE where it has none.
"""


@dataclass(frozen=True)
class Wanted:
    """Which properties are listed: of the allow-list, or every ``image_*`` row; all of these.

    Or only those whose request spec says something else, or only those with a value.
    """

    all_properties: bool = False
    differing: bool = False
    stored: bool = False

    def passes(self, record: PropertyRecord) -> bool:
        """Whether RECORD is listed."""
        if self.differing and record.agrees is not False:
            return False
        return record.stored == "value" or not self.stored


def list_properties(
    deployment: Deployment, selection: Selection, wanted: Wanted
) -> Iterator[PropertyRecord | Skip]:
    """Yield the WANTED properties of each instance.

    Raises as :func:`novadev.selection.iter_selected`.
    """
    named = selection.is_named

    def records(chunk: Chunk) -> Iterator[PropertyRecord | Skip]:
        for item in _records(deployment, chunk, wanted.all_properties, named):
            if isinstance(item, Skip) or wanted.passes(item):
                yield item

    return of_chunks(iter_selected(deployment, selection), records, named)


def list_servers(
    deployment: Deployment, selection: Selection, wanted: Wanted
) -> Iterator[Any | Skip]:
    """Yield each instance that has a WANTED property as one `ServerProperties`.

    Raises as :func:`novadev.selection.iter_selected`.
    """
    named = selection.is_named

    def servers(chunk: Chunk) -> Iterator[Any | Skip]:
        records = list(_records(deployment, chunk, False, named))
        yield from (item for item in records if isinstance(item, Skip))
        found = (item for item in records if not isinstance(item, Skip))
        for _, group in groupby(found, lambda item: item.instance):
            members = list(group)
            if any(map(wanted.passes, members)):
                yield _server(members)

    return of_chunks(iter_selected(deployment, selection), servers, named)


def _server(records: list[PropertyRecord]) -> Any:
    differing = (item for item in records if item.agrees is False)
    return ServerProperties(
        instance=records[0].instance,
        name=records[0].name,
        **{item.property: item.value for item in records},
        differing=tuple(f"{item.property}={item.request_spec_value or ''}" for item in differing),
    )


def _records(
    deployment: Deployment, chunk: Chunk, all_properties: bool, named: bool
) -> Iterator[PropertyRecord | Skip]:
    with deployment.api.reading() as connection:
        uuids = [instance.uuid for instance in chunk.instances]
        specs = list_request_specs(connection, uuids)
    for instance in chunk.instances:
        spec = specs.get(instance.uuid)
        if spec is not None and not spec.is_readable:
            yield Skip.of(instance.uuid, spec.fault, named)
        names = sorted(instance.image_properties) if all_properties else LISTED
        yield from (_record(instance, name, spec) for name in names)


def _record(instance: Instance, name: str, spec: RequestSpec | None) -> PropertyRecord:
    held = None if spec is None or not spec.is_readable else spec.image_properties or {}
    value = instance.image_properties.get(name)
    spec_value = None if held is None or held.get(name) is None else str(held[name])
    compared = held is not None and (name in LISTED or name in held)
    return PropertyRecord(
        instance=instance.uuid,
        name=instance.name,
        property=name,
        stored=_state(instance.image_properties, name),
        value=value,
        request_spec=_without_properties(spec) if held is None else _state(held, name),
        request_spec_value=spec_value,
        agrees=as_read(name, value) == as_read(name, spec_value) if compared else None,
    )


def _without_properties(spec: RequestSpec | None) -> str:
    return "missing" if spec is None else "unreadable"


def _state(stored: Mapping[str, Any], name: str) -> str:
    if name not in stored:
        return "absent"
    return "null" if stored[name] is None else "value"


def show_property(deployment: Deployment, name: str, property_name: str) -> PropertyRecord:
    """Return one property of the instance NAME (a UUID or name).

    Raises NotFound for the instance, NotAsNeeded where the property has no value: absent and null
    are told apart in the message.
    """
    wanted = property_name.removeprefix("image_")
    for item in iter_selected(deployment, Selection(names=[name])):
        if isinstance(item, Skip):
            raise item.error
        for instance in item.instances:
            return _with_value(deployment, item, instance, wanted)
    raise NotFound(f"instance {name!r} not found")


def _with_value(
    deployment: Deployment, chunk: Chunk, instance: Instance, name: str
) -> PropertyRecord:
    if name not in instance.image_properties:
        known = {*FIELDS, *instance.image_properties}
        near = [] if name in FIELDS else get_close_matches(name[:60], known, 1, _NEAR_ENOUGH)
        meant = f". Did you mean {near[0]}?" if near else ""
        raise NotAsNeeded(f"{name} is not stored for instance {instance.uuid}{meant}")
    with deployment.api.reading() as connection:
        spec = list_request_specs(connection, [instance.uuid]).get(instance.uuid)
    record = _record(instance, name, spec)
    if record.stored == "null":
        raise NotAsNeeded(
            f"{name} of instance {instance.uuid} is null: it is registered without a value"
        )
    return record
