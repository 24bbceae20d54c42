"""The image properties novadev may touch: their values by Nova's enumerations, their stored form.

An instance keeps its image properties in ``instance_system_metadata`` under ``image_NAME``. The
table has no unique key, and a NULL value is a state of its own "registered, no value".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

import sqlalchemy as sa

from novadev.errors import InvalidProperty, InvalidValue
from novadev.nova.tables import instance_system_metadata

PREFIX = "image_"
"""``nova/utils.py`` SM_IMAGE_PROP_PREFIX."""
MACHINE_TYPE = "hw_machine_type"

_DISK_BUSES = ("fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml")
_NEAR_ENOUGH = 0.5


@dataclass(frozen=True)
class ImageProperty:
    """A property and the values Nova has for it (``nova/objects/fields.py``)."""

    name: str
    values: tuple[str, ...]
    ignores_case: bool = False
    legacy: Mapping[str, str] = field(default_factory=dict)

    def spelling(self, value: str) -> str:
        """Return VALUE in the spelling Nova reads it in, be it a value of the property or not."""
        known = value.lower() if self.ignores_case else value
        return self.legacy.get(known, known)

    def has(self, value: str) -> bool:
        """Return whether VALUE is one of its values, in Nova's own spelling."""
        return value in self.values

    def canonical(self, value: str) -> str:
        """Return the spelling Nova coerces VALUE to; raises InvalidValue with the nearest match."""
        known = self.spelling(value)
        if known not in self.values:
            raise InvalidValue(self._complaint(value))
        return known

    def _complaint(self, value: str) -> str:
        shown = value if len(value) <= 40 else f"{value[:40]}… ({len(value)} characters)"
        near = get_close_matches(value.strip().lower()[:40], self.values, 1, _NEAR_ENOUGH)
        hint = f"; did you mean {near[0]}?" if near else ""
        return (
            f"{self.name}={shown!r} is not a valid value; allowed are "
            f"{', '.join(self.values)}{hint}"
        )


PROPERTIES: Mapping[str, ImageProperty] = {
    item.name: item
    for item in (
        ImageProperty("hw_cdrom_bus", _DISK_BUSES),
        ImageProperty("hw_disk_bus", _DISK_BUSES),
        ImageProperty("hw_floppy_bus", _DISK_BUSES),
        ImageProperty("hw_rescue_bus", _DISK_BUSES),
        ImageProperty("hw_input_bus", ("usb", "virtio")),
        ImageProperty("hw_pointer_model", ("usbtablet",)),
        ImageProperty("hw_rng_model", ("virtio",)),
        ImageProperty(
            "hw_scsi_model",
            (
                "buslogic",
                "ibmvscsi",
                "lsilogic",
                "lsisas1068",
                "lsisas1078",
                "virtio-scsi",
                "vmpvscsi",
            ),
            ignores_case=True,
            legacy={"lsilogicsas": "lsisas1068", "paravirtual": "vmpvscsi"},
        ),
        ImageProperty(
            "hw_video_model",
            ("cirrus", "qxl", "vga", "vmvga", "xen", "virtio", "gop", "none", "bochs"),
        ),
        ImageProperty(
            "hw_vif_model",
            (
                "virtio",
                "ne2k_pci",
                "pcnet",
                "rtl8139",
                "e1000",
                "e1000e",
                "netfront",
                "spapr-vlan",
                "lan9118",
                "sriov",
                "vmxnet",
                "vmxnet3",
                "igb",
            ),
            ignores_case=True,
            legacy={
                "virtuale1000": "e1000",
                "virtuale1000e": "e1000e",
                "virtualpcnet32": "pcnet",
                "virtualsriovethernetcard": "sriov",
                "virtualvmxnet": "vmxnet",
                "virtualvmxnet3": "vmxnet3",
            },
        ),
    )
}
"""The allow-list: the ten properties of Nova's spec, by name."""


def get_property(name: str) -> ImageProperty:
    """Return the property NAME; raises InvalidProperty for one that is not on the allow-list."""
    if name in PROPERTIES:
        return PROPERTIES[name]
    if name == MACHINE_TYPE:
        raise InvalidProperty(
            f"{name} cannot be set with image-property: a machine type changes together with its "
            "buses (novadev machine-type set)"
        )
    near = get_close_matches(name[:60], PROPERTIES, 1, _NEAR_ENOUGH)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise InvalidProperty(
        f"{name[:60]!r} is not an image property that novadev can change: "
        f"allowed are {', '.join(PROPERTIES)}{hint}"
    )


def same(name: str, one: str | None, other: str | None) -> bool:
    """Return whether Nova takes both values of the property NAME for the same one."""
    return _coerced(name, one) == _coerced(name, other)


def _coerced(name: str, value: str | None) -> str | None:
    if value is None or name not in PROPERTIES:
        return value
    try:
        return PROPERTIES[name].canonical(value)
    except InvalidValue:
        return value


class StoredProperty(NamedTuple):
    """One row of system_metadata: its id, and its value as stored (None is NULL)."""

    id: int
    key: str
    value: str | None


def list_taken(connection: sa.Connection, rows: Collection[int]) -> frozenset[int]:
    """Return which of the ids ROWS are taken in system_metadata, by whatever instance."""
    if not rows:
        return frozenset()
    column = instance_system_metadata.c.id
    return frozenset(connection.scalars(sa.select(column).where(column.in_(tuple(rows)))))


def list_stored(
    connection: sa.Connection, instances: Iterable[str], keys: Iterable[str] | None = None
) -> dict[str, list[StoredProperty]]:
    """Return the system_metadata rows of INSTANCES by UUID, in row order, only KEYS if given."""
    table = instance_system_metadata
    query = sa.select(table.c.instance_uuid, table.c.id, table.c.key, table.c.value).where(
        table.c.instance_uuid.in_(tuple(instances)), table.c.deleted == 0
    )
    wanted = None if keys is None else frozenset(keys)
    if wanted is not None:
        query = query.where(table.c.key.in_(tuple(wanted)))
    rows: dict[str, list[StoredProperty]] = {}
    for uuid, row_id, key, value in connection.execute(query.order_by(table.c.id)).all():
        if wanted is None or key in wanted:  # MySQL finds the key in another case, too
            rows.setdefault(uuid, []).append(StoredProperty(row_id, key, value))
    return rows
