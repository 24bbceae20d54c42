"""Every shared option and value type, once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from shutil import get_terminal_size
from typing import IO, Any, TypeVar

import click

from novadev.errors import BadInput

F = TypeVar("F", bound=Callable[..., Any])


class NameValue(click.ParamType[tuple[str, str]]):
    """``NAME=VALUE``, split at the first ``=``."""

    name = "NAME=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return (NAME, VALUE)."""
        if isinstance(value, tuple):
            return value
        name, separator, text = str(value).partition("=")
        if not separator or not name:
            self.fail(f"{value!r:.60} is not NAME=VALUE", param, ctx)
        return name, text


NAME_VALUE = NameValue()


class Text(click.ParamType[str]):
    """A text that is not empty: an unset variable in a script must not mean "any"."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        if not str(value).strip():
            self.fail("it is empty", param, ctx)
        return str(value)


TEXT = Text()
VM_STATES = (
    *("active", "building", "paused", "suspended", "stopped", "rescued", "resized"),
    *("soft-delete", "error", "shelved", "shelved_offloaded"),
)
"""``nova/compute/vm_states.py``, but for deleted."""


STATUSES = (
    *("ACTIVE", "BUILD", "ERROR", "HARD_REBOOT", "MIGRATING", "PASSWORD", "PAUSED", "REBOOT"),
    *("REBUILD", "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF"),
    *("SOFT_DELETED", "SUSPENDED", "VERIFY_RESIZE"),
)
"""Those of :mod:`novadev.nova.statuses`, which is not imported for help alone."""


def _stack(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    return lambda function: functools.reduce(lambda f, d: d(f), reversed(decorators), function)


_SELECTION = _stack(
    click.argument("instances", nargs=-1, metavar="[INSTANCE]..."),
    click.option(
        "--from-file",
        type=click.File("r", encoding="utf-8-sig"),
        metavar="FILE",
        help="Read INSTANCEs, one a line; - is stdin.",
    ),
    click.option("--all", "everything", is_flag=True, help="Every instance of the deployment."),
    click.option(
        "--host",
        "hosts",
        multiple=True,
        type=TEXT,
        metavar="HOST",
        help="Only instances on this compute host, such as cmp1 or 'cmp*'; may be repeated.",
    ),
    click.option(
        "--name",
        "server_names",
        multiple=True,
        type=TEXT,
        metavar="NAME",
        help="Only instances with this name, such as 'web-*'; may be repeated.",
    ),
    click.option(
        "--cell", type=TEXT, metavar="CELL", help="Only instances of this cell (name or UUID)."
    ),
    click.option(
        "--project", type=TEXT, metavar="PROJECT", help="Only instances of this project id."
    ),
    click.option(
        "--status",
        type=click.Choice(STATUSES, case_sensitive=False),
        metavar="STATUS",
        help="Only instances with this status, as openstack server list shows it: SHUTOFF, ACTIVE.",
    ),
    click.option(
        "--vm-state",
        type=click.Choice(VM_STATES, case_sensitive=False),
        metavar="STATE",
        help="Only instances in this vm_state.",
    ),
    click.option(
        "--where",
        multiple=True,
        type=NAME_VALUE,
        help="Only instances that store this image property with this value; may be repeated.",
    ),
    click.option(
        "--without",
        multiple=True,
        type=TEXT,
        metavar="NAME",
        help="Only instances that do not store this image property; may be repeated.",
    ),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N instances."),
)


def selection(function: F) -> Callable[..., Any]:
    """Give the command INSTANCEs and the filters; it gets them as one ``selection``."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        return function(selection=_selection(values), **values)

    return _SELECTION(command)


def _selection(values: dict[str, Any]) -> Any:
    """Return the Selection that the options describe, taking them out of VALUES."""
    from novadev.nova.instances import InstanceFilter
    from novadev.selection import Selection

    arguments, file = values.pop("instances"), values.pop("from_file")
    named = bool(arguments) or file is not None
    return Selection(
        names=chain(arguments, _lines(file)) if named else None,
        everything=values.pop("everything"),
        cell=values.pop("cell"),
        limit=values.pop("limit"),
        narrow=InstanceFilter(
            hosts=values.pop("hosts"),
            names=values.pop("server_names"),
            project=values.pop("project"),
            status=values.pop("status"),
            vm_state=values.pop("vm_state"),
            where=tuple(_without_prefix(name, value) for name, value in values.pop("where")),
            without=tuple(name.removeprefix("image_") for name in values.pop("without")),
        ),
    )


def _without_prefix(name: str, value: str) -> tuple[str, str]:
    return name.removeprefix("image_"), value


