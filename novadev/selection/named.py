"""The instances that were named, from the cells where they live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from novadev.deployment import Deployment
from novadev.errors import BadInput, NotFound, NovadevError
from novadev.nova import instances
from novadev.nova.cells import Cell, InstanceMapping
from novadev.nova.instances import InstanceFilter
from novadev.residence import Residence, doubled, missing, one_a_database
from novadev.runs.plan import Skip
from novadev.selection.asked import CHUNK, Chunk, Selection
from novadev.selection.filtered import chunk_of, mappings_of


def iter_named(
    residence: Residence, selection: Selection, names: Iterable[str], wanted: list[Cell]
) -> Iterator[Chunk | Skip]:
    """Yield the instances of NAMES that live in the WANTED cells, each once; skips for others."""
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
    mappings = mappings_of(residence, uuids)
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
    yield from chunk_of(residence, selection, cell, chosen, mappings)
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
