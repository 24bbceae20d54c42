"""What a rehearsal does on its host, in the process of that host."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from novadev.errors import NotAsNeeded
from novadev.rehearsal.definition import ALL, LOCK, Backends, definition, lock, plainest
from novadev.rehearsal.host_parts import OwnParts, own_parts, parts_of, with_parts
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


@dataclass(frozen=True)
class Unable:
    """What a host cannot give any guest at present: WHAT in a few words, and libvirt's words."""

    what: str
    message: str


def rehearse(host: Host, stage: Stage, shapes: Sequence[str]) -> list[Trial | Unable]:
    """Return what becomes of each of SHAPES, at most as many as STAGE has names.

    Where one failed for a reason that may be the host's own, the plainest guest is tried once
    more: raises NotAsNeeded where that fails too. Then it is tried with the parts of that shape
    which the host writes or starts; what fails even so is the host's fault, and Unable.
    """
    pairs = zip(shapes, stage.names, strict=False)
    texts = [definition(s, name, stage.mark, stage.nature, stage.backends) for s, name in pairs]
    found = try_all(host, texts)
    if all(one.is_certain for one in found):
        return [*found]
    tried = _plainest(host, stage)
    if tried.fate != "started":
        raise NotAsNeeded(_unable(host, tried))
    return _judged(host, stage, shapes, found)


def _judged(
    host: Host, stage: Stage, shapes: Sequence[str], found: Sequence[Trial]
) -> list[Trial | Unable]:
    """Return what was FOUND of SHAPES, and Unable for what is the host's fault."""
    parts = [
        () if one.is_certain else parts_of(shape) for shape, one in zip(shapes, found, strict=False)
    ]
    wanted = set(filter(None, parts))
    own = own_parts(host, stage.nature.architecture) if wanted else None
    unable = {names: _without(host, stage, own, names) for names in wanted} if own else {}
    return [
        unable.get(names) or _refused(host, one) or one
        for names, one in zip(parts, found, strict=True)
    ]


def _without(host: Host, stage: Stage, own: OwnParts, wanted: Sequence[str]) -> Unable | None:
    """Return that not even the plainest guest starts with those of the parts WANTED in OWN.

    None where it does, and where the host lacks what it says it has: a program or a file.
    """
    names = [name for name in wanted if name in own.xml]
    if not names:
        return None
    tried = _tried(host, stage, with_parts(plainest(stage.nature), own, names))
    if tried.fate == "started" or tried.is_certain or tried.errno == errno.ENOENT:
        return None
    what = " and ".join(names)
    return Unable(what, _unable(host, tried, f" with {what}"))


_OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _refused(host: Host, tried: Trial) -> Unable | None:
    """Return that the host could not write, if the kernel said so and no part shows it."""
    if tried.errno not in _OF_A_DISK:
        return None
    return Unable("files of its own", f"host {host.name} cannot write: {tried.message}")


def _plainest(host: Host, stage: Stage) -> Trial:
    return _tried(host, stage, plainest(stage.nature))


def _tried(host: Host, stage: Stage, shape: str) -> Trial:
    text = definition(shape, stage.names[0], stage.mark, stage.nature, stage.backends)
    return try_all(host, [text])[0]


def _unable(host: Host, tried: Trial, parts: str = "") -> str:
    fate = _WORDS[tried.fate]
    return f"host {host.name}: even the plainest guest{parts} {fate} there: {tried.message}"


_WORDS = {"cannot be defined": "cannot be defined", "would not start": "does not start"}
