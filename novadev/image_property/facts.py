"""What is stored of instances, in both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from novadev.deployment import Deployment
from novadev.errors import NotFound
from novadev.nova.block_devices import list_block_devices
from novadev.nova.instances import Instance, list_swap
from novadev.nova.request_specs import RequestSpec, list_request_specs
from novadev.rules.guest import Guest
from novadev.selection import Chunk


@dataclass(frozen=True)
class Facts:
    """What is stored of one instance; ``spec`` is None where it has no request spec."""

    instance: Instance
    guest: Guest
    spec: RequestSpec | None


def with_spec_or_without(facts: Facts, with_request_spec: bool) -> Facts:
    """Return FACTS as they are, or without the request spec, if that is to be left.

    Raises NotFound where the instance has none and it is not to be left.
    """
    if not with_request_spec:
        return replace(facts, spec=None)
    if facts.spec is None:
        raise NotFound(
            f"instance {facts.instance.uuid} has no request spec in the API database "
            "(--no-request-spec changes the cell alone)"
        )
    return facts


def read_facts(deployment: Deployment, chunk: Chunk) -> Iterator[Facts]:
    """Yield what is stored of each instance of CHUNK, in order; some statements for all."""
    uuids = [instance.uuid for instance in chunk.instances]
    with deployment.cell_database(chunk.cell).reading() as connection:
        disks = list_block_devices(connection, uuids)
        swap = list_swap(connection, uuids)
    with deployment.api.reading() as connection:
        specs = list_request_specs(connection, uuids)
    for instance in chunk.instances:
        guest = Guest(
            image_properties=instance.image_properties,
            block_devices=disks.get(instance.uuid, ()),
            root_device_name=instance.root_device_name,
            config_drive=instance.config_drive,
            ephemeral_gb=instance.ephemeral_gb,
            swap_mb=swap.get(instance.uuid, 0),
            disk_format=instance.image_properties.get("disk_format"),
        )
        yield Facts(instance, guest, specs.get(instance.uuid))
