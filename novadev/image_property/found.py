"""What is there under the locks, by the addresses that changes have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from novadev.change import ABSENT, Value
from novadev.errors import StalePlan
from novadev.nova import image_properties
from novadev.nova.block_devices import BlockDevice
from novadev.nova.image_properties import StoredProperty
from novadev.nova.request_specs import RequestSpec
from novadev.nova.writes import LockedInstance

DISK = "block_device_mapping"
SPEC = "request_spec"
ROOT = "root_device_name"


@dataclass(frozen=True)
class Found:
    """What is there under the locks."""

    instances: Mapping[str, LockedInstance]
    properties: Mapping[str, list[StoredProperty]]
    disks: Mapping[str, tuple[BlockDevice, ...]]
    specs: Mapping[str, RequestSpec]

    def value(self, instance: str, what: str) -> Value:
        """Return what is there for the address of a change; raises StalePlan if it cannot be."""
        if what == ROOT:
            return self.instances[instance].root_device_name
        kind, _, rest = what.partition(" ")
        if kind == DISK:
            row, _, column = rest.partition(" ")
            return self._disk_value(instance, int(row), column)
        if kind == SPEC:
            return self._spec_value(instance, rest)
        row_found = self.property_row(instance, what)
        return ABSENT if row_found is None else row_found.value

    def property_row(self, instance: str, name: str) -> StoredProperty | None:
        """Return the system_metadata row of a property, None where there is none."""
        key = image_properties.PREFIX + name
        rows = [row for row in self.properties.get(instance, ()) if row.key == key]
        if len(rows) > 1:
            raise StalePlan(f"{key} is stored {len(rows)} times")
        return rows[0] if rows else None

    def _disk_value(self, instance: str, row: int, column: str) -> Value:
        for disk in self.disks.get(instance, ()):
            if disk.id == row:
                return disk.disk_bus if column == "disk_bus" else disk.device_name
        raise StalePlan(f"its block_device_mapping {row} is gone")

    def _spec_value(self, instance: str, name: str) -> Value:
        spec = self.specs.get(instance)
        held = spec.image_properties if spec else None
        if held is None:
            raise StalePlan("its request spec is gone")
        value: Value = held.get(name, ABSENT)
        return value
