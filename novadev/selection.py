"""Which instances: named ones, a file of names, or all that pass the filters.

What is selected comes as a stream of chunks (the instances of one cell, some hundreds at a
time); what cannot be selected comes in the same stream as a Skip.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from novadev.deployment import API_DATABASE, Deployment
from novadev.errors import BadInput, NotFound, NovadevError, Unreachable
from novadev.filters import check_excluded, check_known, named_by, nothing_chosen
from novadev.nova import cells, instances
from novadev.nova.cells import Cell, InstanceMapping
from novadev.nova.instances import Hosts, Instance, InstanceFilter
from novadev.residence import (
    Doubled,
    Residence,
    SharedDatabase,
    doubled,
    is_mapped_to,
    missing,
    one_a_database,
    shared_databases,
)
from novadev.runs.plan import NothingChosen, Skip

T = TypeVar("T")
CHUNK = 500
"""Instances read at a time."""
Grouping = Callable[[Any, InstanceFilter], list[Hosts | None]]
"""A way to go through the instances of a cell: which hosts' come together; None is all."""


@dataclass(frozen=True)
class Selection:
    """What the operator asked for; ``names`` are UUIDs, display names or domain names.

    Without WITH_METADATA the filters' instances come as if nothing was stored in their system
    metadata: most of what there is to read of many guests.
    """

    names: Iterable[str] | None = None
    everything: bool = False
    cell: str | None = None
    narrow: InstanceFilter = field(default_factory=InstanceFilter)
    limit: int | None = None
    with_metadata: bool = True

    def __post_init__(self) -> None:
        filtered = self.cell is not None or self.narrow.chooses
        if self.names is None and not self.everything and not filtered:
            raise BadInput(_nothing_asked(self.narrow))
        if self.names is not None and self.everything:
            raise BadInput("name instances or give --all, not both")

    @property
    def is_named(self) -> bool:
        """Whether instances were named, so that what happens to each gives the exit code."""
        return self.names is not None

    @property
    def is_whole(self) -> bool:
        """Whether it is every instance of the deployment."""
        is_narrow = self.cell is not None or self.limit is not None
        return self.everything and not is_narrow and self.narrow == InstanceFilter()


def _nothing_asked(narrow: InstanceFilter) -> str:
    if narrow.without:
        return "--without alone may select almost every server: add --all if that is meant"
    return "name instances, or select them with --all or a filter such as --host"


@dataclass(frozen=True)
class Chunk:
    """Some instances of one cell, and the mappings that the API database has of them."""

    cell: Cell
    instances: tuple[Instance, ...]
    mappings: Mapping[str, InstanceMapping]


def iter_selected(deployment: Deployment, selection: Selection) -> Iterator[Chunk | Skip]:
    """Yield the selected instances in chunks, each instance once, and skips for the others.

    Raises Unreachable when the API database does not answer, NotFound for a filter that names a
    cell, host, project or image property which the deployment does not have.
    """
    return _iter_grouped(Residence(deployment), selection, _everywhere)


def iter_by_host(
    deployment: Deployment, selection: Selection, residence: Residence | None = None
) -> Iterator[Chunk | Skip]:
    """Yield the same, but few hosts in each chunk of what the filters chose.

    So a host's process is started once, and not again for every chunk. An instance that moves to
    another host meanwhile may come twice, or not at all. RESIDENCE has the cells that gave no
    answer, in the end. Raises as `iter_selected`.
    """
    return _iter_grouped(residence or Residence(deployment), selection, _some_hosts)


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
    residence: Residence, selection: Selection, group: Grouping
) -> Iterator[Chunk | Skip]:
    deployment = residence.deployment
    wanted = (
        [deployment.find_cell(selection.cell)]
        if selection.cell is not None
        else list(deployment.cells)
    )
    excluded = list(check_excluded(deployment, selection.narrow))
    yield from excluded
    if not all(skip.is_remark for skip in excluded):
        return
    if len(selection.narrow.hosts) > 1:  # one may be wrong, and the others have servers
        list(check_known(deployment, named_by(InstanceFilter(hosts=selection.narrow.hosts))))
    if selection.names is None:
        yield from _shared(deployment, wanted)
        chunks = _iter_filtered(residence, selection, wanted, group)
    else:
        chunks = _iter_named(residence, selection, selection.names, wanted)
    chunks = chunks if selection.limit is None else _limited(chunks, selection.limit)
    yield from _or_why_none(deployment, selection, chunks)


