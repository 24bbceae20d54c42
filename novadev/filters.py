"""What the filters of a selection name: whether the deployment has any such thing.

Asked where nothing was chosen: then a name may be wrong, or the selection is just empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
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
    "there is no host {}: no service of Nova's runs there and no server is there",
    known_names.has_host,
    known_names.list_hosts,
)
PROJECT = Kind(
    "no server belongs to project {}", known_names.has_project, known_names.list_projects
)
PROPERTY = Kind(
    "there is no image property {}: no server stores it and Nova does not know it",
    known_names.has_property,
    known_names.list_properties,
)
Named = tuple[Kind, str]
"""A kind, and the name of one."""


def named_by(narrow: InstanceFilter) -> list[Named]:
    """Return what the filters name, but for the properties that Nova itself knows."""
    given = [(HOST, narrow.host), (PROJECT, narrow.project)]
    found = [(kind, name) for kind, name in given if name is not None]
    return found + _unfamiliar(name for name, _ in narrow.where) + excluded_by(narrow)


def excluded_by(narrow: InstanceFilter) -> list[Named]:
    """Return what servers must not have: a wrong name there chooses more, and not fewer."""
    return _unfamiliar(narrow.without)


def _unfamiliar(names: Iterable[str]) -> list[Named]:
    return [(PROPERTY, name) for name in dict.fromkeys(names) if name not in FIELDS]


def check_known(deployment: Deployment, named: Sequence[Named]) -> Iterator[Skip]:
    """Raise NotFound, with near names, where no cell has what is NAMED.

    Yield skips for the cells that give no answer: they may have it, so nothing is raised.
    """
    silent: list[NovadevError] = []
    left = list(named)
    for cell in deployment.cells if named else ():
        try:
            with deployment.cell_database(cell).reading() as connection:
                left = [(kind, name) for kind, name in left if not kind.has(connection, name)]
        except NovadevError as error:
            silent.append(error)
        if not left:
            return
    if left and not silent:
        raise NotFound("; ".join(_unknown(deployment, kind, name) for kind, name in left))
    yield from (Skip.of(None, error, named=False) for error in silent)


def _unknown(deployment: Deployment, kind: Kind, name: str) -> str:
    known: set[str] = set()
    for cell in deployment.cells:
        with deployment.cell_database(cell).reading() as connection:
            known |= kind.names(connection)
    return f"{kind.unknown.format(repr(name))}{hint(name, known)}"


def hint(name: str, known: Iterable[str]) -> str:
    """Return which of the KNOWN names may be meant by NAME, as the end of a sentence."""
    folded = {other.casefold(): other for other in sorted(known)}
    near = get_close_matches(name.casefold()[:255], folded, 3, _NEAR_ENOUGH)
    if near:
        return f" (did you mean {' or '.join(folded[item] for item in near)}?)"
    if folded and len(folded) <= _FEW:
        return f" (there {'is' if len(folded) == 1 else 'are'} {', '.join(folded.values())})"
    return ""


def nothing_chosen(narrow: InstanceFilter, cell: str | None, named: bool) -> str:
    """Return in words that no server was chosen, and by what."""
    given = {"--host": narrow.host, "--cell": cell, "--project": narrow.project}
    given |= {"--vm-state": narrow.vm_state}
    words = [f"{option} {value}" for option, value in given.items() if value is not None]
    words += [f"--where {name}={value}" for name, value in narrow.where]
    words += [f"--without {name}" for name in narrow.without]
    if named:
        return "No server was named."
    if not words:
        return "The deployment has no server."
    return f"No server passes the filters ({' '.join(words)})."
