"""A pretended libvirt with one guest: its semantics, and a seam at every call.

For what cannot be had of a real one: a connection, a process or an error at exactly the Nth call,
and another writer between any two of them. `Host` and the calls that write are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import libvirt
import sqlalchemy as sa

from novadev.database import Database
from novadev.device import alias, detach
from novadev.device.alias import applying as alias_applying
from novadev.device.detach import applying as detach_applying
from novadev.errors import NovadevError, Unreachable
from novadev.records import restore, restore_on_host
from novadev.records.restore_layout import named
from novadev.runs.carry_out import carry_out
from novadev.runs.encoding import dumps
from novadev.runs.journal import Journal
from novadev.runs.journal_rows import Asked, Run
from novadev.runs.plan import Draft, Outcome
from novadev.state.tables import runs
from novadev.virt.asking import Answer
from novadev.virt.devices import Disk, Interface
from novadev.virt.domain import Domain
from novadev.virt.host import Host

APPLIERS: dict[str, Any] = {
    alias.ACTION: alias_applying.apply,
    detach.ACTION: detach_applying.apply,
    restore_on_host.ACTION: restore.apply,
}
LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
PERSISTENT = libvirt.VIR_DOMAIN_XML_INACTIVE
REMOVED = libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED
FAILED = libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED
LIFECYCLE = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE

Place = tuple[str, str]
"""The name of a device, and "alias", "address" or "there"."""


class Killed(BaseException):
    """The end of the process that asks."""


def refusal(code: int, text: str) -> libvirt.libvirtError:
    error = libvirt.libvirtError(text)
    error.err = (code, 0, text, 2, None, None, None, -1, -1)
    return error


@dataclass(frozen=True)
class Fault:
    """What happens at one call, before or after it does its work.

    ``kind`` is killed, lost (the next connection works), down (none works), refused, or broken.
    """

    kind: str
    after: bool = False


At = Mapping[int | str, Fault | Callable[[], None]]
"""What happens at which call, by number or name: a fault (once), or what another writer does."""


def places(text: str) -> dict[Place, str]:
    """What a definition has at every place."""
    found = {}
    for name, device in named(Domain.from_xml(text)).items():
        found[name, "there"] = "yes"
        if device.alias:
            found[name, "alias"] = device.alias.name
        if device.address:
            found[name, "address"] = device.address.exact_text
    return found


@dataclass
class Daemon:
    """A libvirtd: the definitions of its guest, and who wrote what of the persistent one."""

    persistent: str
    live: str | None = None
    lets_go: str = "at once"
    """When the guest lets a device go: "at once", "later" or "never" (it refuses)."""
    saved: bool = False
    is_down: bool = False
    calls: int = 0
    at: At = field(default_factory=dict)
    asked_to_go: list[str] = field(default_factory=list)
    watchers: dict[int, tuple[int, Callable[..., None], object]] = field(default_factory=dict)
    connections: list[Connection] = field(default_factory=list)
    unseen: set[Place] = field(default_factory=set)
    """What another has written since novadev read the definition last."""
    on_write: Callable[[bool, Mapping[Place, tuple[str | None, str | None]]], None] = (
        lambda _is_ours, _changed: None
    )
    """Told of every write: whether it is novadev's, and of each place the old and new value."""
    _is_ours: bool = True

    def define(self, text: str) -> None:
        """Put TEXT in the place of the persistent definition, and tell who changed what."""
        before, after = places(self.persistent), places(text)
        self.persistent = text
        found = {place: (before.get(place), after.get(place)) for place in before.keys() | after}
        changed = {place: values for place, values in found.items() if values[0] != values[1]}
        if not self._is_ours:
            self.unseen |= changed.keys()
        self.on_write(self._is_ours, changed)

    def by_another(self, change: Callable[[], None]) -> None:
        """Let another writer do something."""
        self._is_ours = False
        try:
            change()
        finally:
            self._is_ours = True

    def edit(self, change: Callable[[Domain], None]) -> None:
        """Change the persistent definition in place."""
        domain = Domain.from_xml(self.persistent)
        change(domain)
        self.define(domain.text)

    def start(self) -> None:
        """Start the guest from its definition: libvirt names what has no alias."""
        domain = Domain.from_xml(self.persistent)
        domain.root.set("id", "1")
        for number, device in enumerate(domain.devices):
            if device.alias is None:
                alias = device.element.makeelement("alias", name=f"generated{number}")
                device.element.append(alias)
        self.live = domain.text

    def stop(self) -> None:
        self.live = None
        self.asked_to_go.clear()

    def let_go(self) -> None:
        """The guest lets go what it was asked for."""
        while self.asked_to_go and self.live is not None:
            alias = self.asked_to_go.pop()
            self.live = _without(self.live, lambda device, alias=alias: _alias(device) == alias)  # type: ignore[misc]
            self.tell(REMOVED, alias)

    def tell(self, kind: int, *details: object) -> None:
        for wanted, callback, opaque in tuple(self.watchers.values()):
            if wanted == kind:
                callback(None, None, *details, opaque)

    def call(self, name: str) -> Iterator[None]:
        """Yield once, for the work of a call, between what happens before and after it."""
        event = self.at.get(self.calls) or self.at.get(name)
        if isinstance(event, Fault):
            self.at = {key: other for key, other in self.at.items() if other is not event}
        self.calls += 1
        if self.is_down:
            self.lose()
        if callable(event):
            self.by_another(event)
        elif event and not event.after:
            self.happen(event)
        yield
        if isinstance(event, Fault) and event.after:
            self.happen(event)

    def happen(self, fault: Fault) -> None:
        if fault.kind == "killed":
            raise Killed
        if fault.kind == "refused":
            raise refusal(libvirt.VIR_ERR_OPERATION_FAILED, "not now")
        if fault.kind == "broken":
            raise refusal(libvirt.VIR_ERR_INTERNAL_ERROR, "broken")
        self.is_down = fault.kind == "down"
        self.lose()

    def lose(self) -> None:
        """Lose every connection."""
        for connection in self.connections:
            connection.is_lost = True
        self.connections.clear()
        self.watchers.clear()
        raise refusal(libvirt.VIR_ERR_INTERNAL_ERROR, "client socket is closed")