def _lines(file: Any) -> Iterator[str]:
    """Yield the names in FILE; blank lines and lines that begin with ``#`` are none."""
    try:
        for line in file or ():
            name = line.strip()
            if name and not name.startswith("#"):
                yield name
    except UnicodeDecodeError:
        raise BadInput("--from-file: the file is not text") from None


@dataclass(frozen=True)
class Output:
    """How records are printed: the format, and the columns if not all."""

    format: str
    columns: tuple[str, ...] = ()


FORMATS = ("table", "json", "yaml", "csv", "value")


def output(function: F) -> Callable[..., Any]:
    """Give the command ``-f`` and ``-c``; it gets them as one ``output``."""
    return output_as(*FORMATS)(function)


def output_as(*formats: str) -> Callable[[F], Callable[..., Any]]:
    """Give the command ``-f`` with these formats, and ``-c``."""
    options = _stack(
        click.option(
            "-f",
            "--format",
            "format_",
            type=click.Choice(formats),
            default="table",
            show_default=True,
            help="How records are printed.",
        ),
        click.option(
            "-c", "--column", "columns", multiple=True, metavar="NAME", help="Only this column."
        ),
    )

    def decorate(function: F) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(format_: str, columns: tuple[str, ...], **values: Any) -> Any:
            return function(output=Output(format_, columns), **values)

        return options(command)

    return decorate


def _distinct(
    _ctx: click.Context, _param: click.Parameter, pairs: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    """Return the pairs as a dictionary; one name with two values is a usage error."""
    found: dict[str, str] = {}
    for name, value in pairs:
        plain = name.removeprefix("image_")
        if found.setdefault(plain, value) != value:
            raise click.BadParameter(f"{plain} is given twice, as {found[plain]!r} and {value!r}")
    return found


properties = click.option(
    "--property",
    "properties",
    multiple=True,
    required=True,
    type=NAME_VALUE,
    callback=_distinct,
    help="What to store; may be repeated.",
)

property_names = click.option(
    "--property",
    "names",
    multiple=True,
    type=TEXT,
    metavar="NAME",
    help="Which property; may be repeated.",
)

unreadable = click.option(
    "--unreadable",
    is_flag=True,
    help="Every stored image property that Nova cannot read, whatever its name, and no other.",
)

duplicates = click.option(
    "--duplicates",
    is_flag=True,
    help="Rows of an image property that Nova never reads, because a later row has the same key.",
)

fail_on_skip = click.option(
    "--fail-on-skip",
    is_flag=True,
    help="Exit with 3 when an instance the filters chose is skipped.",
)

force = click.option(
    "--force",
    is_flag=True,
    help="Overrule what speaks against the combination or its effect; never the state of the "
    "instance, a task in progress or the allow-list.",
)

request_spec = click.option(
    "--no-request-spec",
    "request_spec",
    flag_value=False,
    default=True,
    help="Leave the request spec: a resize or migration may then bring other hardware.",
)

ask_hosts = click.option(
    "--ask-hosts",
    is_flag=True,
    help="Ask each server's host what it can give, rather than its capability file alone.",
)

update_disks = click.option(
    "--update-disks",
    type=click.Choice(["matching", "all", "none"]),
    default="matching",
    show_default=True,
    help="Which existing disks move with a bus: those on the bus the old value gave, all of that "
    "kind, or none.",
)

plan_format = click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How the plan and its outcome are printed.",
)
HOW_MUCH = {
    "summary": click.option(
        "--summary",
        is_flag=True,
        help="Show servers with the same changes as one group. A terminal does so from 20 on.",
    ),
    "details": click.option(
        "--details", is_flag=True, help="Show each server in full, however many there are."
    ),
}
"""How much of many servers a table shows."""
run_id = click.IntRange(1, 2**31 - 1)

no_database = click.option(
    "--no-database",
    is_flag=True,
    help="Ask libvirt alone, as on a compute host; so it is too where no [api_database] is "
    "configured.",
)

guest = click.option(
    "--guest",
    "asks_guest",
    is_flag=True,
    help="Ask the agent in each running guest what it calls its disks.",
)

_WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Hypervisors that are worked on at a time.  [default: [novadev] workers]",
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
    return click.option("--host", "hosts", multiple=True, type=TEXT, metavar="HOST", help=text)


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
    return _stack(*HOW_MUCH.values())(function)


def is_grouped(summary: bool, details: bool, file: IO[str]) -> bool | None:
    """Return whether servers are shown in groups in FILE; None if it depends on how many.

    Raises click.UsageError where both are asked for.
    """
    if summary and details:
        raise click.UsageError("--summary or --details, not both")
    if summary or details:
        return summary
    return None if file.isatty() else False


def screen_width(file: IO[str]) -> int | None:
    """Return how many columns FILE has, None where it is no terminal."""
    return get_terminal_size().columns if file.isatty() else None
