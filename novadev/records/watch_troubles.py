"""What a watch waits for: databases and hosts that give no answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from novadev.errors import NovadevError, Unreachable
from novadev.records.watch_jobs import NotRecorded, Recorded, Result

LONGEST_PAUSE = 60.0
"""Seconds between two tries while a database gives no answer, once they have grown."""


def of_all(results: Iterable[Result]) -> NovadevError | None:
    """Return why nothing at all could be looked at, if so: a host or a database does not answer.

    A cell that does not answer is not the cell of a host of which guests are known.
    """
    lost = [item for item in results if isinstance(item, Recorded) or item.uuid or item.exit_code]
    for item in lost:
        if isinstance(item, Recorded) or (item.uuid and item.exit_code != Unreachable.exit_code):
            return None
    silent = [item for item in lost if isinstance(item, NotRecorded)]
    # The first one may be the guest that was being asked, and tells of itself.
    return Unreachable(silent[-1].reason, silent[-1].database) if silent else None


class Troubles:
    """What gives no answer, of which hosts; each is told once, and when it gives answers again.

    ``hold`` is the time until which no job is begun, because none could be done; 0 for none.
    """

    def __init__(self) -> None:
        self.hold = 0.0
        self._pause = 1.0
        self._errors: dict[str, NovadevError] = {}

    def hold_back(self, now: float) -> None:
        """Begin no job for a while, a longer one each time."""
        self.hold = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def release(self) -> None:
        """Begin jobs again: one of them was done."""
        self.hold, self._pause = 0.0, 1.0

    def failed(self, host: str, error: NovadevError) -> Iterator[NovadevError]:
        """Take note that ERROR is in the way of HOST; yield it where it is to be told."""
        known = {_key(item) for item in self._errors.values()}
        self._errors[host] = error
        if _key(error) not in known:
            yield error

    def succeeded(self, host: str) -> Iterator[NovadevError]:
        """Take note that nothing is in the way of HOST; yield what was, if it is told mended."""
        error = self._errors.pop(host, None)
        if error is not None and _key(error) not in map(_key, self._errors.values()):
            yield error


def _key(error: NovadevError) -> str:
    return error.database or str(error)
