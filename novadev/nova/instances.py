"""Instances: one row of a cell's ``instances`` table with its system metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from novadev.nova import image_properties
from novadev.nova.exact import exactly, matches
from novadev.nova.image_properties import StoredProperty
from novadev.nova.statuses import has_status
from novadev.nova.tables import instance_system_metadata, instances

_MAX_ID = 2**31
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Instance:
    """An instance as its cell has it.

    ``image_properties`` are the stored ``image_*`` rows without the prefix; None is a stored null,
    a name that is missing is not stored. ``shelved_image_id`` is the snapshot a shelve made,
    ``shelved_host`` the host it was on before it was offloaded. ``has_launched`` says that Nova has
    made a guest of it at some time. ``hidden_rows`` are, by the name of a property, its rows that
    Nova never reads, because a later one has the same key. ``updated_at`` is when its row was last
    written, in UTC and naive, as the database has it.
    """

    id: int
    uuid: str
    name: str
    host: str | None
    vm_state: str | None
    task_state: str | None
    project_id: str | None
    user_id: str | None
    image_ref: str | None
    root_device_name: str | None
    config_drive: bool
    ephemeral_gb: int
    cell: str
    image_properties: Mapping[str, str | None]
    shelved_image_id: str | None
    shelved_host: str | None = None
    has_launched: bool = True
    vm_mode: str | None = None
    hidden_rows: Mapping[str, tuple[StoredProperty, ...]] = field(default_factory=dict)
    updated_at: datetime | None = None

    @property
    def is_image_backed(self) -> bool:
        """Whether its root disk came from an image; a boot-from-volume server has no image_ref."""
        return bool(self.image_ref)

    @property
    def was_never_built(self) -> bool:
        """Whether Nova has made no guest of it: it is building, or that has failed.

        After a failure Nova can only delete it (``check_instance_state`` in nova/compute/api.py,
        must_have_launched).
        """
        return not self.has_launched and self.vm_state in ("building", "error")


@dataclass(frozen=True)
class InstanceFilter:
    """What narrows a selection inside a cell, compared byte by byte; empty fields do not filter.

    ``hosts`` and ``names`` may have * and ?; an instance passes that is as one of them says.
    ``status`` is the API's word for vm_state and task_state (:mod:`novadev.nova.statuses`).
    """

    hosts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    project: str | None = None
    status: str | None = None
    vm_state: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it lets every instance pass."""
        return self == InstanceFilter()

    @property
    def chooses(self) -> bool:
        """Whether it is a choice by itself; what lacks a property may be nearly everything."""
        return replace(self, without=()) != InstanceFilter()


_COLUMNS = (
    instances.c.id,
    instances.c.uuid,
    instances.c.display_name,
    instances.c.host,
    instances.c.vm_state,
    instances.c.task_state,
    instances.c.project_id,
    instances.c.user_id,
    instances.c.image_ref,
    instances.c.root_device_name,
    instances.c.config_drive,
    instances.c.ephemeral_gb,
    instances.c.vm_mode,
    instances.c.launched_at.is_not(None).label("has_launched"),
    instances.c.updated_at,
)
LIVING = sa.and_(
    instances.c.deleted == 0,
    sa.or_(instances.c.hidden.is_(None), instances.c.hidden == sa.false()),
)
"""Neither deleted nor the hidden copy of a cross-cell resize."""


def list_states(
    connection: sa.Connection, uuids: Iterable[str]
) -> dict[str, tuple[str | None, str | None]]:
    """Return the vm_state and the task_state of the living among UUIDS."""
    columns = instances.c
    query = sa.select(columns.uuid, columns.vm_state, columns.task_state)
    found = connection.execute(query.where(columns.uuid.in_(tuple(uuids)), LIVING))
    return {row.uuid: (row.vm_state, row.task_state) for row in found}


def uuid_of(text: str) -> str | None:
    """Return TEXT as a UUID in the form that Nova stores, or None if it is not a UUID.

    Its dashes may be missing, and its letters may be large.
    """
    if not _UUID.fullmatch(text):
        return None
    digits = text.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def list_instances(
    connection: sa.Connection, cell: str, uuids: Iterable[str], narrow: InstanceFilter
) -> list[Instance]:
    """Return those of UUIDS that live in this cell and pass NARROW, by id.

    Deleted instances and the hidden copy of a cross-cell resize are not among them.
    """
    query = _narrowed(narrow).where(instances.c.uuid.in_(tuple(uuids)))
    return _load(connection, cell, query.order_by(instances.c.id))


Hosts = tuple[str | None, ...]
"""Names of compute hosts; None stands for the instances on no host."""


def list_page(
    connection: sa.Connection,
    cell: str,
    narrow: InstanceFilter,
    hosts: Hosts | None,
    after_id: int,
    size: int,
    with_metadata: bool = True,
) -> list[Instance]:
    """Return the next SIZE instances that pass NARROW with an id above AFTER_ID, by id.

    Only those on HOSTS, unless that is None; without system metadata, unless WITH_METADATA.
    """
    query = _narrowed(narrow).where(instances.c.id > after_id)
    if hosts is not None:
        named = tuple(host for host in hosts if host is not None)
        here = [instances.c.host.in_(named)] if named else []
        query = query.where(sa.or_(*here, *[instances.c.host.is_(None)] * (None in hosts)))
    query = query.order_by(instances.c.id).limit(size)
    return _load(connection, cell, query, with_metadata)


