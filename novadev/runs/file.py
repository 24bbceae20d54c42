"""Plans saved in a file: a line of JSON each, a head that says what they are, a sum at the end.

Written beside and renamed, readable by its owner only. A file that was edited is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from novadev import private_file
from novadev.errors import BadInput
from novadev.private_file import replacing
from novadev.runs.encoding import decode, encode
from novadev.runs.file_checks import check
from novadev.runs.plan import Draft
from novadev.strict_json import Form, begins_with, form_of, parse, values_of
from novadev.strict_json import read as read_json

VERSION = 2
_FORMAT = "novadev_plan"
_LAST_RUN = 2**63 - 1
"""The highest number that a database can give a run."""


@dataclass(frozen=True)
class Head:
    """What a plan file says of itself.

    ``undoes`` is the run it takes back if it is an undo, in the journal with the UUID ``journal``;
    ``made`` the time (UTC), ``asked`` the options as typed, ``cells`` the names of the
    deployment's cells by UUID.
    """

    action: str
    made: str
    user: str
    host: str
    asked: str = ""
    message: str | None = None
    undoes: int | None = None
    journal: str | None = None
    cells: Mapping[str, str] = field(default_factory=dict)


_Head = form_of(Head)


class _Line(Form):
    plan: dict[str, Any]
    undoes: int | None


@dataclass(frozen=True)
class Saved:
    """A plan file that was read and found whole: its head, its SHA-256, its plans' number."""

    name: str
    head: Head
    sha256: str
    plans: int

    def iter_drafts(self) -> Iterator[Draft]:
        """Yield its plans; raises BadInput in the end where the file has changed meanwhile."""
        digest = hashlib.sha256()
        held: str | None = None
        for number, line in enumerate(_lines(self.name)):
            if held is not None:
                digest.update(held.encode())
                if number > 1:
                    yield _loads(held, f"plan file {self.name}: line {number}")
            held = line
        digest.update((held or "").encode())
        if digest.hexdigest() != self.sha256:
            raise BadInput(f"plan file {self.name} was changed while it was read")


def write(name: str, head: Head, drafts: Iterable[Draft], overwrite: bool = False) -> Saved:
    """Write DRAFTS to the file NAME (0600) and return what it is; raises BadInput.

    A regular file of that name is replaced if it is empty, as mktemp makes it, or with OVERWRITE.
    Somebody may have approved the plan in it by its checksum. Anything else is left alone.
    """
    private_file.check(name, "plan file")
    count = 0
    digest = hashlib.sha256()
    try:
        if not overwrite and Path(name).exists() and Path(name).stat().st_size:
            text = "exists. Choose another name, or replace it with --overwrite"
            raise BadInput(f"plan file {name!r} {text}")
        with replacing(name) as file:
            _write_line(file, json.dumps({_FORMAT: VERSION, **asdict(head)}), digest)
            for count, draft in enumerate(drafts, start=1):  # noqa: B007 - the last is the number
                _write_line(file, _dumps(draft), digest)
            _write_line(file, json.dumps({"plans": count, "sha256": digest.hexdigest()}), digest)
    except OSError as error:
        raise BadInput(f"plan file {name} cannot be written: {error.strerror}") from None
    return Saved(name, head, digest.hexdigest(), count)


def _write_line(file: Any, line: str, digest: Any) -> None:
    digest.update(line.encode() + b"\n")
    file.write(line + "\n")


def _dumps(draft: Draft) -> str:
    line = {"plan": encode(draft.plan), "undoes": draft.undoes}
    return json.dumps(line, separators=(",", ":"), sort_keys=True)


def _loads(line: str, what: str) -> Draft:
    data = read_json(_Line, parse(line), what)
    return Draft(decode(data.plan, what), data.undoes)


def read(name: str) -> Saved:
    """Return what the file NAME is, after reading and checking all of it.

    Raises BadInput when it is no plan file, was edited, or is of another version or action, and
    what :func:`novadev.runs.file_checks.check` raises.
    """
    if Path(name).exists() and not Path(name).is_file():
        raise BadInput(f"plan file {name} is not a regular file")
    try:
        found = _read(name)
        _check_plans(found)
        return found
    except OSError as error:
        raise BadInput(f"plan file {name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise _edited(name) from None


def _edited(name: str) -> BadInput:
    return BadInput(f"plan file {name} is incomplete or was edited: plan again")


def _head(name: str) -> dict[str, Any]:
    """Return the first line of the file NAME; raises BadInput where novadev has not written it."""
    try:
        line = next(_lines(name), "")
        if begins_with(line, _FORMAT):
            head: dict[str, Any] = parse(line)
            return head
    except UnicodeDecodeError:
        pass
    raise BadInput(f"{name} is not a plan file written by novadev")


def _read(name: str) -> Saved:
    head = _head(name)
    if head.pop(_FORMAT) != VERSION:
        raise BadInput(f"plan file {name} is of another version of novadev: make the plan again")
    digest, count = _sum(name)
    found = read_json(_Head, head, f"plan file {name}: line 1")
    if not 0 < (found.undoes or 1) <= _LAST_RUN:  # type: ignore[attr-defined]
        raise ValueError("no run")
    return Saved(name, Head(**values_of(found)), digest, count)


def _check_plans(found: Saved) -> None:
    seen: set[str] = set()
    undoes = found.head.undoes
    for draft in found.iter_drafts():
        if (draft.undoes is None) != (undoes is None):
            raise BadInput(f"plan file {found.name} undoes only a part of a run")
        if found.head.action != (draft.plan.action if undoes is None else f"undo {undoes}"):
            raise BadInput(f"plan file {found.name} does not match the action of its plans")
        if draft.plan.partly and undoes is None:
            raise BadInput(f"plan file {found.name} would carry out only a part of a plan")
        if draft.plan.instance in seen:
            raise BadInput(f"plan file {found.name} has two plans for the same instance")
        seen.add(draft.plan.instance)
        check(draft)


def _sum(name: str) -> tuple[str, int]:
    """Return the sum of the file, and the number of plans.

    Raises BadInput where its last line, the sum of the others, is not right.
    """
    digest = hashlib.sha256()
    count = -1
    previous = ""
    for line in _lines(name):
        if previous:
            digest.update(previous.encode())
            count += 1
        previous = line
    end = parse(previous or "null")
    if not isinstance(end, dict) or end != {"plans": count, "sha256": digest.hexdigest()}:
        raise _edited(name)
    digest.update(previous.encode())
    return digest.hexdigest(), count


def check_deployment(found: Saved, cells: Collection[str]) -> None:
    """Raise BadInput where a plan is of a cell that is not among CELLS."""
    for draft in found.iter_drafts():
        if draft.plan.cell not in cells:
            text = f"there is no cell {draft.plan.cell:.60} here"
            raise BadInput(f"plan file {found.name} is from another deployment: {text}")


def _lines(name: str) -> Iterator[str]:
    with Path(name).open(encoding="utf-8") as file:
        yield from file
