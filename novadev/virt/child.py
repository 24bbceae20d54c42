"""The child process that talks to one host at a time on behalf of its parent.

It takes (function, arguments) from the parent and gives back what ``function(host, *arguments)``
returns or raises. It ends when the parent does, even in the middle of a call that never returns.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from typing import Any

from novadev.errors import NovadevError
from novadev.virt.host import Host

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class About:
    """The host that is asked from now on, and the level of the log."""

    name: str
    uri: str
    timeout: float
    level: int


@dataclass(frozen=True)
class Ready:
    """The process waits for the first question to its host."""


@dataclass(frozen=True)
class Returned:
    """What the function returned."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """What the function raised, as one of our errors."""

    error: NovadevError


class Channel:
    """The pipe to the parent; log records share it."""

    def __init__(self, descriptor: int) -> None:
        self._connection = Connection(descriptor)
        self._lock = threading.Lock()

    def put_nowait(self, message: object) -> None:
        """Send MESSAGE; the name is that of a queue, for the logging handler."""
        with self._lock:
            self._connection.send(message)

    def get(self) -> Any:
        """Return the next message; raises EOFError when the parent has closed it."""
        return self._connection.recv()


def serve(descriptor: int) -> None:
    """Answer on the connection with this file descriptor until the parent closes it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel = Channel(descriptor)
    logging.getLogger().addHandler(QueueHandler(channel))
    host = _of(channel.get())
    channel.put_nowait(Ready())
    while True:
        try:
            message = channel.get()
        except EOFError:
            return
        except Exception as error:
            _send(channel, host, _unexpected(host, error))
            continue
        if isinstance(message, About):
            # Its end may be gone without a word, which is nothing to the next host.
            threading.Thread(target=host.close, daemon=True).start()
            host = _of(message)
            channel.put_nowait(Ready())
        else:
            _send(channel, host, _outcome(host, *message))


def _of(about: About) -> Host:
    logging.getLogger().setLevel(about.level)
    return Host(about.name, about.uri, about.timeout)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _outcome(host: Host, function: Callable[..., Any], arguments: tuple[Any, ...]) -> object:
    try:
        return Returned(function(host, *arguments))
    except NovadevError as error:
        return Raised(error)
    except Exception as error:
        return _unexpected(host, error)


def _unexpected(host: Host, error: Exception) -> Raised:
    LOG.error("host %s: unexpected error", host.name, exc_info=error)
    return Raised(NovadevError(f"host {host.name}: {type(error).__name__}: {error}"))


def _send(channel: Channel, host: Host, message: object) -> None:
    try:
        channel.put_nowait(message)
    except BrokenPipeError:
        return
    except Exception as error:
        channel.put_nowait(_unexpected(host, error))
