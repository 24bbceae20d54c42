"""``novadev device``: show, alias-migrate, detach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from novadev import private_file
from novadev.cli import (
    completion,
    device_exchange,
    device_forecast,
    device_pin,
    device_record,
    device_report,
    device_restore,
    device_watch,
    help,
    options,
)
from novadev.cli.mutating import mutating
from novadev.cli.options import Output
from novadev.cli.session import Session, pass_session

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.device.show_on_host import Side
    from novadev.runs.plan import Planned


@help.group()
def device() -> None:
    """Show the devices of guests, and change how libvirt has them."""


for _command in (
    *(device_record.record, device_record.list_, device_record.drift, device_record.history),
    *(device_exchange.export, device_exchange.import_),
    *(device_pin.pin, device_pin.unpin),
    device_forecast.forecast,
    device_restore.restore,
    device_report.report,
    device_watch.watch,
):
    device.add_command(_command)


@device.command(short_help="Show the devices of a guest, and whose they are.")
@click.argument("instance", shell_complete=completion.servers)
@click.argument("device_name", metavar="[DEVICE]", required=False, type=options.TEXT)
@click.option("--live", "side", flag_value="live", help="Only what the running guest has.")
@click.option("--persistent", "side", flag_value="persistent", help="Only what its definition has.")
@click.option("--guest", is_flag=True, help="Ask the guest's agent what the guest calls its disks.")
@click.option("--tree", is_flag=True, help="Show which device is on which bus, and what is free.")
@click.option(
    "--svg",
    shell_complete=completion.files,
    metavar="FILE",
    help="Draw that into a file, for a browser or a report.",
)
@options.no_database
@options.output
@pass_session
def show(
    session: Session,
    instance: str,
    device_name: str | None,
    side: Side | None,
    guest: bool,
    tree: bool,
    svg: str | None,
    no_database: bool,
    output: Output,
) -> None:
    """Show the devices of INSTANCE as Nova and libvirt have them, and where they disagree.

    DEVICE is an alias (with or without "ua-"), the UUID of a volume, port or PCI device, a
    serial, a MAC address, a target such as vdb, a tap name or a PCI address; it is looked for
    in that order.

    BY says how a device was matched with its owner, surest first: alias, serial, mac,
    interface-id, tap, pci-address, mdev, file, target, source. ALIAS is "yes", "no", "next" (from
    the next start on), "live" (gone at the next start) or "odd" (another one than it should be).

    GUEST, in the place of BY, is the name of a disk in the guest. Without an answer of the guest's
    agent within a few seconds there is none, and a note.

    Example: novadev device show web-1 vdb
    """
    is_picture = tree or svg is not None
    if is_picture and (device_name is not None or output.format != "table" or output.columns):
        raise click.UsageError("--tree and --svg draw all devices: leave out DEVICE, -f and -c")
    if svg is not None:
        private_file.check(svg, "picture")
    session.deployment.hosts.warm()
    from novadev.cli.device_table import print_devices, print_picture
    from novadev.device.show import show_devices

    found = show_devices(session.deployment, instance, device_name, side, no_database, guest)
    if is_picture:
        print_picture(session, found, tree, svg)
    else:
        print_devices(session, output, found, is_one=device_name is not None)


@device.command("alias-migrate", short_help="Give devices their stable aliases.")
@options.selection
@options.no_database
@click.option(
    "--whole-definition",
    is_flag=True,
    help="Write the definition of a stopped server anew, for devices that libvirt cannot change "
    "alone (PCI devices, mediated devices, shares).",
)
@click.option("--diff", is_flag=True, help="Show what the XML will differ in.")
@mutating("device alias-migrate")
@options.workers
def alias_migrate(deployment: Deployment, selection: Any, **request: Any) -> Iterator[Planned]:
    """Give every volume, port, PCI device, mediated device and share of INSTANCEs its alias.

    Only persistent definitions change: a guest that runs gets the aliases at its next start from
    its definition, which is Nova's soft reboot. What would not be safe is skipped, and said.

    Example: novadev device alias-migrate --host cmp1 --dry-run --diff
    """
    from novadev.device.alias.planning import plan_migrate

    return plan_migrate(deployment, selection, **request)


@device.command(short_help="Take a device that nobody owns out of a guest.")
@click.argument("instance", shell_complete=completion.servers)
@click.argument("device_name", metavar="DEVICE", type=options.TEXT)
@click.option(
    "--timeout",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long the guest may take to let the device go.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Detach what is no orphan too, or what cannot be told to be one.",
)
@mutating("device detach", has_filters=False)
def detach(
    deployment: Deployment, instance: str, device_name: str, timeout: int, force: bool
) -> Iterator[Planned]:
    """Take DEVICE out of the guest of INSTANCE; this cannot be undone.

    Only an orphan, a device for which Nova has no volume, port, PCI device or share. It goes from
    the persistent definition at once, and from a running guest when the guest lets it go. DEVICE
    is named as for "device show".

    Example: novadev device detach web-1 vdb --dry-run
    """
    from novadev.device.detach.planning import plan_detach

    return plan_detach(deployment, instance, device_name, timeout, force)
