"""``novadev stash-defaults``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import completion, help, options
from novadev.cli.mutating import mutating
from novadev.cli.one_of import OneOf

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.runs.plan import Planned


@help.command("stash-defaults", short_help="Record today's hardware before a default changes it.")
@options.selection
@click.option(
    "--source",
    type=OneOf(["auto", "domain", "driver"]),
    default="auto",
    show_default=True,
    help="Where values come from: the guest's definition (domain), the rules of Nova's driver "
    "(driver), or the definition first and the rules for what it lacks (auto). Except with "
    "driver, a guest whose definition cannot be read is skipped.",
)
@click.option(
    "--property",
    "names",
    shell_complete=completion.properties,
    multiple=True,
    type=options.TEXT,
    metavar="NAME",
    help="Record only this property, even if the value changes the guest; may be repeated. "
    "hw_floppy_bus and hw_rng_model are recorded only if they are named here.",
)
@click.option(
    "--versioned",
    is_flag=True,
    help="Record the machine type with its version, such as pc-i440fx-7.2 instead of pc.",
)
@options.request_spec
@click.option(
    "--assume-config",
    shell_complete=completion.files,
    metavar="FILE",
    help="Use the rules in this nova.conf or capability file for every compute host.",
)
@mutating("stash-defaults")
@options.workers
def stash_defaults(deployment: Deployment, selection: Any, **request: Any) -> Iterator[Planned]:
    """Record the buses, models and machine type that INSTANCEs use but do not store.

    Recording does not change the guest. It prevents a new default in Nova, libosinfo or the
    configuration from changing the guest later. Stored values are never overwritten. novadev writes
    the values into the cell and the request spec.

    Example: novadev stash-defaults --all --dry-run
    """
    from novadev.stash_defaults.planning import plan_stash

    return plan_stash(deployment, selection, **request)
