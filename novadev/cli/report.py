"""What a mutating command prints: its plans, what was skipped, what became of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from novadev.cli.actions import IRREVERSIBLE
from novadev.cli.choices import Choices
from novadev.cli.progress import counted, progress
from novadev.cli.session import Session
from novadev.cli.skips import Skips
from novadev.runs.change import Change, Effect
from novadev.runs.plan import Draft, Outcome, Plan, Skip
from novadev.text import printable
from novadev.value import ABSENT, Value, to_json

if TYPE_CHECKING:
    from novadev.runs.journal import Journal, Run
    from novadev.runs.plan import Planned


class Report:
    """The output of one run: plans as text while they are made, or one document at the end."""

    def __init__(self, session: Session, chosen: Choices) -> None:
        self._session = session
        self._chosen = chosen
        self._document = None if chosen.format_ == "table" else Document(chosen.format_)
        self._notes = Notes()
        self.skips = Skips(chosen.fail_on_skip)

    def show_planned(self, planned: Iterable[Planned | Draft]) -> Iterator[Draft]:
        """Yield the plans of PLANNED as drafts for the journal, showing them on the way."""
        silent = self._document is not None and not sys.stdout.isatty()
        for item in counted(self._session, planned) if silent else planned:
            if isinstance(item, Skip):
                self.skips.add(item)
                continue
            draft = item if isinstance(item, Draft) else Draft(item)
            self._show(draft.plan)
            yield draft

    def _show(self, plan: Plan) -> None:
        """Print PLAN: as text, or into the document of a preview, or for who is to be asked."""
        if self._document is None:
            click.echo(plan_text(plan, self._notes, self._session.is_colored))
        elif not self._chosen.writes:
            self._document.add(plan, "planned", None)
        elif not self._chosen.yes:
            click.echo(plan_text(plan, self._notes), err=True)

    def finish_preview(self, count: int) -> int:
        """Close the report of a dry run and return its exit code."""
        self.skips.tell_repeated()
        if self._document is None:
            self._session.say(f"{count} planned, {self.skips.count} skipped; nothing was changed.")
        else:
            self._document.close(None, "planned" if count else "nothing", self.skips)
        return self.skips.exit_code

    def finish_nothing(self) -> int:
        """Close the report of a run that had nothing to do and return its exit code."""
        self.skips.tell_repeated()
        if self._document is None:
            skipped = f" ({self.skips.count} skipped)" if self.skips.count else ""
            self._session.say(
                f"{'Nothing was done' if self.skips.exit_code else 'Nothing to do'}{skipped}."
            )
        else:
            self._document.close(None, "nothing", self.skips)
        return self.skips.exit_code

    def show_results(
        self, run: Run, journal: Journal, results: Iterable[tuple[Plan, Outcome]]
    ) -> set[int]:
        """Show what became of each plan of RUN and return the exit codes of the failures."""
        codes: set[int] = set()
        total = sum(number for state, number in journal.count(run).items() if state in _LEFT)
        with progress(self._session, total) as advance:
            for plan, outcome in results:
                codes.add(outcome.exit_code)
                if outcome.error:
                    click.echo(f"{_state(outcome)}: {printable(outcome.error)}", err=True)
                if self._document is not None:
                    self._document.add(plan, _state(outcome), outcome.error)
                advance()
        if self._document is not None:
            for left in journal.iter_plans(run, ("planned",)):
                if left.error is None:
                    self._document.add(left.plan, "planned", None)
        return codes

    def finish_run(self, state: str, run: Run, counts: Mapping[str, int]) -> None:
        """Close the report of RUN, whose plans are in COUNTS by state; say how to go on."""
        self.skips.tell_repeated()
        if self._document is not None:
            self._document.close(run.id, state, self.skips)
        else:
            numbers = {**counts, "skipped": self.skips.count}
            told = ", ".join(f"{number} {name}" for name, number in numbers.items() if number)
            self._session.say(f"Run {run.id}: {state} ({told}).")
        if any(counts.get(name) for name in _LEFT):
            self._session.say(f"Not finished. Go on with: novadev resume {run.id}")
        elif counts.get("applied") and self._document is None and run.action not in IRREVERSIBLE:
            self._session.say(f"Take it back with: novadev undo {run.id}")


_LEFT = ("planned", "started")


def _state(outcome: Outcome) -> str:
    """Return the state a script sees: what is left for resume has failed for now."""
    return "failed" if outcome.state in _LEFT else outcome.state


class Notes:
    """The notes that were told: a long one is told in full once a run."""

    _SHORT = 90
    _KEPT = 1000

    def __init__(self) -> None:
        self._told: set[str] = set()

    def text(self, note: str) -> str:
        """Return NOTE, or its beginning when it was told before."""
        if note in self._told:
            return f"{printable(note[: self._SHORT]).rsplit(' ', 1)[0]} … (as above)"
        if len(note) > self._SHORT and len(self._told) < self._KEPT:
            self._told.add(note)
        return printable(note)


def plan_text(plan: Plan, notes: Notes, colored: bool = False) -> str:
    """Return PLAN as lines for people."""
    host = f" on {printable(plan.host)}" if plan.host else ""
    title = f"instance {plan.instance} ({printable(plan.name)}){host}"
    lines = [click.style(title, bold=True) if colored else title]
    lines += _change_lines(plan.changes, "  ")
    if plan.effects:
        lines += ["  at the next power-on:", *_change_lines(plan.effects, "    ")]
    lines += [f"  note: {notes.text(note)}" for note in plan.notes]
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
    return f"{value_text(item.before)} -> {value_text(item.after)}"


def value_text(value: Value) -> str:
    """Return VALUE for people: the three states look different."""
    if value is ABSENT:
        return "(absent)"
    return "(null)" if value is None else printable(str(value))


def plan_record(plan: Plan, state: str, error: str | None) -> dict[str, Any]:
    """Return PLAN as the JSON shape scripts rely on."""
    return {
        "action": plan.action,
        "instance": plan.instance,
        "host": plan.host,
        "cell": plan.cell,
        "state": state,
        "note": "\n".join(plan.notes) or None,
        "changes": [_change_record(item) for item in plan.changes],
        "effects": [_change_record(item) for item in plan.effects],
        "error": error,
    } | ({"diff": plan.diff} if plan.diff else {})


def _change_record(item: Change | Effect) -> dict[str, object]:
    return {"what": item.what, "before": to_json(item.before), "after": to_json(item.after)}


class Document:
    """One JSON or YAML document, written as its parts come."""

    def __init__(self, format_: str) -> None:
        self._format = format_
        self._started = False
        self._plans = 0

    def add(self, plan: Plan, state: str, error: str | None) -> None:
        """Write one plan."""
        self._start()
        record = plan_record(plan, state, error)
        if self._format == "json":
            click.echo((",\n    " if self._plans else "\n    ") + json.dumps(record), nl=False)
        else:
            click.echo(("\n" if not self._plans else "") + _yaml([record]), nl=False)
        self._plans += 1

    def _start(self) -> None:
        if not self._started:
            click.echo('{"plans": [' if self._format == "json" else "plans:", nl=False)
            self._started = True

    def close(self, run: int | None, result: str, skips: Skips) -> None:
        """Write what is known only at the end."""
        self._start()
        rest = {"run": run, "result": result}
        if self._format == "json":
            skipped = ",\n    ".join(json.dumps(skip) for skip in skips)
            end = json.dumps(rest)[1:]
            click.echo(f'],\n "skipped": [{skipped}],\n {end}')
        else:
            empty = "" if self._plans else " []\n"
            click.echo(empty + _yaml({"skipped": list(skips)} | rest), nl=False)


def _yaml(data: object) -> str:
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False))
