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
from multiprocessing.reduction import recv_handle
from typing import Any

from novadev.errors import NovadevError
from novadev.virt.host import Host

LOG = logging.getLogger(__name__)
_CLOSING = 0.2
"""Seconds that closing a connection may hold up the next one."""


@dataclass(frozen=True)
class About:
    """The host that is asked from now on, and the level of the log."""

    name: str
    uri: str
    timeout: float
    level: int


@dataclass(frozen=True)
class Ready:
    """The process waits for the first question to its host.

    ``is_alone`` is false while the connection to a host before is not closed yet: that may still
    say something, and nobody knows then of which host a line is.
    """

    is_alone: bool = True


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

    def take_stderr(self) -> None:
        """Write what is said from now on into the file that follows a message about a host."""
        file = recv_handle(self._connection)
        os.dup2(file, sys.stderr.fileno())
        os.close(file)


def serve(descriptor: int) -> None:
    """Answer on the connection with this file descriptor until the parent closes it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel = Channel(descriptor)
    logging.getLogger().addHandler(QueueHandler(channel))
    host = _of(channel.get())
    channel.take_stderr()
    channel.put_nowait(Ready())
    closing: list[threading.Thread] = []
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
            closing.append(threading.Thread(target=host.close, daemon=True))
            closing[-1].start()
            closing[-1].join(_CLOSING)
            closing = [thread for thread in closing if thread.is_alive()]
            channel.take_stderr()
            host = _of(message)
            channel.put_nowait(Ready(is_alone=not closing))
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
