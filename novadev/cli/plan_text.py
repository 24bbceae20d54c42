"""Plans as text for people: each in full or, if there are many, in groups."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

import click

from novadev.cli import options
from novadev.cli.grouping import (
    MANY,
    Group,
    Groups,
    common,
    server_label,
    without_own,
    wrapped,
)
from novadev.cli.plan_summary import Line, Totals, arrow, summary, value_text
from novadev.cli.session import Session
from novadev.runs.change import Change, Effect
from novadev.runs.plan import Plan
from novadev.text import many, printable

_IN_FULL = 5
"""So many servers that differ from all the others are shown in full."""
_GROUPS = 200


class Notes:
    """Remembers printed notes, so that a long note is printed in full only once in a run."""

    _SHORT = 90
    _KEPT = 1000

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def text(self, note: str, server: str) -> str:
        """Return NOTE of SERVER; if it was printed before, its beginning and where it is."""
        if note in self._told:
            begin = printable(note[: self._SHORT]).rsplit(" ", 1)[0]
            return f"{begin} … (in full under {self._told[note]})"
        if len(note) > self._SHORT and len(self._told) < self._KEPT:
            self._told[note] = server
        return printable(note)


def plan_text(
    plan: Plan, notes: Notes | None, colored: bool = False, width: int | None = None
) -> str:
    """Return PLAN as lines for people, with its NOTES wrapped to WIDTH; with None without them."""
    host = f" on {printable(plan.host)}" if plan.host else ""
    title = f"{server_label(plan.instance, plan.name)}{host}"
    lines = [click.style(title, bold=True) if colored else title]
    lines += _change_lines(plan.changes, "  ")
    if plan.effects:
        lines += ["  at the next power-on:", *_change_lines(plan.effects, "    ")]
    server = printable(plan.name or plan.instance)
    shown = [notes.text(note, server) for note in plan.notes] if notes else []
    for note in shown:
        lines += wrapped(f"  note: {note}", width, "    ")
    lines += [_diff_line(line, colored) for line in plan.diff.splitlines()]
    return "\n".join(lines)


def _diff_line(line: str, colored: bool) -> str:
    color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    text = printable(line)
    return "  " + (click.style(text, fg=color) if colored and color else text)


def _change_lines(changes: Iterable[Change | Effect], indent: str) -> list[str]:
    items = list(changes)
    width = max((len(item.what) for item in items), default=0)
    return [f"{indent}{printable(item.what):<{width}}  {_arrow(item)}" for item in items]


def _arrow(item: Change | Effect) -> str:
    if item.before == item.after:
        return f"{value_text(item.before)} (stays)"
    return arrow(item.before, item.after)


class Listing:
    """The plans of a run, shown by ECHO: each in full at once, or in groups in the end.

    In groups where IS_GROUPED, or, where that is None, from `MANY` plans on.
    """

    def __init__(
        self,
        echo: Callable[[str], object],
        colored: bool = False,
        is_grouped: bool | None = False,
        width: int | None = None,
    ) -> None:
        self._echo = echo
        self._colored = colored
        self._is_grouped = is_grouped
        self._width = width
        self._notes = Notes()
        self._held: list[Plan] = []
        self._groups: Groups[tuple[Line, ...], Plan] = Groups(_GROUPS)
        self._of_notes: Groups[str, None] = Groups(_GROUPS)
        self.totals = Totals()

    @property
    def holds(self) -> bool:
        """Whether nothing is shown before the end."""
        return self._is_grouped is not False

    def add(self, plan: Plan) -> None:
        """Show PLAN, now or in the end."""
        self.totals.add(plan)
        if self._is_grouped is None and plan.diff:
            self._is_grouped = False  # who wants differences wants details
        if self._is_grouped is False:
            self._show(plan)
            return
        if self._is_grouped is None and len(self._held) < MANY:
            self._held.append(plan)
        self._groups.add(summary(plan), plan.name or plan.instance, plan, plan.host)
        for note in plan.notes:
            text = common(note, plan.instance, plan.name)
            key, name = without_own(text, plan.host), plan.name or plan.instance
            self._of_notes.add(key, name, None, plan.host, text)

    def end(self) -> None:
        """Show what was held back."""
        if self._is_grouped is False:
            return
        if self._is_grouped is None and self._groups.count < MANY:
            for plan in self._held:
                self._show(plan)
        else:
            for line in self._grouped():
                self._echo(line)
        self._held, self._is_grouped = [], False

    def _show(self, plan: Plan) -> None:
        self._echo(plan_text(plan, self._notes, self._colored, self._width))

    def _grouped(self) -> Iterator[str]:
        groups = list(self._groups)
        alone = [group for group in groups if group.is_exception]
        exceptions = alone[:_IN_FULL] if self._is_grouped is None else []
        for group in groups:
            if group not in exceptions:
                yield from group_lines(group, group.key, self._width, self._colored)
        for group in exceptions:
            for plan in group.members:
                yield plan_text(plan, None, self._colored)
        if self._groups.others:
            yield f"{many(self._groups.others, 'other server')}, each with different changes"
        for note in self._of_notes:
            servers = f"{many(note.count, 'server')}{note.spread} ({note.named})"
            text = f"note for {servers}: {printable(note.text or note.key)}"
            yield from wrapped(text, self._width)
        if self._groups.count:
            yield "Add --details to see each server."


def group_lines(
    group: Group[Any, Any],
    lines: Sequence[Line],
    width: int | None,
    colored: bool,
    became: str = "",
) -> Iterator[str]:
    """Yield GROUP as text: how many servers, which, the LINES of what changes, what it BECAME."""
    title = many(group.count, "server")
    title += group.on(printable(*group.hosts)) if len(group.hosts) == 1 else group.spread
    title += f": {became}" if became else ""
    yield click.style(title, bold=True) if colored else title
    yield from (f"  {line}" for line in wrapped(group.named, width and width - 2))
    yield from _line_lines(lines, group.count)


def _line_lines(lines: Sequence[Line], servers: int) -> Iterator[str]:
    """Yield the LINES of a group; what is counted is so of each of its SERVERS."""
    shown = [
        (f"{what} each" if what[:1].isdigit() and servers > 1 else what, how) for what, how in lines
    ]
    width = max((len(what) for what, _ in shown), default=0)
    yield from (f"    {printable(what):<{width}}  {how}" for what, how in shown)


def listing(
    session: Session, echo: Callable[[str], object], file: IO[str], summary: bool, details: bool
) -> Listing:
    """Return what shows plans by ECHO, which prints in FILE: in groups where that is a terminal."""
    is_grouped = options.is_grouped(summary, details, file)
    colored = file is sys.stdout and session.is_colored
    return Listing(echo, colored, is_grouped, options.screen_width(file))
