"""``novadev machine-type``: set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import completion, help, options
from novadev.cli.mutating import mutating

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.runs.plan import Planned


@help.group("machine-type")
def machine_type() -> None:
    """Change the machine type of instances, with all that goes with it."""


@machine_type.command("set")
@click.argument(
    "machine_type",
    shell_complete=completion.machine_types,
    metavar="MACHINE-TYPE",
    type=options.TEXT,
)
@options.selection
@options.request_spec
@options.ask_hosts
@options.force
@mutating("machine-type set")
def set_(
    deployment: Deployment, selection: Any, machine_type: str, **request: Any
) -> Iterator[Planned]:
    """Give stopped or shelved INSTANCEs another machine type, as q35 or pc-i440fx-7.2.

    Both databases get it. What the new machine has not is moved with it: disks and cdroms from IDE
    to SATA on q35, with their names. The plan tells what else the guest will see. A Windows guest
    whose way to its boot disk changes is skipped, and told how to go there.

    Example: novadev machine-type set q35 --dry-run web-1
    """
    from novadev.machine_type.planning import plan_set

    return plan_set(deployment, selection, machine_type, **request)
