"""In which cell an instance lives: its mapping says where to look, the cells' rows decide.

The mapping in the API database may be missing, name no cell or another one, and its flag
``queued_for_delete`` may be stale. A row of ``instances`` that is neither deleted nor hidden is an
instance that lives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from novadev.deployment import Deployment
from novadev.errors import NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.nova.cells import Cell, InstanceMapping
from novadev.nova.instances import Instance, list_hosts_of
from novadev.runs.plan import Outcome, Plan, Skip
from novadev.runs.states import State


@dataclass(frozen=True)
class Doubled(Skip):
    """An instance that lives in several cells at once: novadev does not choose one of its rows.

    ``row`` is the one that was read, None where the cells were asked for the UUID alone. It counts
    however it was chosen: nothing of the server can be told, and no list of servers is complete.
    """

    row: Instance | None = None

    @property
    def failure(self) -> int:
        """The exit code it gives."""
        return self.exit_code


def doubled(uuid: str, cells: Iterable[Cell], named: bool) -> Doubled:
    """Return the skip for an instance that lives in all of CELLS."""
    text = (
        f"instance {uuid} lives in {_and_in(cells)}: novadev does not touch it until all but one "
        "of its rows are deleted or hidden. Check first whether these cells use the same database"
    )
    return Doubled(uuid, text, NotAsNeeded.exit_code, named)


def _and_in(cells: Iterable[Cell]) -> str:
    return " and in ".join(cell.label for cell in sorted(cells, key=lambda cell: cell.id))


@dataclass(frozen=True)
class SharedDatabase(Skip):
    """Several cells have one database: a remark, and a finding of the audit."""

    @classmethod
    def of_cells(cls, cells: Sequence[Cell]) -> SharedDatabase:
        """Return the message about CELLS that use the same database."""
        labels = " and ".join(cell.label for cell in cells)
        text = (
            f"{labels} use the same database. Correct the URL of the wrong cell mapping "
            "(nova-manage cell_v2 update_cell), or delete that mapping. Do not delete rows of "
            "instances: each server has only one"
        )
        return cls(None, text, 0)


def shared_databases(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """Yield those of CELLS that lead to one database, for each database that has several."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.database_key, []).append(cell)
    yield from (group for group in groups.values() if len(group) > 1)


