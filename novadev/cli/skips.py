"""What could not be done: told on stderr as it comes, and counted into the exit code."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import IO, TypeVar

from novadev.cli.talk import say
from novadev.errors import NotAsNeeded, NovadevError, worst
from novadev.runs.plan import Skip
from novadev.text import printable

T = TypeVar("T")
_REMEMBERED = 1000
"""Reasons that are told once; those that come after are told each time."""


class Skips:
    """The skips of one run, kept in a temporary file: there may be a hundred thousand."""

    def __init__(self, fail_on_skip: bool = False) -> None:
        self._fail_on_skip = fail_on_skip
        self._codes: set[int] = set()
        self._file: IO[str] | None = None
        self._told: Counter[str] = Counter()
        self.count = 0

    @property
    def exit_code(self) -> int:
        """The exit code these skips give."""
        return worst(self._codes)

    def add(self, skip: Skip) -> None:
        """Tell and keep SKIP; a remark is only told."""
        if skip.is_remark:
            say(printable(skip.reason))
            return
        if skip.named or skip.exit_code:
            self._tell(skip)
        self.count += 1
        self._codes.add(skip.failure)
        if self._fail_on_skip and not skip.failure:
            self._codes.add(NotAsNeeded.exit_code)
        line = json.dumps({"instance": skip.instance, "reason": skip.reason})
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
            self._file.write(line + "\n")
        except OSError as error:
            reason = error.strerror or str(error)
            text = f"what is skipped cannot be kept in a temporary file (TMPDIR): {reason}"
            raise NovadevError(text) from None

    def _tell(self, skip: Skip) -> None:
        """Say it once: a host that is down is the reason for many, and so is an old default.

        What stands against an instance that was named is said of each.
        """
        reason = skip.reason
        if not skip.named:
            reason = reason.removeprefix(f"instance {skip.instance}: ")
        if len(self._told) < _REMEMBERED or reason in self._told:
            self._told[reason] += 1
        if self._told[reason] < 2:
            word = "error" if skip.failure else "skipped"
            say(f"{word}: {printable(skip.reason)}")

    def tell_repeated(self) -> None:
        """Say how often what was said once has happened, in the end."""
        for reason, number in self._told.items():
            if number > 1:
                say(f"{number} times: {printable(reason)}")

    def sift(self, items: Iterable[T | Skip]) -> Iterator[T]:
        """Yield those of ITEMS that are no skips, adding the others."""
        for item in items:
            if isinstance(item, Skip):
                self.add(item)
            else:
                yield item

    def __iter__(self) -> Iterator[dict[str, str | None]]:
        if self._file is not None:
            self._file.seek(0)
            yield from (json.loads(line) for line in self._file)
