"""libvirt's event loop, its error messages, and what it says of one domain while we watch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from novadev.virt.binding import libvirt

if TYPE_CHECKING:
    from typing_extensions import Self


LOG = logging.getLogger(__name__)


@cache
def start_events() -> None:
    """Run libvirt's event loop in a thread of this process; send its messages to the log.

    Once a process, before the first connection: without the loop there is neither keepalive nor
    any event, and without the handler libvirt prints on stderr.
    """
    libvirt.registerErrorHandler(log_error, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_events, name="libvirt events", daemon=True).start()


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def log_error(_context: object, error: tuple[Any, ...]) -> None:
    """Send one of libvirt's messages to the log."""
    LOG.info("libvirt: %s", error[2])


class Event(NamedTuple):
    """One event: ``kind`` is a VIR_DOMAIN_EVENT_ID_…, ``details`` what libvirt gave with it."""

    kind: int
    details: tuple[Any, ...]


class Watch:
    """Collects the events of some kinds of one domain, inside a ``with``."""

    def __init__(self, connection: Any, domain: Any, kinds: tuple[int, ...]) -> None:
        self._connection, self._domain, self._kinds = connection, domain, kinds
        self._registered: list[int] = []
        self._events: list[Event] = []
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        for kind in self._kinds:
            identifier = self._connection.domainEventRegisterAny(
                self._domain, kind, self._note, kind
            )
            self._registered.append(identifier)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for identifier in self._registered:
            try:
                self._connection.domainEventDeregisterAny(identifier)
            except libvirt.libvirtError:
                LOG.info("the connection was lost while events were watched")

    @property
    def events(self) -> tuple[Event, ...]:
        """What has come so far, in order."""
        with self._news:
            return tuple(self._events)

    def wait(self, wanted: Callable[[Event], bool], seconds: float) -> Event | None:
        """Return the first event that is WANTED; None when none comes within SECONDS."""
        self.wait_for(lambda: any(map(wanted, self.events)), seconds)
        return next(filter(wanted, self.events), None)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Return whether CONDITION came true within SECONDS; it is asked after each event."""
        with self._news:
            return self._news.wait_for(condition, seconds)

    def _note(self, _connection: Any, _domain: Any, *details: Any) -> None:
        with self._news:
            self._events.append(Event(details[-1], details[:-1]))
            self._news.notify_all()
