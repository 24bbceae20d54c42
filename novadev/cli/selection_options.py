"""The options that select servers, and the types of values that options take."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeVar

import click

from novadev.cli import completion
from novadev.cli.one_of import OneOf
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


def stack(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator of several, the first of which stands first in the help."""
    return lambda function: functools.reduce(lambda f, d: d(f), reversed(decorators), function)


_SELECTION = stack(
    click.argument(
        "instances", shell_complete=completion.servers, nargs=-1, metavar="[INSTANCE]..."
    ),
    click.option(
        "--from-file",
        type=click.File("r", encoding="utf-8-sig"),
        metavar="FILE",
        help="Read INSTANCEs from FILE, one per line; - means stdin.",
    ),
    click.option(
        "--all", "everything", is_flag=True, help="Select every instance of the deployment."
    ),
    click.option(
        "--host",
        "hosts",
        shell_complete=completion.hosts,
        multiple=True,
        type=TEXT,
        metavar="HOST",
        help="Select instances on this compute host, such as cmp1 or 'cmp*'; may be repeated.",
    ),
    click.option(
        "--name",
        "server_names",
        shell_complete=completion.servers,
        multiple=True,
        type=TEXT,
        metavar="NAME",
        help="Select instances with this name, such as 'web-*'; may be repeated.",
    ),
    click.option(
        "--cell",
        shell_complete=completion.cells,
        type=TEXT,
        metavar="CELL",
        help="Select instances of this cell (name or UUID).",
    ),
    click.option(
        "--project",
        shell_complete=completion.projects,
        type=TEXT,
        metavar="PROJECT",
        help="Select instances of this project ID.",
    ),
    click.option(
        "--status",
        type=OneOf(STATUSES, case_sensitive=False),
        metavar="STATUS",
        help="Select instances with this status, as openstack server list shows it: SHUTOFF, "
        "ACTIVE.",
    ),
    click.option(
        "--vm-state",
        type=OneOf(VM_STATES, case_sensitive=False),
        metavar="STATE",
        help="Select instances in this vm_state.",
    ),
    click.option(
        "--where",
        shell_complete=completion.property_values,
        multiple=True,
        type=NAME_VALUE,
        help="Select instances that store this image property with this value; may be repeated.",
    ),
    click.option(
        "--without",
        shell_complete=completion.stored_properties,
        multiple=True,
        type=TEXT,
        metavar="NAME",
        help="Select instances that do not store this image property; may be repeated.",
    ),
    click.option(
        "--limit", type=click.IntRange(min=1), metavar="N", help="Select at most N instances."
    ),
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
