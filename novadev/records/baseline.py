"""The recorded devices to compare with: those of the newest record or of a time in the past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from novadev.deployment import Deployment
from novadev.errors import BadInput, NotAsNeeded
from novadev.records.device import AsOf, Pins, VmDevice, VmDynamic, hash_of
from novadev.records.file_contents import is_uuid
from novadev.records.store import VmDevices
from novadev.runs.plan import NO_CELL
from novadev.selection import get_instance


@dataclass(frozen=True)
class Baseline:
    """What is recorded of guests; ``as_of`` is None for the newest record of each."""

    vm_devices: VmDevices
    as_of: AsOf | None = None

    @classmethod
    def of(cls, deployment: Deployment, as_of: AsOf | None = None) -> Baseline:
        """Return the records of DEPLOYMENT.

        Raises NotFound for an AS_OF record that there is not, and BadInput for a time to come.
        """
        vm_devices = VmDevices(deployment.state)
        if as_of is not None:
            vm_devices.check(as_of)
        return cls(vm_devices, as_of)

    def list_devices(self, vm_ids: Sequence[str]) -> Mapping[str, tuple[VmDevice, ...]]:
        """Return the devices of these guests, plugged or not; none of a guest without a record."""
        if self.as_of is None:
            return self.vm_devices.list_devices(vm_ids)
        return self.vm_devices.list_devices_as_of(vm_ids, self.as_of)

    def list_pins(self, vm_ids: Sequence[str]) -> Mapping[str, Pins]:
        """Return the pinned addresses of these guests, which are none of the past's."""
        return {} if self.as_of else self.vm_devices.list_pins(vm_ids)

    def list_dynamics(self, vm_ids: Sequence[str]) -> Mapping[str, VmDynamic]:
        """Return what is recorded of these guests as a whole.

        Without fingerprint in the past, unless nothing was recorded since then.
        """
        newest = self.vm_devices.list_dynamics(vm_ids)
        if self.as_of is None:
            return newest
        now = self.vm_devices.list_devices(vm_ids)
        return {
            vm_id: newest[vm_id]
            if vm_id in newest and _by_id(devices) == _by_id(now.get(vm_id, ()))
            else VmDynamic(vm_id, hash_of(devices), "", next((d.host for d in devices), ""))
            for vm_id, devices in self.list_devices(vm_ids).items()
        }

    def why_none(self, vm_id: str) -> NotAsNeeded:
        """Return what to say of a guest of which nothing is recorded, or was by then."""
        first = self.vm_devices.find_first(vm_id) if self.as_of else None
        if first is None:
            text = f"nothing is recorded for instance {vm_id}: run novadev device record {vm_id}"
            return NotAsNeeded(text)
        return NotAsNeeded(
            f"nothing was recorded of instance {vm_id} as of {self.as_of}: its first record is "
            f"record {first.record}, made {first.seen}"
        )


def _by_id(devices: Iterable[VmDevice]) -> dict[str, VmDevice]:
    return {device.device_id: device for device in devices}


@dataclass(frozen=True)
class RecordedInstance:
    """An instance with its record; without databases its name is empty, its cell NO_CELL.

    ``pins`` are the pinned addresses of its devices. ``found`` are those as they were last found,
    or imported, where a pin keeps them recorded elsewhere.
    """

    uuid: str
    name: str
    cell: str
    dynamic: VmDynamic
    devices: tuple[VmDevice, ...]
    pins: Pins = field(default_factory=dict)
    found: tuple[VmDevice, ...] = ()


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
    pins = baseline.vm_devices.list_pins([uuid]).get(uuid, {})
    now = {} if as_of else {uuid: pins}
    found = baseline.vm_devices.list_found({uuid: devices}, now)[uuid]
    return RecordedInstance(uuid, shown, cell, dynamic, devices, pins, found)


def _identify(deployment: Deployment, name: str) -> tuple[str, str, str]:
    """Return the UUID, the name and the cell."""
    if deployment.has_databases:
        instance = get_instance(deployment, name)
        return instance.uuid, instance.name, instance.cell
    if not is_uuid(name):
        raise nameless(name)
    return name.lower(), "", NO_CELL


def nameless(name: str) -> BadInput:
    """Return what to say to an operator who gives a NAME where no database knows it."""
    return BadInput(f"instance {name!r}: without Nova's databases, give the UUID of the instance")
