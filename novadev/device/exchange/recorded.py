"""An instance and what is recorded of it, by whatever names it."""

from __future__ import annotations

from dataclasses import dataclass

from novadev.deployment import Deployment
from novadev.device.exchange.exported import is_uuid
from novadev.errors import BadInput, NotAsNeeded
from novadev.runs.plan import NO_CELL
from novadev.selection import get_instance
from novadev.state.devices import VmDevice, VmDynamic


@dataclass(frozen=True)
class RecordedInstance:
    """An instance with its record; without databases its name is empty, its cell NO_CELL."""

    uuid: str
    name: str
    cell: str
    dynamic: VmDynamic
    devices: tuple[VmDevice, ...]


def get_recorded(deployment: Deployment, name: str) -> RecordedInstance:
    """Return the instance NAME (a UUID or name) with its record.

    Raises NotFound for the instance, NotAsNeeded where nothing is recorded of it, and BadInput for
    a name that fits several, or that is no UUID where there are no databases.
    """
    uuid, shown, cell = _identify(deployment, name)
    dynamic = deployment.vm_devices.list_dynamics([uuid]).get(uuid)
    if dynamic is None:
        raise NotAsNeeded(
            f"instance {uuid}: nothing is recorded of it: run novadev device record {uuid} first"
        )
    devices = deployment.vm_devices.list_devices([uuid]).get(uuid, ())
    return RecordedInstance(uuid, shown, cell, dynamic, devices)


def _identify(deployment: Deployment, name: str) -> tuple[str, str, str]:
    """Return the UUID, the name and the cell."""
    if deployment.has_databases:
        instance = get_instance(deployment, name)
        return instance.uuid, instance.name, instance.cell
    if not is_uuid(name):
        raise BadInput(f"instance {name!r}: without Nova's databases an instance has only its UUID")
    return name.lower(), "", NO_CELL
