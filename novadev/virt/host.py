"""One hypervisor: the domains it has, and what it says of each."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, Unreachable
from novadev.virt.binding import libvirt
from novadev.virt.connection import connect
from novadev.virt.domain import Definitions, Domain
from novadev.virt.events import Watch, start_events
from novadev.virt.jobs import ask, jobs_of, mirrors_of
from novadev.virt.refusals import of_host, translated
from novadev.virt.sent_processor import with_processor_of

if TYPE_CHECKING:
    from typing_extensions import Self


T = TypeVar("T")
LOG = logging.getLogger(__name__)
PERSISTENT = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
"""How a persistent definition is read: without SECURE a redefinition loses its passwords."""
_HANDLES = 5_000
"""Domains of a host whose handles are kept."""
_RUNS = re.compile(r"\s*<domain\s[^>]*\bid=")
"""The XML of a guest that runs, as :attr:`novadev.virt.domain.Domain.is_live`."""
_IN_TRANSIT = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION),
}


@dataclass(frozen=True)
class DomainName:
    """A domain in the list of a host."""

    uuid: str
    name: str
    is_active: bool


def version_text(number: int) -> str:
    """Return the version that libvirt writes as 1000000 * major + 1000 * minor + micro."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


class Host:
    """A hypervisor by Nova's name of the host; opened when first asked, and again after a loss.

    A host that stops answering is given up after three quarters of TIMEOUT seconds, but not while
    it is being opened: only another process can end that (:mod:`novadev.virt.pool`).
    """

    def __init__(self, name: str, uri: str, timeout: float = 30) -> None:
        self.name, self.uri, self.timeout = name, uri, timeout
        self._connection: Any = None
        self._handles: dict[str, Any] = {}
        self._qemu: str | None = None

    def __repr__(self) -> str:
        return f"Host({self.name!r}, {self.uri!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connection(self) -> Any:
        """The connection of libvirt; raises Unreachable."""
        if not self.is_alive():
            self._connection = self._open()
        return self._connection

    def _open(self) -> Any:
        start_events()
        self._handles, self._qemu = {}, None
        return connect(self.name, self.uri, self.timeout)

    def is_alive(self) -> bool:
        """Whether a connection exists, as far as known without a call."""
        try:
            return self._connection is not None and bool(self._connection.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._handles = {}
            try:
                self._connection.close()
            except libvirt.libvirtError:
                LOG.info("host %s: its connection was lost before it was closed", self.name)
            self._connection = None

    def translated(
        self, uuid: str | None = None, stale: Collection[int] = ()
    ) -> AbstractContextManager[None]:
        """Turn libvirt's errors inside the ``with`` into ours (:mod:`novadev.virt.refusals`)."""
        subject = f"host {self.name}" if uuid is None else f"host {self.name}: domain {uuid}"
        return translated(subject, self.is_alive, stale)

    def qemu_version(self) -> str | None:
        """Return the version of the host's QEMU, such as ``7.2.22``; None where it does not say.

        libvirt is asked once a connection.
        """
        if self._qemu is None:
            try:
                if self.connection.getType() == "QEMU":
                    self._qemu = version_text(self.connection.getVersion())
            except libvirt.libvirtError:
                LOG.info("host %s: it does not say which QEMU it has", self.name)
        return self._qemu

    def libvirt_version(self) -> str:
        """Return the version of the host's libvirt, such as ``9.0.0``."""
        with self.translated():
            return version_text(self.connection.getLibVersion())

    def list_domains(self) -> tuple[DomainName, ...]:
        """Return the name of every domain, running or not; one call however many there are."""
        with self.translated():
            found = self.connection.listAllDomains(0)
        return tuple(DomainName(d.UUIDString(), d.name(), d.ID() != -1) for d in found)

    def handle(self, uuid: str) -> Any:
        """Return libvirt's handle of the domain; raises NotFound.

        The last ones are kept, from the planning of many guests to their writing: a handle is a
        UUID, and every call with it looks the domain up anew.
        """
        connection = self.connection
        if uuid not in self._handles:
            if len(self._handles) >= _HANDLES:
                self._handles.clear()
            with self.translated(uuid):
                self._handles[uuid] = connection.lookupByUUIDString(uuid)
        return self._handles[uuid]

    def persistent(self, uuid: str) -> Domain:
        """Return the persistent definition, secrets included.

        Raises NotFound, NotAsNeeded for a transient domain and BadInput for an XML that cannot be
        parsed.
        """
        handle = self.handle(uuid)
        with self.translated(uuid):
            text = handle.XMLDesc(PERSISTENT) if handle.isPersistent() else None
        if text is None:
            raise NotAsNeeded(f"host {self.name}: domain {uuid} is transient")
        return self.parsed(text, uuid)

    def read_back(self, uuid: str) -> Domain:
        """Return the persistent definition of a domain that had one a moment ago, in one call.

        Raises as `read_back_text`, and BadInput as `persistent`.
        """
        return self.parsed(self.read_back_text(uuid), uuid)

    def read_back_text(self, uuid: str) -> str:
        """Return the XML of the persistent definition of a domain that had one a moment ago.

        That it still has one is not asked: of a running guest that another undefined since, the
        last definition comes back. Secrets included. Raises NotFound.
        """
        handle = self.handle(uuid)
        with self.translated(uuid):
            return str(handle.XMLDesc(PERSISTENT))

    def text(self, uuid: str) -> str:
        """Return the XML of what the guest has now, unparsed and without secrets.

        That is what it runs with; what its managed save image starts it with again, for example
        while Nova has it suspended; else its definition. Raises NotFound.
        """
        handle = self.handle(uuid)
        with self.translated(uuid):
            return _text_of(handle, lambda: bool(ask(handle.hasManagedSaveImage, 0)))

    def texts(self, uuids: Collection[str]) -> Iterator[tuple[str, str | NovadevError]]:
        """Yield each of UUIDS with the `text` of its guest, or with why there is none.

        Two calls more than there are guests, and one for each that is saved, however many are
        asked for. Raises Unreachable.
        """
        with self.translated():
            handles = {item.UUIDString(): item for item in self.connection.listAllDomains(0)}
            found = self.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
        saved = {item.UUIDString() for item in found}
        for uuid in uuids:
            yield uuid, self._text(handles.get(uuid), uuid, uuid in saved)

    def _text(self, handle: Any, uuid: str, is_saved: bool) -> str | NovadevError:
        if handle is None:
            return NotFound(f"host {self.name} has no domain {uuid}")
        try:
            with self.translated(uuid):
                return _text_of(handle, lambda: is_saved)
        except Busy as error:
            return error
        except Unreachable as error:
            raise of_host(error) from error
        except NovadevError as error:
            return error

    def is_in_transit(self, uuid: str) -> bool:
        """Whether the guest is being started or migrated in: then its XML is not complete yet."""
        handle = self.handle(uuid)
        with self.translated(uuid):
            state, reason = handle.state()
        return (state, reason) in _IN_TRANSIT

    def live(self, uuid: str) -> Domain | None:
        """Return the definition the guest runs with, without secrets; None when it is shut off.

        Raises NotFound, and BadInput for an XML that cannot be parsed.
        """
        handle = self.handle(uuid)
        with self.translated(uuid):
            text = handle.XMLDesc(0) if handle.isActive() else None
        return self._live(text, uuid)

    def migratable(self, uuid: str) -> Domain:
        """Return the definition that a live migration of the running guest sends, without secrets.

        libvirt leaves out of it what an older one would not know; the processor is what the guest
        runs with (`with_processor_of`). Source: libvirt, src/qemu/qemu_migration.c,
        qemuMigrationSrcBeginXML. Raises as `live`.
        """
        handle = self.handle(uuid)
        with self.translated(uuid):
            text, running = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE), handle.XMLDesc(0)
        return with_processor_of(self.parsed(running, uuid), self.parsed(text, uuid))

    def saved(self, uuid: str) -> Domain:
        """Return the definition with which the guest's managed save image starts it again.

        Without secrets. Raises NotFound, NotAsNeeded without an image, and BadInput as `live`.
        """
        handle = self.handle(uuid)
        with self.translated(uuid):
            text = handle.managedSaveGetXMLDesc(0)
        return self.parsed(text, uuid)

    def definitions(self, uuid: str) -> Definitions:
        """Return both definitions, and what they and the host's files tell of work on the guest.

        Its QEMU is not asked, so that one that hangs keeps nobody waiting. Raises NotFound, and
        BadInput for an XML that cannot be parsed.
        """
        handle = self.handle(uuid)
        text, running = self._texts(handle, uuid)
        live = self._live(running, uuid)
        with self.translated(uuid):
            return Definitions(
                uuid=uuid,
                name=handle.name(),
                persistent=None if text is None else self.parsed(text, uuid),
                live=live,
                has_managed_save=bool(ask(handle.hasManagedSaveImage, 0)),
                jobs=() if live is None else tuple(mirrors_of(live)),
            )

    def definitions_and_jobs(self, uuid: str) -> Definitions:
        """Return the same with every job, for whoever will write.

        Raises Busy for a guest whose QEMU gives no answer within a third of the host's time.
        """
        found, handle = self.definitions(uuid), self.handle(uuid)
        if found.live is None:
            return found
        live = found.live
        return replace(found, jobs=self._in_time(uuid, lambda: tuple(jobs_of(handle, live))))

    def _in_time(self, uuid: str, question: Callable[[], T]) -> T:
        """Return the answer of a guest's QEMU.

        A call that hangs cannot be ended, and libvirtd takes only some from one connection at a
        time: it is left behind with its connection.
        """
        answers: SimpleQueue[T | libvirt.libvirtError] = SimpleQueue()
        limit = self.timeout / 3
        Thread(target=_answer, args=(question, answers), daemon=True).start()
        try:
            answer = answers.get(timeout=limit)
        except Empty:
            self._connection, self._handles = None, {}
            raise Busy(
                f"host {self.name}: domain {uuid}: its QEMU does not answer within {limit:g} s. Is "
                "it stopped or hung?"
            ) from None
        if isinstance(answer, libvirt.libvirtError):
            with self.translated(uuid):
                raise answer
        return answer

    def _texts(self, handle: Any, uuid: str) -> tuple[str | None, str | None]:
        """Return the XML of both definitions; of a domain that is shut off, the one that it has."""
        with self.translated(uuid):
            persistent = handle.XMLDesc(PERSISTENT)
            if not handle.isActive():
                return persistent, None
            return persistent if handle.isPersistent() else None, handle.XMLDesc(0)

    def _live(self, text: str | None, uuid: str) -> Domain | None:
        domain = None if text is None else self.parsed(text, uuid)
        return domain if domain and domain.is_live else None

    def watch(self, handle: Any, *kinds: int) -> Watch:
        """Return a watch over events of these kinds of one domain, to be used in a ``with``."""
        return Watch(self.connection, handle, kinds)

    def parsed(self, text: str, uuid: str) -> Domain:
        """Return the definition of the domain that this XML is; raises BadInput."""
        return Domain.from_xml(text, f"host {self.name}: the XML of domain {uuid}")


def _text_of(handle: Any, is_saved: Callable[[], bool]) -> str:
    """Return the XML of what a guest has; IS_SAVED is asked of one that does not run.

    The devices of a managed save image are those that the guest had. Nobody can change them but
    with ``virDomainManagedSaveDefineXML``; the definition may be another one by then.
    """
    text = str(handle.XMLDesc(0))
    return text if _RUNS.match(text) or not is_saved() else str(handle.managedSaveGetXMLDesc(0))


def _answer(question: Callable[[], T], answers: SimpleQueue[T | libvirt.libvirtError]) -> None:
    try:
        answers.put(question())
    except libvirt.libvirtError as error:
        answers.put(error)
