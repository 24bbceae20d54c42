"""Compares an audit with an earlier one: new findings, remaining ones and fixed ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from novadev.audit.coverage import Coverage
from novadev.audit.finding import Finding, Severity, plain
from novadev.capabilities.file import read_text
from novadev.errors import BadInput
from novadev.runs.plan import Skip
from novadev.strict_json import parse, read

Key = tuple[str, str, str]
"""The check, the server's UUID, and the host of what is about no server."""
_IN_ONE = frozenset(
    ("not-stashed", "unreadable", "duplicate-property", "request-spec", "machine-type")
) | {"drift", "forecast", "pcie-ports", "missing-domain"}
"""The checks that say all of one server in one finding: other words are the same finding."""
_MAX_BYTES = 256 * 1024 * 1024
"""Of the earlier audit: some hundred thousand findings."""


@dataclass(frozen=True)
class Earlier:
    """A finding of the earlier audit."""

    check: str
    severity: Severity
    instance: str | None
    host: str | None
    details: str
    name: str = ""
    cell: str = ""
    project: str = ""
    machine_type: str = ""
    acknowledged: str | None = None
    comparison: str | None = None


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
        self.not_asked = 0
        self._is_foreign = False

    def compared(
        self, findings: Iterable[Finding | Skip], coverage: Coverage
    ) -> Iterator[Finding | Skip]:
        """Yield FINDINGS marked as new or still there, then the mended ones of the earlier audit.

        COVERAGE is complete when they were taken. What it does not cover is not mended: it is
        counted in ``not_asked``.
        """
        for _, group in groupby(findings, _place):
            yield from self._of_one(list(group))
        is_known = coverage.guests & self._servers
        self._is_foreign = coverage.is_whole and bool(self._servers) and not is_known
        for found in self._left.values():
            for item in found:
                if coverage.has(item.check, item.instance, item.host):
                    yield _mended(item)
                else:
                    self.not_asked += 1

    def remarks(self, name: str) -> Iterator[str]:
        """Yield what is to be said of the file NAME that the earlier audit is in.

        That an audit of everything knows none of its servers, and how much was not looked for.
        """
        if self._is_foreign:
            yield (
                f"None of the servers in {name} exists here. If the file is from another "
                "deployment, its findings are not fixed: compare with a file of this deployment."
            )
        if self.not_asked:
            yield (
                f"{self.not_asked} of the findings in {name} were not checked this time, so they "
                "count neither as mended nor as still there."
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
            same = isinstance(item, Finding) and plain(before.details) == plain(item.details)
            if same or (is_alike and before.check in _IN_ONE):
                del left[place]
                return True
        return False


def _key(item: Finding | Earlier) -> Key:
    return item.check, item.instance or "", "" if item.instance else item.host or ""


def _place(item: Finding | Skip) -> tuple[str | None, str | None]:
    return (item.instance, item.host) if isinstance(item, Finding) else (item.instance, None)


def _mended(item: Earlier) -> Finding:
    return Finding(
        *(item.check, item.severity, item.instance, item.host, item.details, None),
        *(item.name, item.cell, item.project, item.machine_type),
        comparison="mended",
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
