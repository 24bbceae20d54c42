"""Which guests, and what Nova's databases say of each: with the databases, or from a host alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.deployment import Deployment
from novadev.device.guests import Hosted, list_guests
from novadev.device.hosted_instance import HostedInstance
from novadev.errors import BadInput, NotAsNeeded, NotFound, NovadevError
from novadev.nova.attached import list_attachments
from novadev.nova.cells import Cell
from novadev.nova.instances import Instance
from novadev.runs.plan import Skip
from novadev.selection import Chunk, Selection, iter_by_host, of_chunks


def is_without_databases(deployment: Deployment, no_database: bool) -> bool:
    """Whether only libvirt is used: on request, or because no database is configured."""
    return no_database or not deployment.has_databases


def get_hosted(deployment: Deployment, name: str, no_database: bool = False) -> HostedInstance:
    """Return the one instance NAME; raises what its Skip stands for."""
    for chunk in iter_hosted(deployment, Selection(names=[name]), no_database):
        for item in chunk:
            if isinstance(item, HostedInstance):
                return item
            raise item.error
    raise NotFound(f"instance {name!r} not found")


def iter_hosted(
    deployment: Deployment, selection: Selection, no_database: bool = False
) -> Iterator[list[Hosted]]:
    """Yield the selected instances that are on a host, a chunk at a time, and skips for the others.

    Raises as :func:`novadev.selection.iter_by_host`, and BadInput for a filter that needs a
    database where there is none.
    """
    if is_without_databases(deployment, no_database):
        yield _on_host(deployment, selection)
        return

    def hosted(chunk: Chunk) -> Iterator[list[Hosted]]:
        yield list(iter_chunk(deployment, chunk, selection.is_named))

    for found in of_chunks(iter_by_host(deployment, selection), hosted, selection.is_named):
        yield [found] if isinstance(found, Skip) else found


def iter_chunk(deployment: Deployment, chunk: Chunk, named: bool) -> Iterator[Hosted]:
    """Yield the instances of CHUNK that are on a host, and skips for the others."""
    for instance in chunk.instances:
        if instance.host is None:
            yield Skip.of(instance.uuid, NotAsNeeded(on_no_host(instance)), named)
    yield from attached(deployment, chunk.cell, chunk.instances, named)


def attached(
    deployment: Deployment, cell: Cell, instances: Sequence[Instance], named: bool
) -> Iterator[HostedInstance]:
    """Yield those of INSTANCES, of one cell, that are on a host, with what is attached to them."""
    with deployment.cell_database(cell).reading() as connection:
        attachments = list_attachments(connection, [instance.uuid for instance in instances])
    for instance in instances:
        if instance.host is None:
            continue
        yield HostedInstance(
            uuid=instance.uuid,
            name=instance.name,
            host=instance.host,
            named=named,
            cell=instance.cell,
            vm_state=instance.vm_state,
            task_state=instance.task_state,
            has_config_drive=instance.config_drive,
            attachments=attachments[instance.uuid],
        )


def on_no_host(instance: Instance) -> str:
    """Return why INSTANCE has no host that can be contacted."""
    return f"instance {instance.uuid} is {instance.vm_state}: it is on no host"


def _on_host(deployment: Deployment, selection: Selection) -> list[Hosted]:
    """Return the selected guests of one host, as its libvirt has them."""
    host = _the_host(deployment, selection)
    names = None if selection.names is None else tuple(selection.names)
    try:
        found = deployment.hosts.call(host, list_guests, names)
    except NovadevError as error:
        return [Skip.of(None, error, selection.is_named)]
    return list(found[: selection.limit])


def _the_host(deployment: Deployment, selection: Selection) -> str:
    narrow = selection.narrow
    needs_databases = {
        "--cell": selection.cell,
        "--name": narrow.names,
        "--project": narrow.project,
        "--status": narrow.status,
        "--vm-state": narrow.vm_state,
        "--where": narrow.where,
        "--without": narrow.without,
    }
    for option, value in needs_databases.items():
        if value:
            raise BadInput(f"{option} needs Nova's databases, which are not used here")
    if len(narrow.hosts) > 1 or any("*" in host or "?" in host for host in narrow.hosts):
        raise BadInput("--host can name only one host without Nova's databases")
    return narrow.hosts[0] if narrow.hosts else deployment.config.host
