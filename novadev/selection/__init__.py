"""Which instances: named ones, a file of names, or all that pass the filters.

What is selected comes as a stream of chunks (the instances of one cell, some hundreds at a
time); what cannot be selected comes in the same stream as a Skip.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from novadev.deployment import API_DATABASE, Deployment
from novadev.errors import NotFound, NovadevError, Unreachable
from novadev.filters import check_excluded, check_known, named_by, nothing_chosen
from novadev.nova.cells import Cell
from novadev.nova.instances import Instance, InstanceFilter
from novadev.residence import Residence, SharedDatabase, shared_databases
from novadev.runs.plan import NothingChosen, Skip
from novadev.selection.asked import Chunk, Selection
from novadev.selection.filtered import Grouping, everywhere, iter_filtered, some_hosts
from novadev.selection.named import iter_named

__all__ = ["Chunk", "Selection", "get_instance", "iter_by_host", "iter_selected", "of_chunks"]
T = TypeVar("T")


def iter_selected(deployment: Deployment, selection: Selection) -> Iterator[Chunk | Skip]:
    """Yield the selected instances in chunks, each instance once, and skips for the others.

    Raises Unreachable when the API database does not answer, NotFound for a filter that names a
    cell, host, project or image property which the deployment does not have.
    """
    return _iter_grouped(Residence(deployment), selection, everywhere)


def iter_by_host(
    deployment: Deployment, selection: Selection, residence: Residence | None = None
) -> Iterator[Chunk | Skip]:
    """Yield the same, but few hosts in each chunk of what the filters chose.

    So a host's process is started once, and not again for every chunk. An instance that moves to
    another host meanwhile may come twice, or not at all. RESIDENCE has the cells that gave no
    answer, in the end. Raises as `iter_selected`.
    """
    return _iter_grouped(residence or Residence(deployment), selection, some_hosts)


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
        chunks = iter_filtered(residence, selection, wanted, group)
    else:
        chunks = iter_named(residence, selection, selection.names, wanted)
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
