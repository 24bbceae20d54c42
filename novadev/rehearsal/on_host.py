"""What a rehearsal does on its host, in the process of that host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from novadev.errors import NotAsNeeded
from novadev.rehearsal.definition import ALL, LOCK, Backends, definition, lock, plainest
from novadev.virt.host import Host
from novadev.virt.trial import Nature, Trial, define, list_all, nature_of, try_all


@dataclass(frozen=True)
class Stage:
    """What a host needs of a definition, and the names that are free there."""

    names: tuple[str, ...]
    mark: Mapping[str, str]
    nature: Nature
    backends: Backends


def hold(host: Host, identity: str, mark: Mapping[str, str]) -> None:
    """Hold HOST for one rehearsal: define its lock, with the UUID IDENTITY, or renew its MARK.

    Raises NotAsNeeded where another rehearsal holds it, and where nothing can be defined.
    """
    failed = define(host, lock(identity, mark, nature_of(host)))
    if failed is None:
        return
    found = list_all(host)
    if any(item.name == LOCK and item.uuid != identity for item in found.marked):
        raise NotAsNeeded(f"host {host.name}: another rehearsal has started there")
    if LOCK in found.others:
        raise NotAsNeeded(
            f"host {host.name} has a domain called {LOCK} that is not novadev's: rename it"
        )
    raise NotAsNeeded(_unable(host, failed))


def prepare(host: Host, names: tuple[str, ...], mark: Mapping[str, str]) -> Stage:
    """Return how HOST takes definitions, as its plainest guest shows.

    Raises NotAsNeeded, with libvirt's words, where not even that starts.
    """
    nature = nature_of(host)
    first: Trial | None = None
    for backends in ALL:
        stage = Stage(names, mark, nature, backends)
        tried = _plainest(host, stage)
        if tried.fate == "started":
            return stage
        first = first or tried
    assert first is not None
    raise NotAsNeeded(_unable(host, first))


def rehearse(host: Host, stage: Stage, shapes: Sequence[str]) -> list[Trial]:
    """Return what becomes of each of SHAPES, at most as many as STAGE has names.

    Where one failed for a reason that may be the host's own, the plainest guest is tried once
    more: raises NotAsNeeded where that fails too.
    """
    pairs = zip(shapes, stage.names, strict=False)
    texts = [definition(s, name, stage.mark, stage.nature, stage.backends) for s, name in pairs]
    found = try_all(host, texts)
    if not all(one.is_certain for one in found):
        tried = _plainest(host, stage)
        if tried.fate != "started":
            raise NotAsNeeded(_unable(host, tried))
    return found


def _plainest(host: Host, stage: Stage) -> Trial:
    shape = plainest(stage.nature)
    text = definition(shape, stage.names[0], stage.mark, stage.nature, stage.backends)
    return try_all(host, [text])[0]


def _unable(host: Host, tried: Trial) -> str:
    return f"host {host.name}: even the plainest guest {_WORDS[tried.fate]} there: {tried.message}"


_WORDS = {"cannot be defined": "cannot be defined", "would not start": "does not start"}
