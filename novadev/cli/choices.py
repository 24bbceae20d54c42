"""How the operator wants a mutating command to go about it: its options, and the question."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import click

from novadev.errors import BadInput, Declined

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--dry-run", is_flag=True, help="Show the plan and write nothing."),
    click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    click.option(
        "--max-failures",
        type=click.IntRange(min=0),
        metavar="N",
        help="End the run when more than N instances have failed.",
    ),
    click.option(
        "--fail-on-skip",
        is_flag=True,
        help="Exit with 3 when an instance the filters chose is skipped.",
    ),
    click.option(
        "-f",
        "--format",
        "format_",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="How the plan and its outcome are printed.",
    ),
)
_PLAN_OUT = click.option(
    "--plan-out",
    metavar="FILE",
    help="Save the plan and write nothing else; novadev apply FILE carries it out.",
)


@dataclass(frozen=True)
class Choices:
    """How a mutating command goes about it."""

    dry_run: bool
    yes: bool
    max_failures: int | None
    fail_on_skip: bool
    format_: str
    plan_out: str | None = None

    @property
    def writes(self) -> bool:
        """Whether anything but a plan is to be written."""
        return not self.dry_run and self.plan_out is None


def choices(function: F) -> Callable[..., Any]:
    """Give the command the options of every mutating command as one ``choices``."""
    return _PLAN_OUT(choices_but_a_file(function))


def choices_but_a_file(function: F) -> Callable[..., Any]:
    """Give the command those options without ``--plan-out``: its plans are kept already."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        names = {field.name for field in fields(Choices)} & set(values)
        chosen = Choices(**{name: values.pop(name) for name in names})
        return function(choices=chosen, **values)

    return functools.reduce(lambda f, option: option(f), reversed(_OPTIONS), command)


def check(chosen: Choices) -> None:
    """Raise BadInput where a question would be needed and nobody is there to answer it."""
    asks = chosen.writes and not chosen.yes
    if asks and (sys.stdin is None or not sys.stdin.isatty()):
        raise BadInput("there is no terminal to ask on: add --yes or --dry-run")


def confirm(chosen: Choices, question: str) -> None:
    """Ask QUESTION unless --yes was given; raises Declined when the answer is no."""
    if not chosen.yes and not click.confirm(question, default=False, err=True):
        raise Declined("answered no: nothing was done")
