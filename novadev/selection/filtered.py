"""The instances of whole cells that pass the filters, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from novadev.errors import NovadevError
from novadev.nova import cells, instances
from novadev.nova.cells import Cell, InstanceMapping
from novadev.nova.instances import Hosts, Instance, InstanceFilter
from novadev.residence import Doubled, Residence, is_mapped_to
from novadev.runs.plan import Skip
from novadev.selection.asked import CHUNK, Chunk, Selection

Grouping = Callable[[Any, InstanceFilter], list[Hosts | None]]
"""A way to go through the instances of a cell: which hosts' come together; None is all."""


def iter_filtered(
    residence: Residence, selection: Selection, wanted: Iterable[Cell], group: Grouping
) -> Iterator[Chunk | Skip]:
    """Yield the instances of the WANTED cells that pass the filters, by GROUP; skips for others.

    A cell that gives no answer is noted in RESIDENCE and becomes a skip.
    """
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


def everywhere(_connection: Any, _narrow: InstanceFilter) -> list[Hosts | None]:
    """Return that the instances of all hosts come together."""
    return [None]


def some_hosts(connection: Any, narrow: InstanceFilter) -> list[Hosts | None]:
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
            mappings = mappings_of(residence, [instance.uuid for instance in page])
            yield from chunk_of(residence, selection, cell, page, mappings)
        if len(page) < CHUNK:
            return
        last = page[-1].id


def mappings_of(residence: Residence, uuids: list[str]) -> dict[str, InstanceMapping]:
    """Return the mappings that the API database has of UUIDS; those without one are left out."""
    with residence.deployment.api.reading() as connection:
        return cells.list_mappings(connection, uuids)


def chunk_of(
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
