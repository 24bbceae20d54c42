"""The statements that change Nova's records.

Every one states in its WHERE what it believes is there and counts the rows: fewer than expected
is StalePlan, and the caller's transaction rolls back. Rows that change alike share a statement.
"""

from __future__ import annotations

import hashlib
import uuid
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from novadev.errors import StalePlan
from novadev.nova.exact import exactly
from novadev.nova.instances import LIVING
from novadev.nova.tables import (
    block_device_mapping,
    instance_actions,
    instance_system_metadata,
    instances,
    request_specs,
)
from novadev.value import ABSENT, Value

_STATEMENT_SIZE = 2**19
"""Characters of request specs in one statement; a server takes 4 MiB at least, encoded."""


@dataclass(frozen=True)
class LockedInstance:
    """What the row lock found of a living instance."""

    id: int
    uuid: str
    vm_state: str | None
    task_state: str | None
    root_device_name: str | None
    host: str | None


def lock_instances(
    connection: sa.Connection, uuids: Iterable[str], lock: bool = True
) -> dict[str, LockedInstance]:
    """Lock the rows of the living among UUIDS, in order of id, and return them by UUID.

    Without LOCK they are only read, as the lock would find them. A hidden row is the dead copy of a
    server that has moved to another cell.
    """
    columns = instances.c
    query = (
        sa.select(
            columns.id,
            columns.uuid,
            columns.vm_state,
            columns.task_state,
            columns.root_device_name,
            columns.host,
        )
        .where(columns.uuid.in_(tuple(uuids)), LIVING)
        .order_by(columns.id)
    )
    rows = connection.execute(query.with_for_update() if lock else query)
    return {row.uuid: LockedInstance(*row) for row in rows}


class SystemMetadataWrite(NamedTuple):
    """One value of system_metadata; ``row`` is the row's id, None where there is none yet.

    A row with an id and nothing before is put back where it was.
    """

    instance: str
    key: str
    row: int | None
    before: Value
    after: Value


def write_system_metadata(connection: sa.Connection, writes: Iterable[SystemMetadataWrite]) -> None:
    """Insert, update and delete as WRITES say; rows are deleted for good, as Nova does."""
    new: list[SystemMetadataWrite] = []
    changed: dict[tuple[Value, Value], list[int]] = defaultdict(list)
    for write in writes:
        if write.row is None:
            new.append(write)
        elif write.before is ABSENT:
            _put_back(connection, write)
        else:
            changed[write.before, write.after].append(write.row)
    if new:
        _insert_system_metadata(connection, new)
    for (before, after), rows in changed.items():
        _change_system_metadata(connection, rows, before, after)


def _put_back(connection: sa.Connection, write: SystemMetadataWrite) -> None:
    """Insert a row under the id that it had, so that it comes before the row that Nova reads."""
    names = ("instance_uuid", "key", "value", "created_at", "deleted")
    values = dict(zip(names, _row(write, _now()), strict=True))
    connection.execute(sa.insert(instance_system_metadata).values(id=write.row, **values))


def _insert_system_metadata(
    connection: sa.Connection, writes: Sequence[SystemMetadataWrite]
) -> None:
    """Insert rows: in one statement, where the driver would build it row by row from dictionaries.

    Their number is at most a batch's, whose text is far from what a server takes.
    """
    now = _now()
    if connection.dialect.name == "sqlite":
        names = ("instance_uuid", "key", "value", "created_at", "deleted")
        rows = [dict(zip(names, _row(write, now), strict=True)) for write in writes]
        connection.execute(sa.insert(instance_system_metadata), rows)
        return
    stamp = str(now)
    values = tuple(value for write in writes for value in _row(write, stamp))
    result = connection.exec_driver_sql(_insertion(len(writes)), values)
    _expect(result, len(writes), "system_metadata")


def _row(write: SystemMetadataWrite, now: datetime | str) -> tuple[object, ...]:
    return write.instance, write.key, write.after, now, 0


@lru_cache(100)
def _insertion(count: int) -> str:
    """Return the INSERT of COUNT rows of system_metadata for MySQL, its values as parameters."""
    rows = ", ".join(["(%s, %s, %s, %s, %s)"] * count)
    columns = "instance_uuid, `key`, value, created_at, deleted"
    return f"INSERT INTO instance_system_metadata ({columns}) VALUES {rows}"  # noqa: S608


def _change_system_metadata(
    connection: sa.Connection, rows: list[int], before: Value, after: Value
) -> None:
    table = instance_system_metadata
    there = (
        table.c.id.in_(rows),
        exactly(table.c.value, before),
        table.c.deleted == 0,
    )
    if after is ABSENT:
        result = connection.execute(sa.delete(table).where(*there))
    else:
        query = sa.update(table).where(*there).values(value=after, updated_at=_now())
        result = connection.execute(query)
    _expect(result, len(rows), "system_metadata")


@dataclass(frozen=True)
class DiskWrite:
    """New values of columns of one block_device_mapping row, with the ones believed there."""

    row: int
    before: tuple[tuple[str, Value], ...]
    after: tuple[tuple[str, Value], ...]


