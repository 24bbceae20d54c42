"""What is due of plans, as the values of the statements that change Nova's records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from novadev.image_property.comparison import Due
from novadev.image_property.stored_values import Stored
from novadev.nova import image_properties, writes
from novadev.nova.request_specs import RequestSpec
from novadev.nova.writes import DiskWrite, SystemMetadataWrite
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.value import Value

if TYPE_CHECKING:
    import sqlalchemy as sa


def roots(landing: Iterable[Due]) -> dict[str, Value]:
    """Return the new names of root disks, by the UUID of the instance."""
    return {
        due.plan.instance: item.after
        for due in landing
        for item in due.in_cell
        if item.place.kind is Kind.ROOT
    }


def property_writes(landing: Iterable[Due], stored: Stored) -> Iterator[SystemMetadataWrite]:
    """Yield what is written into system_metadata; STORED has the ids of its rows."""
    for due in landing:
        instance = due.plan.instance
        for item in due.in_cell:
            key = image_properties.PREFIX + item.place.name
            if item.place.kind is Kind.HIDDEN:
                yield SystemMetadataWrite(instance, key, item.place.row, item.before, item.after)
            if item.place.kind is Kind.PROPERTY:
                row = stored.property_row(instance, item.place.name)
                row_id = row.id if row else None
                yield SystemMetadataWrite(instance, key, row_id, item.before, item.after)


def disk_writes(landing: Iterable[Due]) -> Iterator[DiskWrite]:
    """Yield what is written into block_device_mapping, a row at a time."""
    for due in landing:
        by_row: dict[int, list[Change]] = {}
        for item in due.in_cell:
            if item.place.kind is Kind.DISK and item.place.row is not None:
                by_row.setdefault(item.place.row, []).append(item)
        for row_id, changes in by_row.items():
            before = tuple((item.place.name, item.before) for item in changes)
            after = tuple((item.place.name, item.after) for item in changes)
            yield DiskWrite(row_id, before, after)


def write_specs(api: sa.Connection, stored: Stored, landing: Iterable[Due]) -> None:
    """Write what is due of the request specs."""
    texts: list[tuple[int, str, str]] = []
    for due in landing:
        if due.in_spec:
            spec = stored.specs[due.plan.instance]
            texts.append((spec.id, spec.text, _new_text(spec, due.in_spec)))
    writes.write_request_specs(api, texts)


def _new_text(spec: RequestSpec, changes: Sequence[Change]) -> str:
    """Return the text of SPEC after CHANGES: its image as a whole, or properties of it."""
    if changes[0].place.kind is Kind.IMAGE:
        after = changes[0].after
        return spec.with_image(str(after) if isinstance(after, int) else after)
    return spec.edited({item.place.name: item.after for item in changes})