def _alias(device: Any) -> str | None:
    return device.alias.name if device.alias else None


def _without(text: str, wanted: Callable[[Any], bool]) -> str:
    """TEXT without the first device that is WANTED; raises StopIteration without one."""
    domain = Domain.from_xml(text)
    device = next(filter(wanted, domain.devices))
    device.element.getparent().remove(device.element)  # type: ignore[union-attr]
    return domain.text


def seam(function: Callable[..., Any]) -> Callable[..., Any]:
    """A call of libvirt: something may happen before it and after it."""

    def call(self: Any, *arguments: Any) -> Any:
        around = self.daemon.call(function.__name__)
        next(around)
        value = function(self, *arguments)
        next(around, None)
        return value

    return call


class Connection:
    """A connection, and the handle of the one guest."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon, self.is_lost = daemon, False
        daemon.connections.append(self)

    def isAlive(self) -> bool:
        return not self.is_lost

    def close(self) -> None:
        self.is_lost = True

    @seam
    def lookupByUUIDString(self, _uuid: str) -> Connection:
        return self

    @seam
    def listAllDomains(self, _flags: int = 0) -> list[Connection]:
        return [self]

    def UUIDString(self) -> str:
        return Domain.from_xml(self.daemon.persistent).uuid

    def name(self) -> str:
        return Domain.from_xml(self.daemon.persistent).name

    def ID(self) -> int:
        return -1 if self.daemon.live is None else 1

    def isPersistent(self) -> bool:
        return True

    @seam
    def isActive(self) -> bool:
        return self.daemon.live is not None

    def hasManagedSaveImage(self, _flags: int) -> bool:
        return self.daemon.saved

    def blockJobInfo(self, _target: str, _flags: int) -> None:
        return None

    def jobInfo(self) -> None:
        return None

    @seam
    def XMLDesc(self, flags: int = 0) -> str:
        if flags & PERSISTENT or self.daemon.live is None:
            self.daemon.unseen.clear()
            return self.daemon.persistent
        return self.daemon.live

    @seam
    def defineXML(self, text: str) -> Connection:
        self.daemon.define(text)
        self.daemon.tell(LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_DEFINED, 0)
        return self

    @seam
    def updateDeviceFlags(self, text: str, flags: int) -> None:
        """A disk replaces the one at its target, an interface the one of its MAC and alias."""
        assert flags == CONFIG
        (sent,) = Domain.from_xml(f"<domain><devices>{text}</devices></domain>").devices
        domain = Domain.from_xml(self.daemon.persistent)
        device = next((item for item in domain.devices if _is_found(item, sent)), None)
        if device is None:
            raise refusal(libvirt.VIR_ERR_DEVICE_MISSING, "no such device")
        device.element.getparent().replace(device.element, sent.element)
        self.daemon.define(domain.text)

    @seam
    def detachDeviceAlias(self, alias: str, flags: int) -> None:
        self._detach(lambda device: _alias(device) == alias, flags)

    @seam
    def detachDeviceFlags(self, text: str, flags: int) -> None:
        (sent,) = Domain.from_xml(f"<domain><devices>{text}</devices></domain>").devices
        self._detach(lambda device: _is_found(device, sent), flags)

    def _detach(self, wanted: Callable[[Any], bool], flags: int) -> None:
        daemon = self.daemon
        if flags & LIVE and daemon.live is None:
            raise refusal(libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running")
        try:
            less = _without(daemon.persistent, wanted) if flags & CONFIG else daemon.persistent
            if flags & LIVE:
                assert daemon.live is not None
                device = next(filter(wanted, Domain.from_xml(daemon.live).devices))
                if _alias(device) not in daemon.asked_to_go:
                    daemon.asked_to_go.append(_alias(device))
        except StopIteration:
            raise refusal(libvirt.VIR_ERR_DEVICE_MISSING, "no such device") from None
        daemon.define(less)
        if flags & LIVE and daemon.lets_go == "at once":
            daemon.let_go()
        elif flags & LIVE and daemon.lets_go == "never":
            daemon.tell(FAILED, daemon.asked_to_go.pop())

    def domainEventRegisterAny(
        self, _domain: object, kind: int, callback: Callable[..., None], opaque: object
    ) -> int:
        number = max(self.daemon.watchers, default=0) + 1
        self.daemon.watchers[number] = kind, callback, opaque
        return number

    def domainEventDeregisterAny(self, number: int) -> None:
        self.daemon.watchers.pop(number, None)


def _is_found(device: Any, sent: Any) -> bool:
    if isinstance(sent, Interface) and isinstance(device, Interface):
        has_other = None not in (sent.alias, device.alias) and sent.alias != device.alias
        return device.mac == sent.mac and not has_other
    if isinstance(sent, Disk) and isinstance(device, Disk):
        return device.target == sent.target
    return False


class PretendedHost(Host):
    """A host whose libvirt is a `Daemon`."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__("cmp1", "pretended:///")
        self._daemon = daemon

    def _open(self) -> Any:
        self._handles = {}
        if self._daemon.is_down:
            raise Unreachable("host cmp1 could not be reached: it is down")
        return Connection(self._daemon)


