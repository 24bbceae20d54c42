"""One Nova deployment: its databases, its hosts and novadev's journal, opened when first needed."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from novadev.config import DEFAULT_FILES, Config
from novadev.errors import BadInput, NotFound, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from novadev.database import Database
    from novadev.nova.cells import Cell
    from novadev.runs.journal import Journal
    from novadev.virt.pool import Pool


API_DATABASE = "API database"
"""What messages call Nova's API database."""


_NAMES = 20_000
"""So many names of servers are kept."""


class Deployment:
    """Opens and closes things; holds no query.

    With HAS_STATE the state database was there before: it is never made anew. ``names`` and
    ``hosts_of`` are those of the servers that were read last, by UUID: for who shows them.
    """

    def __init__(self, config: Config, has_state: bool = False) -> None:
        self.config, self._has_state = config, has_state
        self._cell_databases: dict[str, Database] = {}
        self.names: dict[str, str] = {}
        self.hosts_of: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def remember_names(self, names: Mapping[str, str]) -> None:
        """Keep the NAMES of servers for messages; earlier ones go when there are many."""
        if len(self.names) > _NAMES:
            self.names.clear()
        self.names.update(names)

    def remember_hosts(self, hosts: Mapping[str, str]) -> None:
        """Keep the HOSTS of servers for messages, as names are kept."""
        if len(self.hosts_of) > _NAMES:
            self.hosts_of.clear()
        self.hosts_of.update(hosts)

    @property
    def has_databases(self) -> bool:
        """Whether the configuration leads to Nova's databases; a compute host's does not."""
        return bool(self.config.api_database_connection)

    @cached_property
    def api(self) -> Database:
        """Nova's API database; raises BadInput where none is configured."""
        from novadev.database import Database

        config = self.config
        if not config.api_database_connection:
            raise BadInput(_without_databases(config))
        return Database(API_DATABASE, config.api_database_connection, config.api_database_options)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell mapping; raises Unreachable when the API database cannot be reached."""
        from novadev.nova import cells

        with self.api.reading() as connection:
            return cells.list_cells(connection, self.config.database_connection)

    def cell(self, uuid: str) -> Cell:
        """Return the cell with this UUID; raises NotFound."""
        for cell in self.cells:
            if cell.uuid == uuid:
                return cell
        raise NotFound(f"there is no cell {uuid} in this deployment")

    def find_cell(self, name: str) -> Cell:
        """Return the cell with this name or UUID; raises NotFound, naming those there are.

        Raises BadInput for a name that several cells have.
        """
        found = [cell for cell in self.cells if name in (cell.uuid, cell.name)]
        if len(found) > 1:
            uuids = ", ".join(cell.uuid for cell in found)
            raise BadInput(
                f"{len(found)} cells are called {name!r}: give the UUID of one ({uuids})"
            )
        if found:
            return found[0]
        known = ", ".join(cell.name or cell.uuid for cell in self.cells)
        raise NotFound(f"there is no cell {name!r}: the deployment has {known}")

    def cell_database(self, cell: Cell) -> Database:
        """Return the database of CELL; raises BadInput for a template that nothing fills in."""
        from novadev.database import Database

        if cell.lacks_default:
            raise BadInput(
                f"{cell.label}: its mapping is a template, and the configuration has no "
                "[database] connection to fill it in",
                database=cell.label,
            )
        if cell.uuid not in self._cell_databases:
            self._cell_databases[cell.uuid] = Database(
                cell.label, cell.database_connection, self.config.database_options
            )
        return self._cell_databases[cell.uuid]

    @cached_property
    def hosts(self) -> Pool:
        """The hypervisors, by Nova's names of their hosts."""
        from novadev.virt.pool import Pool

        return Pool(self.host_uri, self.config.host_timeout, self.config.workers)

    def host_uri(self, host: str) -> str:
        """Return where the libvirt of HOST is.

        Raises Unreachable for another host than this one where the configured URI leads to one
        host only, and BadInput for a name that cannot stand in a URI.
        """
        from novadev.virt.pool import host_uri

        uri = self.config.libvirt_uri
        if "{host}" not in uri and host != self.config.host:
            raise Unreachable(
                f"novadev runs on {self.config.host} and has no URI for host {host}. Set [novadev] "
                "libvirt_uri to a URI that contains {host}, such as qemu+ssh://root@{host}/system"
            )
        return host_uri(uri, host)

    @cached_property
    def journal(self) -> Journal:
        """The journal; raises Unreachable when it cannot be written."""
        from novadev.runs.journal import Journal

        return Journal(self.state)

    @cached_property
    def state(self) -> Database:
        """Novadev's own database; raises Unreachable when it cannot be written, or is gone."""
        from novadev.state.store import open_state

        return open_state(self.config.state_connection, self._has_state)

    def close(self) -> None:
        """Close everything that was opened."""
        if "hosts" in self.__dict__:
            self.hosts.close()
        databases = [*self._cell_databases.values()]
        if "api" in self.__dict__:
            databases.append(self.api)
        if "state" in self.__dict__:
            databases.append(self.state)
        for database in databases:
            database.close()


def _without_databases(config: Config) -> str:
    if not config.files:
        return f"no nova.conf: no --config-file was given, and {DEFAULT_FILES[0]} does not exist"
    return (
        "the configuration has no [api_database] connection: novadev needs the nova.conf of a "
        "controller (nova-api, nova-conductor or nova-manage), not of a compute host"
    )
