"""``novadev device``: show, alias-migrate, detach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

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
    output_file,
)
from novadev.cli.mutating import mutating
from novadev.cli.options import Output
from novadev.cli.session import Session, pass_session
from novadev.private_file import STDOUT

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.device.show_on_host import Side
    from novadev.runs.plan import Planned


@help.group(short_help="Show, record and change the devices of guests.")
def device() -> None:
    """Show the devices of guests, and change how libvirt has them.

    Example: novadev device show web-1
    """


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


@device.command(short_help="Show the devices of a guest and their owners in Nova.")
@click.argument("instance", shell_complete=completion.servers)
@click.argument("device_name", metavar="[DEVICE]", required=False, type=options.TEXT)
@click.option("--live", "side", flag_value="live", help="Show only what the running guest has.")
@click.option(
    "--persistent",
    "side",
    flag_value="persistent",
    help="Show only what the persistent definition has.",
)
@click.option(
    "--guest", is_flag=True, help="Ask the guest agent which names the guest uses for its disks."
)
@click.option(
    "--tree", is_flag=True, help="Show the devices as a tree of buses, with the free ports."
)
@click.option(
    "--svg",
    shell_complete=completion.files,
    metavar="FILE",
    help="Draw the tree into FILE, for a browser or a report; - means stdout.",
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
    """Show the devices of INSTANCE as Nova and libvirt know them, and where the two disagree.

    DEVICE is an alias (with or without "ua-"), the UUID of a volume, port or PCI device, a serial,
    a MAC address, a target such as vdb, a tap name or a PCI address. novadev searches in this
    order.

    BY shows how a device was matched with its owner, from the most reliable way to the least:
    alias, serial, mac, interface-id, tap, pci-address, mdev, file, target, source. ALIAS is "yes",
    "no", "next" (the device gets it at the next start), "live" (the device loses it at the next
    start) or "odd" (the alias is wrong).

    With --guest, the column GUEST replaces BY and shows the name of each disk in the guest. If the
    guest agent does not answer within a few seconds, the column is empty and a note says so.

    Example: novadev device show web-1 vdb
    """
    is_picture = tree or svg is not None
    if is_picture and (device_name is not None or output.format != "table" or output.columns):
        raise click.UsageError("--tree and --svg draw all devices: omit DEVICE, -f and -c")
    if svg is not None:
        if tree and svg == STDOUT:
            raise click.UsageError("--tree and --svg - both write to standard output: give one")
        output_file.check(svg, "picture")
    session.deployment.hosts.warm()
    from novadev.cli.device_table import print_devices, print_picture
    from novadev.device.show import show_devices

    found = show_devices(session.deployment, instance, device_name, side, no_database, guest)
    if is_picture:
        print_picture(session, found, tree, svg)
    else:
        print_devices(session, output, found, is_one=device_name is not None)


@device.command(
    "alias-migrate", short_help="Give devices the stable aliases that recent Nova uses."
)
@options.selection
@options.no_database
@click.option(
    "--whole-definition",
    is_flag=True,
    help="Replace the whole definition of a stopped server. This is needed for PCI devices, "
    "mediated devices and shares, which libvirt cannot change one by one.",
)
@click.option("--diff", is_flag=True, help="Also show the plan as a diff of the XML.")
@mutating("device alias-migrate")
@options.workers
def alias_migrate(deployment: Deployment, selection: Any, **request: Any) -> Iterator[Planned]:
    """Give every volume, port, PCI device, mediated device and share its stable alias.

    Only persistent definitions change. A running guest gets the aliases when it is next started
    from its definition, which is Nova's soft reboot. Devices that cannot be changed safely are
    skipped, with the reason.

    Example: novadev device alias-migrate --host cmp1 --dry-run --diff
    """
    from novadev.device.alias.planning import plan_migrate

    return plan_migrate(deployment, selection, **request)


@device.command(short_help="Detach a device that has no owner in Nova.")
@click.argument("instance", shell_complete=completion.servers)
@click.argument("device_name", metavar="DEVICE", type=options.TEXT)
@click.option(
    "--timeout",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the guest to release the device.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Detach the device even if it is no orphan, or if novadev cannot be sure that it is one.",
)
@mutating("device detach", has_filters=False)
def detach(
    deployment: Deployment, instance: str, device_name: str, timeout: int, force: bool
) -> Iterator[Planned]:
    """Detach DEVICE from the guest of INSTANCE. This cannot be undone.

    DEVICE has to be an orphan: a device for which Nova has no volume, port, PCI device or share.
    novadev removes it from the persistent definition at once, and from a running guest as soon as
    the guest releases it. DEVICE is named in the same way as for "device show".

    Example: novadev device detach web-1 vdb --dry-run
    """
    from novadev.device.detach.planning import plan_detach

    return plan_detach(deployment, instance, device_name, timeout, force)
