"""Which instances: named ones, a file of names, or all that pass the filters.

What is selected comes as a stream of chunks (the instances of one cell, some hundreds at a
time); what cannot be selected comes in the same stream as a Skip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from novadev.deployment import API_DATABASE, Deployment
from novadev.errors import BadInput, NotAsNeeded, NotFound, NovadevError
from novadev.nova import cells, instances
from novadev.nova.cells import Cell
from novadev.nova.instances import Hosts, Instance, InstanceFilter
from novadev.runs.plan import Skip

T = TypeVar("T")
CHUNK = 500
"""Instances read at a time."""
Grouping = Callable[[Any, InstanceFilter], list[Hosts | None]]
"""A way to go through the instances of a cell: which hosts' come together; None is all."""
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Selection:
    """What the operator asked for; ``names`` are UUIDs, display names or domain names."""

    names: Iterable[str] | None = None
    everything: bool = False
    cell: str | None = None
    narrow: InstanceFilter = field(default_factory=InstanceFilter)
    limit: int | None = None

    def __post_init__(self) -> None:
        filtered = self.cell is not None or self.narrow.chooses
        if self.names is None and not self.everything and not filtered:
            raise BadInput("name instances, or say which: --all, or a filter such as --host")
        if self.names is not None and self.everything:
            raise BadInput("name instances or say --all, not both")

    @property
    def is_named(self) -> bool:
        """Whether instances were named, so that what happens to each gives the exit code."""
        return self.names is not None


@dataclass(frozen=True)
class Chunk:
    """Some instances of one cell."""

    cell: Cell
    instances: tuple[Instance, ...]


def iter_selected(deployment: Deployment, selection: Selection) -> Iterator[Chunk | Skip]:
    """Yield the selected instances in chunks, each instance once, and skips for the others.

    Raises Unreachable when the API database does not answer, NotFound for an unknown --cell.
    """
    return _iter_grouped(deployment, selection, _everywhere)


def iter_by_host(deployment: Deployment, selection: Selection) -> Iterator[Chunk | Skip]:
    """Yield the same, but few hosts in each chunk of what the filters chose.

    So a host's process is started once, and not again for every chunk. An instance that moves to
    another host meanwhile may come twice, or not at all. Raises as `iter_selected`.
    """
    return _iter_grouped(deployment, selection, _some_hosts)


def of_chunks(
    items: Iterable[Chunk | Skip], work: Callable[[Chunk], Iterable[T]], named: bool
) -> Iterator[T | Skip]:
    """Yield what WORK makes of each chunk, and skips for a chunk whose databases cannot be read.

    The other chunks go on. NAMED: each instance of the chunk gets a skip, not the chunk alone.
    Any other error of WORK is raised.
    """
    for item in items:
        if isinstance(item, Skip):
            yield item
            continue
        try:
            yield from work(item)
        except NovadevError as error:
            if error.database not in (item.cell.label, API_DATABASE):
                raise
            lost = [instance.uuid for instance in item.instances] if named else [None]
            yield from (Skip.of(uuid, error, named) for uuid in lost)


def _iter_grouped(
    deployment: Deployment, selection: Selection, group: Grouping
) -> Iterator[Chunk | Skip]:
    wanted = (
        [deployment.find_cell(selection.cell)]
        if selection.cell is not None
        else list(deployment.cells)
    )
    if selection.names is None:
        chunks = _iter_filtered(deployment, selection, wanted, group)
    else:
        chunks = _iter_named(deployment, selection, selection.names, wanted)
    yield from chunks if selection.limit is None else _limited(chunks, selection.limit)


def get_instance(deployment: Deployment, name: str) -> Instance:
    """Return the one instance NAME (a UUID or name); raises what its Skip stands for."""
    for item in iter_selected(deployment, Selection(names=[name])):
        if isinstance(item, Skip):
            raise item.error
        for instance in item.instances:
            return instance
    raise NotFound(f"instance {name!r} not found")


def _limited(chunks: Iterator[Chunk | Skip], limit: int) -> Iterator[Chunk | Skip]:
    left = limit
    for item in chunks:
        if left <= 0:
            return
        if isinstance(item, Skip):
            yield item
            continue
        yield Chunk(item.cell, item.instances[:left])
        left -= len(item.instances)


def _iter_filtered(
    deployment: Deployment, selection: Selection, wanted: Iterable[Cell], group: Grouping
) -> Iterator[Chunk | Skip]:
    for cell in wanted:
        try:
            with deployment.cell_database(cell).reading() as connection:
                groups = group(connection, selection.narrow)
            for hosts in groups:
                yield from _iter_cell(deployment, cell, selection.narrow, hosts)
        except NovadevError as error:
            yield Skip.of(None, error, named=False)


def _everywhere(_connection: Any, _narrow: InstanceFilter) -> list[Hosts | None]:
    return [None]


def _some_hosts(connection: Any, narrow: InstanceFilter) -> list[Hosts | None]:
    """Return the hosts in groups that have as many instances as a chunk, or one host alone."""
    groups: list[Hosts | None] = []
    group: list[str | None] = []
    total = 0
    for host, number in instances.count_by_host(connection, narrow):
        if group and total + number > CHUNK:
            groups.append(tuple(group))
            group, total = [], 0
        group.append(host)
        total += number
    return [*groups, tuple(group)] if group else groups


