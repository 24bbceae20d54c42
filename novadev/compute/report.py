"""What becomes of the definitions of one nova-compute: counted, and written for others to see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock

from novadev.database import Database
from novadev.state.keeping import Outcome, write_keeping

Open = Callable[[], Database]
Later = Callable[[Callable[[Open], None]], None]
"""Has something written by another thread, some time soon; it is told how to open the database."""


class Report:
    """Counts; what cannot be written now is written with what comes later."""

    def __init__(self) -> None:
        self._counts: Counter[Outcome] = Counter()
        self._lock = Lock()
        self._waits = False

    def count(self, outcome: Outcome, number: int = 1) -> None:
        """Count an OUTCOME."""
        with self._lock:
            self._counts[outcome] += number

    def send(self, later: Later, host: str, mode: str, aliases: bool) -> None:
        """Have LATER write that HOST does MODE, with ALIASES or without, and what was counted.

        No more than one waits.
        """
        with self._lock:
            if self._waits:
                return
            self._waits = True
        later(lambda opened: self._write(opened, host, mode, aliases))

    def _write(self, opened: Open, host: str, mode: str, aliases: bool) -> None:
        with self._lock:
            counts, self._counts, self._waits = self._counts, Counter(), False
        try:
            write_keeping(opened(), host, mode, aliases, counts)
        except Exception:
            with self._lock:
                self._counts.update(counts)
            raise
