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


@help.group("machine-type", short_help="Change the machine type of servers.")
def machine_type() -> None:
    """Change the machine type of instances and what depends on it.

    Example: novadev machine-type set q35 --dry-run web-1
    """


@machine_type.command("set", short_help="Give servers another machine type.")
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
    """Give stopped or shelved INSTANCEs another machine type, such as q35 or pc-i440fx-7.2.

    novadev writes the machine type into the cell and the request spec. Devices that the new machine
    type does not support are moved too: on q35, IDE disks and CD-ROMs move to SATA and get new
    device names. The plan shows what else changes for the guest. A Windows guest that needs another
    driver for its boot disk is skipped, with the steps that prepare it.

    Example: novadev machine-type set q35 --dry-run web-1
    """
    from novadev.machine_type.planning import plan_set

    return plan_set(deployment, selection, machine_type, **request)
