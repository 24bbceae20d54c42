"""``novadev device pin`` and ``unpin``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import completion, help, options
from novadev.cli.options import Output
from novadev.cli.output import print_records
from novadev.cli.session import Session, pass_session
from novadev.text import many

if TYPE_CHECKING:
    from novadev.records.pin import PinnedDevice

_COLUMNS = ("label", "address", "pinned", "changed")
"""What a table says of a device."""


def _arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    command = options.output(pass_session(command))
    devices = click.argument("devices", nargs=-1, metavar="[DEVICE]...", type=options.TEXT)
    return click.argument("instance", type=options.TEXT, shell_complete=completion.servers)(
        devices(command)
    )


@help.command(short_help="Keep recorded addresses whatever a record finds.")
@_arguments
def pin(session: Session, instance: str, devices: Sequence[str], output: Output) -> None:
    """Pin the DEVICEs of INSTANCE where they are recorded; all of them, if none is named.

    No "device record" changes a pinned address, and no "device import". While a pinned device is
    elsewhere, "device drift" shows it and "device restore" puts it back. Neither the guest nor its
    definition changes. DEVICE is named as for "device show".

    Example: novadev device pin web-1 vdb
    """
    from novadev.records.pin import pin_devices

    found = pin_devices(session.deployment, instance, devices)
    _print(session, output, found)
    new = sum(item.changed for item in found)
    session.say(f"{many(len(found), 'device')} pinned, {len(found) - new} of them before.")


@help.command(short_help="Let records follow the guest again.")
@_arguments
def unpin(session: Session, instance: str, devices: Sequence[str], output: Output) -> None:
    """Unpin the DEVICEs of INSTANCE; all of them, if none is named.

    The next "device record" stores the addresses that they have then.

    Example: novadev device unpin web-1
    """
    from novadev.records.pin import unpin_devices

    found = unpin_devices(session.deployment, instance, devices)
    _print(session, output, found)
    session.say(f"{many(sum(item.changed for item in found), 'device')} unpinned.")


def _print(session: Session, output: Output, found: Sequence[PinnedDevice]) -> None:
    from novadev.records.pin import PinnedDevice

    columns = output.columns or _COLUMNS * (output.format == "table")
    print_records(session, Output(output.format, columns), PinnedDevice, found)
