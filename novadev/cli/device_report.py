"""``novadev device report``."""

from __future__ import annotations

import click

from novadev import private_file
from novadev.cli import completion, help, options
from novadev.cli.session import Session, pass_session
from novadev.text import printable


@help.command(short_help="Write a page about the devices of one guest.")
@click.argument("instance", type=options.TEXT, shell_complete=completion.servers)
@click.option(
    "--output",
    "-o",
    "file",
    required=True,
    shell_complete=completion.files,
    metavar="FILE",
    help="The file to write, as HTML.",
)
@click.option("--guest", is_flag=True, help="Ask the guest's agent what the guest calls its disks.")
@pass_session
def report(session: Session, instance: str, file: str, guest: bool) -> None:
    """Write a page about the devices of INSTANCE, for a browser.

    It shows which device is on which bus now, as recorded and after the next power-on, side by
    side; what differs; and every recorded change. The page fetches nothing. It changes nothing of
    Nova or libvirt, and only its owner can read it.

    Example: novadev device report web-1 -o web-1.html
    """
    private_file.check(file, "report")
    session.deployment.hosts.warm()
    from novadev.pages.guest import collect, write

    write(file, collect(session.deployment, instance, guest))
    session.say(f"The page is in {printable(file)}.")
