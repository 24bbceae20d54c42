"""``novadev device report``."""

from __future__ import annotations

import click

from novadev.cli import completion, help, options, output_file
from novadev.cli.session import Session, pass_session


@help.command(short_help="Write an HTML page about the devices of one guest.")
@click.argument("instance", type=options.TEXT, shell_complete=completion.servers)
@click.option(
    "--output",
    "-o",
    "file",
    required=True,
    shell_complete=completion.files,
    metavar="FILE",
    help="The HTML file to write; - means stdout.",
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
    output_file.check(file, "report")
    session.deployment.hosts.warm()
    from novadev.pages.guest import collect, page_of

    page = page_of(collect(session.deployment, instance, guest))
    output_file.put(session, file, page, "report", "The page")
