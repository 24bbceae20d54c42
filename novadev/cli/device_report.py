"""``novadev device report``."""

from __future__ import annotations

import click

from novadev import private_file
from novadev.cli import completion, help, options
from novadev.cli.session import Session, pass_session
from novadev.text import printable


@help.command(short_help="Write an HTML page about the devices of one guest.")
@click.argument("instance", type=options.TEXT, shell_complete=completion.servers)
@click.option(
    "--output",
    "-o",
    "file",
    required=True,
    shell_complete=completion.files,
    metavar="FILE",
    help="The HTML file to write.",
)
@click.option(
    "--guest", is_flag=True, help="Ask the guest agent which names the guest uses for its disks."
)
@pass_session
def report(session: Session, instance: str, file: str, guest: bool) -> None:
    """Write an HTML page about the devices of INSTANCE.

    The page shows side by side which device is on which bus now, in the record, and after the next
    power-on. It also shows the differences and every recorded change. The page loads nothing from
    other sites. Only the user who runs the command can read the file. Nothing in Nova or libvirt
    changes.

    Example: novadev device report web-1 -o web-1.html
    """
    private_file.check(file, "report")
    session.deployment.hosts.warm()
    from novadev.pages.guest import collect, write

    write(file, collect(session.deployment, instance, guest))
    session.say(f"The page is in {printable(file)}.")
