"""Flavors as Nova keeps them with instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import sqlalchemy as sa

from novadev.nova.json_text import data_of, parsed
from novadev.nova.tables import instance_extra


@dataclass(frozen=True)
class Flavor:
    """The current flavor of an instance; ``swap_mb`` is in MiB."""

    swap_mb: int = 0
    extra_specs: Mapping[str, str] = field(default_factory=dict)


def list_flavors(connection: sa.Connection, uuids: Iterable[str]) -> dict[str, Flavor | None]:
    """Return the current flavor of each of UUIDS that has a row; None where it cannot be read.

    The flavor is the JSON that Nova keeps in ``instance_extra`` (``objects/instance.py``). A null
    is a flavor without swap and extra specs.
    """
    query = sa.select(instance_extra.c.instance_uuid, instance_extra.c.flavor).where(
        instance_extra.c.instance_uuid.in_(tuple(uuids)), instance_extra.c.deleted == 0
    )
    return {uuid: _flavor(text) for uuid, text in connection.execute(query)}


@lru_cache(1_000)
def _flavor(text: str | None) -> Flavor | None:
    if not text:
        return Flavor()
    kept = parsed(text)
    data = data_of(kept.get("cur")) if isinstance(kept, dict) else None
    specs = None if data is None else data.get("extra_specs") or {}
    if data is None or not isinstance(specs, dict):
        return None
    try:
        swap = int(data.get("swap") or 0)
    except (ValueError, TypeError, OverflowError):
        return None
    return Flavor(swap, {name: str(value) for name, value in specs.items()})