def one_a_database(cells: Iterable[Cell]) -> list[Cell]:
    """Return CELLS without those that lead to the database of an earlier one."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.database_key, cell)
    return list(first.values())


def is_mapped_to(mapping: InstanceMapping | None, cell: Cell) -> bool:
    """Return whether MAPPING names CELL, queued for delete or not."""
    return mapping is not None and mapping.cell_id == cell.id


@dataclass
class Residence:
    """Asks the cells of DEPLOYMENT who lives in them.

    ``silent`` are the cells that gave no answer, and why: they are not asked again.
    """

    deployment: Deployment
    silent: dict[str, NovadevError] = field(default_factory=dict)

    def homes(self, uuids: Collection[str], cells: Iterable[Cell]) -> dict[str, list[Cell]]:
        """Return in which of CELLS each of UUIDS lives; who lives in none has no entry.

        Cells that lead to one database are one home: the first of them.
        """
        found: dict[str, list[Cell]] = {}
        for cell in one_a_database(cells) if uuids else ():
            for uuid in self._living(cell, uuids):
                found.setdefault(uuid, []).append(cell)
        return found

    def belonging(
        self, cell: Cell, members: Iterable[Instance], mappings: Mapping[str, InstanceMapping]
    ) -> list[Instance]:
        """Return MEMBERS, which CELL has, without those that belong to a cell with its database.

        The mapping chooses among such cells; the first has those that it leaves open.
        """
        cells = self.deployment.cells
        same = [other for other in cells if other.database_key == cell.database_key]

        def home(uuid: str) -> Cell:
            return next((one for one in same if is_mapped_to(mappings.get(uuid), one)), same[0])

        return [instance for instance in members if home(instance.uuid).id == cell.id]

    def sorted_out(
        self,
        cell: Cell,
        members: Sequence[Instance],
        strays: Collection[str],
        named: bool,
    ) -> Iterator[Instance | Skip]:
        """Yield those of MEMBERS, which live in CELL, that live in no other cell; skips otherwise.

        STRAYS are those whose mappings do not name CELL: one is skipped, too, where a cell gives no
        answer.
        """
        uuids = [instance.uuid for instance in members]
        homes = self.homes(uuids, self._others(cell))
        for instance in members:
            if instance.uuid in homes:
                skip = doubled(instance.uuid, [cell, *homes[instance.uuid]], named)
                yield replace(skip, row=instance)
            elif instance.uuid in strays and self.silent:
                yield self.uncertain(instance.uuid, f"it lives in {cell.label}", named)
            else:
                yield instance

    def stale(self, plans: Sequence[Plan], resumed: bool) -> dict[str, Outcome]:
        """Return outcomes by UUID for those of PLANS, all of one cell, that live in another cell.

        Each other cell is asked once for all of them; who lives in none of them the writer finds in
        the plan's cell, or not. A cell that gives no answer stops no plan: an instance that its own
        cell has may be written while another one is down. RESUMED: a part may be written already.
        """
        if not plans[0].cell:
            return {}
        try:
            cell = self.deployment.cell(plans[0].cell)
        except NovadevError:  # the writer needs the cell, too, and gives each plan its outcome
            return {}
        uuids = [plan.instance for plan in plans]
        elsewhere = self.homes(uuids, self._others(cell))
        may_be_lost = resumed and bool(self.silent)
        here = self.homes(uuids if may_be_lost else elsewhere, [cell])
        found = {
            uuid: self._stale(uuid, cell, [*here.get(uuid, ()), *cells], resumed)
            for uuid, cells in elsewhere.items()
        }
        if may_be_lost and cell.uuid not in self.silent:
            lost = [uuid for uuid in uuids if uuid not in here and uuid not in elsewhere]
            found |= {uuid: self._lost(uuid, cell) for uuid in lost}
        return found

    def _lost(self, uuid: str, cell: Cell) -> Outcome:
        """Return the outcome for a plan begun in CELL whose instance a silent cell may have."""
        skip = self.uncertain(uuid, f"it is not in {cell.label} any more", named=True)
        return Outcome(State.STARTED, skip.reason, skip.exit_code)

    def _others(self, cell: Cell) -> list[Cell]:
        """Return the cells that lead to another database than CELL does."""
        cells = self.deployment.cells
        return [other for other in cells if other.database_key != cell.database_key]

    def _stale(self, uuid: str, cell: Cell, homes: Sequence[Cell], resumed: bool) -> Outcome:
        """Return the outcome for a plan of CELL whose instance lives in HOMES."""
        if cell in homes:
            text = doubled(uuid, homes, named=True).reason
        else:
            text = (
                f"instance {uuid} lives in {_and_in(homes)} now, but the plan was made for "
                f"{cell.label}: plan again"
            )
        # What was begun may have moved along.
        return Outcome(State.STARTED if resumed else State.STALE, text, StalePlan.exit_code)

    def uncertain(self, uuid: str, known: str, named: bool) -> Skip:
        """Return the skip for an instance that may live in a silent cell; KNOWN is a clause."""
        reasons = "; ".join(map(str, self.silent.values()))
        text = f"instance {uuid}: {known}, but not every cell could be searched for it: {reasons}"
        return Skip.of(uuid, Unreachable(text), named)

    def _living(self, cell: Cell, uuids: Collection[str]) -> Collection[str]:
        if cell.uuid in self.silent:
            return ()
        try:
            with self.deployment.cell_database(cell).reading() as connection:
                return list_hosts_of(connection, uuids)
        except NovadevError as error:
            self.silent[cell.uuid] = error
            return ()


def present_hosts(deployment: Deployment, plans: Sequence[Plan]) -> dict[str, str | None]:
    """Return on which host each server of PLANS, all of one cell, is now, by UUID.

    Nothing where its cell gives no answer: who writes the plans needs it, too, and says so.
    """
    if not plans or not plans[0].cell:
        return {}
    try:
        cell = deployment.cell(plans[0].cell)
        with deployment.cell_database(cell).reading() as connection:
            return list_hosts_of(connection, [plan.instance for plan in plans])
    except NovadevError:
        return {}


def missing(uuid: str, mapping: InstanceMapping | None) -> Skip:
    """Return the skip for a named instance that lives in no cell, by what its mapping says."""
    if mapping is None:
        text = f"instance {uuid} not found: no cell has it, and it has no mapping"
        return Skip.of(uuid, NotFound(text), named=True)
    if mapping.cell_id is None and not mapping.is_queued:
        text = f"instance {uuid} is not yet scheduled to a cell, so nothing is stored for it yet"
        return Skip.of(uuid, NotAsNeeded(text), named=True)
    return Skip.of(uuid, NotFound(f"instance {uuid} is deleted: no cell has it"), named=True)
