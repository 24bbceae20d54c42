"""One Nova deployment for one test: real databases, one-line builders and readers."""

import json
import uuid as uuidlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests import rows
from tests.state_file import place_state
from tests.templates import CELL0_UUID, DATABASES, write_config

CELLS: dict[str, rows.Row] = {
    "cell0": {"id": 1, "uuid": CELL0_UUID, "transport_url": "none:///"},
    "cell1": {"id": 2, "uuid": "11111111-1111-4111-8111-111111111111"},
    "cell2": {"id": 3, "uuid": "22222222-2222-4222-8222-222222222222"},
}
IMAGE = "99999999-9999-4999-8999-999999999999"
OF_DELETED_INSTANCE = (
    "instance_system_metadata",
    "instance_extra",
    "block_device_mapping",
    "instance_info_caches",
    "instance_metadata",
    "instance_faults",
)
Row = rows.Row
Batch = dict[tuple[str, str], list[Row]]


class Cloud:
    """A deployment: `config_file` is its nova.conf, `url(name)` and `engine(name)` its databases.

    The databases are named api, cell0, cell1 and cell2. Instances are in cell1 unless said.
    """

    def __init__(
        self, backend: str, release: str, engines: Mapping[str, sa.Engine], folder: Path
    ) -> None:
        self.backend = backend
        self.release = release
        self.folder = folder
        self._engines = engines
        self._cell_of: dict[str, str] = {}
        urls = {name: self.url(name) for name in DATABASES}
        state = f"sqlite:///{folder}/state.sqlite"
        place_state(folder / "state.sqlite")
        self.config_file = write_config(folder / "nova.conf", urls, state)
        self._map_cells()

    def url(self, name: str) -> str:
        """The SQLAlchemy URL of a database."""
        return self.engine(name).url.render_as_string(hide_password=False)

    def engine(self, name: str) -> sa.Engine:
        """An engine on a database."""
        return self._engines[name]

    def table(self, table: str, database: str) -> sa.Table:
        """One of Nova's tables, as it is in the database."""
        kind = "api" if database == "api" else "main"
        return _reflected(self.backend, self.release, kind, table, lambda: self.engine(database))

    # Builders

    def add_instance(self, **wanted: Any) -> str:
        """Write one instance as `add_instances` does; its UUID comes back."""
        return self.add_instances(1, **wanted)[0]

    def add_instances(
        self, number: int, each: Callable[[int], Mapping[str, Any]] | None = None, **wanted: Any
    ) -> list[str]:
        """Write instances and give their UUIDs.

        `wanted` are the arguments of `instance_rows`; `each(n)` gives those of the nth instance
        (from 0) that differ.
        """
        batch: Batch = defaultdict(list)
        uuids = []
        for n in range(number):
            arguments = {**wanted, **(each(n) if each else {})}
            uuids.append(self._collect(batch, **arguments))
        self._insert(batch)
        return uuids

    def add_disk(
        self,
        uuid: str,
        device_name: str | None = "/dev/vda",
        disk_bus: str | None = "virtio",
        device_type: str | None = "disk",
        source_type: str = "image",
        destination_type: str = "local",
        boot_index: int | None = 0,
        volume_id: str | None = None,
        guest_format: str | None = None,
        **other: Any,
    ) -> int:
        """Write a block_device_mapping row, a volume's as attached; its id comes back."""
        if volume_id is not None:
            other.setdefault("connection_info", rows.connection_info(volume_id))
        row = rows.block_device_mapping(
            uuid,
            **{"device_name": device_name, "disk_bus": disk_bus, "device_type": device_type},
            **{"source_type": source_type, "destination_type": destination_type},
            **{"boot_index": boot_index, "volume_id": volume_id, "guest_format": guest_format},
            **{"uuid": str(uuidlib.uuid4()), **other},
        )
        return self.insert("block_device_mapping", self.cell_of(uuid), **row)

    def add_volume(
        self,
        uuid: str,
        volume_id: str | None = None,
        device_name: str | None = "/dev/vdb",
        connection_info: Mapping[str, Any] | str | None = None,
        **other: Any,
    ) -> str:
        """Attach a volume, by iSCSI unless `connection_info` says otherwise; its id comes back."""
        volume_id = volume_id or str(uuidlib.uuid4())
        given = {"source_type": "volume", "destination_type": "volume", "boot_index": None}
        given |= {"attachment_id": str(uuidlib.uuid4()), "volume_size": 1, **other}
        if connection_info is not None:
            is_text = isinstance(connection_info, str)
            given["connection_info"] = connection_info if is_text else json.dumps(connection_info)
        self.add_disk(uuid, device_name=device_name, volume_id=volume_id, **given)
        return volume_id

    def add_port(
        self, uuid: str, port: str | None = None, mac: str = "fa:16:3e:00:00:01", **other: Any
    ) -> str:
        """Append a port of Open vSwitch to the info cache; `other` are fields of Nova's VIF."""
        port = port or str(uuidlib.uuid4())
        table, cell, where = "instance_info_caches", self.cell_of(uuid), {"instance_uuid": uuid}
        ports = json.loads(self.rows(table, cell, **where)[0]["network_info"])
        text = json.dumps([*ports, rows.vif(port, mac, **other)])
        self.update(table, cell, where, network_info=text)
        return port

    def add_pci_device(
        self,
        uuid: str | None,
        address: str = "0000:81:00.1",
        device_uuid: str | None = None,
        status: str = "allocated",
        host: str = "cmp1",
        **other: Any,
    ) -> str:
        """Write a PCI device of a host, the instance's unless that is None; its UUID comes back."""
        device_uuid = device_uuid or str(uuidlib.uuid4())
        cell = self.cell_of(uuid) if uuid else "cell1"
        row = rows.pci_device(self._compute_node(cell, host), address, status)
        row |= {"uuid": device_uuid, "instance_uuid": uuid, **other}
        self.insert("pci_devices", cell, **row)
        return device_uuid

    def add_share(
        self, uuid: str, share_id: str | None = None, status: str = "active", **other: Any
    ) -> str:
        """Attach a Manila share, NFS unless said; its id comes back. Nova 28 has no such table."""
        share_id = share_id or str(uuidlib.uuid4())
        row = rows.share_mapping(uuid, share_id, status) | other
        self.insert("share_mapping", self.cell_of(uuid), **row)
        return share_id

    def add_migration(
        self,
        uuid: str,
        status: str = "running",
        migration_type: str = "live-migration",
        **other: Any,
    ) -> int:
        """Write a migration of the instance from cmp1 to cmp2; its id comes back."""
        cell = self.cell_of(uuid)
        row = rows.migration(uuid, status, migration_type)
        row |= {"dest_compute_id": self._compute_node(cell, "cmp2"), **other}
        return self.insert("migrations", cell, **row)

    def insert(self, table: str, database: str, **values: Any) -> int:
        """Write one row; its primary key comes back."""
        statement = self.table(table, database).insert()
        with self.engine(database).begin() as connection:
            result = connection.execute(statement, values)
        return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0

    def update(self, table: str, database: str, where: Mapping[str, Any], /, **values: Any) -> int:
        """Set columns of the rows that match; their number comes back."""
        target = self.table(table, database)
        statement = target.update().where(*_conditions(target, where)).values(**values)
        with self.engine(database).begin() as connection:
            return connection.execute(statement).rowcount

    def delete(self, table: str, database: str, **where: Any) -> int:
        """Remove the rows that match; their number comes back."""
        target = self.table(table, database)
        with self.engine(database).begin() as connection:
            return connection.execute(target.delete().where(*_conditions(target, where))).rowcount

    def soft_delete(self, uuid: str) -> None:
        """Delete an instance as Nova does: the rows stay, `deleted` becomes their id."""
        cell = self.cell_of(uuid)
        self.update("instances", cell, {"uuid": uuid}, vm_state="deleted", task_state=None)
        self._mark_deleted("instances", cell, "uuid", uuid)
        for table in OF_DELETED_INSTANCE:
            self._mark_deleted(table, cell, "instance_uuid", uuid)
        self.update("instance_mappings", "api", {"instance_uuid": uuid}, queued_for_delete=True)

    # Readers

    def rows(self, table: str, database: str, **where: Any) -> list[Row]:
        """The rows that match, in order of their id."""
        source = self.table(table, database)
        statement = source.select().where(*_conditions(source, where)).order_by(source.c.id)
        with self.engine(database).connect() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def instance(self, uuid: str) -> Row:
        """The row of `instances`."""
        return self.rows("instances", self.cell_of(uuid), uuid=uuid)[0]

    def system_metadata(self, uuid: str) -> dict[str, str | None]:
        """The instance's system metadata that is not deleted, a later row before an earlier."""
        found = self.rows(
            "instance_system_metadata", self.cell_of(uuid), instance_uuid=uuid, deleted=0
        )
        return {row["key"]: row["value"] for row in found}

    def request_spec(self, uuid: str) -> Row:
        """The instance's request spec, parsed."""
        found = self.rows("request_specs", "api", instance_uuid=uuid)
        spec: Row = json.loads(found[0]["spec"])
        return spec

    def spec_properties(self, uuid: str) -> Row:
        """The image properties inside the request spec."""
        image = self.request_spec(uuid)["nova_object.data"]["image"]
        properties: Row = image["nova_object.data"]["properties"]["nova_object.data"]
        return properties

    def disks(self, uuid: str) -> list[Row]:
        """The instance's block_device_mapping rows that are not deleted."""
        return self.rows("block_device_mapping", self.cell_of(uuid), instance_uuid=uuid, deleted=0)

    def actions(self, uuid: str) -> list[Row]:
        """The instance's actions, each with its `events`."""
        cell = self.cell_of(uuid)
        return [
            {**row, "events": self.rows("instance_actions_events", cell, action_id=row["id"])}
            for row in self.rows("instance_actions", cell, instance_uuid=uuid)
        ]

    def cell_of(self, uuid: str) -> str:
        """The database an instance is in; for one Nova wrote, as its mapping says."""
        if uuid not in self._cell_of:
            cell_id = self.rows("instance_mappings", "api", instance_uuid=uuid)[0]["cell_id"]
            self._cell_of[uuid] = next(n for n, cell in CELLS.items() if cell["id"] == cell_id)
        return self._cell_of[uuid]

    # What the above share

    def _collect(self, batch: Batch, cell: str = "cell1", **wanted: Any) -> str:
        uuid, made = instance_rows(self.release, cell_id=CELLS[cell]["id"], **wanted)
        self._cell_of[uuid] = cell
        for table, values in made.items():
            database = "api" if table in ("instance_mappings", "request_specs") else cell
            batch[database, table].extend(values)
        return uuid

    def _insert(self, batch: Batch) -> None:
        for name in sorted({database for database, _ in batch}):
            inserts = [
                (self.table(table, name).insert(), values)
                for (database, table), values in batch.items()
                if database == name and values
            ]
            with self.engine(name).begin() as connection:
                for statement, values in inserts:
                    connection.execute(statement, values)

    def _mark_deleted(self, table: str, cell: str, column: str, uuid: str) -> None:
        target = self.table(table, cell)
        statement = target.update().where(target.c[column] == uuid, target.c.deleted == 0)
        with self.engine(cell).begin() as connection:
            connection.execute(statement.values(deleted=target.c.id, deleted_at=rows.now()))

    def _compute_node(self, cell: str, host: str) -> int:
        """The id of a host's compute node, which is written when there is none."""
        found = self.rows("compute_nodes", cell, host=host, deleted=0)
        if found:
            return int(found[0]["id"])
        node = rows.compute_node(host) | {"uuid": str(uuidlib.uuid4())}
        return self.insert("compute_nodes", cell, **node)

    def _map_cells(self) -> None:
        """Point the cell mappings at this deployment's databases."""
        made = [
            {"transport_url": f"fake:///{name}", "disabled": False, **cell, "name": name}
            | {"database_connection": self.url(name), "created_at": rows.now()}
            for name, cell in CELLS.items()
        ]
        mappings = self.table("cell_mappings", "api")
        with self.engine("api").begin() as connection:
            connection.execute(mappings.delete())
            connection.execute(mappings.insert(), made)


