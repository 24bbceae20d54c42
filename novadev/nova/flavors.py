"""Flavors as Nova keeps them with instances."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache

import sqlalchemy as sa

from novadev.nova.tables import instance_extra


def list_extra_specs(
    connection: sa.Connection, uuids: Iterable[str]
) -> dict[str, Mapping[str, str]]:
    """Return the extra specs of the current flavor of each of UUIDS.

    The flavor is the JSON that Nova keeps in ``instance_extra`` (``objects/instance.py``); one
    that is none has no extra specs.
    """
    query = sa.select(instance_extra.c.instance_uuid, instance_extra.c.flavor).where(
        instance_extra.c.instance_uuid.in_(tuple(uuids)), instance_extra.c.deleted == 0
    )
    return {uuid: _extra_specs(flavor) for uuid, flavor in connection.execute(query)}


@lru_cache(1_000)
def _extra_specs(flavor: str | None) -> Mapping[str, str]:
    try:
        specs = json.loads(flavor or "{}")["cur"]["nova_object.data"]["extra_specs"]
        return {str(name): str(value) for name, value in dict(specs).items()}
    except (ValueError, KeyError, TypeError):
        return {}
