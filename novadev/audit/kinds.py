"""Servers of one kind: the checks look at one of them, and report what they find for each.

A kind is a value, and the checks look at a server that is made of this value alone. A server's own
UUID, name, volumes, host and ids are replaced there by names that no database has. So the checks
cannot see anything that was not compared.
"""

from __future__ import annotations

import re
import uuid as uuidlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import count
from operator import attrgetter
from secrets import randbelow
from typing import Any, NamedTuple, NoReturn

from novadev.audit.finding import Trouble
from novadev.capabilities.compute_hosts import ComputeHost, ComputeHosts
from novadev.errors import BadInput, NovadevError
from novadev.image_property.facts import Facts
from novadev.nova.block_devices import BlockDevice
from novadev.nova.instances import Instance
from novadev.nova.request_specs import RequestSpec
from novadev.nova.spec_properties import raw_properties_in, spec_of
from novadev.rules.guest import Guest
from novadev.stash_defaults.sources import REMEMBERED

Judge = Callable[[Facts], Iterable[Trouble]]
Volumes = Mapping[str | None, str | None]
Texts = tuple[tuple[str, str], ...]

_RUN, _NUMBER = str(uuidlib.uuid4())[:-12], 10**12 + randbelow(9 * 10**12)
_UUID, _NAME, _PROJECT, _USER = (f"{_RUN}{number:012x}" for number in range(4))
_STAND_IN = re.compile(rf"{_RUN[:8]}[0-9a-f-]*|{_NUMBER}")
"""Matches these names in a text, also names that were cut off."""
_PATIENCE, _STEP = 500, 8
"""After so many servers in a row that are each of a kind of its own, only every eighth is compared:
where all differ, comparing costs up to 40 % more."""
_IS_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_IS_HOST = re.compile(r"[A-Za-z0-9._-]+")
"""Only such UUIDs and hosts are replaced: texts and commands contain them without quotes."""


def _names(of: type[Any], *without: str) -> tuple[str, ...]:
    return tuple(item.name for item in fields(of) if item.name not in without)


_ROW = _names(BlockDevice, "id", "volume_id")
_INSTANCE = _names(
    *(Instance, "id", "uuid", "name", "host", "project_id", "user_id"),
    *("image_properties", "hidden_rows", "shelved_image_id", "updated_at"),
)
_GUEST = _names(Guest, "image_properties", "block_devices")
_FACTS = _names(Facts, "instance", "guest", "spec", "extra_specs")
_of_row, _of_instance = attrgetter("volume_id", *_ROW), attrgetter(*_INSTANCE)
_of_guest, _of_facts = attrgetter(*_GUEST), attrgetter(*_FACTS)


class _Unseen:
    """A value of a server's own that no name can stand for: a check that uses it sees each server.

    The time when its row was last written is one.
    """

    def _fail(self, *_: object) -> NoReturn:
        raise NovadevError("it is a server's own")

    __getattr__ = __str__ = __repr__ = __format__ = __hash__ = __bool__ = _fail
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _fail
    __add__ = __radd__ = __sub__ = __rsub__ = _fail


class Kind(NamedTuple):
    """What is compared of a server: everything except what a name stands for.

    ``host`` is the name for its host, and the first value of each of ``rows`` that for its volume.
    ``spec`` is the JSON of the image properties in its request spec, None where it has none.
    """

    host: str
    was_updated: bool
    properties: tuple[tuple[str, str | None], ...]
    instance: tuple[Any, ...]
    guest: tuple[Any, ...]
    rows: tuple[tuple[Any, ...], ...]
    facts: tuple[Any, ...]
    extra_specs: tuple[tuple[str, str], ...]
    spec: bytes | None

    def server(self) -> Facts:
        """Return what is stored of a server of this kind, made of nothing but these values."""
        properties = dict(self.properties)
        own: dict[str, Any] = {"id": _number(0), "uuid": _UUID, "name": _NAME, "host": self.host}
        own |= {"project_id": _PROJECT, "user_id": _USER, "shelved_image_id": None}
        own["updated_at"] = _Unseen() if self.was_updated else None
        own |= zip(_INSTANCE, self.instance, strict=True)
        names = ("volume_id", *_ROW)
        rows = (dict(zip(names, row, strict=True)) for row in self.rows)
        disks = tuple(BlockDevice(id=_number(place), **row) for place, row in enumerate(rows, 1))
        guest = dict(zip(_GUEST, self.guest, strict=True))
        spec = None if self.spec is None else RequestSpec(_number(0), _UUID, spec_of(self.spec))
        return Facts(
            instance=Instance(image_properties=properties, **own),
            guest=Guest(image_properties=properties, block_devices=disks, **guest),
            spec=spec,
            extra_specs=dict(self.extra_specs),
            **dict(zip(_FACTS, self.facts, strict=True)),
        )


def _number(place: int) -> int:
    """Return what stands for the id of a row: those of one table stay in order."""
    return _NUMBER * 10**6 + place


def _kind(facts: Facts, host: str, volumes: Volumes) -> Kind | None:
    """Return the kind of the server that FACTS are of; None if it has to be looked at by itself.

    HOST and VOLUMES have the names for its host and its volumes.
    """
    instance, guest, spec = facts.instance, facts.guest, None
    is_common = guest.image_properties is instance.image_properties and _IS_UUID.fullmatch(
        instance.uuid
    )
    if not is_common or instance.hidden_rows or instance.shelved_image_id is not None:
        return None
    if facts.spec is not None:
        spec = raw_properties_in(facts.spec.text)
        if spec is None or facts.spec.instance != instance.uuid:
            return None
    rows = tuple(map(_of_row, guest.block_devices))
    return Kind(
        host,
        instance.updated_at is not None,
        tuple(instance.image_properties.items()),
        _of_instance(instance),
        _of_guest(guest),
        tuple((volumes[row[0]], *row[1:]) for row in rows) if volumes else rows,
        _of_facts(facts),
        tuple(facts.extra_specs.items()),
        spec,
    )


