"""Build an embedded deployment: SQLite files with Nova's tables, a nova.conf, a few instances."""

import json
import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from novadev.nova import tables
from novadev.nova.cells import CELL0_UUID

CELLS = {1: ("cell0", CELL0_UUID), 2: ("cell1", ""), 3: ("cell2", "")}
PROJECT = "9b7d2f6c41aa4c0f8d2233445566aabb"


class Deployment:
    """A deployment in a folder of its own; ``config_file`` is its nova.conf."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.config_file = folder / "nova.conf"
        self._engines = {name: self._make(name) for name in ("api", "cell0", "cell1", "cell2")}
        self._write_config()
        self._map_cells()

    def _make(self, name: str) -> sa.Engine:
        engine = sa.create_engine(f"sqlite:///{self._folder / name}.sqlite")
        metadata = tables.api_metadata if name == "api" else tables.cell_metadata
        metadata.create_all(engine)
        return engine

    def _write_config(self) -> None:
        self.config_file.write_text(
            "[api_database]\n"
            f"connection = {self._engines['api'].url}\n"
            "[database]\n"
            f"connection = {self._engines['cell0'].url}\n"
            "[novadev]\n"
            f"state_connection = sqlite:///{self._folder / 'state.sqlite'}\n"
        )

    def _map_cells(self) -> None:
        rows = [
            {
                "id": number,
                "uuid": fixed or str(uuid.uuid4()),
                "name": name,
                "transport_url": "none:///",
                "database_connection": str(self._engines[name].url),
                "disabled": False,
            }
            for number, (name, fixed) in CELLS.items()
        ]
        self._insert("api", tables.cell_mappings, rows)

    def _insert(self, database: str, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        with self._engines[database].begin() as connection:
            connection.execute(sa.insert(table), rows)

    def add_instance(
        self,
        name: str,
        disks: tuple[tuple[str, str, str], ...],
        cell: int = 2,
        vm_state: str = "stopped",
        host: str | None = "cmp1",
        in_spec: dict[str, str] | None = None,
        **properties: str | None,
    ) -> str:
        """Write an instance with DISKS (name, bus, kind) and stored PROPERTIES; return its UUID.

        IN_SPEC are the properties of its request spec where they differ from the stored ones.
        """
        instance = str(uuid.uuid4())
        database = CELLS[cell][0]
        self._insert(database, tables.instances, [_instance(instance, name, vm_state, host)])
        self._insert(database, tables.instance_system_metadata, _metadata(instance, properties))
        self._insert(database, tables.instance_extra, [_flavor(instance)])
        self._insert(database, tables.block_device_mapping, _disks(instance, disks))
        stored = {key: value for key, value in properties.items() if value is not None}
        spec = _spec(instance, stored if in_spec is None else in_spec)
        mapping = {"instance_uuid": instance, "cell_id": cell, "project_id": PROJECT}
        self._insert("api", tables.instance_mappings, [mapping | {"queued_for_delete": False}])
        self._insert("api", tables.request_specs, [{"instance_uuid": instance, "spec": spec}])
        return instance


def _instance(instance: str, name: str, vm_state: str, host: str | None) -> dict[str, Any]:
    return {
        "uuid": instance,
        "display_name": name,
        "host": host,
        "vm_state": vm_state,
        "project_id": PROJECT,
        "image_ref": str(uuid.uuid4()),
        "root_device_name": "/dev/vda",
        "config_drive": "True",
        "ephemeral_gb": 0,
        "hidden": False,
        "deleted": 0,
    }


def _metadata(instance: str, properties: dict[str, str | None]) -> list[dict[str, Any]]:
    stored: dict[str, str | None] = {"disk_format": "qcow2", "min_ram": "0", **properties}
    return [
        {"instance_uuid": instance, "key": f"image_{name}", "value": value, "deleted": 0}
        for name, value in stored.items()
    ]


def _flavor(instance: str) -> dict[str, Any]:
    flavor = {"cur": {"nova_object.name": "Flavor", "nova_object.data": {"swap": 0}}}
    return {"instance_uuid": instance, "flavor": json.dumps(flavor), "deleted": 0}


def _disks(instance: str, disks: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    return [
        {
            "instance_uuid": instance,
            "source_type": "volume" if position else "image",
            "destination_type": "volume" if position else "local",
            "volume_id": str(uuid.uuid4()) if position else None,
            "device_type": kind,
            "disk_bus": bus,
            "device_name": f"/dev/{name}",
            "boot_index": None if position else 0,
            "volume_size": 10,
            "no_device": False,
            "connection_info": '{"driver_volume_type": "rbd"}' if position else None,
            "deleted": 0,
        }
        for position, (name, bus, kind) in enumerate(disks)
    ]


def _object(name: str, version: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "nova_object.name": name,
        "nova_object.namespace": "nova",
        "nova_object.version": version,
        "nova_object.data": data,
        "nova_object.changes": sorted(data),
    }


def _spec(instance: str, properties: dict[str, str]) -> str:
    image = {
        "id": str(uuid.uuid4()),
        "name": "debian-12",
        "disk_format": "qcow2",
        "properties": _object("ImageMetaProps", "1.44", dict(properties)),
    }
    spec = {"instance_uuid": instance, "image": _object("ImageMeta", "1.8", image)}
    return json.dumps(_object("RequestSpec", "1.15", spec))
