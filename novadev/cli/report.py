"""The output of a mutating command: plans, skipped servers and outcomes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from novadev.cli.actions import IRREVERSIBLE
from novadev.cli.choices import Choices
from novadev.cli.document import Document, Paper, PlanState
from novadev.cli.grouping import labelled
from novadev.cli.plan_text import Listing, listing
from novadev.cli.progress import counted, progress
from novadev.cli.session import Session
from novadev.cli.skips import Skips
from novadev.cli.talk import say
from novadev.errors import NovadevError, TakenOver, worst
from novadev.runs.plan import Draft, Outcome, Plan, Skip
from novadev.runs.states import BEGUN, PENDING, State
from novadev.text import printable

if TYPE_CHECKING:
    from novadev.runs.journal import Journal
    from novadev.runs.journal_rows import Run
    from novadev.runs.plan import Planned


class Report:
    """The output of one run: plans as text while they are made, or one document at the end."""

    def __init__(self, session: Session, chosen: Choices) -> None:
        self._session = session
        self._chosen = chosen
        self._paper = Paper(goes_on=chosen.writes or chosen.plan_out is not None)
        is_text = chosen.format_ == "table"
        self._document = None if is_text else Document(chosen.format_, self._paper)
        self._listing = self._new_listing()
        self.skips = Skips(session, chosen.fail_on_skip)
        self._refused: Counter[PlanState] = Counter()
        self._codes: set[int] = set()
        self._unbegun = 0
        if self._document is not None:
            session.owed = self._fail

    def _fail(self, error: NovadevError) -> None:
        """Close the document that ERROR ends before its time."""
        if self._document is not None:
            self._document.fail(error, self.skips)

    def _new_listing(self) -> Listing:
        """Return what shows the plans: on standard output, or to who is to be asked."""
        chosen, is_text = self._chosen, self._document is None
        return listing(
            self._session,
            self._paper.echo if is_text else say,
            sys.stdout if is_text else sys.stderr,
            chosen.summary,
            chosen.details,
        )

    @property
    def exit_code(self) -> int:
        """The exit code that what was skipped gives."""
        return self.skips.exit_code

    @property
    def refused(self) -> int:
        """How many of the plans that were shown could not be carried out now."""
        return self._refused.total()

    def show_planned(self, planned: Iterable[Planned | Draft]) -> Iterator[Draft]:
        """Yield the plans of PLANNED as drafts for the journal, showing them on the way."""
        for item in counted(self._session, planned) if self._is_silent else planned:
            if isinstance(item, Skip):
                self.skips.add(item)
                continue
            draft = item if isinstance(item, Draft) else Draft(item)
            if draft.expected.exit_code:
                self._refuse(draft)
            else:
                self._show(draft)
            self.skips.plan(draft.plan.instance)
            yield draft
        self._listing.end()
        self.skips.tell_groups()

    @property
    def _is_silent(self) -> bool:
        """Whether nothing is printed while plans are made."""
        return self._listing.holds or (self._document is not None and not sys.stdout.isatty())

    @property
    def sentence(self) -> str:
        """What the plans that were shown will do, as the beginning of a question."""
        return self._listing.totals.sentence

    def _refuse(self, draft: Draft) -> None:
        """Say what stands against DRAFT now, unless carrying it out will say it at once."""
        plan, outcome = draft.plan, draft.expected
        state = told(outcome)
        self._refused[state] += 1
        self._codes.add(outcome.exit_code)
        if self._document is not None and not self._chosen.writes:
            self._document.add(plan, state, outcome.error, outcome.left)
        if not (self._chosen.writes and self._chosen.yes):
            self._say_outcome(plan, outcome)

    @staticmethod
    def _say_outcome(plan: Plan, outcome: Outcome) -> None:
        if outcome.error:
            error = labelled(outcome.error, plan.instance, plan.name)
            say(f"{told(outcome)}: {printable(error)}")

    def _show(self, draft: Draft) -> None:
        """Print a plan: as text, or into the document of a preview, or for who is to be asked."""
        plan = draft.plan
        if self._document is not None and not self._chosen.writes:
            self._document.add(plan, "planned", None, draft.expected.left)
        elif self._document is None or not self._chosen.yes:
            self._listing.add(plan.without(draft.expected.left))

    def finish_preview(self, count: int, unseen: int = 0) -> int:
        """Close the report of a dry run of COUNT plans and return its exit code.

        UNSEEN is how many servers, written already, are to be looked at again.
        """
        self.skips.tell_groups()
        planned = count - self.refused
        if unseen:
            servers, them = (
                ("1 server of the run is", "it")
                if unseen == 1
                else (f"{unseen} servers are", "them")
            )
            self._session.say(
                f"{servers} still to be checked: without --dry-run, resume looks whether Nova was "
                f"starting {them}."
            )
        if self._document is None:
            refused = "".join(f", {number} {name}" for name, number in self._refused.items())
            numbers = f"{planned} planned{refused}, {self.skips.told}"
            self._session.say(f"{numbers}; nothing was changed.")
        else:
            result = "planned" if planned or unseen else "failed" if count else "nothing"
            self._document.close(None, result, self.skips)
        self._paper.check()
        return worst({*self._codes, self.skips.exit_code})

    def finish_refused(self) -> int:
        """Close the report of a run that was not begun, as no plan could be carried out."""
        self.skips.tell_groups()
        if self._document is not None:
            self._document.close(None, "failed", self.skips)
        self._session.say("Nothing was done.")
        self._paper.check()
        return worst({*self._codes, self.skips.exit_code})

    def finish_nothing(self, is_said: bool = False) -> int:
        """Close the report of a run that had nothing to do and return its exit code.

        IS_SAID where the operator has been told why there is nothing to do.
        """
        self.skips.tell_groups()
        if self._document is None:
            skipped = f" ({self.skips.told})" if self.skips.count else ""
            done = "Nothing was done" if self.skips.exit_code else "Nothing to do"
            if skipped or not is_said:
                self._session.say(f"{done}{skipped}.")
        else:
            self._document.close(None, "nothing", self.skips)
        self._paper.check()
        return self.skips.exit_code

    def show_results(
        self, run: Run, journal: Journal, results: Iterable[tuple[Plan, Outcome]], total: int
    ) -> set[int]:
        """Show what became of each of TOTAL plans of RUN; return the failures' exit codes."""
        codes: set[int] = set()
        with progress(self._session, total) as advance:
            for plan, outcome in results:
                codes.add(outcome.exit_code)
                self._unbegun += outcome.state == State.PLANNED
                self._say_outcome(plan, outcome)
                if self._document is not None:
                    self._document.add(plan, told(outcome), outcome.error, outcome.left)
                advance()
        if self._document is not None:
            for left in journal.iter_plans(run, (State.PLANNED,)):
                if left.error is None:
                    self._document.add(left.plan, "planned", None)
        return codes

    def break_off(self, run: Run, error: NovadevError) -> None:
        """Close the report of RUN, which ERROR ends before its time; say how to go on."""
        if self._document is not None:
            self._document.close(run.id, "partial", self.skips)
        if isinstance(error, TakenOver):
            self._session.say(f"To follow it: novadev history {run.id}")
        else:
            self._session.say(f"Not finished. Continue with: novadev resume {run.id}")

    def finish_run(self, state: str, run: Run, counts: Mapping[str, int]) -> None:
        """Close the report of RUN, whose plans are in COUNTS by state; say how to go on.

        Raises OSError where something that was to be printed could not be.
        """
        self.skips.tell_groups()
        numbers = _for_people(counts)
        if self._document is not None:
            self._document.close(run.id, state, self.skips)
        else:
            parts = _parts(numbers, self._unbegun)
            parts += [self.skips.told] if self.skips.count else []
            self._session.say(f"Run {run.id}: {state} ({', '.join(parts)}).")
        if any(counts.get(name) for name in PENDING):
            back = f", or undo it with: novadev undo {run.id}" if numbers.get("half") else ""
            self._session.say(f"Not finished. Continue with: novadev resume {run.id}{back}")
        elif counts.get(State.APPLIED) and self._document is None and self._can_be_undone(run):
            self._session.say(f"Undo it with: novadev undo {run.id}")
        self._paper.check()

    @staticmethod
    def _can_be_undone(run: Run) -> bool:
        return run.action not in IRREVERSIBLE


def _for_people(counts: Mapping[str, int]) -> dict[str, int]:
    """Return COUNTS with all that may be there in part under one name."""
    half = sum(counts.get(state, 0) for state in BEGUN)
    others = {name: number for name, number in counts.items() if name not in BEGUN}
    return others | {"half": half}


def _parts(numbers: Mapping[str, int], unbegun: int) -> list[str]:
    """Return NUMBERS in words; UNBEGUN are the planned ones that :func:`told` calls failed.

    The history counts them as planned, because nothing was written of them: so both is said.
    """
    planned = max(0, numbers.get(State.PLANNED, 0) - unbegun)
    told = dict(numbers) | {str(State.PLANNED): planned, "failed and still planned": unbegun}
    return [f"{number} {name}" for name, number in told.items() if number]


def told(outcome: Outcome) -> PlanState:
    """Return the state a script sees: what nothing was written of yet has failed for now."""
    if outcome.state == State.PLANNED:
        return "failed"
    return "half" if outcome.state in BEGUN else cast(PlanState, str(outcome.state))
