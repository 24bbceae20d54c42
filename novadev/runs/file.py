"""Plans saved in a file: a line of JSON each, a head that says what they are, a sum at the end.

Written beside and renamed, readable by its owner only. A file that was edited is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from novadev.errors import BadInput
from novadev.private_file import can_be_replaced, replacing
from novadev.runs import plan
from novadev.runs.file_checks import check
from novadev.runs.plan import Draft

VERSION = 1


@dataclass(frozen=True)
class Head:
    """What a plan file says of itself: the command, and the run it takes back if it is an undo."""

    action: str
    undoes: int | None = None


def write(name: str, head: Head, drafts: Iterable[Draft]) -> int:
    """Write DRAFTS to the file NAME (0600) and return their number; raises BadInput.

    A regular file of that name is replaced; anything else there is left alone.
    """
    if name == "-" or not can_be_replaced(name):
        raise BadInput(f"plan file {name!r}: a plan is saved in a file of its own")
    count = 0
    digest = hashlib.sha256()
    try:
        with replacing(name) as file:
            _write_line(file, json.dumps({"novadev_plan": VERSION, **asdict(head)}), digest)
            for count, draft in enumerate(drafts, start=1):  # noqa: B007 - the last is the number
                _write_line(file, _dumps(draft), digest)
            file.write(json.dumps({"plans": count, "sha256": digest.hexdigest()}) + "\n")
    except OSError as error:
        raise BadInput(f"plan file {name} cannot be written: {error.strerror}") from None
    return count


def _write_line(file: Any, line: str, digest: Any) -> None:
    digest.update(line.encode() + b"\n")
    file.write(line + "\n")


def _dumps(draft: Draft) -> str:
    line = {"plan": plan.encode(draft.plan), "undoes": draft.undoes, "started": draft.started}
    return json.dumps(line, separators=(",", ":"), sort_keys=True)


def _loads(line: str) -> Draft:
    data = json.loads(line)
    return Draft(plan.decode(data["plan"]), data["undoes"], data["started"])


def read(name: str, cells: Collection[str]) -> tuple[Head, Iterator[Draft]]:
    """Return the head and the plans in the file NAME, after checking all of it.

    Raises BadInput when it is no plan file, was edited, is of another version or action, or names
    a cell that is not among CELLS (it was made in another deployment); and what
    :func:`novadev.runs.file_checks.check` raises.
    """
    try:
        return _checked_head(name, cells), _iter_drafts(name)
    except OSError as error:
        raise BadInput(f"plan file {name} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{name} is not a plan file novadev wrote") from None


def _checked_head(name: str, cells: Collection[str]) -> Head:
    _check_sum(name)
    head = json.loads(next(_lines(name)))
    if not isinstance(head, dict) or head.pop("novadev_plan", None) != VERSION:
        raise BadInput(f"plan file {name} is of another version")
    if not isinstance(head["action"], str) or not isinstance(head["undoes"], int | None):
        raise BadInput(f"plan file {name} does not say what it is for")
    for draft in _iter_drafts(name):
        if draft.plan.cell not in cells:
            where = f"there is no cell {draft.plan.cell} here"
            raise BadInput(f"plan file {name} is from another deployment: {where}")
        check(draft)
    return Head(**head)


def _check_sum(name: str) -> None:
    digest = hashlib.sha256()
    count = -1
    previous = ""
    for line in _lines(name):
        if previous:
            digest.update(previous.encode())
            count += 1
        previous = line
    end = json.loads(previous or "null")
    if not isinstance(end, dict) or end != {"plans": count, "sha256": digest.hexdigest()}:
        raise BadInput(f"plan file {name} is cut short or was edited: plan again")


def _lines(name: str) -> Iterator[str]:
    with Path(name).open(encoding="utf-8") as file:
        yield from file


def _iter_drafts(name: str) -> Iterator[Draft]:
    lines = _lines(name)
    next(lines)
    held: str | None = None
    for line in lines:
        if held is not None:
            yield _loads(held)
        held = line