def _volumes(rows: Iterable[BlockDevice]) -> Volumes | None:
    """Return the name for each volume of ROWS, in the order of their UUIDs; empty if none.

    None if an id of a volume is not a UUID.
    """
    known = {row.volume_id for row in rows if row.volume_id is not None}
    if not known:
        return {}
    if not all(map(_IS_UUID.fullmatch, known)):
        return None
    names = (f"{_RUN}0{place:011x}" for place in count(len((_UUID, _NAME, _PROJECT, _USER))))
    return {None: None} | dict(zip(sorted(known), names, strict=False))


@dataclass(frozen=True)
class _StandIn:
    """The name for a host; and the texts that this name and that of its file stand for."""

    name: str
    texts: Texts


@dataclass(frozen=True)
class _Found:
    """A trouble of a kind, and which of its fields contain names."""

    trouble: Trouble
    named: tuple[str, ...]

    def of(self, own: Texts) -> Trouble:
        """Return it with a server's OWN texts."""
        if not self.named:
            return self.trouble
        return replace(self.trouble, **{name: self._text(name, own) for name in self.named})

    def _text(self, name: str, own: Texts) -> Any:
        text = getattr(self.trouble, name)
        for standing, meant in own:
            text = text.replace(standing, meant)
        return text


class Kinds:
    """Asks JUDGE about one server of each kind; HOSTS knows their hosts.

    JUDGE may look only at what it is given, at what HOSTS knows of the host, and at what does not
    change during a run. The last `REMEMBERED` kinds are kept.
    """

    def __init__(self, judge: Judge, hosts: ComputeHosts) -> None:
        self._judge, self._hosts = judge, hosts
        self._stand_ins: dict[str, _StandIn | None] = {}
        self._known: list[tuple[ComputeHost | None, str, str]] = []
        self._numbers = count(1)
        self._in_vain, self._turns = 0, count()
        self._remembered = lru_cache(REMEMBERED)(self._found)

    def troubles(self, facts: Facts) -> Iterable[Trouble]:
        """Return what is found in the server that FACTS are of, which is on a host."""
        if self._in_vain >= _PATIENCE and next(self._turns) % _STEP:
            return self._judge(facts)
        host = self._stand_in(facts.instance.host or "")
        volumes = _volumes(facts.guest.block_devices)
        kind = None if host is None or volumes is None else _kind(facts, host.name, volumes)
        found = None if kind is None else self._looked_at(kind)
        if found is None or host is None or volumes is None:
            return self._judge(facts)
        own = ((_UUID, facts.instance.uuid), *host.texts)
        if volumes:
            own += tuple((name, one) for one, name in volumes.items() if one and name)
        return [one.of(own) for one in found]

    def _looked_at(self, kind: Kind) -> Sequence[_Found] | None:
        """Return what is found in a server of KIND, and count the kinds in a row that are new."""
        before = self._remembered.cache_info().hits
        found = self._remembered(kind)
        is_known = self._remembered.cache_info().hits > before
        self._in_vain = 0 if is_known and found is not None else self._in_vain + 1
        return found

    def _found(self, kind: Kind) -> Sequence[_Found] | None:
        """Return what JUDGE finds in a server of KIND; None if it has to look at each of them.

        That is so if a text contains a name that cannot be replaced by what it stands for.
        """
        try:
            found = [_with_names(trouble) for trouble in self._judge(kind.server())]
        except NovadevError:
            return None
        compute = self._hosts.find(kind.host)
        known = {_UUID, kind.host, *(row[0] for row in kind.rows)}
        known |= {compute.origin} if compute else set()
        return [one for one, _ in found] if all(names <= known for _, names in found) else None

    def _stand_in(self, host: str) -> _StandIn | None:
        """Return what stands for HOST; None if it has another form, or if its file is bad."""
        if host not in self._stand_ins:
            self._stand_ins[host] = self._look_for(host)
        return self._stand_ins[host]

    def _look_for(self, host: str) -> _StandIn | None:
        try:
            found = self._hosts.find(host)
        except BadInput:
            return None
        if not _IS_HOST.fullmatch(host):
            return None
        name, origin = self._names_for(found)
        texts = ((name, host), *(((origin, found.origin),) if found else ()))
        return _StandIn(name, texts)

    def _names_for(self, found: ComputeHost | None) -> tuple[str, str]:
        """Return the names for a host and its file: the same for all hosts with equal files."""
        nameless = found and replace(found, host="", origin="")
        for known, name, origin in self._known:
            if _are_alike(known, nameless):
                return name, origin
        name, origin = (f"{_RUN}1{next(self._numbers):011x}" for _ in range(2))
        self._hosts.add(name, found and replace(found, host=name, origin=origin))
        self._known.append((nameless, name, origin))
        return name, origin


def _are_alike(one: ComputeHost | None, other: ComputeHost | None) -> bool:
    if one is None or other is None:
        return one is other
    shared = one.osinfo is other.osinfo and one.capabilities is other.capabilities
    return shared and one == other


def _with_names(trouble: Trouble) -> tuple[_Found, set[str | None]]:
    """Return TROUBLE with the fields that have names in them, and these names."""
    texts = {name: text for name, text in vars(trouble).items() if isinstance(text, str)}
    found = {name: _STAND_IN.findall(text) for name, text in texts.items()}
    named = tuple(name for name, names in found.items() if names)
    return _Found(trouble, named), {one for names in found.values() for one in names}
