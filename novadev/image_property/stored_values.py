"""What is stored of instances, read under the locks, by the places that changes have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from novadev.nova import image_properties
from novadev.nova.block_devices import BlockDevice
from novadev.nova.image_properties import StoredProperty
from novadev.nova.request_specs import RequestSpec
from novadev.nova.writes import LockedInstance
from novadev.runs.place import Kind, Place
from novadev.value import ABSENT, Value


class Unstorable(Exception):
    """There is no such place any more, or more than one."""


@dataclass(frozen=True)
class Stored:
    """What is stored of the instances of a batch.

    ``taken`` are the ids of rows to be put back that a row has now, whosever it is.
    """

    instances: Mapping[str, LockedInstance]
    properties: Mapping[str, list[StoredProperty]]
    disks: Mapping[str, tuple[BlockDevice, ...]]
    specs: Mapping[str, RequestSpec]
    taken: Collection[int] = ()

    def value(self, instance: str, place: Place) -> Value:
        """Return what is at PLACE; raises Unstorable where nothing can be."""
        match place.kind:
            case Kind.ROOT:
                return self.instances[instance].root_device_name
            case Kind.DISK:
                return self._disk_value(instance, place)
            case Kind.SPEC:
                return self._spec_value(instance, place.name)
            case Kind.IMAGE:
                return self._spec_image(instance)
            case Kind.HIDDEN:
                return self._hidden_value(instance, place)
        row = self.property_row(instance, place.name)
        return ABSENT if row is None else row.value

    def property_row(self, instance: str, name: str) -> StoredProperty | None:
        """Return the system_metadata row of a property, None where there is none."""
        rows = self.property_rows(instance, name)
        if len(rows) > 1:
            key = image_properties.PREFIX + name
            raise Unstorable(f"{key} is stored {len(rows)} times")
        return rows[0] if rows else None

    def property_rows(self, instance: str, name: str) -> list[StoredProperty]:
        """Return the system_metadata rows of a property; Nova reads the last."""
        key = image_properties.PREFIX + name
        return [row for row in self.properties.get(instance, ()) if row.key == key]

    def image_properties(self, instance: str) -> dict[str, str | None]:
        """Return the image properties without their prefix, as far as they were read."""
        prefix = image_properties.PREFIX
        rows = self.properties.get(instance, ())
        return {row.key[len(prefix) :]: row.value for row in rows if row.key.startswith(prefix)}

    def _hidden_value(self, instance: str, place: Place) -> Value:
        """Return the value of a row that another one hides; that other must be there."""
        key = image_properties.PREFIX + place.name
        rows = self.property_rows(instance, place.name)
        if place.row is None or not rows or rows[-1].id <= place.row:
            raise Unstorable(f"{key} has no other row that Nova reads instead of row {place.row}")
        found: Value = next((row.value for row in rows if row.id == place.row), ABSENT)
        if found is ABSENT and place.row in self.taken:
            raise Unstorable(
                f"the id {place.row} belongs to another row of instance_system_metadata now"
            )
        return found

    def _disk_value(self, instance: str, place: Place) -> Value:
        for disk in self.disks.get(instance, ()):
            if disk.id == place.row:
                return disk.disk_bus if place.name == "disk_bus" else disk.device_name
        raise Unstorable(f"its block_device_mapping {place.row} is gone")

    def _spec_value(self, instance: str, name: str) -> Value:
        spec = self.specs.get(instance)
        held = spec.image_properties if spec else None
        if held is None:
            raise Unstorable("its request spec is gone")
        value: Value = held.get(name, ABSENT)
        return value

    def _spec_image(self, instance: str) -> Value:
        spec = self.specs.get(instance)
        if spec is None or not spec.is_readable:
            raise Unstorable("its request spec is gone")
        return spec.image
