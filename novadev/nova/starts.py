"""When Nova has started guests, by the actions that it stores of each instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from novadev.nova.tables import instance_actions as actions
from novadev.nova.tables import instance_actions_events as events

_STARTS = ("create", "start", "restore", "rebuild", "evacuate")
"""Actions that end with a guest which was built by what is stored.

Source: nova/compute/manager.py; a rebuild or an evacuation of a stopped server spawns it too.
"""
_PERHAPS = ("unshelve", "resize", "migrate", "revertResize")
"""Actions that may start it, or with other values: those of a snapshot or of the request spec."""
_REBOOT, _UNRESCUE = "reboot", "unrescue"
"""A reboot may be soft, and builds nothing then. Nova allows that only for an active server."""


@dataclass(frozen=True)
class Starts:
    """The ``last`` start with what was stored, and whether a later action ``perhaps`` was one.

    ``last`` is when nova-api took the request, in UTC and naive; None where Nova stores none.
    ``perhaps`` is when such a later action was asked for.
    """

    last: datetime | None = None
    perhaps: datetime | None = None


def list_starts(connection: sa.Connection, uuids: Sequence[str]) -> dict[str, Starts]:
    """Return the starts of the instances UUIDS of which Nova stores any action of this kind."""
    wanted = (*_STARTS, *_PERHAPS, _REBOOT, _UNRESCUE)
    columns = (actions.c.id, actions.c.instance_uuid, actions.c.action, actions.c.start_time)
    query = sa.select(*columns, actions.c.message).where(
        actions.c.instance_uuid.in_(tuple(uuids)),
        actions.c.action.in_(wanted),
        actions.c.start_time.is_not(None),
    )
    rows = connection.execute(query.order_by(actions.c.start_time, actions.c.id)).all()
    succeeded = _succeeded(connection, [row.id for row in rows])
    of_each: dict[str, list[Any]] = {}
    for row in rows:
        of_each.setdefault(row.instance_uuid, []).append(row)
    return {uuid: _starts(found, succeeded) for uuid, found in of_each.items()}


def _succeeded(connection: sa.Connection, ids: Sequence[int]) -> set[int]:
    """Return which of the actions IDS nova-compute has carried out."""
    chosen = (events.c.result == "Success", events.c.event.like("compute%"))
    found: set[int] = set()
    for start in range(0, len(ids), 500):
        query = sa.select(events.c.action_id).where(
            events.c.action_id.in_(ids[start : start + 500]), *chosen
        )
        found.update(connection.scalars(query))
    return found


def _starts(rows: Iterable[Any], succeeded: set[int]) -> Starts:
    """Return the starts by ROWS, oldest first; one that failed may have started a guest.

    An unrescue starts the guest of before the rescue; a soft reboot of that builds nothing new.
    """
    found, is_old = Starts(), False
    for row in rows:
        has_ended = row.id in succeeded and row.message is None
        if row.action == _UNRESCUE:
            is_old = True
        elif has_ended and (row.action in _STARTS or (row.action == _REBOOT and not is_old)):
            found, is_old = Starts(row.start_time), False
        else:
            found = Starts(found.last, row.start_time)
    return found
