"""One Nova deployment: its databases and novadev's journal, opened when first needed."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from novadev.config import Config
from novadev.database import Database
from novadev.errors import NotFound
from novadev.nova import cells
from novadev.nova.cells import Cell

if TYPE_CHECKING:
    from novadev.state.journal import Journal


class Deployment:
    """Opens and closes things; holds no query."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._cell_databases: dict[str, Database] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @cached_property
    def api(self) -> Database:
        """Nova's API database."""
        return Database("API database", self.config.api_database_connection)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell mapping; raises Unreachable when the API database cannot be reached."""
        with self.api.reading() as connection:
            return cells.list_cells(connection, self.config.database_connection)

    def cell(self, uuid: str) -> Cell:
        """Return the cell with this UUID; raises NotFound."""
        for cell in self.cells:
            if cell.uuid == uuid:
                return cell
        raise NotFound(f"there is no cell {uuid} in this deployment")

    def find_cell(self, name: str) -> Cell:
        """Return the cell with this name or UUID; raises NotFound, naming those there are."""
        for cell in self.cells:
            if name in (cell.uuid, cell.name):
                return cell
        known = ", ".join(cell.name or cell.uuid for cell in self.cells)
        raise NotFound(f"there is no cell {name!r}: the deployment has {known}")

    def cell_database(self, cell: Cell) -> Database:
        """Return the database of CELL."""
        if cell.uuid not in self._cell_databases:
            self._cell_databases[cell.uuid] = Database(cell.label, cell.database_connection)
        return self._cell_databases[cell.uuid]

    @cached_property
    def journal(self) -> Journal:
        """The journal; raises Unreachable when it cannot be written."""
        from novadev.state.journal import Journal
        from novadev.state.store import open_state

        self._state = open_state(self.config.state_connection)
        return Journal(self._state)

    def close(self) -> None:
        """Close every database that was opened."""
        databases = [*self._cell_databases.values()]
        if "api" in self.__dict__:
            databases.append(self.api)
        if "journal" in self.__dict__:
            databases.append(self._state)
        for database in databases:
            database.close()