class Pool:
    """Asks the one host in this process."""

    timeout = 0

    def __init__(self, host: Host) -> None:
        self._host = host

    def run(
        self, function: Any, work: Mapping[str, Any], _limit: float | None = None
    ) -> Iterator[Answer[Any]]:
        for name, items in work.items():
            for arguments in items:
                try:
                    yield Answer(name, arguments, function(self._host, *arguments))
                except NovadevError as error:
                    yield Answer(name, arguments, error=error)

    def call(self, name: str, function: Any, *arguments: Any) -> Any:
        (answer,) = self.run(function, {name: [arguments]})
        return answer.result()


class Controller:
    """novadev on a compute host without databases: a journal, and the host `Daemon` stands for."""

    def __init__(self, database: Database, daemon: Daemon) -> None:
        self.database, self.daemon = database, daemon
        self.journal, self.host = Journal(database), PretendedHost(daemon)

    @property
    def deployment(self) -> Any:
        """What the writers see of it."""
        config = SimpleNamespace(host=self.host.name)
        return SimpleNamespace(
            hosts=Pool(self.host), has_databases=False, config=config, state=self.database
        )

    def begin(self, draft: Draft, undoes: int | None = None) -> Run:
        """A run of one plan."""
        run = self.journal.start(Asked(draft.plan.action, undoes=undoes))
        row = {"instance": draft.plan.instance, "undoes": draft.undoes, "body": dumps(draft.plan)}
        self.journal.add(run, [row])
        self.journal.begin(run, 1)
        return self.journal.get(run.id)

    def carry_out(self, run: Run, at: At) -> Outcome | None:
        """Carry RUN out while this happens AT libvirt's calls; None when the process is killed."""
        self.meet(at)
        apply = APPLIERS[run.action]
        results = carry_out(
            self.journal,
            run,
            lambda plans, resumed, fence: apply(self.deployment, plans, resumed, fence),
            lambda: None,
            lambda: False,
        )
        try:
            ((_, outcome),) = results
            self.journal.finish(run)
        except Killed:
            self._die(run)
            return None
        finally:
            self.meet({})
        return outcome

    def meet(self, at: At) -> None:
        """The host is up; AT is what happens from now on."""
        self.daemon.is_down, self.daemon.calls, self.daemon.at = False, 0, at

    def _die(self, run: Run) -> None:
        """What a killed process leaves: a run whose holder is no more."""
        with self.database.writing() as connection:
            query = sa.update(runs).where(runs.c.id == run.id)
            connection.execute(query.values(pid_started="another"))
