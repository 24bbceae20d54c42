"""Plans saved in a file: a line of JSON each, a head that says what they are, a sum at the end.

Written beside and renamed, readable by its owner only. A file that was edited is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from novadev import plan
from novadev.errors import BadInput
from novadev.plan import Plan

VERSION = 1


def write(name: str, action: str, plans: Iterable[Plan]) -> int:
    """Write PLANS to the file NAME (0600) and return their number; raises BadInput."""
    aside = f"{name}.{os.getpid()}.tmp"
    count = 0
    digest = hashlib.sha256()
    try:
        with _open_private(aside) as file:
            head = json.dumps({"novadev_plan": VERSION, "action": action})
            _write_line(file, head, digest)
            for count, item in enumerate(plans, start=1):  # noqa: B007 - the last is the number
                _write_line(file, plan.dumps(item), digest)
            file.write(json.dumps({"plans": count, "sha256": digest.hexdigest()}) + "\n")
        Path(aside).replace(name)
    except OSError as error:
        raise BadInput(f"plan file {name} cannot be written: {error.strerror}") from None
    finally:
        Path(aside).unlink(missing_ok=True)
    return count


def _open_private(name: str) -> Any:
    return os.fdopen(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w")


def _write_line(file: Any, line: str, digest: Any) -> None:
    digest.update(line.encode() + b"\n")
    file.write(line + "\n")


def read(name: str, cells: Collection[str], actions: Collection[str]) -> Iterator[Plan]:
    """Return the plans in the file NAME, after checking all of it.

    Raises BadInput when it is no plan file, was edited, is of another version or action, or names
    a cell that is not among CELLS (it was made in another deployment).
    """
    try:
        _check(name, cells, actions)
        return _iter_plans(name)
    except OSError as error:
        raise BadInput(f"plan file {name} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{name} is not a plan file novadev wrote: {error}") from None


def _check(name: str, cells: Collection[str], actions: Collection[str]) -> None:
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
    _check_head(name, actions)
    for item in _iter_plans(name):
        if item.cell not in cells:
            raise BadInput(f"plan file {name} is from another deployment: no cell {item.cell} here")
        if item.action not in actions:
            raise BadInput(f"plan file {name} has an action novadev has not: {item.action!r:.60}")


def _check_head(name: str, actions: Collection[str]) -> None:
    head = json.loads(next(_lines(name)))
    if head.get("novadev_plan") != VERSION:
        raise BadInput(f"plan file {name} is of version {head.get('novadev_plan')!r}")


def _lines(name: str) -> Iterator[str]:
    with Path(name).open(encoding="utf-8") as file:
        yield from file


def _iter_plans(name: str) -> Iterator[Plan]:
    lines = _lines(name)
    next(lines)
    held: str | None = None
    for line in lines:
        if held is not None:
            yield plan.loads(held)
        held = line
