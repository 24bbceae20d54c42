"""An instance and what is recorded of it, by whatever names it."""

from __future__ import annotations

from dataclasses import dataclass, field

from novadev.deployment import Deployment
from novadev.errors import BadInput
from novadev.records.baseline import Baseline
from novadev.records.device import AsOf, Pins, VmDevice, VmDynamic
from novadev.records.exported import is_uuid
from novadev.records.store import VmDevices
from novadev.runs.plan import NO_CELL
from novadev.selection import get_instance


@dataclass(frozen=True)
class RecordedInstance:
    """An instance with its record; without databases its name is empty, its cell NO_CELL.

    ``pins`` are the pinned addresses of its devices.
    """

    uuid: str
    name: str
    cell: str
    dynamic: VmDynamic
    devices: tuple[VmDevice, ...]
    pins: Pins = field(default_factory=dict)


def get_recorded(deployment: Deployment, name: str, as_of: AsOf | None = None) -> RecordedInstance:
    """Return the instance NAME (a UUID or name) with its newest record, or AS OF a moment.

    Raises NotFound for the instance, NotAsNeeded where nothing is recorded of it, and BadInput for
    a name that fits several, or that is no UUID where there are no databases; for AS_OF as
    :meth:`Baseline.of`.
    """
    uuid, shown, cell = _identify(deployment, name)
    baseline = Baseline.of(deployment, as_of)
    dynamic = baseline.list_dynamics([uuid]).get(uuid)
    if dynamic is None:
        raise baseline.why_none(uuid)
    devices = baseline.list_devices([uuid]).get(uuid, ())
    pins = VmDevices(deployment.state).list_pins([uuid]).get(uuid, {})
    return RecordedInstance(uuid, shown, cell, dynamic, devices, pins)


def _identify(deployment: Deployment, name: str) -> tuple[str, str, str]:
    """Return the UUID, the name and the cell."""
    if deployment.has_databases:
        instance = get_instance(deployment, name)
        return instance.uuid, instance.name, instance.cell
    if not is_uuid(name):
        raise BadInput(f"instance {name!r}: without Nova's databases an instance has only its UUID")
    return name.lower(), "", NO_CELL
