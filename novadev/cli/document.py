"""The JSON or YAML document of a mutating command, written part by part."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypedDict

import click

from novadev.runs.change import Change, Effect
from novadev.value import JsonValue, to_json

if TYPE_CHECKING:
    from novadev.errors import NovadevError
    from novadev.runs.plan import Plan


NOTHING_LEFT: Mapping[str, str] = MappingProxyType({})


class _Left(TypedDict, total=False):
    left: str


class ChangeEntry(_Left):
    """What changes: the address of a stored value or, of an effect, a part of the guest.

    One that an undo could not take back says in ``left`` why.
    """

    what: str
    before: JsonValue
    after: JsonValue


PlanState = Literal["planned", "applied", "stale", "failed", "half"]
"""What a script sees of the states of a plan; "half" stands for all that may be there in part."""


class _Diff(TypedDict, total=False):
    diff: str


class PlanEntry(_Diff):
    """A plan and what became of it; it has a diff where one was asked for."""

    action: str
    instance: str
    host: str | None
    cell: str
    state: PlanState
    note: str | None
    changes: list[ChangeEntry]
    effects: list[ChangeEntry]
    error: str | None
    name: str | None


class SkipEntry(TypedDict):
    """What cannot be done, and why.

    ``instance`` is null of a whole cell or host, and of an error that ended the command.
    """

    instance: str | None
    reason: str
    name: str | None


class RunDocument(TypedDict):
    """What a mutating command prints."""

    plans: list[PlanEntry]
    skipped: list[SkipEntry]
    run: int | None
    result: Literal["planned", "applied", "partial", "failed", "nothing"]


class PlanFileFacts(TypedDict):
    """What a plan file says of itself: its head, the cells in words, and its checksum."""

    action: str
    made: str
    user: str
    host: str
    asked: str
    message: str | None
    undoes: int | None
    deployment: str
    sha256: str


class PlanFileDocument(RunDocument, PlanFileFacts):
    """What ``plan show`` prints."""


def plan_entry(
    plan: Plan, state: PlanState, error: str | None, left: Mapping[str, str] = NOTHING_LEFT
) -> PlanEntry:
    """Return PLAN as a JSON object; LEFT says why changes could not be undone.

    A plan that is stale has no effects: the guest is not as it expects.
    """
    entry: PlanEntry = {
        "action": plan.action,
        "instance": plan.instance,
        "host": plan.host,
        "cell": plan.cell,
        "state": state,
        "note": "\n".join(plan.notes) or None,
        "changes": [_change_entry(item) for item in plan.changes],
        "effects": [] if state == "stale" else [_change_entry(item) for item in plan.effects],
        "error": error,
        "name": plan.name or None,
    }
    for change in entry["changes"]:
        if change["what"] in left:
            change["left"] = left[change["what"]]
    if plan.diff:
        entry["diff"] = plan.diff
    return entry


def _change_entry(item: Change | Effect) -> ChangeEntry:
    return {"what": item.what, "before": to_json(item.before), "after": to_json(item.after)}


class Document:
    """One JSON or YAML document, written as its parts come; as ``jsonl`` it is on one line."""

    def __init__(self, format_: str, paper: Paper) -> None:
        self._is_yaml = format_ == "yaml"
        self._break, self._item_break = ("\n ", "\n    ") if format_ == "json" else (" ", " ")
        self._paper = paper
        self._started = False
        self._is_closed = False
        self._plans = 0

    def add(
        self,
        plan: Plan,
        state: PlanState,
        error: str | None,
        left: Mapping[str, str] = NOTHING_LEFT,
    ) -> None:
        """Write one plan; LEFT says why some of its changes could not be undone."""
        self._start()
        record = plan_entry(plan, state, error, left)
        if self._is_yaml:
            self._paper.echo(("\n" if not self._plans else "") + _yaml([record]), nl=False)
        else:
            before = "," * bool(self._plans) + self._item_break
            self._paper.echo(before + json.dumps(record), nl=False)
        self._plans += 1

    def _start(self) -> None:
        if not self._started:
            self._paper.echo("plans:" if self._is_yaml else '{"plans": [', nl=False)
            self._started = True

    def fail(self, error: NovadevError, skips: Iterable[SkipEntry] = ()) -> None:
        """Close the document, unless it is closed: ERROR is the last of what could not be done."""
        if not self._is_closed:
            entry: SkipEntry = {"instance": None, "reason": str(error), "name": None}
            self.close(None, "failed", chain(skips, (entry,)))

    def close(
        self, run: int | None, result: str, skips: Iterable[SkipEntry], **more: object
    ) -> None:
        """Write what is known only at the end."""
        self._start()
        self._is_closed = True
        rest = {"run": run, "result": result, **more}
        if self._is_yaml:
            empty = "" if self._plans else " []\n"
            self._paper.echo(empty + _yaml({"skipped": list(skips)} | rest), nl=False)
        else:
            skipped = f",{self._item_break}".join(json.dumps(skip) for skip in skips)
            end = json.dumps(rest)[1:]
            self._paper.echo(f'],{self._break}"skipped": [{skipped}],{self._break}{end}')


def _yaml(data: object) -> str:
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False))


class Paper:
    """Standard output, which may be closed or full before the work is done.

    A reader that goes away (``| head``) ends a preview. What writes goes on without it.
    """

    def __init__(self, goes_on: bool) -> None:
        self._goes_on = goes_on
        self._error: OSError | None = None

    def echo(self, text: str, nl: bool = True) -> None:
        """Print TEXT, unless an earlier one could not be printed."""
        if self._error is not None:
            return
        try:
            click.echo(text, nl=nl)
        except OSError as error:
            if not self._goes_on:
                raise
            self._error = error
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def check(self) -> None:
        """Raise OSError where something could not be printed, and its reader is still there.

        Who closes the output of a run that writes wants none.
        """
        is_wanted = self._error and self._error.errno not in (errno.EPIPE, errno.EBADF)
        if self._error is not None and is_wanted:
            raise self._error