def _iter_cell(
    deployment: Deployment, cell: Cell, narrow: InstanceFilter, hosts: Hosts | None
) -> Iterator[Chunk]:
    last = 0
    while True:
        with deployment.cell_database(cell).reading() as connection:
            page = instances.list_page(connection, cell.uuid, narrow, hosts, last, CHUNK)
        if page:
            yield Chunk(cell, tuple(_mapped_here(deployment, cell, page)))
        if len(page) < CHUNK:
            return
        last = page[-1].id


def _mapped_here(deployment: Deployment, cell: Cell, page: list[Instance]) -> Iterator[Instance]:
    """Yield those that the API database has in this cell: a copy in another cell is not the one."""
    with deployment.api.reading() as connection:
        mappings = cells.list_mappings(connection, [instance.uuid for instance in page])
    for instance in page:
        mapping = mappings.get(instance.uuid)
        if mapping is not None and mapping.cell_id == cell.id:
            yield instance


def _iter_named(
    deployment: Deployment, selection: Selection, names: Iterable[str], wanted: list[Cell]
) -> Iterator[Chunk | Skip]:
    seen: set[str] = set()
    names = iter(names)
    while batch := list(islice(names, CHUNK)):
        uuids: list[str] = []
        for name in batch:
            found = _resolve(deployment, name)
            if isinstance(found, Skip):
                yield found
            elif found not in seen:
                seen.add(found)
                uuids.append(found)
        yield from _iter_uuids(deployment, selection, uuids, wanted)


def _resolve(deployment: Deployment, name: str) -> str | Skip:
    """Return the UUID that NAME is or belongs to; a Skip where it is none or several."""
    if _UUID.fullmatch(name):
        digits = name.replace("-", "").lower()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    try:
        return _find_by_name(deployment, name)
    except NovadevError as error:
        return Skip.of(name, error, named=True)


def _find_by_name(deployment: Deployment, name: str) -> str:
    template = deployment.config.instance_name_template
    found: list[tuple[str, str]] = []
    for cell in deployment.cells:
        with deployment.cell_database(cell).reading() as connection:
            matches = instances.find_by_name(connection, name, template)
        found += [(uuid, f"{uuid} ({shown}, {cell.label})") for uuid, shown in matches]
    if not found:
        raise NotFound(f"instance {name!r} not found: no instance has that UUID or name")
    if len(found) > 1:
        candidates = "; ".join(label for _, label in found[:10])
        raise BadInput(f"instance name {name!r} fits {len(found)} instances: {candidates}")
    return found[0][0]


def _iter_uuids(
    deployment: Deployment, selection: Selection, uuids: list[str], wanted: list[Cell]
) -> Iterator[Chunk | Skip]:
    with deployment.api.reading() as connection:
        mappings = cells.list_mappings(connection, uuids)
    by_cell: dict[int, list[str]] = {}
    for uuid in uuids:
        if uuid not in mappings:
            yield _unmapped(uuid)
        elif (cell_id := mappings[uuid].cell_id) is None:
            yield _unscheduled(uuid)
        else:
            by_cell.setdefault(cell_id, []).append(uuid)
    for cell_id, members in by_cell.items():
        yield from _iter_members(deployment, selection, cell_id, members, wanted)


def _unmapped(uuid: str) -> Skip:
    text = f"instance {uuid} not found: it has no mapping to a cell, or is deleted"
    return Skip.of(uuid, NotFound(text), named=True)


def _unscheduled(uuid: str) -> Skip:
    text = f"instance {uuid} is not yet scheduled to a cell: nothing of it is stored yet"
    return Skip.of(uuid, NotAsNeeded(text), named=True)


def _iter_members(
    deployment: Deployment,
    selection: Selection,
    cell_id: int,
    uuids: list[str],
    wanted: list[Cell],
) -> Iterator[Chunk | Skip]:
    cell = next((cell for cell in deployment.cells if cell.id == cell_id), None)
    if cell is None:
        missing = NotFound(f"the mapping names cell id {cell_id}, which does not exist")
        yield from (Skip.of(uuid, missing, named=True) for uuid in uuids)
    elif cell not in wanted:
        yield from (_filtered_out(uuid, f"it is in {cell.label}") for uuid in uuids)
    else:
        try:
            yield from _read_members(deployment, selection, cell, uuids)
        except NovadevError as error:
            yield from (Skip.of(uuid, error, named=True) for uuid in uuids)


def _read_members(
    deployment: Deployment, selection: Selection, cell: Cell, uuids: list[str]
) -> Iterator[Chunk | Skip]:
    with deployment.cell_database(cell).reading() as connection:
        living = instances.list_instances(connection, cell.uuid, uuids, InstanceFilter())
        chosen = living
        if not selection.narrow.is_empty:
            chosen = instances.list_instances(connection, cell.uuid, uuids, selection.narrow)
    order = {uuid: place for place, uuid in enumerate(uuids)}
    yield Chunk(cell, tuple(sorted(chosen, key=lambda instance: order[instance.uuid])))
    found = {instance.uuid for instance in living}
    passed = {instance.uuid for instance in chosen}
    for uuid in uuids:
        if uuid not in found:
            yield Skip.of(uuid, NotFound(f"instance {uuid} is deleted"), named=True)
        elif uuid not in passed:
            yield _filtered_out(uuid, "it does not pass them")


def _filtered_out(uuid: str, reason: str) -> Skip:
    return Skip(uuid, f"instance {uuid} is left out by the filters: {reason}", 0, named=True)