def instance_rows(
    release: str,
    cell_id: int,
    vm_state: str = "stopped",
    task_state: str | None = None,
    name: str = "web-1",
    host: str | None = "cmp1",
    image_ref: str = IMAGE,
    root_device_name: str | None = "/dev/vda",
    request_spec: bool | str = True,
    mapped: bool = True,
    image_properties: rows.Properties | None = None,
    spec_properties: Mapping[str, Any] | None = None,
    flavor: Mapping[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
    uuid: str | None = None,
    **hw: str | None,
) -> tuple[str, dict[str, list[Row]]]:
    """A new instance's UUID and its rows by table.

    `hw_disk_bus="ide"` and its like (or `image_properties`, for names that are no keywords) become
    rows of system metadata, None a NULL value. The request spec holds the same properties unless
    `spec_properties` says otherwise; a text for `request_spec` is stored as it is. `columns` sets
    further columns of `instances`, `flavor` sizes (root_gb, ephemeral_gb, swap, ...). An image_ref
    of "" boots from a volume.
    """
    uuid = uuid or str(uuidlib.uuid4())
    sizes = {**rows.FLAVOR, **(flavor or {})}
    properties = {**(image_properties or {}), **hw}
    place = {"vm_state": vm_state, "task_state": task_state, "host": host, "node": host}
    place |= {"root_device_name": root_device_name, **(columns or {})}
    made = {
        "instances": [rows.instance(uuid, name, image_ref, sizes) | place],
        "instance_extra": [rows.instance_extra(uuid, sizes)],
        "instance_info_caches": [rows.instance_info_cache(uuid)],
        "instance_system_metadata": rows.system_metadata(uuid, image_ref, sizes, properties),
        "instance_mappings": [rows.instance_mapping(uuid, cell_id)] if mapped else [],
    }
    if request_spec:
        inside = _spec_properties(properties) if spec_properties is None else spec_properties
        text = rows.spec_text(release, uuid, image_ref, sizes, inside)
        text = request_spec if isinstance(request_spec, str) else text
        made["request_specs"] = [rows.request_spec(uuid, text)]
    return uuid, made


def _spec_properties(properties: rows.Properties) -> dict[str, Any]:
    """What Nova makes of plain properties: traits become a list, None is left out."""
    required = [
        name.removeprefix("trait:")
        for name, value in properties.items()
        if name.startswith("trait:") and value == "required"
    ]
    plain = {k: v for k, v in properties.items() if v is not None and not k.startswith("trait:")}
    return {**plain, **({"traits_required": required} if required else {})}


def _conditions(table: sa.Table, where: Mapping[str, Any]) -> Iterable[sa.ColumnElement[bool]]:
    return [table.c[column] == value for column, value in where.items()]


_tables: dict[tuple[str, str, str, str], sa.Table] = {}


def _reflected(
    backend: str, release: str, kind: str, table: str, engine: Callable[[], sa.Engine]
) -> sa.Table:
    key = (backend, release, kind, table)
    if key not in _tables:
        _tables[key] = sa.Table(table, sa.MetaData(), autoload_with=engine(), resolve_fks=False)
    return _tables[key]