def _shared(deployment: Deployment, wanted: Collection[Cell]) -> Iterator[Skip]:
    for cells_of_one in shared_databases(deployment.cells):
        if any(cell in wanted for cell in cells_of_one):
            yield SharedDatabase.of_cells(cells_of_one)


def _or_why_none(
    deployment: Deployment, selection: Selection, chunks: Iterator[Chunk | Skip]
) -> Iterator[Chunk | Skip]:
    """Yield CHUNKS; where no instance is in them, look whether the filters name what there is."""
    is_told = False
    for item in chunks:
        yield item
        if isinstance(item, Chunk):
            if item.instances:
                yield from chunks
                return
        elif item.instance is None or item.exit_code == Unreachable.exit_code:
            yield from chunks
            return
        else:
            is_told = True
    for skip in check_known(deployment, named_by(selection.narrow)):
        yield skip
        is_told = True
    if not is_told:
        why = nothing_chosen(selection.narrow, selection.cell, selection.is_named)
        yield NothingChosen.remark(why)


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
        yield replace(item, instances=item.instances[:left])
        left -= len(item.instances)


def _iter_filtered(
    residence: Residence, selection: Selection, wanted: Iterable[Cell], group: Grouping
) -> Iterator[Chunk | Skip]:
    doubles: set[str | None] = set()
    for cell in wanted:
        try:
            if cell.uuid in residence.silent:
                raise residence.silent[cell.uuid]
            with residence.deployment.cell_database(cell).reading() as connection:
                groups = group(connection, selection.narrow)
            for hosts in groups:
                for item in _iter_cell(residence, cell, selection, hosts):
                    if isinstance(item, Doubled):
                        if item.instance in doubles:
                            continue  # it was told where its first row came up
                        doubles.add(item.instance)
                    yield item
        except NovadevError as error:
            residence.silent[cell.uuid] = error
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
    residence: Residence, cell: Cell, selection: Selection, hosts: Hosts | None
) -> Iterator[Chunk | Skip]:
    last = 0
    database = residence.deployment.cell_database(cell)
    while True:
        with database.reading() as connection:
            page = instances.list_page(
                *(connection, cell.uuid, selection.narrow, hosts, last, CHUNK),
                with_metadata=selection.with_metadata,
            )
        if page:
            mappings = _mappings(residence, [instance.uuid for instance in page])
            yield from _chunk(residence, selection, cell, page, mappings)
        if len(page) < CHUNK:
            return
        last = page[-1].id


def _mappings(residence: Residence, uuids: list[str]) -> dict[str, InstanceMapping]:
    with residence.deployment.api.reading() as connection:
        return cells.list_mappings(connection, uuids)


def _chunk(
    residence: Residence,
    selection: Selection,
    cell: Cell,
    members: list[Instance],
    mappings: Mapping[str, InstanceMapping],
) -> Iterator[Chunk | Skip]:
    """Yield those of MEMBERS, which live in CELL, that live nowhere else; skips for the others."""
    deployment = residence.deployment
    deployment.remember_names({member.uuid: member.name for member in members})
    deployment.remember_hosts({member.uuid: member.host for member in members if member.host})
    members = residence.belonging(cell, members, mappings)
    strays = {
        instance.uuid for instance in members if not is_mapped_to(mappings.get(instance.uuid), cell)
    }
    chosen: list[Instance] = []
    for item in residence.sorted_out(cell, members, strays, selection.is_named):
        if isinstance(item, Skip):
            yield item
        else:
            chosen.append(item)
    yield Chunk(cell, tuple(chosen), mappings)


def _iter_named(
    residence: Residence, selection: Selection, names: Iterable[str], wanted: list[Cell]
) -> Iterator[Chunk | Skip]:
    seen: set[str] = set()
    names = iter(names)
    while batch := list(islice(names, CHUNK)):
        uuids: list[str] = []
        for name in batch:
            found = _resolve(residence.deployment, name)
            if isinstance(found, Skip):
                yield found
            elif found not in seen:
                seen.add(found)
                uuids.append(found)
        yield from _iter_uuids(residence, selection, uuids, wanted)


def _resolve(deployment: Deployment, name: str) -> str | Skip:
    """Return the UUID that NAME is or belongs to; a Skip where it is none or several."""
    if uuid := instances.uuid_of(name):
        return uuid
    try:
        return _find_by_name(deployment, name)
    except NovadevError as error:
        return Skip.of(name, error, named=True)


