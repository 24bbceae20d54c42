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


@help.command(short_help="Put recorded addresses back into the definition.")
@options.selection
@as_of
@click.option("--diff", is_flag=True, help="Show what the XML will differ in.")
@mutating("device restore")
@options.workers
def restore(
    deployment: Deployment, selection: Any, diff: bool, as_of: AsOf | None
) -> Iterator[Planned]:
    """Put the recorded addresses of INSTANCEs back into their persistent definitions.

    A guest that runs gets them at its next soft reboot, which starts it from that definition. A
    start, hard reboot, cold migration, resize or unshelve makes the definition anew, and Nova lets
    libvirt choose addresses anew. All addresses of a guest are put back or, where one is taken or
    its slot is not there, none. A device whose bus or model has changed since counts as not
    recorded.

    With --as-of, the addresses are older ones than those of the newest record.

    Example: novadev device restore --host cmp1 --dry-run --diff
    """
    from novadev.records.restore import plan_restore

    return plan_restore(deployment, selection, diff, as_of)