def count_by_host(
    connection: sa.Connection, narrow: InstanceFilter
) -> list[tuple[str | None, int]]:
    """Return every host that has instances which pass NARROW, and their number, by its name."""
    found = _narrowed(narrow).with_only_columns(instances.c.host, sa.func.count())
    query = found.group_by(instances.c.host).order_by(instances.c.host)
    return [(host, number) for host, number in connection.execute(query)]


def find_by_name(connection: sa.Connection, name: str, template: str) -> list[tuple[str, str]]:
    """Return (UUID, display name) of the instances whose display or libvirt domain name is NAME.

    TEMPLATE is Nova's ``instance_name_template``, by which it names domains.
    """
    named: sa.ColumnElement[bool] = exactly(instances.c.display_name, name)
    domain_id = _id_in(name, template)
    if domain_id is not None:
        named = sa.or_(named, instances.c.id == domain_id)
    query = sa.select(instances.c.uuid, instances.c.display_name).where(LIVING, named)
    return [(row.uuid, row.display_name) for row in connection.execute(query)]


def _id_in(name: str, template: str) -> int | None:
    """Return the id that TEMPLATE would make NAME of, if there is one."""
    candidates = (int(match, base) for base, match in _numbers_in(name))
    for number in candidates:
        try:
            made = template % number
        except (TypeError, ValueError):
            return None
        if made == name and number < _MAX_ID:
            return number
    return None


def _numbers_in(name: str) -> list[tuple[int, str]]:
    hexadecimal = [(16, text) for text in re.findall(r"[0-9a-fA-F]{1,16}", name)]
    return hexadecimal + [(10, text) for text in re.findall(r"[0-9]{1,16}", name)]


def _narrowed(narrow: InstanceFilter) -> sa.Select[Any]:
    query = sa.select(*_COLUMNS).where(LIVING)
    if narrow.hosts:
        query = query.where(sa.or_(*(matches(instances.c.host, host) for host in narrow.hosts)))
    if narrow.names:
        named = (matches(instances.c.display_name, name) for name in narrow.names)
        query = query.where(sa.or_(*named))
    if narrow.status is not None:
        query = query.where(has_status(narrow.status))
    if narrow.project is not None:
        query = query.where(exactly(instances.c.project_id, narrow.project))
    if narrow.vm_state is not None:
        query = query.where(exactly(instances.c.vm_state, narrow.vm_state))
    for name, value in narrow.where:
        query = query.where(_stores(name, exactly(instance_system_metadata.c.value, value)))
    for name in narrow.without:
        query = query.where(sa.not_(_stores(name)))
    return query


def _stores(name: str, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    table = instance_system_metadata
    return sa.exists().where(
        table.c.instance_uuid == instances.c.uuid,
        table.c.deleted == 0,
        exactly(table.c.key, image_properties.PREFIX + name),
        *conditions,
    )


def _load(
    connection: sa.Connection, cell: str, query: sa.Select[Any], with_metadata: bool = True
) -> list[Instance]:
    rows = connection.execute(query).all()
    uuids = [row.uuid for row in rows] if with_metadata else []
    stored = image_properties.list_stored(connection, uuids) if uuids else {}
    return [_from_row(row, cell, stored.get(row.uuid, ())) for row in rows]


def _from_row(row: Any, cell: str, stored: Sequence[StoredProperty]) -> Instance:
    metadata = {item.key: item.value for item in stored}
    return Instance(
        id=row.id,
        uuid=row.uuid,
        name=row.display_name or "",
        host=row.host,
        vm_state=row.vm_state,
        task_state=row.task_state,
        project_id=row.project_id,
        user_id=row.user_id,
        image_ref=row.image_ref,
        root_device_name=row.root_device_name,
        config_drive=bool(row.config_drive),
        ephemeral_gb=row.ephemeral_gb or 0,
        cell=cell,
        image_properties=_image_properties(metadata),
        shelved_image_id=metadata.get("shelved_image_id"),
        shelved_host=metadata.get("shelved_host"),
        has_launched=bool(row.has_launched),
        vm_mode=row.vm_mode,
        hidden_rows=_hidden(stored) if len(metadata) < len(stored) else {},
        updated_at=row.updated_at,
    )


def _hidden(
    stored: Sequence[StoredProperty],
) -> dict[str, tuple[StoredProperty, ...]]:
    """Return the rows of image properties behind which a later one has the same key.

    Nova reads the last one: it fills a dictionary from the rows as the database gives them, which
    is by their ids (``nova/utils.py`` metadata_to_dict, ``nova/db/main/api.py``
    _instances_fill_metadata).
    """
    last = {item.key: item.id for item in stored}
    hidden = [item for item in stored if item.id != last[item.key]]
    return {
        key.removeprefix(image_properties.PREFIX): tuple(item for item in hidden if item.key == key)
        for key in dict.fromkeys(item.key for item in hidden)
        if key.startswith(image_properties.PREFIX)
    }


def _image_properties(metadata: Mapping[str, str | None]) -> dict[str, str | None]:
    prefix = image_properties.PREFIX
    return {key[len(prefix) :]: value for key, value in metadata.items() if key.startswith(prefix)}


def list_hosts_of(connection: sa.Connection, uuids: Iterable[str]) -> dict[str, str | None]:
    """Return on which host each of UUIDS is that lives in this cell; None is on no host."""
    columns = (instances.c.uuid, instances.c.host)
    query = sa.select(*columns).where(LIVING, instances.c.uuid.in_(tuple(uuids)))
    return {row.uuid: row.host for row in connection.execute(query)}
