"""``novadev capabilities``: save."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from novadev import private_file
from novadev.cli import completion, help, options
from novadev.cli.session import Session, pass_session

if TYPE_CHECKING:
    from novadev.capabilities.content import Capabilities


@help.group()
def capabilities() -> None:
    """Save what a compute host is and how Nova is configured there."""


@capabilities.command(short_help="Save what a compute host is into a file.")
@click.option(
    "--host",
    shell_complete=completion.hosts,
    type=options.TEXT,
    metavar="HOST",
    help="Another compute host, by Nova's name of it; the driver's options and libosinfo are "
    "still those of here, and QEMU's list of devices is left out.  [default: this machine]",
)
@click.option(
    "-o",
    "--output",
    "file_name",
    shell_complete=completion.files,
    type=options.TEXT,
    default="-",
    metavar="FILE",
    help="The file to write; - is stdout.  [default: -]",
)
@click.option(
    "--nova-release",
    "release",
    type=click.IntRange(26, 999),
    metavar="N",
    help="The first number of the version of Nova that runs there, such as 34, where nothing "
    "tells it.",
)
@pass_session
def save(session: Session, host: str | None, file_name: str, release: int | None) -> None:
    """Save what this compute host is: versions, machine types, options of Nova's driver, libosinfo.

    With it, what libvirt says that the guests of each machine type can have, and the devices that
    QEMU itself lists, if it is this machine's. Other commands know by the file which devices Nova
    gives to the guests of the host, and whether a guest would be defined and started there. It is
    run on the host, as nova-compute is: with the same configuration files. The file has no
    passwords and no connections. Two files can be compared with diff.

    Example: novadev capabilities save -o cmp1.json
    """
    if file_name != "-":
        private_file.check(file_name, "capability file")
    session.deployment.hosts.warm()
    from novadev.capabilities.content import remarks
    from novadev.capabilities.saving import get_capabilities

    found = get_capabilities(session.deployment, host, release)
    _put(file_name, found)
    for remark in remarks(found):
        session.say(remark)


def _put(file_name: str, found: Capabilities) -> None:
    from novadev.capabilities.file import dumps, write

    if file_name == "-":
        click.echo(dumps(found), nl=False)
    else:
        write(file_name, found)
