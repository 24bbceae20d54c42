"""A watch that runs in a thread of the test, and what it had to say."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from novadev.config import load
from novadev.records.watch import HostLost, HostOpened, Trouble, Watch, Written

LIMIT = 60.0
"""Seconds that anything may take on a machine that does other things."""
N = TypeVar("N")


class Configured(Protocol):
    @property
    def config_file(self) -> Any: ...


class Watching:
    """What a running watch has said, in order."""

    def __init__(self) -> None:
        self.news: list[object] = []
        self._changed = threading.Condition()

    def add(self, item: object) -> None:
        with self._changed:
            self.news.append(item)
            self._changed.notify_all()

    def of(self, kind: type[N]) -> list[N]:
        return [item for item in self.news if isinstance(item, kind)]

    def wait(self, condition: Callable[[], object], limit: float = LIMIT) -> None:
        """Wait until CONDITION is true; it is asked after each piece of news."""
        with self._changed:
            assert self._changed.wait_for(condition, limit), self.news

    def lost(self) -> list[str]:
        return [item.host for item in self.of(HostLost)]

    def opened(self) -> list[str]:
        return [item.host for item in self.of(HostOpened)]

    def troubles(self) -> list[str]:
        return [str(item.error) for item in self.of(Trouble)]

    def changes(self, field: str) -> dict[str, str | None]:
        """What was written of a field of devices since the beginning, the newest by label."""
        written = [item.guest for item in self.of(Written)]
        drifts = [change for guest in written for change in guest.changes]
        return {drift.label: drift.found for drift in drifts if drift.field == field}


@contextmanager
def watching(configured: Configured, **options: Any) -> Iterator[Watching]:
    """Watch while the ``with`` lasts; it must have ended soon after."""
    watch, seen = Watch(load([str(configured.config_file)]), **options), Watching()

    def run() -> None:
        for item in watch.run():
            seen.add(item)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        watch.stop()
        thread.join(LIMIT)
    assert not thread.is_alive()
