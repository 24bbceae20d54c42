"""``novadev capabilities``: save."""

from __future__ import annotations

import click

from novadev.cli import completion, help, options, output_file
from novadev.cli.session import Session, pass_session


@help.group(short_help="Save what a compute host is, and what it can do.")
def capabilities() -> None:
    """Save what a compute host is and how Nova is configured there.

    Example: novadev capabilities save --host cmp1
    """


@capabilities.command(short_help="Save a description of a compute host in a file.")
@click.option(
    "--host",
    shell_complete=completion.hosts,
    type=options.TEXT,
    metavar="HOST",
    help="Describe another compute host, by the name that Nova gives it. The driver's options "
    "and libosinfo are still read on this machine, and QEMU's list of devices is left out.  "
    "[default: this machine]",
)
@click.option(
    "-o",
    "--output",
    "file_name",
    shell_complete=completion.files,
    type=options.TEXT,
    default="-",
    metavar="FILE",
    help="The file to write; - means stdout.  [default: -]",
)
@click.option(
    "--nova-release",
    "release",
    type=click.IntRange(26, 999),
    metavar="N",
    help="The major version of Nova on the host, such as 34, for when novadev cannot find it out.",
)
@pass_session
def save(session: Session, host: str | None, file_name: str, release: int | None) -> None:
    """Describe this compute host: versions, machine types, options of Nova's driver, libosinfo.

    The file also has what libvirt reports for guests of each machine type and, for this machine,
    the devices that QEMU lists. Other commands read from it which devices Nova gives to guests on
    the host, and whether a guest can be defined and started there. Run the command on the host with
    the configuration files of its nova-compute. The file contains no passwords and no connection
    URLs. Two files can be compared with diff.

    Example: novadev capabilities save -o cmp1.json
    """
    output_file.check(file_name, _WHAT)
    session.deployment.hosts.warm()
    from novadev.capabilities.content import remarks
    from novadev.capabilities.file import dumps
    from novadev.capabilities.saving import get_capabilities

    found = get_capabilities(session.deployment, host, release)
    output_file.put(session, file_name, dumps(found), _WHAT)
    for remark in remarks(found):
        session.say(remark)


_WHAT = "capability file"
