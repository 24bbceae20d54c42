"""``novadev image-property``: list, show, set, unset, sync."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import completion, help, options
from novadev.cli.grouping import server_label
from novadev.cli.mutating import mutating
from novadev.cli.options import Output
from novadev.cli.output import print_records
from novadev.cli.session import Session, pass_session
from novadev.cli.skips import Skips
from novadev.cli.table import Row, fits, plain, print_table, short_name
from novadev.errors import BadInput
from novadev.text import many

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.runs.plan import Planned

_PAGE = 500
"""Servers that one table has: its columns are those that they have values for."""


@help.group(short_help="List and change the image properties of servers.")
def image_property() -> None:
    """List and change the image properties stored with instances.

    Example: novadev image-property list --all
    """


@image_property.command("list")
@options.selection
@click.option("--all-properties", is_flag=True, help="Show every stored image_* value.")
@click.option(
    "--wide",
    is_flag=True,
    help="Print one line for each server, with a column for each property that any of them stores.",
)
@click.option(
    "--differing", is_flag=True, help="Show only properties with another value in the request spec."
)
@click.option("--stored", is_flag=True, help="Show only properties that have a value.")
@options.fail_on_skip
@options.output
@pass_session
def list_(
    session: Session,
    selection: Any,
    all_properties: bool,
    wide: bool,
    differing: bool,
    stored: bool,
    fail_on_skip: bool,
    output: Output,
) -> int:
    """List the stored buses, models and machine type of INSTANCEs.

    The list shows the value in the cell beside the value in the request spec. STORED is "absent",
    "null" (Nova has registered the property without a value) or "value". AGREES is "NO" if a resize
    or cold migration would bring back another value from the request spec.

    With --wide, the column DIFFERING has the values of the request spec that differ. The table has
    no column for a property that none of the servers stores; the other formats have all of them.

    Example: novadev image-property list --all --wide --differing
    """
    from novadev.image_property.listing import (
        PropertyRecord,
        Wanted,
        list_properties,
        list_servers,
    )

    if wide and all_properties:
        raise click.UsageError("give --wide or --all-properties, not both")
    skips, wanted = Skips(session, fail_on_skip), Wanted(all_properties, differing, stored)
    empty = skips.unless_all("No property matches." if differing or stored else "", int)
    if wide:
        servers = skips.sift(list_servers(session.deployment, selection, wanted))
        _print_wide(session, output, servers, empty)
    else:
        records = skips.sift(list_properties(session.deployment, selection, wanted))
        group = ("instance", "name")
        print_records(session, output, PropertyRecord, records, group, empty=empty)
    skips.tell_groups()
    return skips.exit_code


def _print_wide(
    session: Session, output: Output, servers: Iterator[Any], empty: Callable[[], str]
) -> None:
    """Print one line for each of SERVERS; a table leaves out properties that none of them has."""
    from novadev.image_property.listing import LISTED, ServerProperties

    if output.format != "table" or output.columns:
        print_records(session, output, ServerProperties, servers)
        return
    page = list(islice(servers, _PAGE))
    if not page and empty():
        session.say(empty())
    while page:
        used = [name for name in LISTED if any(getattr(item, name) for item in page)]
        used += ["differing"] * any(item.differing for item in page)
        columns = {name: name.removeprefix("hw_") for name in used}
        rows: list[Row] = [
            {"server": server_label(item.instance, item.name)}
            | {shown: getattr(item, name) for name, shown in columns.items()}
            for item in page
        ]
        if not fits(("server", *columns.values()), rows):
            _narrow(session, page, rows)
        print_table(session, tuple(rows[0]), iter(rows))
        page = list(islice(servers, _PAGE))


def _narrow(session: Session, page: Sequence[Any], rows: Sequence[Row]) -> None:
    """Make ROWS, the servers of PAGE, narrower: what is equal for all is said once, above them.

    If that is not enough, servers have their names alone, where these are unique.
    """
    names = [name for name in rows[0] if name != "server"]
    equal = [name for name in names if len(rows) > 1 and len({row[name] for row in rows}) == 1]
    if equal:
        values = ", ".join(f"{name} {plain(rows[0].get(name))}" for name in equal)
        session.say(f"Equal for {many(len(rows), 'server')}: {values}")
    for row in rows:
        for name in equal:
            del row[name]
    names_shown = {short_name(item.name) for item in page if item.name}
    are_unique = len(names_shown) == len(page)
    if are_unique and not fits(tuple(rows[0]), rows):
        for item, row in zip(page, rows, strict=True):
            row["server"] = plain(item.name)
    if not fits(tuple(rows[0]), rows):
        session.say("Choose columns with -c, or widen the terminal, for one line a server.")


@image_property.command(short_help="Show one stored property of a server.")
@click.argument("instance", shell_complete=completion.servers)
@click.argument("property_name", shell_complete=completion.properties, metavar="PROPERTY")
@options.output
@pass_session
def show(session: Session, instance: str, property_name: str, output: Output) -> None:
    """Show one stored PROPERTY of INSTANCE; exit with 3 if it has no value.

    Example: novadev image-property show web-1 hw_disk_bus -f value -c value
    """
    from novadev.image_property.listing import PropertyRecord, show_property

    record = show_property(session.deployment, instance, property_name)
    print_records(session, output, PropertyRecord, [record], ("instance", "name"))


@image_property.command("set")
@options.selection
@options.properties
@options.update_disks
@options.request_spec
@options.ask_hosts
@options.force
@mutating("image-property set")
def set_(deployment: Deployment, selection: Any, **request: Any) -> Iterator[Planned]:
    """Set image properties of stopped or shelved INSTANCEs.

    novadev writes the value into the cell and the request spec. Disks on the old bus move to the
    new bus.

    Example: novadev image-property set --property hw_disk_bus=scsi --property
    hw_scsi_model=virtio-scsi web-1
    """
    from novadev.image_property.planning import plan_set

    return plan_set(deployment, selection, **request)


@image_property.command()
@options.selection
@options.property_names
@options.unreadable
@options.duplicates
@options.request_spec
@options.force
@mutating("image-property unset")
def unset(
    deployment: Deployment,
    selection: Any,
    names: tuple[str, ...],
    unreadable: bool,
    duplicates: bool,
    request_spec: bool,
    force: bool,
) -> Iterator[Planned]:
    """Remove image properties from stopped or shelved INSTANCEs.

    Existing disks keep their bus. Give --property, --unreadable or --duplicates. A single value
    that Nova cannot read makes all properties of the server unreadable, so Nova cannot start it:
    --unreadable removes such values.

    Example: novadev image-property unset --unreadable web-1
    """
    if [bool(names), unreadable, duplicates].count(True) != 1:
        raise BadInput("give exactly one of --property NAME, --unreadable and --duplicates")
    if unreadable or duplicates:
        from novadev.image_property import repairs

        if duplicates:
            return repairs.plan_unset_duplicates(deployment, selection)
        return repairs.plan_unset_unreadable(deployment, selection, force, request_spec)
    from novadev.image_property.planning import plan_unset

    return plan_unset(deployment, selection, names, force, request_spec)


@image_property.command()
@options.selection
@mutating("image-property sync")
def sync(deployment: Deployment, selection: Any) -> Iterator[Planned]:
    """Copy stored image properties into request specs.

    A resize or cold migration builds the guest from the request spec of its server. This command
    gives the request spec the values that the cell stores. It changes neither the cell nor the
    guest, so servers may be running.

    Example: novadev image-property sync --all --dry-run
    """
    from novadev.image_property.sync.planning import plan_sync

    return plan_sync(deployment, selection)
