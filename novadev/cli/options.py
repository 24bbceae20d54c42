"""Every shared option, once. Those that select servers come from :mod:`.selection_options`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import IO, Any, TypeVar

import click

from novadev.cli import completion
from novadev.cli.one_of import OneOf
from novadev.cli.selection_options import NAME_VALUE, stack
from novadev.cli.selection_options import TEXT as TEXT
from novadev.cli.selection_options import selection as selection
from novadev.cli.session import Session
from novadev.errors import NovadevError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """How records are printed: the format, and the columns if not all."""

    format: str
    columns: tuple[str, ...] = ()


FORMATS = ("table", "json", "jsonl", "yaml", "csv", "value")
DOCUMENTS = ("json", "jsonl", "yaml")
"""The formats for programs: a value keeps its type there."""
COMMANDS, PROMETHEUS = "commands", "prometheus"
"""Formats of an audit alone: the remedies for a shell, and the counts."""


def output(function: F) -> Callable[..., Any]:
    """Give the command ``-f`` and ``-c``; it gets them as one ``output``."""
    return output_as(*FORMATS)(function)


def output_as(*formats: str) -> Callable[[F], Callable[..., Any]]:
    """Give the command ``-f`` with these formats, and ``-c``."""
    options = stack(
        click.option(
            "-f",
            "--format",
            "format_",
            type=OneOf(formats),
            default="table",
            show_default=True,
            help="Output format; jsonl is one JSON object per line.",
        ),
        click.option(
            "-c",
            "--column",
            "columns",
            shell_complete=completion.columns,
            multiple=True,
            metavar="NAME",
            help="Print only this column; may be repeated.",
        ),
    )

    def decorate(function: F) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(format_: str, columns: tuple[str, ...], **values: Any) -> Any:
            _promise_records(format_)
            return function(output=Output(format_, columns), **values)

        return options(command)

    return decorate


def _promise_records(format_: str) -> None:
    """Let an error that ends the command before its first record give an empty list."""
    session = click.get_current_context().find_object(Session)
    if session is None or format_ not in DOCUMENTS:
        return

    def fail(_error: NovadevError) -> None:
        from novadev.cli.output import WRITERS

        WRITERS[format_]((), iter(()))

    session.owed = fail


def _distinct(
    _ctx: click.Context, _param: click.Parameter, pairs: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    """Return the pairs as a dictionary; one name with two values is a usage error."""
    found: dict[str, str] = {}
    for name, value in pairs:
        plain = name.removeprefix("image_")
        if found.setdefault(plain, value) != value:
            raise click.BadParameter(f"{plain} is given twice: {found[plain]!r} and {value!r}")
    return found


properties = click.option(
    "--property",
    "properties",
    shell_complete=completion.property_values,
    multiple=True,
    required=True,
    type=NAME_VALUE,
    callback=_distinct,
    help="The property and its value to store; may be repeated.",
)

property_names = click.option(
    "--property",
    "names",
    shell_complete=completion.properties,
    multiple=True,
    type=TEXT,
    metavar="NAME",
    help="The property to remove; may be repeated.",
)

unreadable = click.option(
    "--unreadable",
    is_flag=True,
    help="Remove all stored image properties that Nova cannot read, whatever their names.",
)

duplicates = click.option(
    "--duplicates",
    is_flag=True,
    help="Remove rows that Nova never reads because a later row has the same key.",
)

fail_on_skip = click.option(
    "--fail-on-skip",
    is_flag=True,
    help="Exit with 3 if an instance that the filters select is skipped.",
)

force = click.option(
    "--force",
    is_flag=True,
    help="Go on even if the combination is invalid or the change has no effect. The state of the "
    "instance, a task in progress and the allow-list always apply.",
)

request_spec = click.option(
    "--no-request-spec",
    "request_spec",
    flag_value=False,
    default=True,
    help="Do not change the request spec. A resize or migration may then bring other hardware.",
)

ask_hosts = click.option(
    "--ask-hosts",
    is_flag=True,
    help="Ask each server's host what it supports, instead of relying on its capability file "
    "alone.",
)

update_disks = click.option(
    "--update-disks",
    type=OneOf(["matching", "all", "none"]),
    default="matching",
    show_default=True,
    help="Which existing disks move to the new bus: those on the old bus (matching), all disks "
    "of that kind, or none.",
)

plan_format = click.option(
    "-f",
    "--format",
    "format_",
    type=OneOf(["table", "json", "jsonl", "yaml"]),
    default="table",
    show_default=True,
    help="Output format of the plan and its outcome; jsonl is the JSON document on one line.",
)
HOW_MUCH = {
    "summary": click.option(
        "--summary",
        is_flag=True,
        help="Show servers with the same changes or findings as one group. This is the default on "
        "a terminal from 20 servers on.",
    ),
    "details": click.option(
        "--details", is_flag=True, help="Show each server in full, even if there are many."
    ),
}
"""How much of many servers a table shows."""


class _RunId(click.ParamType[int]):
    """The number of a run."""

    name = "RUN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        text = str(value)
        if not (text.isascii() and text.isdecimal() and 0 < int(text[:20]) < 2**31):
            told = "is not the number of a run: novadev history lists the runs"
            self.fail(f"{text!r:.60} {told}", param, ctx)
        return int(text)


run_id = _RunId()

no_database = click.option(
    "--no-database",
    is_flag=True,
    help="Use libvirt only. This is the default when no [api_database] is configured.",
)

guest = click.option(
    "--guest",
    "asks_guest",
    is_flag=True,
    help="Ask the agent of each running guest which names the guest uses for its disks.",
)

_WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Number of hypervisors to contact at the same time.  [default: [novadev] workers]",
)


def workers(function: F) -> Callable[..., Any]:
    """Give a function that plans ``--workers``: so many hosts are worked on at a time."""

    @functools.wraps(function)
    def command(deployment: Any, workers: int | None, **values: Any) -> Any:
        if workers is not None:
            deployment.hosts.workers = workers
        return function(deployment, **values)

    return _WORKERS(command)


def compute_hosts(text: str) -> Callable[[F], F]:
    """Add ``--host`` of a command that is about compute hosts, not servers; TEXT is its help."""
    return click.option(
        "--host",
        "hosts",
        shell_complete=completion.hosts,
        multiple=True,
        type=TEXT,
        metavar="HOST",
        help=text,
    )


def host_workers(function: F) -> Callable[..., Any]:
    """Give a command that only reads ``--workers``; to stand below ``pass_session``."""

    @functools.wraps(function)
    def command(session: Any, workers: int | None, **values: Any) -> Any:
        if workers is not None:
            session.deployment.hosts.workers = workers
        return function(session, **values)

    return _WORKERS(command)


def how_much(function: F) -> Callable[..., Any]:
    """Give a command ``--summary`` and ``--details``."""
    return stack(*HOW_MUCH.values())(function)


def is_grouped(summary: bool, details: bool, file: IO[str]) -> bool | None:
    """Return whether servers are shown in groups in FILE; None if it depends on how many.

    Raises click.UsageError where both are asked for.
    """
    if summary and details:
        raise click.UsageError("give --summary or --details, not both")
    if summary or details:
        return summary
    return None if file.isatty() else False


def screen_width(file: IO[str]) -> int | None:
    """Return the number of columns of FILE, or None if it is not a terminal."""
    return get_terminal_size().columns if file.isatty() else None
