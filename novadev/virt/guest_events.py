"""What libvirt says of every guest of a host, over a connection that is kept for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from novadev.errors import Unreachable
from novadev.virt.binding import libvirt
from novadev.virt.host import Host

LOG = logging.getLogger(__name__)


class News(Enum):
    """What has become of a guest, as far as its devices are concerned."""

    CHANGED = "changed"
    PLUGGED = "plugged"
    AGENT = "agent"
    GONE = "gone"


@dataclass(frozen=True)
class GuestEvent:
    """An event of one guest: a device came (PLUGGED), its agent connected (AGENT), or another."""

    host: str
    uuid: str
    news: News


@dataclass(frozen=True)
class Lost:
    """A connection has ended, and why; ``attempt`` is the number it was opened under."""

    host: str
    attempt: int
    reason: str


_LIFECYCLE = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: News.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: News.GONE,
    libvirt.VIR_DOMAIN_EVENT_STARTED: News.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: News.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: News.CHANGED,
}
"""A guest that was migrated in resumes: its XML is complete from then on."""
_KINDS = (
    libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
)
_SHUT_OFF = libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE | libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT
_REASONS = {
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "its libvirtd ended the connection",
    libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "it does not answer. Is its libvirtd hung?",
}


class Subscription:
    """A connection to HOST on which TELL gets a GuestEvent for each event, and Lost at its end.

    TELL is called by the thread of libvirt's events, and must not wait for anything. ATTEMPT is a
    number that Lost comes back with.
    """

    def __init__(self, host: Host, attempt: int, tell: Callable[[object], None]) -> None:
        self.attempt = attempt
        self._host, self._tell = host, tell
        self._connection: Any = None
        self._registered: list[int] = []

    def open(self) -> None:
        """Connect and subscribe; may hang as long as the host does. Raises Unreachable."""
        self._connection = connection = self._host.connection
        try:
            connection.registerCloseCallback(self._closed, None)
        except libvirt.libvirtError:
            LOG.info("host %s: its driver does not tell when a connection ends", self._host.name)
        try:
            for kind in _KINDS:
                identifier = connection.domainEventRegisterAny(None, kind, self._note, kind)
                self._registered.append(identifier)
        except libvirt.libvirtError as error:
            reason = error.get_error_message() or "no reason given"
            self.close()
            text = f"host {self._host.name} could not be watched: {reason}"
            raise Unreachable(text) from error

    @property
    def is_alive(self) -> bool:
        """Whether the connection still exists, as far as known without a call."""
        try:
            return bool(self._connection.isAlive())
        except libvirt.libvirtError:
            return False

    def digests(self) -> dict[str, int]:
        """Return a number for the devices of each guest that is shut off, by its UUID.

        The number is another one when the definition of the devices is; it holds for this process.
        May hang as long as the host does. Raises Unreachable.
        """
        found: dict[str, int] = {}
        with self._host.translated():
            for domain in self._connection.listAllDomains(_SHUT_OFF):
                try:
                    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
                except libvirt.libvirtError as error:
                    if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                        raise
                    continue
                found[domain.UUIDString()] = hash(text[text.find("<devices>") :])
        return found

    def close(self) -> None:
        """End it with all that libvirt keeps for it; may hang as long as the host does.

        What is registered holds the connection: without this, one that was lost is never freed.
        """
        steps = [(self._connection.domainEventDeregisterAny, item) for item in self._registered]
        for step, *arguments in (*steps, (self._connection.unregisterCloseCallback,)):
            try:
                step(*arguments)
            except libvirt.libvirtError:
                LOG.info("host %s: its connection was lost before it was closed", self._host.name)
        self._registered.clear()
        self._host.close()

    def _note(self, _connection: Any, domain: Any, *details: Any) -> None:
        news = _news(details[-1], details[:-1])
        if news is not None:
            self._tell(GuestEvent(self._host.name, domain.UUIDString(), news))

    def _closed(self, _connection: Any, reason: int, _opaque: object) -> None:
        words = _REASONS.get(reason, "the connection broke")
        self._tell(Lost(self._host.name, self.attempt, words))


def _news(kind: int, details: tuple[Any, ...]) -> News | None:
    """Return what an event means; None where no device can have changed."""
    if kind == libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE:
        return _LIFECYCLE.get(details[0])
    if kind == libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE:
        connected = libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
        return News.AGENT if details[0] == connected else None
    added = kind == libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED
    return News.PLUGGED if added else News.CHANGED
