"""An embedded deployment: SQLite files with Nova's tables, a nova.conf, servers."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from demo import rows
from demo.rows import Port, Row
from novadev.nova import tables
from novadev.nova.cells import CELL0_UUID

CELLS = {1: ("cell0", CELL0_UUID), 2: ("cell1", ""), 3: ("cell2", "")}


@dataclass(frozen=True)
class Server:
    """A server of the deployment: its cell's database, and its volumes by their target."""

    uuid: str
    name: str
    number: int
    host: str | None
    database: str
    is_active: bool
    volumes: dict[str, str]

    @property
    def domain(self) -> str:
        """The name libvirt has for it."""
        return f"instance-{self.number:08x}"


class Deployment:
    """A deployment in a folder of its own; ``config_file`` is its nova.conf.

    ``capability_files`` is where that looks for what the compute hosts are; it is empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.config_file = folder / "nova.conf"
        self.capability_files = folder / "hosts"
        self.capability_files.mkdir()
        self.servers: dict[str, Server] = {}
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
            f"compute_config_dir = {self.capability_files}\n"
            "start_check_delay = 0\n"
        )

    def configure(self, text: str) -> None:
        """Add TEXT to the nova.conf."""
        with self.config_file.open("a", encoding="utf-8") as file:
            file.write(text)

    def write_compute_config(self, host: str, uri: str) -> Path:
        """Write the nova.conf of a compute host, which has no database of Nova's."""
        path = self.config_of(host)
        path.write_text(
            f"[DEFAULT]\nhost = {host}\n"
            f"[libvirt]\nconnection_uri = {uri}\n"
            f"[novadev]\nstate_connection = sqlite:///{self._folder / host}.sqlite\n"
        )
        return path

    def config_of(self, host: str) -> Path:
        """Return where the nova.conf of a compute host is."""
        return self._folder / f"{host}.conf"

    def _map_cells(self) -> None:
        cells = [
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
        self._insert("api", tables.cell_mappings, *cells)

    def _insert(self, database: str, table: sa.Table, *found: Row) -> None:
        with self._engines[database].begin() as connection:
            connection.execute(sa.insert(table), list(found))

    def add_instance(
        self,
        name: str,
        disks: tuple[tuple[str, str, str], ...],
        cell: int = 2,
        vm_state: str = "stopped",
        host: str | None = "cmp1",
        shelved_host: str | None = None,
        in_spec: dict[str, str] | None = None,
        **properties: str | None,
    ) -> None:
        """Write a server with DISKS (name, bus, kind), the first local, and stored PROPERTIES.

        IN_SPEC are the properties of its request spec where they differ from the stored ones.
        """
        instance, database = str(uuid.uuid4()), CELLS[cell][0]
        number = 1 + sum(server.database == database for server in self.servers.values())
        self._insert(database, tables.instances, rows.instance(instance, name, vm_state, host))
        self._insert(database, tables.instance_extra, rows.flavor(instance))
        metadata = rows.metadata(instance, properties, shelved_host)
        self._insert(database, tables.instance_system_metadata, *metadata)
        volumes = {target: str(uuid.uuid4()) for target, _, _ in disks[1:]}
        devices = (rows.disk(instance, *disk, volumes.get(disk[0])) for disk in disks)
        self._insert(database, tables.block_device_mapping, *devices)
        self.servers[name] = Server(
            instance, name, number, host, database, vm_state == "active", volumes
        )
        stored = {key: value for key, value in properties.items() if value is not None}
        self._map_instance(instance, cell, stored if in_spec is None else in_spec)

    def _map_instance(self, instance: str, cell: int, properties: dict[str, str]) -> None:
        mapping = {"instance_uuid": instance, "cell_id": cell, "project_id": rows.PROJECT}
        self._insert("api", tables.instance_mappings, mapping | {"queued_for_delete": False})
        spec = {"instance_uuid": instance, "spec": rows.request_spec(instance, properties)}
        self._insert("api", tables.request_specs, spec)

    def add_volume(
        self, server: Server, name: str, bus: str, kind: str = "disk", **data: str
    ) -> None:
        """Attach the volume that ``server.volumes`` has at NAME, in Nova's records alone."""
        row = rows.disk(server.uuid, name, bus, kind, server.volumes[name], **data)
        self._insert(server.database, tables.block_device_mapping, row)

    def add_ports(self, server: Server, *macs: str) -> list[Port]:
        """Give SERVER a port for each of MACS, in Nova's records alone."""
        ports = [Port(str(uuid.uuid4()), mac) for mac in macs]
        cache = rows.info_cache(server.uuid, ports)
        self._insert(server.database, tables.instance_info_caches, cache)
        return ports

    def add_pci_device(self, server: Server, address: str) -> None:
        """Give SERVER a PCI device of its host, in Nova's records alone."""
        row = rows.pci_device(server.uuid, address, str(uuid.uuid4()))
        self._insert(server.database, tables.pci_devices, row)

    def add_share(self, server: Server) -> str:
        """Give SERVER a share, in Nova's records alone, and return its id."""
        share_id = str(uuid.uuid4())
        row = rows.share(server.uuid, server.number, share_id)
        self._insert(server.database, tables.share_mapping, row)
        return share_id
