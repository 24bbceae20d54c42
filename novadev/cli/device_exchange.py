"""``novadev device export`` and ``import``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from novadev.cli import completion, help, options, output_file
from novadev.cli.as_of import as_of
from novadev.cli.mutating import mutating
from novadev.cli.session import Session, pass_session

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.records.device import AsOf
    from novadev.runs.plan import Planned


@help.command(short_help="Export the recorded devices of instances to a file.")
@click.argument(
    "instances",
    nargs=-1,
    shell_complete=completion.servers,
    required=True,
    metavar="INSTANCE...",
    type=options.TEXT,
)
@click.option(
    "--ovf", "is_ovf", flag_value=True, help="Write an OVF in the format of oVirt's engine."
)
@click.option(
    "--json",
    "is_ovf",
    flag_value=False,
    default=False,
    help="Write novadev's own JSON (the default).",
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
@as_of
@pass_session
def export(
    session: Session,
    instances: tuple[str, ...],
    is_ovf: bool,
    file_name: str,
    as_of: AsOf | None,
) -> None:
    """Export the devices of INSTANCEs with the addresses that "device record" has stored.

    "device import" can bring the addresses to another instance. An OVF holds only one INSTANCE.

    Example: novadev device export --ovf web-1 -o web-1.ovf
    """
    from novadev.records.export import export_json, export_ovf

    output_file.check(file_name, _WHAT)
    make = export_ovf if is_ovf else export_json
    text = make(session.deployment, instances, as_of)
    output_file.put(session, file_name, text, _WHAT)


_WHAT = "export file"


@help.command("import", short_help="Import addresses from a file into the record.")
@click.argument("file_name", shell_complete=completion.files, metavar="FILE", type=options.TEXT)
@click.option(
    "--instance",
    shell_complete=completion.servers,
    type=options.TEXT,
    metavar="INSTANCE",
    help="Import for this instance instead of the one named in FILE.",
)
@mutating("device import")
def import_(deployment: Deployment, file_name: str, instance: str | None) -> Iterator[Planned]:
    """Import the addresses in FILE into the record of the same instance, or of another one.

    FILE comes from "device export", or is an OVF from oVirt. Every device has to be in the file and
    in the record; only controllers and other devices that libvirt adds by itself may be in one of
    them. This command changes the record and not the guest: run "device restore" to give the guest
    these addresses.

    Example: novadev device import web-1.ovf --instance web-2 --dry-run
    """
    from novadev.records.import_ import plan_import

    return plan_import(deployment, file_name, instance)
