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


@help.command(short_help="Pin recorded addresses, so that no record changes them.")
@_arguments
def pin(session: Session, instance: str, devices: Sequence[str], output: Output) -> None:
    """Pin the DEVICEs of INSTANCE at their recorded addresses; without DEVICE, pin all of them.

    "device record" and "device import" never change a pinned address. While a pinned device is at
    another address, "device drift" reports it, "device history" shows the address, and
    "device restore" puts the device back. Pinning changes
    neither the guest nor its definition. DEVICE is named in the same way as for "device show".

    Example: novadev device pin web-1 vdb
    """
    from novadev.records.pin import pin_devices

    found = pin_devices(session.deployment, instance, devices)
    _print(session, output, found)
    new = sum(item.changed for item in found)
    already = f" {len(found) - new} had been pinned already." if new < len(found) else ""
    session.say(f"{many(len(found), 'device')} pinned.{already}")


@help.command(short_help="Unpin devices, so that records follow the guest again.")
@_arguments
def unpin(session: Session, instance: str, devices: Sequence[str], output: Output) -> None:
    """Unpin the DEVICEs of INSTANCE; without DEVICE, unpin all of them.

    Their recorded addresses are then those at which the last "device record" found them.

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
