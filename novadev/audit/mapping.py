"""Mappings in the API database that do not point to the cell that has the server.

Nova reaches a server through its mapping alone (``nova/compute/api.py``, ``_get_instance``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from shlex import quote

from novadev.audit.finding import Finding, Trouble
from novadev.nova.instances import Instance
from novadev.residence import Doubled, SharedDatabase, is_mapped_to
from novadev.selection import Chunk

_BEING_DELETED = ("deleting", "soft-deleting", "restoring")
"""Task states in which the flag may be ahead of the cell, or behind it."""


def mapping_troubles(chunk: Chunk, instance: Instance) -> Iterator[Trouble]:
    """Yield what is wrong with the mapping of INSTANCE, which is one of CHUNK."""
    mapping = chunk.mappings.get(instance.uuid)
    remedy = _map_instances(chunk.cell.uuid)
    again = f"; to fix the mapping, delete its row in instance_mappings and run {remedy}"
    here = f"the server is in {chunk.cell.label}"
    unseen = "so Nova's API does not find the server"
    if mapping is None:
        details = f"{here} and has no mapping, {unseen}"
        yield Trouble("mapping", "failure", details, remedy)
    elif mapping.cell_id is None:
        details = f"{here} and its mapping names no cell, {unseen}"
        yield Trouble("mapping", "failure", details + again)
    elif not is_mapped_to(mapping, chunk.cell):
        details = f"{here} and its mapping names another cell, {unseen}"
        yield Trouble("mapping", "failure", details + again)
    elif mapping.is_queued and not _is_deleted(instance):
        details = (
            "its mapping is queued for delete, but nothing deletes the server. Quotas may not "
            f"count the server, and Nova treats it as deleted while {chunk.cell.label} is down"
        )
        yield Trouble("mapping", "warning", details + again)


def residence_finding(skip: Doubled | SharedDatabase) -> Finding:
    """Return the finding for an instance in several cells, or for cells with one database."""
    found = Finding("mapping", "failure", skip.instance, None, skip.reason, None)
    if isinstance(skip, SharedDatabase) or skip.row is None:
        return found
    row = skip.row
    return replace(found, host=row.host, name=row.name, cell=row.cell, project=row.project_id or "")


def _is_deleted(instance: Instance) -> bool:
    """Return whether the flag is right: a soft delete sets it, too (``_do_soft_delete``)."""
    return instance.vm_state in ("soft-delete", "deleted") or (
        instance.task_state in _BEING_DELETED
    )


def _map_instances(cell: str) -> str:
    """Return Nova's command that maps those instances of CELL which have no mapping.

    ``--reset`` because it goes on, otherwise, behind the last one that it had mapped.
    """
    return f"nova-manage cell_v2 map_instances --cell_uuid {quote(cell)} --reset"
