"""The state database of one nova-compute, read and written by threads.

A database that hangs holds a thread and not the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError, wait
from threading import Lock
from typing import TypeVar

from novadev.database import Database
from novadev.errors import Unreachable
from novadev.state.store import open_state

T = TypeVar("T")
Failed = Callable[[str, Exception], None]
"""Is told of what could not be written: the UUID of the guest, empty where it is of none."""
LIMIT = 0.12
"""Seconds that the state database may take of the limit that nova-compute sets."""
_WAITING = 256
"""Guests that wait to be recorded."""


class StateDatabase:
    """The state database at URL; a file of SQLite ``is_own``: no other host has it.

    FAILED is called, by another thread, for each write that does not land.
    """

    def __init__(self, url: str, failed: Failed) -> None:
        self.url = url
        self.is_own = url.startswith("sqlite")
        self._failed = failed
        self._reader, self._writer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._reading: Future[object] | None = None
        self._writes: dict[str, Future[None]] = {}
        self._lock = Lock()
        self._opened: Database | None = None

    def open(self, seconds: float) -> BaseException | None:
        """Open the state database, as far as that takes no more than SECONDS; return what failed.

        What making or upgrading its schema costs is then done before a guest waits for it.
        """
        opening = self._reader.submit(self.opened)
        try:
            return opening.exception(seconds)
        except TimeoutError:
            return Unreachable(f"the state database does not answer within {seconds:.0f} s")

    def ask(self, call: Callable[[], T]) -> T:
        """Return what CALL reads; raises Unreachable where that takes longer than the limit."""
        if self._reading is not None and not self._reading.done():
            raise Unreachable("the state database has not answered the last question yet")
        future = self._reader.submit(call)
        self._reading = future  # type: ignore[assignment]
        try:
            return future.result(LIMIT)
        except TimeoutError:
            limit = f"{LIMIT * 1000:.0f} ms"
            raise Unreachable(f"the state database does not answer within {limit}") from None

    def write(self, uuid: str, call: Callable[[], None]) -> None:
        """Have CALL write, some time soon, what is recorded of the guest UUID."""
        self._writes = {key: item for key, item in self._writes.items() if not item.done()}
        if len(self._writes) >= _WAITING:
            self._failed(uuid, Unreachable(f"{_WAITING} guests wait for the state database"))
            return
        self._writes[uuid] = self._writer.submit(self._told, uuid, call)

    def is_written(self, uuid: str) -> bool:
        """Return whether no write of the guest UUID waits any more; that may take the limit."""
        found = self._writes.get(uuid)
        return found is None or not wait([found], LIMIT).not_done

    def end(self, seconds: float) -> None:
        """Wait until all is written, as far as that takes no more than SECONDS."""
        wait(self._writes.values(), seconds)

    def later(self, call: Callable[[Callable[[], Database]], None]) -> None:
        """Have CALL write, some time soon, to the database that it opens."""
        self._writer.submit(self._told, "", call, self.opened)

    def _told(self, uuid: str, call: Callable[..., None], *values: object) -> None:
        """Call, and tell of what it raises: nobody waits for a thread that writes."""
        try:
            call(*values)
        except Exception as error:
            self._failed(uuid, error)

    def opened(self) -> Database:
        """Return the state database, for either thread.

        The database is opened once: to close another handle of a SQLite file, as opening it does,
        would take away the locks that this process has on it. A file that was replaced, for
        example by a backup, is another one.
        """
        with self._lock:
            if self._opened is None or self._opened.is_replaced:
                self._opened = open_state(self.url, is_known=self._opened is not None)
            return self._opened
