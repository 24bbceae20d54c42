"""The options that all mutating commands share, and the confirmation."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import click

from novadev.cli import completion, options
from novadev.cli.grouping import wrapped
from novadev.cli.session import Session
from novadev.errors import BadInput, Declined, NovadevError

F = TypeVar("F", bound=Callable[..., Any])
LONGEST_NOTE = 255


def _short(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    """Return the note TEXT; a longer one would fill the screen of whoever reads the history."""
    if text is not None and len(text) > LONGEST_NOTE:
        raise click.BadParameter(
            f"the note has {len(text)} characters; at most {LONGEST_NOTE} are kept"
        )
    return text


_ALWAYS = ("dry_run", "yes", "max_failures", "message", "format_")
PLAN_FILE = ("plan_out", "overwrite")
_OPTIONS = {
    "dry_run": click.option("--dry-run", is_flag=True, help="Show the plan and change nothing."),
    "yes": click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
    "max_failures": click.option(
        "--max-failures",
        type=click.IntRange(min=0),
        metavar="N",
        help="Stop the run once more than N instances have failed.",
    ),
    "message": click.option(
        "-m",
        "--message",
        metavar="TEXT",
        callback=_short,
        help="A note for novadev history, such as the number of a change request; at most "
        f"{LONGEST_NOTE} characters.",
    ),
    "fail_on_skip": click.option(
        "--fail-on-skip",
        is_flag=True,
        help="Exit with 3 if an instance that the filters select is skipped.",
    ),
    "take_over": click.option(
        "--take-over",
        is_flag=True,
        help="Take the run over from a process on another host that has left it, once its lease "
        "has expired.",
    ),
    "plan_out": click.option(
        "--plan-out",
        shell_complete=completion.files,
        metavar="FILE",
        help="Save the plan in FILE and change nothing; novadev apply FILE carries it out. A FILE "
        "that exists and is not empty is left as it is (exit code 4).",
    ),
    "overwrite": click.option(
        "--overwrite", is_flag=True, help="Let --plan-out replace a file that exists."
    ),
    **options.HOW_MUCH,
    "format_": options.plan_format,
}


@dataclass(frozen=True)
class Choices:
    """How a mutating command goes about it."""

    dry_run: bool
    yes: bool
    max_failures: int | None
    format_: str
    message: str | None = None
    fail_on_skip: bool = False
    take_over: bool = False
    plan_out: str | None = None
    overwrite: bool = False
    summary: bool = False
    details: bool = False

    @property
    def writes(self) -> bool:
        """Whether anything but a plan is to be written."""
        return not self.dry_run and self.plan_out is None


def choices(*more: str) -> Callable[[F], Callable[..., Any]]:
    """Give a command the options of every mutating command, and MORE, as one ``choices``."""
    names = [name for name in _OPTIONS if name in (*_ALWAYS, *more)]

    def decorate(function: F) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            given = {field.name for field in fields(Choices)} & set(values)
            chosen = Choices(**{name: values.pop(name) for name in given})
            if chosen.overwrite and chosen.plan_out is None:
                raise click.UsageError("--overwrite goes with --plan-out")
            _promise_document(chosen.format_)
            return function(choices=chosen, **values)

        chosen = (_OPTIONS[name] for name in reversed(names))
        return functools.reduce(lambda f, option: option(f), chosen, command)

    return decorate


def _promise_document(format_: str) -> None:
    """Let an error that ends the command before it has a report give a document all the same."""
    session = click.get_current_context().find_object(Session)
    if session is None or format_ == "table":
        return

    def fail(error: NovadevError) -> None:
        from novadev.cli.document import Document, Paper

        Document(format_, Paper(goes_on=True)).fail(error)

    session.owed = fail


def confirm(chosen: Choices, question: str) -> None:
    """Ask QUESTION unless --yes was given.

    Raises Declined when the answer is no, and BadInput where nobody is there to answer.
    """
    if chosen.yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise BadInput("no terminal to ask for confirmation: add --yes or --dry-run")
    screen = options.screen_width(sys.stderr)
    width = screen and screen - len(" [y/N]: ")
    if not click.confirm("\n".join(wrapped(question, width, "")), default=False, err=True):
        raise Declined("the answer was no: nothing was done")