def _find_by_name(deployment: Deployment, name: str) -> str | Skip:
    template = deployment.config.instance_name_template
    found: dict[str, list[Cell]] = {}
    labels: list[str] = []
    for cell in one_a_database(deployment.cells):
        with deployment.cell_database(cell).reading() as connection:
            matches = instances.find_by_name(connection, name, template)
        for uuid, shown in matches:
            found.setdefault(uuid, []).append(cell)
            labels.append(f"{uuid} ({shown}, {cell.label})")
    if not found:
        text = f"instance {name!r} not found: no instance has that UUID or name"
        if "*" in name or "?" in name:
            text += f". A pattern goes with --name, where servers can be filtered: --name {name!r}"
        raise NotFound(text)
    if len(found) > 1:
        candidates = "; ".join(labels[:10])
        raise BadInput(f"instance name {name!r} matches {len(found)} instances: {candidates}")
    uuid, homes = found.popitem()
    return uuid if len(homes) == 1 else doubled(uuid, homes, named=True)


def _iter_uuids(
    residence: Residence, selection: Selection, uuids: list[str], wanted: list[Cell]
) -> Iterator[Chunk | Skip]:
    """Yield UUIDS from the cells that their mappings name, then those that live elsewhere."""
    mappings = _mappings(residence, uuids)
    known = {cell.id: cell for cell in residence.deployment.cells}
    by_cell: dict[int, list[str]] = {}
    lost: list[str] = []
    for uuid in uuids:
        cell_id = mappings[uuid].cell_id if uuid in mappings else None
        if cell_id is None or cell_id not in known:
            lost.append(uuid)
        else:
            by_cell.setdefault(cell_id, []).append(uuid)
    for cell_id, members in by_cell.items():
        yield from _iter_members(
            residence, selection, known[cell_id], members, mappings, wanted, lost
        )
    yield from _iter_lost(residence, selection, lost, mappings, wanted)


def _iter_members(
    residence: Residence,
    selection: Selection,
    cell: Cell,
    uuids: list[str],
    mappings: Mapping[str, InstanceMapping],
    wanted: list[Cell],
    lost: list[str],
) -> Iterator[Chunk | Skip]:
    """Yield those of UUIDS that live in CELL and pass the filters; add to LOST who does not."""
    try:
        with residence.deployment.cell_database(cell).reading() as connection:
            living = instances.list_instances(connection, cell.uuid, uuids, InstanceFilter())
            chosen = living
            if not selection.narrow.is_empty:
                chosen = instances.list_instances(connection, cell.uuid, uuids, selection.narrow)
    except NovadevError as error:
        yield from (Skip.of(uuid, error, named=True) for uuid in uuids)
        return
    found = {instance.uuid for instance in living}
    lost += [uuid for uuid in uuids if uuid not in found]
    if cell not in wanted:
        yield from (_filtered_out(uuid, f"it is in {cell.label}") for uuid in found)
        return
    order = {uuid: place for place, uuid in enumerate(uuids)}
    chosen = sorted(chosen, key=lambda instance: order[instance.uuid])
    yield from _chunk(residence, selection, cell, chosen, mappings)
    passed = {instance.uuid for instance in chosen}
    for uuid in uuids:
        if uuid in found and uuid not in passed:
            yield _filtered_out(uuid, "it does not match them")


def _iter_lost(
    residence: Residence,
    selection: Selection,
    lost: list[str],
    mappings: Mapping[str, InstanceMapping],
    wanted: list[Cell],
) -> Iterator[Chunk | Skip]:
    """Yield those of LOST, who do not live where their mappings say, from where they do."""
    every = residence.deployment.cells
    homes = residence.homes(lost, every)
    by_cell: dict[str, list[str]] = {}
    gone: list[str] = []
    for uuid in lost:
        found = homes.get(uuid, [])
        if len(found) > 1:
            yield doubled(uuid, found, named=True)
        elif residence.silent:
            known = (
                f"it lives in {found[0].label}"
                if found
                else "no cell that answers has the instance"
            )
            yield residence.uncertain(uuid, known, named=True)
        elif found:
            by_cell.setdefault(found[0].uuid, []).append(uuid)
        else:
            gone.append(uuid)
    for cell in every:
        members = by_cell.get(cell.uuid, [])
        if members:
            yield from _iter_members(residence, selection, cell, members, mappings, wanted, gone)
    yield from (missing(uuid, mappings.get(uuid)) for uuid in gone)


def _filtered_out(uuid: str, reason: str) -> Skip:
    return Skip(uuid, f"instance {uuid} is excluded by the filters: {reason}", 0, named=True)
