"""The file of acknowledgements: findings that an operator accepts, each until a given date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import yaml

from novadev.audit.checks import ALWAYS, CHECKS
from novadev.audit.finding import Finding, plain
from novadev.errors import BadInput
from novadev.foreign_file import read_text
from novadev.strict_json import Form, read
from novadev.text import meant, printable

T = TypeVar("T")
_NAMES = frozenset(check.name for check in CHECKS) - {ALWAYS}


_SHAPE = (
    "the file has to be a list in YAML, each entry with check, reason, until, and instance or host "
    "(- check: NAME …)"
)


class _Loader(yaml.SafeLoader):
    """Reads plain values, and refuses a mapping that has a key twice: PyYAML takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the next mapping; raises MarkedYAMLError at a key that it has twice."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                problem = f"the key {key.value!r:.60} stands twice in one mapping"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))
        return node


class _Entry(Form):
    check: str
    reason: str
    until: date
    instance: str | None = None
    host: str | None = None
    details: str | None = None


@dataclass(frozen=True)
class Acknowledgement:
    """One decision: findings of CHECK that somebody lives with, UNTIL the end of a day.

    ``instance`` is a UUID or a name, ``host`` a host, ``details`` the text of the finding; each may
    have ``*``, ``?`` and ``[...]``, and None is any. ``place`` is its number in the file, from 1.
    """

    place: int
    check: str
    reason: str
    until: date
    instance: str | None
    host: str | None
    details: str | None

    def covers(self, finding: Finding) -> bool:
        """Whether FINDING is one that it is about, on whatever day."""
        return (
            finding.check == self.check
            and self._is_for(finding)
            and _fits(self.host, finding.host)
            and _fits(self.details and plain(self.details), plain(finding.details))
        )

    def _is_for(self, finding: Finding) -> bool:
        """Whether it is for the server of FINDING, or for all of which that is told once."""
        if finding.once:
            return self.instance in (None, "*")
        return _fits(self.instance, finding.instance, finding.name)


def _fits(pattern: str | None, *texts: str | None) -> bool:
    if pattern is None:
        return True
    return any(text == pattern or fnmatchcase(text, pattern) for text in texts if text)


class Acknowledgements:
    """The acknowledgements of a file, and which of them were used."""

    def __init__(self, name: str, found: Sequence[Acknowledgement], today: date) -> None:
        self._name = name
        self._valid = [item for item in found if item.until >= today]
        self.ended = [item for item in found if item.until < today]
        self._used: set[int] = set()
        self._missed: set[int] = set()

    @property
    def counts_again(self) -> bool:
        """Whether a finding of this audit counts because an entry is past its date."""
        return bool(self._missed)

    def marked(self, findings: Iterable[Finding | T]) -> Iterator[Finding | T]:
        """Yield FINDINGS, those that somebody lives with marked; anything else as it is."""
        by_check: dict[str, list[Acknowledgement]] = {}
        for item in (*self._valid, *self.ended):
            by_check.setdefault(item.check, []).append(item)
        for finding in findings:
            if isinstance(finding, Finding) and finding.check in by_check:
                yield self._mark(finding, by_check[finding.check])
            else:
                yield finding

    def _mark(self, finding: Finding, candidates: Iterable[Acknowledgement]) -> Finding:
        """Return FINDING as the first of CANDIDATES has it; those past their date are the last."""
        found = next((item for item in candidates if item.covers(finding)), None)
        if found is None:
            return finding
        if found in self.ended:
            self._missed.update(item.place for item in self.ended if item.covers(finding))
            return finding
        self._used.add(found.place)
        return replace(finding, acknowledged=f"{found.reason} (until {found.until})")

    def remarks(self, made: Collection[str]) -> Iterator[str]:
        """Yield what is to be said of the file: what has ended, and what is unused.

        MADE are the checks that were made of every server.
        """
        for item in self.ended:
            what = f"{self._name}: entry {item.place} ({item.check}) was valid until {item.until}"
            if item.place in self._missed:
                yield (
                    f"{what}: its findings count again. Give the entry a later date or remove it."
                )
            elif item.check in made:
                yield f"{what}. No finding counts again for it. Remove the entry."
            else:
                yield f"{what}. Give the entry a later date or remove it."
        unused = [
            str(item.place)
            for item in self._valid
            if item.check in made and item.place not in self._used
        ]
        if unused:
            entries = (
                f"entries {', '.join(unused)} cover" if unused[1:] else f"entry {unused[0]} covers"
            )
            yield f"{self._name}: {entries} no present finding. Remove what is fixed."


def read_acknowledgements(name: str, today: date | None = None) -> Acknowledgements:
    """Return what the file NAME (YAML or JSON, a list of entries) acknowledges.

    Raises BadInput for a file that is none, and for an entry with an unknown check or key, without
    a reason, a date, or a server or host, naming the entry.
    """
    data = _parsed(read_text(name), name)
    if not isinstance(data, list):
        raise BadInput(f"{name} is not a list of acknowledgements: {_SHAPE}")
    found = [_entry(item, place, name) for place, item in enumerate(data, 1)]
    return Acknowledgements(printable(name), found, today or date.today())


def _parsed(text: str, name: str) -> Any:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return [] if _is_blank(node) else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadInput(f"{name}: {line}{error.problem or error.context}; {_SHAPE}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = str(error).partition("\n")[0]
        raise BadInput(f"{name} is not valid YAML: {why}; {_SHAPE}") from None


def _is_blank(node: yaml.Node | None) -> bool:
    """Whether a file has nothing but comments in it; a written null, zero or false is something."""
    return node is None or (isinstance(node, yaml.ScalarNode) and not node.value and not node.style)


def _entry(item: Any, place: int, name: str) -> Acknowledgement:
    what = f"{name}: entry {place}"
    try:
        found = read(_Entry, item, what)
    except BadInput as error:
        if str(error).startswith((f"{what}: until:", f"{what}: until is")):
            raise BadInput(f"{what}: until is not a date: write it as 2027-03-31") from None
        raise
    if found.check not in _NAMES:
        hint = meant(found.check, sorted(_NAMES))
        raise BadInput(
            f"{what}: no check that can be acknowledged is called {found.check!r:.40}: {hint}"
        )
    if not found.reason.strip():
        raise BadInput(f"{what} has an empty reason")
    if not (found.instance or found.host):
        raise BadInput(
            f"{what} names no instance and no host. Write instance: '*' for every server"
        )
    return Acknowledgement(
        place,
        found.check,
        found.reason.strip(),
        found.until,
        found.instance,
        found.host,
        found.details,
    )