def write_disks(connection: sa.Connection, writes: Iterable[DiskWrite]) -> None:
    """Change the block device mappings that WRITES name."""
    table = block_device_mapping
    alike: dict[tuple[Any, Any], list[int]] = defaultdict(list)
    for write in writes:
        alike[write.before, write.after].append(write.row)
    for (before, after), rows in alike.items():
        there = [exactly(table.c[name], value) for name, value in before]
        query = sa.update(table).where(table.c.id.in_(rows), table.c.deleted == 0, *there)
        result = connection.execute(query.values(updated_at=_now(), **dict(after)))
        _expect(result, len(rows), "block_device_mapping")


def touch_instances(
    connection: sa.Connection,
    locked: Sequence[LockedInstance],
    vm_states: Collection[str],
    root_device_names: Mapping[str, Value],
) -> None:
    """Write updated_at, and the root device name where it changes, of instances still in state."""
    alike: dict[tuple[Value, Value], list[int]] = defaultdict(list)
    for instance in locked:
        before: Value = instance.root_device_name
        after = root_device_names.get(instance.uuid, before)
        alike[(before, after) if after != before else (None, None)].append(instance.id)
    for (before, after), rows in alike.items():
        columns = instances.c
        query = sa.update(instances).where(
            columns.id.in_(rows),
            LIVING,
            columns.vm_state.in_(tuple(vm_states)),
            columns.task_state.is_(None),
        )
        values: dict[str, Value | datetime] = {"updated_at": _now()}
        if before != after:
            query = query.where(exactly(columns.root_device_name, before))
            values["root_device_name"] = after
        _expect(connection.execute(query.values(values)), len(rows), "instances")


def record_actions(connection: sa.Connection, uuids: Iterable[str], action: str) -> None:
    """Write a started and finished instance action for each of UUIDS, with its own request id.

    As ``nova-manage volume_attachment refresh`` does: no user, no project
    (``nova/objects/instance_action.py``).
    """
    now = _now()
    rows = [
        {
            "action": action,
            "instance_uuid": instance,
            "request_id": f"req-{uuid.uuid4()}",
            "start_time": now,
            "finish_time": now,
            "created_at": now,
            "updated_at": now,
            "deleted": 0,
        }
        for instance in uuids
    ]
    if rows:
        connection.execute(sa.insert(instance_actions), rows)


def write_request_specs(connection: sa.Connection, specs: Sequence[tuple[int, str, str]]) -> None:
    """Replace texts of request specs: SPECS are (row id, text believed there, new text)."""
    coded = _AS_IS if connection.dialect.name == "sqlite" else _FOR_MYSQL
    for group in _by_size(specs):
        values: dict[str, Any] = {"now": _now()}
        for n, (row, old, new) in enumerate(group):
            values |= {f"row{n}": row, f"old{n}": coded.old(old), f"new{n}": coded.new(new)}
        result = connection.execute(_replacement(len(group), coded), values)
        _expect(result, len(group), "request_specs")


@dataclass(frozen=True)
class _Coding:
    """How the texts of request specs go into a statement, and what the server makes of them."""

    old: Callable[[str], str]
    new: Callable[[str], str]
    there: Callable[[sa.Column[Any]], sa.ColumnElement[Any]]
    written: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]]


def _unchanged(value: Any) -> Any:
    return value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _in_base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _as_utf8(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.convert(value.op("USING")(sa.literal_column("utf8mb4")))


_AS_IS = _Coding(_unchanged, _unchanged, _unchanged, _unchanged)
_FOR_MYSQL = _Coding(
    old=_digest,
    new=_in_base64,
    there=lambda column: sa.func.sha2(_as_utf8(column), sa.literal_column("256")),
    written=lambda value: _as_utf8(sa.func.from_base64(value)),
)
"""The driver takes ten times as long to quote a text full of quotation marks as to encode it; and
the digest of the text believed there says as much as the text, in 64 characters."""


@lru_cache(200)
def _replacement(count: int, coded: _Coding) -> sa.Update:
    """Return the UPDATE of COUNT rows, each to its ``new`` text where its ``old`` one is."""
    columns = request_specs.c
    rows = [sa.bindparam(f"row{n}", type_=sa.Integer) for n in range(count)]

    def text_of_row(name: str) -> sa.Case[Any]:
        texts = [sa.bindparam(f"{name}{n}", type_=sa.Text) for n in range(count)]
        return sa.case(*zip(rows, texts, strict=True), value=columns.id)

    there = (columns.id.in_(rows), coded.there(columns.spec) == text_of_row("old"))
    values = {"spec": coded.written(text_of_row("new")), "updated_at": sa.bindparam("now")}
    return sa.update(request_specs).where(*there).values(values)


def _by_size(specs: Iterable[tuple[int, str, str]]) -> Iterator[list[tuple[int, str, str]]]:
    """Yield SPECS in groups whose texts fit into one statement, the longest ones alone."""
    group: list[tuple[int, str, str]] = []
    size = 0
    for spec in specs:
        size += len(spec[2])
        if group and size > _STATEMENT_SIZE:
            yield group
            group, size = [], len(spec[2])
        group.append(spec)
    if group:
        yield group


def _expect(result: sa.CursorResult[Any], rows: int, table: str) -> None:
    if result.rowcount != rows:
        raise StalePlan(f"{table} changed while it was being written; plan again")


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
