"""The process that has the records, asked by nova-compute through a socket.

Runs in Nova's own interpreter with the standard library alone. With eventlet the socket is a green
one, that lets other green threads run, and with Nova's native threads an ordinary one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 0.2
"""Seconds that one definition may wait."""
PATIENCE = 120.0
"""Seconds that the process may take to start; then it is started again."""
HANGING = 10.0
"""Seconds after which a process that owes an answer is started again; until then it is slow."""
AGAIN = 10.0
"""Seconds between two starts of a process that ends and is asked nothing."""
_ROOM = 1 << 20
"""Bytes that may wait for the process: the definitions of a few dozen guests."""
_SELDOM = 600.0
"""The most seconds between two starts of a process that ends before it is ready."""
_REMEMBERED = 1024
"""Guests that are owed their layout, and questions that are not confirmed, at a time."""


class Refused(Exception):
    """The keeper has nothing for this definition; the text says why."""


class _Told(NamedTuple):
    """What the process was told with a question, until an answer says that it has read that.

    ``uuid`` is the guest that is to be recorded.
    """

    number: int
    uuid: str | None
    missed: dict[tuple[str, str], int]
    lost: list[tuple[str, float, bool]]


class Keeper:
    """The process that has the records; started, and started again, when it is needed."""

    def __init__(self, command: Sequence[str], log: Any) -> None:
        self._command, self._log = command, log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._started = 0.0
        self._mode: str | None = None
        self._is_load_due = False
        self._asked, self._owed = 0, 0.0
        self._unsent, self._stuck = b"", 0.0
        self._failures = 0
        self._told: deque[_Told] = deque(maxlen=_REMEMBERED)
        self._counting = threading.Lock()
        self.missed: Counter[tuple[str, str]] = Counter()
        """What the process does not know of, by outcome and reason; it is told with a question."""
        self.lost: list[tuple[str, float, bool]] = []
        """Guests whose definition got no answer, when, and whether they were made again where they
        were; that is told in the same way."""

    def start(self) -> None:
        """Start the process; it says when it is ready."""
        ours, theirs = socket.socketpair()
        alive, held = socket.socketpair()
        number = theirs.fileno()
        self._process = subprocess.Popen(  # noqa: S603 - novadev's own interpreter
            [part.format(number) if part == "{}" else part for part in self._command],
            pass_fds=[number, held.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # nothing from the folder Nova runs in
        )
        theirs.close()
        held.close()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self._socket, self._buffer, self._mode = ours, b"", None
        self._is_load_due = False
        self._started, self._owed = time.monotonic(), 0.0
        self._unsent, self._stuck = b"", 0.0
        self._failures += 1  # until it is ready
        threading.Thread(target=self._watch, args=(alive, self._process), daemon=True).start()

    def _watch(self, alive: socket.socket, process: subprocess.Popen[bytes]) -> None:
        """Start the process again when it ends by itself: a guest would wait for that in vain.

        The other end of ALIVE is with PROCESS alone, so this reads until it is gone.
        """
        with alive:
            alive.recv(1)
        process.kill()  # its files are closed some time before it can be waited for
        code = process.wait()
        if self._process is not process:
            return
        time.sleep(max(self._started + AGAIN - time.monotonic(), self._pause(), 0.0))
        with self._lock:
            if self._process is process:
                told = "novadev: its process has ended with %s, and is started again"
                self._log.warning(told, code)
                with suppress(Refused, OSError):
                    self._be_ready(time.monotonic())

    def _pause(self) -> float:
        """Return the seconds until the process may be started again, if it ends at every start."""
        if self._failures < 2:
            return 0.0
        pause: float = min(AGAIN * 2.0 ** min(self._failures - 1, 10), _SELDOM)
        return self._started + pause - time.monotonic()

    def await_ready(self, seconds: float) -> None:
        """Wait until the process is ready, or SECONDS have passed, or it cannot be started."""
        with self._lock, suppress(Refused, OSError):
            self._be_ready(time.monotonic() + seconds)

    def stop(self) -> None:
        """End the process, whatever it does; its end is waited for elsewhere, as it may take long.

        A file on a network that hangs keeps a process from ending.
        """
        process, self._process = self._process, None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._unsent = b""
        self._take_back()
        if process is not None:
            process.kill()

    def _take_back(self) -> None:
        """Have told again, and say of what cannot be, what the process may not have read."""
        told = [self._told.popleft() for _ in range(len(self._told))]
        self.lost[:0] = [guest for item in told for guest in item.lost]
        for item in told:
            with self._counting:
                self.missed += Counter(item.missed)
            if item.uuid is not None:
                self.miss("unrecorded", "no-answer")
                text = "[instance: %s] novadev: what it had may not be recorded: no answer came"
                self._log.warning(text, item.uuid)

    def lose(self, uuid: str, again: bool) -> None:
        """Note that the guest UUID is made without what is recorded of it, and is owed that.

        AGAIN: it is made on the host it was on.
        """
        self.lost.append((uuid, time.monotonic(), again))
        del self.lost[:-_REMEMBERED]

    def miss(self, outcome: str, reason: str) -> None:
        """Count what became of a definition that the process does not know of."""
        with self._counting:
            self.missed[outcome, reason] += 1

    def ask(self, message: dict[str, Any], answers: bool = True) -> Any:
        """Return the answer to MESSAGE, within the limit; raises Refused, and OSError."""
        until = time.monotonic() + LIMIT
        if self.is_off:
            return None
        if not self._lock.acquire(timeout=LIMIT):
            raise Refused("another definition is waited for")
        try:
            self._be_ready(until)
            if self._is_load_due:
                self._exchange({"do": "load"}, until, answers=False)
            return None if self.is_off else self._exchange(message, until, answers)
        finally:
            self._lock.release()

    def load(self) -> None:
        """Have the configuration read again; raises as `ask` where that is not known yet.

        It is read before the next question then, whose answer says what is to be done by it.
        """
        self._is_load_due = True
        self.ask({"do": "nothing"})

    @property
    def is_off(self) -> bool:
        """Whether the process has said that nothing is to be kept, and nothing else since."""
        return self._mode == "off" and not self._is_load_due

    def _be_ready(self, until: float) -> None:
        """Have a process that has said that it is ready."""
        if self._process is None or self._process.poll() is not None:
            if self._pause() > 0:
                raise Refused("novadev's process ends whenever it is started")
            self.stop()
            self.start()
        if self._mode is None:
            try:
                self._read(until)
            except OSError:
                if time.monotonic() - self._started > PATIENCE:
                    self.stop()
                raise Refused("novadev's process is not ready yet") from None

    def _note_mode(self, answer: dict[str, Any]) -> None:
        """Note what the process does; it says so where it has read the configuration."""
        if "mode" not in answer:
            return
        self._mode, self._failures = answer["mode"], 0
        if answer.get("why"):
            self._log.warning("novadev: %s", answer["why"])
        self._log.info("novadev: keep_addresses is %s", self._mode)

    def _exchange(self, message: dict[str, Any], until: float, answers: bool) -> Any:

        self._asked, missed = self._asked + 1, dict(self.missed)
        counts, lost = [(*outcome, number) for outcome, number in missed.items()], [*self.lost]
        asked = {**message, "number": self._asked, "missed": counts, "lost": lost}
        try:
            self._send(json.dumps(asked).encode() + b"\n", until)
            with self._counting:
                self.missed -= Counter(missed)
            del self.lost[: len(lost)]
            uuid = message["uuid"] if message["do"] == "seen" else None
            self._told.append(_Told(self._asked, uuid, missed, lost))
            if message["do"] == "load":  # it answers that, sooner or later
                self._is_load_due, self._mode = False, ""
            return self._answer(until) if answers else None
        except OSError:
            raise Refused(f"no answer within {LIMIT * 1000:.0f} ms") from None

    def _send(self, line: bytes, until: float) -> None:
        """Send LINE; where only a part of it can be sent now, the rest goes before the next one.

        Raises OSError where nothing of it was sent, and ends a process that has read nothing for
        so long that it hangs. One that is only slow has things to record that would be lost.
        """
        is_begun = False
        try:
            self._flush(until)
            self._unsent, is_begun = line, True
            self._flush(until)
        except socket.timeout:  # noqa: UP041 - it is no TimeoutError before Python 3.10
            self._stuck = self._stuck or time.monotonic()
            if time.monotonic() - self._stuck > HANGING:
                self.stop()
                raise
            if is_begun and len(self._unsent) < len(line):
                return
            self._unsent = b"" if is_begun else self._unsent
            raise
        except OSError:  # it has ended
            self.stop()
            raise

    def _flush(self, until: float) -> None:
        """Send what is not sent yet; raises OSError where that takes too long."""
        while self._unsent:
            self._wait(until)
            self._unsent = self._unsent[self._channel.send(self._unsent) :]
            self._stuck = 0.0

    def _answer(self, until: float) -> Any:
        """Return the answer to the last question; one to an earlier question came too late."""
        self._owed = self._owed or time.monotonic()
        try:
            while True:
                answer = self._read(until)
                self._owed = 0.0
                if answer.get("number") == self._asked:
                    return answer
        except OSError:
            if self._owed and time.monotonic() - self._owed > HANGING:
                self.stop()
            raise

    def _tell_troubles(self, answer: dict[str, Any]) -> None:
        """Say in Nova's log what the process could not write since its last answer."""
        for uuid, text in answer.get("troubles", ()):
            about = f"[instance: {uuid}] " if uuid else ""
            self._log.warning("%snovadev: %s", about, text)

    def _read(self, until: float) -> Any:

        while b"\n" not in self._buffer:
            self._wait(until)
            part = self._channel.recv(1 << 16)
            if not part:
                self.stop()
                raise Refused("novadev's process has ended")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer = json.loads(line)
        while self._told and self._told[0].number <= answer.get("number", 0):
            self._told.popleft()
        self._tell_troubles(answer)
        self._note_mode(answer)
        return answer

    @property
    def _channel(self) -> socket.socket:
        if self._socket is None:
            raise Refused("novadev's process has ended")
        return self._socket

    def _wait(self, until: float) -> None:

        self._channel.settimeout(max(until - time.monotonic(), 0.001))
