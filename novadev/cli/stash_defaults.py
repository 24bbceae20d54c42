"""``novadev stash-defaults``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import completion, help, options
from novadev.cli.mutating import mutating

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.runs.plan import Planned


@help.command("stash-defaults", short_help="Record what guests have, before a default changes it.")
@options.selection
@click.option(
    "--source",
    type=click.Choice(["auto", "domain", "driver"]),
    default="auto",
    show_default=True,
    help="Where values come from: the guest's definition, and the rules for what it does not have; "
    "or just one of them. Except with driver, a guest that cannot be looked at is skipped.",
)
@click.option(
    "--property",
    "names",
    shell_complete=completion.properties,
    multiple=True,
    type=options.TEXT,
    metavar="NAME",
    help="Only this property, and even if it changes something; may be repeated. hw_floppy_bus "
    "and hw_rng_model are recorded only so.",
)
@click.option(
    "--versioned",
    is_flag=True,
    help="Record the machine type with its version, as pc-i440fx-7.2, where Nova would store pc.",
)
@options.request_spec
@click.option(
    "--assume-config",
    shell_complete=completion.files,
    metavar="FILE",
    help="Take the rules of every compute host from this nova.conf or capability file.",
)
@mutating("stash-defaults")
@options.workers
def stash_defaults(deployment: Deployment, selection: Any, **request: Any) -> Iterator[Planned]:
    """Record the buses, models and machine type that INSTANCEs have and do not store.

    What is recorded changes nothing for the guest: it keeps a new default of Nova, libosinfo or
    the configuration from changing it later. Nothing that is stored is overwritten. Both databases
    get the value.

    Example: novadev stash-defaults --all --dry-run
    """
    from novadev.stash_defaults.planning import plan_stash

    return plan_stash(deployment, selection, **request)
