"""Reports skipped servers on stderr, grouped by reason, and computes their exit code."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TypeVar

from novadev.cli.document import SkipEntry
from novadev.cli.grouping import Groups, common, labelled, without_own, wrapped
from novadev.cli.options import screen_width
from novadev.cli.session import Session
from novadev.cli.talk import say
from novadev.errors import NotAsNeeded, NovadevError, worst
from novadev.runs.plan import NothingChosen, Skip
from novadev.text import many, printable

T = TypeVar("T")
Reason = tuple[str, str]
"""How a skip is told, and why it is one, without what is one server's."""
PART = "planned in part"
"""The word for a part of a server of which something else is planned: it is not skipped."""
_REMEMBERED = 1000
"""Reasons that are grouped; those that come after are told each time."""


class Skips:
    """The skips of one run, kept in a temporary file: there may be a hundred thousand.

    A terminal shows those of servers when all have come, equal reasons together. Elsewhere each
    reason is told as it comes, once, and in the end for how many it was so; of a server that was
    named it is told each time.
    """

    def __init__(self, session: Session, fail_on_skip: bool = False) -> None:
        self._session = session
        self._fail_on_skip = fail_on_skip
        self._codes: set[int] = set()
        self._file: IO[str] | None = None
        self._groups: Groups[Reason, str] = Groups(_REMEMBERED)
        self._told: dict[Reason, int] = {}
        self._servers: Counter[str] = Counter()
        self._planned: set[str] = set()
        self._others = 0
        self._places = 0
        self._is_empty = False

    @property
    def exit_code(self) -> int:
        """The exit code these skips give."""
        return worst(self._codes)

    @property
    def count(self) -> int:
        """How many servers are skipped, and hosts and cells of which no server is known.

        A server of which something else is planned is not skipped.
        """
        return len(self._servers.keys() - self._planned) + self._others

    @property
    def told(self) -> str:
        """What :attr:`count` counts, in words that agree with what was shown."""
        skipped = self._servers.keys() - self._planned
        servers = len(skipped) + self._others - self._places
        parts = [f"{servers} skipped"] if servers or not self._places else []
        if sum(self._servers[uuid] for uuid in skipped) > len(skipped):
            reasons = sum(1 for group in self._groups if group.key[0] != PART and group.names[0])
            parts = [f"{many(servers, 'server')} skipped, for {many(reasons, 'reason')}"]
        if self._places:
            places = "cell or host" if self._places == 1 else "cells or hosts"
            parts.append(f"{self._places} {places} not read")
        return ", ".join(parts)

    def plan(self, uuid: str) -> None:
        """Take note that something is planned for the server UUID."""
        self._planned.add(uuid)

    def add(self, skip: Skip) -> None:
        """Print and keep SKIP; a remark is only printed."""
        if skip.is_remark:
            say(printable(skip.reason))
            self._is_empty |= isinstance(skip, NothingChosen)
            return
        self._tell(skip)
        if skip.instance is None:
            self._others += 1
            self._places += skip.is_of_place
        else:
            self._servers[skip.instance] += 1
        self._codes.add(skip.failure)
        if self._fail_on_skip and not skip.failure:
            self._codes.add(NotAsNeeded.exit_code)
        entry: SkipEntry = {
            "instance": skip.instance,
            "reason": skip.reason,
            "name": self._session.names.get(skip.instance or "") or None,
        }
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
            self._file.write(json.dumps(entry) + "\n")
        except OSError as error:
            reason = error.strerror or str(error)
            text = (
                "the list of skipped servers cannot be written to a temporary file (see "
                f"TMPDIR): {reason}"
            )
            raise NovadevError(text) from None

    def _tell(self, skip: Skip) -> None:
        """Put SKIP into its group, and say it now unless that is left for the end."""
        name = self._session.names.get(skip.instance or "")
        host = self._session.hosts_of.get(skip.instance or "")
        why = common(skip.reason, skip.instance, name)
        reason = (self._word(skip), without_own(why, host) if skip.instance else why)
        text = labelled(skip.reason, skip.instance, name)
        group = self._groups.add(reason, name or skip.instance or "", text, host, why)
        if group is None or self._is_told_now(skip, group.count):
            say(f"{reason[0]}: {printable(text)}")
            self._told[reason] = self._told.get(reason, 0) + (group is not None)

    def _word(self, skip: Skip) -> str:
        """Return how SKIP is told: a server of which something else is planned is not skipped."""
        if skip.failure:
            return "Error"
        return PART if skip.instance in self._planned else "skipped"

    def _is_told_now(self, skip: Skip, number: int) -> bool:
        """Whether SKIP, the one with this NUMBER for its reason, is told before the end.

        A host that is down is the reason for many, and so is an old default.
        """
        if skip.instance is None:
            return number == 1
        if sys.stderr.isatty():
            return False
        return skip.named or (bool(skip.failure) and number == 1)

    def tell_groups(self) -> None:
        """Say for how many servers each reason was so, unless all of them were told."""
        width, told_before = screen_width(sys.stderr), {*self._told}
        for group in self._groups:
            word, reason = group.key
            if self._told.get(group.key, 0) >= group.count:
                continue
            self._told[group.key] = group.count
            if group.count == 1:
                text = f"{word}: {printable(group.members[0])}"
            elif not group.names[0]:
                text = f"{group.count} times: {printable(reason)}"
            else:
                in_all = " in all" * (group.key in told_before)
                servers = f"{many(group.count, 'server')}{group.spread}{in_all} ({group.named})"
                text = f"{word}: {servers}: {printable(group.text or reason)}"
            for line in wrapped(text, width):
                say(line)

    def unless_all(self, text: str, checked: Callable[[], int]) -> Callable[[], str]:
        """Return what gives TEXT: nothing where no server was chosen, or all that were are skipped.

        Where only some was skipped, it says that TEXT is not about that.
        """

        def said() -> str:
            if self._is_empty:
                return ""
            if not (text and self.count):
                return text
            return f"{text} What was skipped was not checked." if checked() else ""

        return said

    def sift(self, items: Iterable[T | Skip]) -> Iterator[T]:
        """Yield those of ITEMS that are no skips, adding the others."""
        for item in items:
            if isinstance(item, Skip):
                self.add(item)
            else:
                yield item

    def __iter__(self) -> Iterator[SkipEntry]:
        if self._file is not None:
            self._file.seek(0)
            yield from (json.loads(line) for line in self._file)
