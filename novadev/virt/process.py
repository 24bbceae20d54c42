"""A child process of a host, from the parent's side."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any, ClassVar

import novadev
from novadev.virt.child import About

LOG = logging.getLogger(__name__)
_PROGRAM = (
    "import sys; sys.path[:] = filter(None, sys.path); "  # nothing from the folder we are in
    "from novadev.virt import child; child.serve(int(sys.argv[1]))"
)
_KILL_LIMIT = 5.0
"""Seconds for the kernel to take a killed process away."""


class Process:
    """A running child: `channel` becomes ready when there is something to receive.

    It is a session of its own: Ctrl-C on the terminal does not reach it, and nothing it starts
    (ssh) can ask on the terminal.
    """

    NOTHING: ClassVar[object] = object()

    def __init__(self) -> None:
        self.host = "(none yet)"
        self.has_answered = False
        """Whether a question was answered since it was started; its pool keeps this."""
        self.is_alone = True
        """Whether all that it says is of its host; its pool keeps this."""
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill()
        with theirs:
            self._popen = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,
            )
        self.channel: Connection[Any, Any] = Connection(ours.detach())

    def speak_to(self, host: str, uri: str, timeout: float) -> None:
        """Say which host it is for from now on; what it said before was of another one.

        It gets a file of its own for what is said of this one. Who still holds the former file,
        such as the ssh of the host before, is read no more.
        """
        self._log_last_words()
        self._stderr.close()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill()
        self.host, self.has_answered, self.is_alone = host, False, True
        self._say(About(host, uri, timeout, logging.getLogger().getEffectiveLevel()))
        with self._until_it_ends():
            send_handle(self.channel, self._stderr.fileno(), self._popen.pid)

    def ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Send a call; `receive` reports a child that has died."""
        self._say((function, arguments))

    def _say(self, message: object) -> None:
        with self._until_it_ends():
            self.channel.send(message)

    @contextmanager
    def _until_it_ends(self) -> Iterator[None]:
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            LOG.info("host %s: its process has ended", self.host)

    def receive(self) -> object:
        """Return the next message, None from a child that has died, NOTHING for a log record."""
        try:
            message = self.channel.recv()
        except (EOFError, OSError):
            return None
        if isinstance(message, logging.LogRecord):
            logger = logging.getLogger(message.name)
            if logger.isEnabledFor(message.levelno):
                logger.handle(message)
            return self.NOTHING
        return message

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._popen.poll() is None

    def epitaph(self) -> str | None:
        """Return how it ended, with the last line it had to say; None while it runs."""
        try:
            code = self._popen.wait(0.1)
        except subprocess.TimeoutExpired:
            return None
        return ": ".join([f"its process ended with {code}", *self._last_words()[-1:]])

    def kill(self) -> None:
        """End it and all it started, and log what they left on stderr."""
        try:
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait(_KILL_LIMIT)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            LOG.info("host %s: its process %d is gone or hangs", self.host, self._popen.pid)
        self._log_last_words()
        self._close()

    def _log_last_words(self) -> None:
        for line in self._last_words():
            LOG.info("%s: %s", f"host {self.host}" if self.is_alone else "a host", line)

    def _last_words(self) -> list[str]:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace").strip().splitlines()

    def _close(self) -> None:
        assert self._popen.stdin
        self._popen.stdin.close()
        self.channel.close()
        self._stderr.close()


def _environment() -> dict[str, str]:
    """Return ours, with the folders of our own modules, however they were found."""
    here = str(Path(novadev.__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), here])}
