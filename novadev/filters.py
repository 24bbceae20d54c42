"""Checks that the deployment has what the filters of a selection name.

Asked where nothing was chosen: then a name may be wrong, or the selection is just empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING

from novadev.errors import NotFound, NovadevError
from novadev.nova import known_names
from novadev.nova.image_fields import FIELDS
from novadev.nova.instances import InstanceFilter
from novadev.runs.plan import Skip

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from novadev.deployment import Deployment

_FEW = 8
"""So many names are listed, all of them, where none is near."""
_NEAR_ENOUGH = 0.7
"""How alike two names are; most pairs of UUIDs are less so."""


@dataclass(frozen=True)
class Kind:
    """A kind of things that filters name: how a cell is asked for one, and for all.

    ``unknown`` is the sentence that says that there is no such thing, with ``{}`` for its name.
    """

    unknown: str
    has: Callable[[Connection, str], bool]
    names: Callable[[Connection], set[str]]


HOST = Kind(
    "host {} not found: the deployment has no compute service and no server there",
    known_names.has_host,
    known_names.list_hosts,
)
PROJECT = Kind(
    "project {} not found: no server belongs to it",
    known_names.has_project,
    known_names.list_projects,
)
PROPERTY = Kind(
    "image property {} not found: no server stores it, and Nova does not know it",
    known_names.has_property,
    known_names.list_properties,
)
Named = tuple[Kind, str]
"""A kind, and the name of one."""


def named_by(narrow: InstanceFilter) -> list[Named]:
    """Return what the filters name, but for the properties that Nova itself knows."""
    found = [(HOST, host) for host in narrow.hosts]
    found += [(PROJECT, narrow.project)] if narrow.project is not None else []
    return found + _unfamiliar(name for name, _ in narrow.where)


def _unfamiliar(names: Iterable[str]) -> list[Named]:
    return [(PROPERTY, name) for name in dict.fromkeys(names) if name not in FIELDS]


def check_known(deployment: Deployment, named: Sequence[Named]) -> Iterator[Skip]:
    """Raise NotFound, with near names, where no cell has what is NAMED.

    Yield skips for the cells that give no answer: they may have it, so nothing is raised.
    """
    missing, silent = _look_for(deployment, named)
    if missing and not silent:
        raise NotFound("; ".join(_unknown(deployment, kind, name) for kind, name in missing))
    if missing:
        yield from silent


def check_excluded(deployment: Deployment, narrow: InstanceFilter) -> Iterator[Skip]:
    """Raise NotFound where servers must not store what nobody stores, and a near name is known.

    A wrong name chooses more here, and not fewer. Without a near name it may be a property that no
    server was given yet: a remark says so. Yields skips as `check_known`.
    """
    missing, silent = _look_for(deployment, _unfamiliar(narrow.without))
    if missing and silent:
        yield from silent
        return
    for kind, name in missing:
        if _near(name, _names(deployment, kind)):
            raise NotFound(_unknown(deployment, kind, name))
        yield Skip.remark(f"No server stores the image property {name!r}.")


def _look_for(deployment: Deployment, named: Sequence[Named]) -> tuple[list[Named], list[Skip]]:
    """Return what of NAMED no cell has, and the cells that gave no answer."""
    silent: list[Skip] = []
    missing = list(named)
    for cell in deployment.cells if named else ():
        try:
            with deployment.cell_database(cell).reading() as connection:
                missing = [(kind, name) for kind, name in missing if not kind.has(connection, name)]
        except NovadevError as error:
            silent.append(Skip.of(None, error, named=False))
        if not missing:
            break
    return missing, silent


def _names(deployment: Deployment, kind: Kind) -> dict[str, str]:
    """Return every name of KIND, by itself without regard to case."""
    known: set[str] = set()
    for cell in deployment.cells:
        with deployment.cell_database(cell).reading() as connection:
            known |= kind.names(connection)
    return {name.casefold(): name for name in sorted(known)}


def _near(name: str, known: Mapping[str, str]) -> list[str]:
    """Return the names most like NAME, the nearest first."""
    wanted = name.casefold()[:255]
    near = get_close_matches(wanted, known, 3, _NEAR_ENOUGH)
    near.sort(key=lambda other: (-SequenceMatcher(None, wanted, other).ratio(), other))
    return [known[other] for other in near]


def _unknown(deployment: Deployment, kind: Kind, name: str) -> str:
    known = _names(deployment, kind)
    text = kind.unknown.format(repr(name))
    if near := _near(name, known):
        *others, last = near
        meant = f"{', '.join(others)} or {last}" if others else last
        return f"{text}; did you mean {meant}?"
    if known and len(known) <= _FEW:
        return f"{text}; the deployment has {', '.join(known.values())}"
    return text


def nothing_chosen(narrow: InstanceFilter, cell: str | None, named: bool) -> str:
    """Return in words that no server was chosen, and by what."""
    given = {"--cell": cell, "--project": narrow.project, "--status": narrow.status}
    given |= {"--vm-state": narrow.vm_state}
    words = [f"--host {host}" for host in narrow.hosts]
    words += [f"--name {name}" for name in narrow.names]
    words += [f"{option} {value}" for option, value in given.items() if value is not None]
    words += [f"--where {name}={value}" for name, value in narrow.where]
    words += [f"--without {name}" for name in narrow.without]
    if named:
        return "No server was named."
    if not words:
        return "The deployment has no server."
    return f"No server matches the filters ({' '.join(words)})."
