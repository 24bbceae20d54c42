"""Compares an audit with an earlier one: new findings, remaining ones and fixed ones."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from novadev.audit.coverage import NO_TARGET, OTHER_TARGET, Coverage
from novadev.audit.finding import Comparison as Word
from novadev.audit.finding import Earlier, Finding, plain
from novadev.errors import BadInput
from novadev.foreign_file import read_text
from novadev.runs.plan import Skip
from novadev.strict_json import parse, read

Key = tuple[str, str, str, bool]
"""The check, the server's UUID, the host of what is about no server, and whether it is told once.

Which server that is told of says nothing: it is the first of its kind.
"""
_IN_ONE = frozenset(
    ("not-stashed", "unreadable", "duplicate-property", "request-spec", "machine-type")
) | {
    *("drift", "forecast", "pcie-ports", "missing-domain", "rehearsal"),
    *("error-state", "stuck-task", "volume-name"),
}
"""The checks that say all of one server in one finding: other words are the same finding."""
_NUMBER = re.compile(r"\d+")
_MAX_BYTES = 256 * 1024 * 1024
"""Of the earlier audit: some hundred thousand findings."""


class Comparison:
    """The findings of an earlier audit, which those of the present one are held against."""

    def __init__(self, earlier: Iterable[Earlier]) -> None:
        self._left: dict[Key, list[Earlier]] = defaultdict(list)
        self._servers: set[str] = set()
        for item in earlier:
            if item.instance is not None:
                self._servers.add(item.instance)
            if item.comparison != "mended":
                self._left[_key(item)].append(item)
        self.not_checked = Counter[str]()
        """How many of them this audit has not checked, by the reason."""
        self._is_foreign = False

    def compared(
        self, findings: Iterable[Finding | Skip], coverage: Coverage
    ) -> Iterator[Finding | Skip]:
        """Yield FINDINGS marked as new or still there, then those that only the earlier audit has.

        COVERAGE is complete when they were taken. What it covers is mended; the rest is not
        checked, and counted by the reason.
        """
        for _, group in groupby(findings, _place):
            yield from self._of_one(list(group))
        is_known = coverage.guests & self._servers
        self._is_foreign = coverage.is_whole and bool(self._servers) and not is_known
        for found in self._left.values():
            for item in found:
                why = coverage.why_not(item)
                self.not_checked.update([why] if why else ())
                yield _gone(item, "not checked" if why else "mended")

    def remarks(self, name: str) -> Iterator[str]:
        """Yield what is to be said of the file NAME that the earlier audit is in.

        That an audit of everything knows none of its servers, and how much was not looked for.
        """
        if self._is_foreign:
            yield (
                f"None of the servers in {name} exists here. If the file is from another "
                "deployment, its findings are not fixed: compare with a file of this deployment."
            )
        number = self.not_checked.total()
        if number:
            reasons = [
                f"{self.not_checked[why]} {_verb(self.not_checked[why])} {why}"
                for why in (OTHER_TARGET, NO_TARGET)
                if self.not_checked[why]
            ]
            yield (
                f"{number} of the findings in {name} were not checked this time, so they count "
                f"neither as mended nor as still there{'. Of these, ' if reasons else ''}"
                f"{' and '.join(reasons)}."
            )

    def _of_one(self, found: list[Finding | Skip]) -> Iterator[Finding | Skip]:
        """Yield the findings of one server or host: equal words first, so that none takes them."""
        old = {id(item): self._take(item, is_alike=False) for item in found}
        for item in found:
            if not isinstance(item, Finding):
                yield item
                continue
            is_old = old[id(item)] or self._take(item, is_alike=True)
            yield replace(item, comparison="still there" if is_old else "new")

    def _take(self, item: Finding | Skip, is_alike: bool) -> bool:
        """Take the finding that ITEM was before out of what is left; return whether there is one.

        One that IS_ALIKE may have other details, where its check has one finding for a server.
        """
        left = self._left.get(_key(item), []) if isinstance(item, Finding) else []
        for place, before in enumerate(left):
            if isinstance(item, Finding) and _is_same(before, item, is_alike):
                del left[place]
                return True
        return False


def _is_same(before: Earlier, item: Finding, is_alike: bool) -> bool:
    """Whether ITEM is what was found BEFORE; a file of an older novadev does not say where.

    What a rehearsal left out is one finding for each reason, whatever the numbers in it.
    """
    places = ((one.target, one.target_file) for one in (before, item))
    if before.target is not None and len(set(places)) > 1:
        return False
    old, new = plain(before.details), plain(item.details)
    if old == new or not is_alike:
        return old == new
    if item.check == "rehearsal" and item.instance is None:
        return _without_numbers(old) == _without_numbers(new)
    return item.check in _IN_ONE


def _without_numbers(details: str) -> str:
    return _NUMBER.sub("", details).replace("shapes", "shape").replace("guests", "guest")


def _key(item: Finding | Earlier) -> Key:
    is_once = item.once if isinstance(item, Finding) else item.is_once
    instance = "" if is_once else item.instance or ""
    return item.check, instance, "" if item.instance else item.host or "", is_once


def _place(item: Finding | Skip) -> tuple[str | None, str | None]:
    return (item.instance, item.host) if isinstance(item, Finding) else (item.instance, None)


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"


def _gone(item: Earlier, word: Word) -> Finding:
    """Return what only the earlier audit has found, with the WORD for it."""
    return Finding(
        *(item.check, item.severity, item.instance, item.host, item.details, None),
        *(item.name, item.cell, item.project, item.machine_type),
        comparison=word,
        target=item.target,
        target_file=item.target_file,
        move=item.move,
        once=item.is_once,
    )


def read_comparison(name: str) -> Comparison:
    """Return what the audit that ``--format json`` wrote into the file NAME found.

    Raises BadInput for a file that is none of that kind, and as `read_text`.
    """
    what = f"{name} was not written by audit --format json"
    try:
        data = parse(read_text(name, _MAX_BYTES))
    except ValueError as error:
        raise BadInput(f"{what}: it is not valid JSON: {error}") from None
    if not isinstance(data, list):
        raise BadInput(f"{what}: it is not a list of findings")
    return Comparison(read(list[Earlier], data, f"earlier audit {name}"))
