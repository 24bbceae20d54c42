"""``novadev device restore``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import help, options
from novadev.cli.as_of import as_of
from novadev.cli.mutating import mutating

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.records.device import AsOf
    from novadev.runs.plan import Planned


@help.command(short_help="Restore recorded addresses in the definition.")
@options.selection
@as_of
@click.option("--diff", is_flag=True, help="Also show the plan as a diff of the XML.")
@mutating("device restore")
@options.workers
def restore(
    deployment: Deployment, selection: Any, diff: bool, as_of: AsOf | None
) -> Iterator[Planned]:
    """Restore the recorded addresses of INSTANCEs in their persistent definitions.

    A running guest gets the addresses at its next soft reboot, which starts it from that
    definition. A start, hard reboot, cold migration, resize or unshelve makes Nova write a new
    definition, in which libvirt chooses addresses again. novadev restores all addresses of a guest
    or none. For example, it restores none if a slot no longer exists. A device that is not recorded
    makes room for a recorded one: it gets another free address. If there is no free address,
    novadev skips the guest. A device whose bus or model has changed since the record is treated as
    not recorded.

    With --as-of, the addresses come from an older record than the newest one.

    Example: novadev device restore --host cmp1 --dry-run --diff
    """
    from novadev.records.restore import plan_restore

    return plan_restore(deployment, selection, diff, as_of)
