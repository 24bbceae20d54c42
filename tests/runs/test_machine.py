"""Whatever the order of commands, faults and other writers: the journals tell the truth.

Hypothesis makes up histories of two controllers over real databases. The model is who wrote the
value that is in each place now (`History.owners`): a plan in a journal, or somebody else. After
each step:

* what changed was changed by a plan that was at work, from its `before` to its `after`: so the
  value of another writer is never lost, and a cell is written wholly or not at all;
* the plan that owns a value is one of which the journal says that something may be there;
* of what an `undo` that ended with 0 took back, nothing is owned by that run, or it was named.

NOVADEV_HISTORIES=2000 makes up as many of them, other ones each time.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from novadev.nova.image_properties import PROPERTIES
from novadev.runs.encoding import loads
from novadev.runs.plan import Plan
from novadev.runs.states import BEGUN, TO_UNDO, WRITTEN, State
from novadev.state.store import open_state
from novadev.state.tables import plans, runs
from novadev.value import ABSENT, Value
from tests.cloud import Cloud
from tests.image_property.guests import add_guest
from tests.runs.controllers import Controller, End
from tests.state.places import journal_on_mariadb, place_journal

pytestmark = pytest.mark.slow
HISTORIES = int(os.environ.get("NOVADEV_HISTORIES", "0"))
STEPS = 6
MODELS = PROPERTIES["hw_vif_model"].values
Spot = tuple[str, str]
"""A server and what a change there is about, in the words of a plan."""


@dataclass(frozen=True)
class Row:
    """A plan as a journal has it; `journal` is the number of the journal."""

    journal: int
    id: int
    run: int
    state: State
    undoes: int | None
    plan: Plan

    @property
    def key(self) -> tuple[int, int]:
        return self.journal, self.id

    @property
    def changes(self) -> Iterator[tuple[Spot, Value, Value, bool]]:
        for item in self.plan.changes:
            yield (self.plan.instance, item.what), item.before, item.after, item.place.is_in_cell


Rows = Mapping[tuple[int, int], Row]


@dataclass
class Site:
    """A cloud with two controllers, and the journals that they keep."""

    cloud: Cloud
    controllers: list[Controller]
    journals: list[sa.Engine]
    writer: list[sa.Engine]

    def journal_of(self, controller: int) -> int:
        return controller % len(self.journals)

    def empty(self) -> None:
        """Forget every run."""
        for journal in self.journals:
            with journal.begin() as connection:
                connection.execute(sa.delete(plans))
                connection.execute(sa.delete(runs))

    def rows(self) -> Rows:
        found = {}
        for number, journal in enumerate(self.journals):
            with journal.connect() as connection:
                for row in connection.execute(sa.select(plans).order_by(plans.c.id)):
                    plan, state = loads(row.body), State(row.state)
                    made = Row(number, row.id, row.run_id, state, row.undoes, plan)
                    found[made.key] = made
        return found

    def leases(self) -> set[str]:
        """The tokens of the runs that somebody is at."""
        found: set[str] = set()
        for journal in self.journals:
            with journal.connect() as connection:
                found |= {token for token in connection.scalars(sa.select(runs.c.lease)) if token}
        return found

    def undone_runs(self, journal: int) -> set[int]:
        """The runs that an undo names."""
        query = sa.select(runs.c.undoes).where(
            runs.c.undoes.is_not(None), runs.c.state != "planning"
        )
        with self.journals[journal].connect() as connection:
            return set(connection.scalars(query))

    def runs(self, journal: int) -> list[int]:
        query = sa.select(runs.c.id).where(runs.c.state != "planning").order_by(runs.c.id)
        with self.journals[journal].connect() as connection:
            return list(connection.scalars(query))

    def let_leases_run_out(self) -> None:
        """As after three minutes; not where the row is locked."""
        for journal in self.journals:
            with suppress(sa.exc.OperationalError), journal.begin() as connection:
                connection.execute(sa.text("UPDATE runs SET heartbeat = '2026-01-01 00:00:00'"))

    def stored(self, servers: list[str]) -> dict[Spot, Value]:
        """What is in every place of the servers that a plan may be about; absent ones left out."""
        cloud, found = self.cloud, {}
        for cell in ("cell1", "cell2"):
            found.update(_in_cell(cloud, cell, [s for s in servers if cloud.cell_of(s) == cell]))
        for server in servers:
            for name, value in cloud.spec_properties(server).items():
                found[server, f"request_spec {name}"] = value
        return found

    def vm_states(self, servers: list[str]) -> dict[str, str]:
        return {server: self.cloud.instance(server)["vm_state"] for server in servers}


def _in_cell(cloud: Cloud, cell: str, servers: list[str]) -> Iterator[tuple[Spot, Value]]:
    instances, metadata, disks = (
        cloud.table(name, cell)
        for name in ("instances", "instance_system_metadata", "block_device_mapping")
    )
    with cloud.engine(cell).connect() as connection:
        found = connection.execute(sa.select(instances).where(instances.c.uuid.in_(servers)))
        for row in found:
            yield (row.uuid, "root_device_name"), row.root_device_name
        of_ours = metadata.c.instance_uuid.in_(servers) & (metadata.c.deleted == 0)
        names = set()
        for row in connection.execute(sa.select(metadata).where(of_ours)):
            assert (row.instance_uuid, row.key) not in names, "stored twice"
            names.add((row.instance_uuid, row.key))
            if row.key.startswith("image_hw_"):
                yield (row.instance_uuid, row.key.removeprefix("image_")), row.value
        for row in connection.execute(sa.select(disks).where(disks.c.instance_uuid.in_(servers))):
            for column in ("disk_bus", "device_name"):
                spot = (row.instance_uuid, f"block_device_mapping {row.id} {column}")
                yield spot, getattr(row, column)


@dataclass
class History:
    """The model: who wrote what is in each place, None for somebody else."""

    owners: dict[Spot, tuple[int, int]] = field(default_factory=dict)

    def follow(
        self, was: Mapping[Spot, Value], now: Mapping[Spot, Value], at_work: list[Row],
        written: Mapping[Spot, Value],
    ) -> None:  # fmt: skip
        """Say who changed what was into what is now: plans AT_WORK, and the other writer."""
        for spot in sorted(was.keys() | now.keys()):
            before, after = was.get(spot, ABSENT), now.get(spot, ABSENT)
            if before == after:
                self._there_again(spot, after, at_work)
                continue
            edges = [(row, b, a) for row in at_work for s, b, a, _ in row.changes if s == spot]
            owner = _path(before, after, edges, written.get(spot, before))
            assert owner is not False, f"{spot}: nobody was to make {after} of {before}"
            if owner is None:
                self.owners.pop(spot, None)
            else:
                self.owners[spot] = owner.key

    def _there_again(self, spot: Spot, value: Value, at_work: list[Row]) -> None:
        """In one step a plan was taken back, and another has put the same VALUE there."""
        owner = self.owners.get(spot)
        if any(row.key == owner and row.state not in TO_UNDO for row in at_work):
            for row in at_work:
                if row.state in TO_UNDO and any(
                    s == spot and a == value for s, _, a, _ in row.changes
                ):
                    self.owners[spot] = row.key


def _path(
    before: Value, after: Value, edges: list[tuple[Row, Value, Value]], written: Value
) -> Row | bool | None:
    """Return who made AFTER, by the shortest way from BEFORE; False where there is none."""
    reached: dict[Value, Row | None] = {before: None}
    if written != before:
        reached[written] = None
    for _ in range(len(edges) + 1):
        if after in reached:
            return reached[after]
        for row, start, end in reversed(edges):
            if start in reached and end not in reached:
                reached[end] = row
    return False


Command = tuple[Any, ...]
MASK = st.sampled_from((7, 7, 3, 5, 1, 2, 4))
SETS = st.tuples(
    st.just("set"),
    MASK,
    st.sampled_from(
        ((), (), ("hw_video_model=vga",), ("hw_disk_bus=scsi",), ("hw_disk_bus=sata",))
    ),
)
UNSETS = st.tuples(st.just("unset"), MASK, st.sampled_from(("hw_vif_model", "hw_video_model")))
UNDOS = st.tuples(st.just("undo"), st.integers(0, 5), st.booleans())
RESUMES = st.tuples(st.just("resume"), st.one_of(st.none(), st.integers(0, 5)), st.booleans())
APPLIES = st.tuples(st.just("apply"), st.integers(0, 2))
COMMANDS: st.SearchStrategy[Command] = st.one_of(SETS, SETS, UNSETS, UNDOS, UNDOS, RESUMES, APPLIES)
OTHERS = st.one_of(
    st.sampled_from((("resume", None, True), ("undo", 0, True))), UNDOS, RESUMES, COMMANDS
)
"""What another does while a process sleeps: more often than not, something with its run."""
AT: st.SearchStrategy[int | str] = st.one_of(
    st.integers(1, 160),
    st.sampled_from(
        ("UPDATE request_specs", "UPDATE instances", "UPDATE plans", "SELECT runs.lease")
    ),
)
"""The event of a fault: its number, or the statement that is not reached any more."""
WRITES = st.one_of(st.none(), st.integers(0, 11))
ENDING = st.one_of(
    st.just(("", 0)),
    st.tuples(st.sampled_from(("kill", "interrupt", "lost", "lost for good")), AT),
)
LIMIT = st.sampled_from((None, None, None, 0))
CONTROLLER = st.integers(0, 1)


class Machine(RuleBasedStateMachine):
    """Two controllers, three servers in two cells, and somebody else who writes there too."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        site.empty()
        cloud = site.cloud
        self.servers = [add_guest(cloud, cell=cell) for cell in ("cell1", "cell1", "cell2")]
        self.history = History()
        self.saved: list[Path] = []
        self.undos: dict[str, tuple[int, int]] = {}
        self.number = 0
        self.batch = 1

    @initialize(batch=st.sampled_from((1, 2)), command=SETS, end=ENDING)
    def begin(self, batch: int, command: Command, end: tuple[str, int | str]) -> None:
        self.batch = batch
        self.run(0, command, end, None)

    @rule(controller=CONTROLLER, command=COMMANDS, end=ENDING, limit=LIMIT, write=WRITES)
    def run(
        self,
        controller: int,
        command: Command,
        end: tuple[str, int | str],
        limit: Any,
        write: int | None = None,
    ) -> None:
        """A command, with a fault or without, perhaps after somebody else has written."""
        if write is not None:
            self.write(write)
        with self._step() as step:
            self._carry_out(step, controller, command, end, limit)

    @rule(
        controller=CONTROLLER, command=COMMANDS, at=AT, other=OTHERS,
        write=WRITES,
    )  # fmt: skip
    def sleep(
        self, controller: int, command: Command, at: int | str, other: Command, write: int | None
    ) -> None:
        """A process sleeps; another takes its run over, or does something else."""
        with self._step() as step:
            step.is_alone = False
            asked = self._arguments(controller, command)
            if asked is None:
                return
            sleeper = self.site.controllers[controller]
            end = sleeper.run(*asked, batch=self.batch, fault="stop", at=at)
            if end is None:
                self.site.let_leases_run_out()
                if write is not None:
                    self._write(step, write % 9)
                self._carry_out(step, 1 - controller, other, ("", 0), None)
                end = sleeper.wake_up()
            step.ended(controller, command, asked, end)

    @rule(which=st.integers(0, 11))
    def write(self, which: int) -> None:
        """Somebody else writes, or starts a server, or stops it."""
        with self._step() as step:
            if which < 9:
                self._write(step, which)
            else:
                step.power(self.servers[which % 3])

    @precondition(lambda self: len(self.saved) < 3)
    @rule(controller=CONTROLLER, command=st.one_of(SETS, UNDOS))
    def save(self, controller: int, command: Command) -> None:
        with self._step():
            asked = self._arguments(controller, command)
            if asked is None:
                return
            self.number += 1
            file = self.site.cloud.folder / f"{self.number}.plan"
            file.unlink(missing_ok=True)
            words = [word for word in asked if word != "--yes"]
            end = self.site.controllers[controller].run(*words, "--plan-out", str(file))
            assert end is not None
            if end.code == 0:
                self.saved.append(file)
                if command[0] == "undo":
                    self.undos[str(file)] = (self.site.journal_of(controller), int(asked[1]))

    # What the above share

    def _step(self) -> "Step":
        return Step(self)

    def _carry_out(
        self,
        step: "Step",
        controller: int,
        command: Command,
        end: tuple[str, int | str],
        limit: Any,
    ) -> None:
        asked = self._arguments(controller, command)
        if asked is None:
            return
        if "--take-over" in asked:
            self.site.let_leases_run_out()
        if limit is not None:
            asked = [*asked, "--max-failures", str(limit)]
        step.fault, at = end
        ended = self.site.controllers[controller].run(
            *asked, batch=self.batch, fault=step.fault, at=at
        )
        assert ended is not None
        step.ended(controller, command, asked, ended)

    def _arguments(self, controller: int, command: Command) -> list[str] | None:
        """What is typed; None where there is nothing to do that to."""
        match command:
            case ("set", mask, more):
                self.number += 1
                model = MODELS[self.number % len(MODELS)]
                words = [f"hw_vif_model={model}", *more]
                return self._property("set", words, mask)
            case ("unset", mask, name):
                return self._property("unset", [name], mask)
            case ("undo", which, take_over):
                run = self._run(controller, which)
                return run and ["undo", run, "--yes", *(["--take-over"] if take_over else [])]
            case ("resume", which, take_over):
                run = [] if which is None else [self._run(controller, which) or "1"]
                return ["resume", *run, "--yes", *(["--take-over"] if take_over else [])]
            case ("apply", which):
                files = self.saved
                return ["apply", str(files[which % len(files)]), "--yes"] if files else None
        raise AssertionError(command)

    def _property(self, action: str, words: list[str], mask: int) -> list[str]:
        chosen = [server for n, server in enumerate(self.servers) if mask & 1 << n]
        given = [part for word in words for part in ("--property", word)]
        return ["image-property", action, "--force", "--yes", *given, *chosen]

    def _run(self, controller: int, which: int) -> Any:
        known = self.site.runs(self.site.journal_of(controller))
        return str(known[-1 - which % len(known)]) if known else None

    def _write(self, step: "Step", which: int) -> None:
        """Write a value that nobody else has; not where it is locked."""
        self.number += 1
        server = self.servers[which % 3]
        name = "hw_disk_bus" if which >= 6 else "hw_vif_model"
        value = f"theirs{self.number}"
        write = _write_cell if which >= 3 else _write_spec
        spot = (server, name if which >= 3 else f"request_spec {name}")
        with suppress(sa.exc.OperationalError):
            write(self.site, server, name, value)
            step.written[spot] = value


def _write_cell(site: Site, server: str, name: str, value: str) -> None:
    cell = site.cloud.cell_of(server)
    table = site.cloud.table("instance_system_metadata", cell)
    there = (table.c.instance_uuid == server, table.c.key == f"image_{name}", table.c.deleted == 0)
    with site.writer[("cell1", "cell2").index(cell)].begin() as connection:
        if not connection.execute(table.update().where(*there).values(value=value)).rowcount:
            row = {"instance_uuid": server, "key": f"image_{name}", "value": value, "deleted": 0}
            connection.execute(table.insert().values(**row))


def _write_spec(site: Site, server: str, name: str, value: str) -> None:
    table = site.cloud.table("request_specs", "api")
    where = table.c.instance_uuid == server
    with site.writer[2].begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        query = sa.select(table.c.spec).where(where).with_for_update()
        spec = json.loads(connection.execute(query).scalar_one())
        image = spec["nova_object.data"]["image"]["nova_object.data"]
        image["properties"]["nova_object.data"][name] = value
        connection.execute(table.update().where(where).values(spec=json.dumps(spec)))


ALLOWED = {0, 2, 3, 4, 7, 8, 130}


class Step:
    """One step: what was there before it, what was done in it, and whether that was right."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._site = machine.site
        self.is_alone = True
        self.fault = ""
        self.written: dict[Spot, Value] = {}
        self._ends: list[tuple[int, Command, list[str], End]] = []

    def __enter__(self) -> "Step":
        servers = self._machine.servers
        self._stored = self._site.stored(servers)
        self._vm_states = self._site.vm_states(servers)
        self._rows = self._site.rows()
        self._leases = self._site.leases()
        self._undone = [self._site.undone_runs(n) for n in range(len(self._site.journals))]
        return self

    def power(self, server: str) -> None:
        """Start a server, or stop it."""
        cloud = self._site.cloud
        state = "active" if self._vm_states[server] == "stopped" else "stopped"
        cloud.update("instances", cloud.cell_of(server), {"uuid": server}, vm_state=state)
        self._vm_states[server] = state

    def ended(self, controller: int, command: Command, asked: list[str], end: End) -> None:
        """Note how a command ended, and that it was one of the ways it may."""
        self._ends.append((controller, command, asked, end))
        if os.environ.get("NOVADEV_TOLD"):
            print(controller, self.fault, asked, end.code, end.events, end.said[-600:])
        assert "unexpected" not in end.said, end.said
        if not end.was_killed:
            assert end.code in ALLOWED, end.said
            faults = {8: ("lost", "lost for good"), 130: ("interrupt",)}
            if self.is_alone and end.code in faults:
                assert self.fault in faults[end.code], end.said

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        rows = self._site.rows()
        now = self._site.stored(self._machine.servers)
        owners = dict(self._machine.history.owners)
        self._machine.history.follow(self._stored, now, self._at_work(rows), self.written)
        assert self._site.vm_states(self._machine.servers) == self._vm_states
        new = {
            spot: owner
            for spot, owner in self._machine.history.owners.items()
            if owners.get(spot) != owner
        }
        self._check_owners(rows)
        self._check_models(rows, now)
        if self.is_alone:
            self._check_whole(rows, now, new)
        for controller, command, asked, end in self._ends:
            self._check_resume(rows, controller, command, new)
            self._check_undo(rows, controller, asked, end)
        if self.is_alone and not self.fault:
            leases = self._site.leases()
            assert leases <= self._leases, f"nobody is at {leases - self._leases} any more"

    def _at_work(self, rows: Rows) -> list[Row]:
        """The plans that may have been written in this step."""
        return [
            row
            for key, row in rows.items()
            if WRITTEN[row.state] != "nothing"
            and (row.state in BEGUN or key not in self._rows or self._rows[key].state != row.state)
        ]

    def _check_owners(self, rows: Rows) -> None:
        """Invariant (a)."""
        for spot, owner in self._machine.history.owners.items():
            assert owner in rows, f"{spot}: the journal does not have what wrote it"
            assert rows[owner].state in TO_UNDO, f"{spot}: written by a plan {rows[owner].state}"

    def _check_models(self, rows: Rows, now: Mapping[Spot, Value]) -> None:
        """Each run sets a model of its own: where one is, its plan says so.

        Or the undo of an undo does, that was ended while it put the model back.
        """
        for server in self._machine.servers:
            spot = (server, "hw_vif_model")
            model = now.get(spot, ABSENT)
            if model in MODELS:
                states = {
                    row.state
                    for row in rows.values()
                    if (row.undoes is None or row.state in BEGUN)
                    and row.plan.instance == server
                    and any(s == spot and after == model for s, _, after, _ in row.changes)
                }
                assert states & set(TO_UNDO), f"{spot}: {model} is there, its plans are {states}"

    def _check_whole(self, rows: Rows, now: Mapping[Spot, Value], new: Mapping[Spot, Any]) -> None:
        """A cell is written wholly; of what is applied in this step, all is there."""
        for owner in {owner for (_, what), owner in new.items() if "request_spec" not in what}:
            for spot, before, after, is_in_cell in rows[owner].changes:
                if is_in_cell and self._stored.get(spot, ABSENT) == before:
                    assert now.get(spot, ABSENT) == after, f"{spot}: the cell is written in part"
        for key, row in rows.items():
            was = self._rows.get(key)
            newly = row.state is State.APPLIED and (was is None or was.state is not row.state)
            if newly and not row.plan.partly and not (was and was.state is State.UNDONE):
                for spot, _, after, _ in row.changes:
                    assert now.get(spot, ABSENT) == after, f"{spot}: applied, and is not there"

    def _check_resume(
        self, rows: Rows, controller: int, command: Command, new: Mapping[Spot, Any]
    ) -> None:
        """No resume carries on a run that an undo names."""
        if command[0] == "resume" and len(self._ends) == 1:
            undone = self._undone[self._site.journal_of(controller)]
            for spot, owner in new.items():
                assert rows[owner].run not in undone, f"{spot}: resumed what was undone"

    def _check_undo(self, rows: Rows, controller: int, asked: list[str], end: End) -> None:
        """Invariant (b), also where an undo was saved before."""
        key = self._machine.undos.get(asked[1])
        if asked[0] == "undo":
            key = (self._site.journal_of(controller), int(asked[1]))
        if key is None or end.was_killed:
            return
        left = {
            spot[0]
            for spot, owner in self._machine.history.owners.items()
            if (rows[owner].journal, rows[owner].run) == key and not self._put_back(rows, owner)
        }
        if end.code == 0:
            assert not left, f"undo ended with 0 and left {left}: {end.said}"
        if end.code == 7 and self.is_alone and "--max-failures" not in asked and not self.fault:
            told = [line for line in end.said.splitlines() if "instance" in line and ": " in line]
            refused = "has changed since this undo was planned" in end.said
            assert refused or all(any(s in line for line in told) for s in left), end.said

    def _put_back(self, rows: Rows, owner: tuple[int, int]) -> bool:
        """Whether an undo took this plan back, and was itself undone in this step."""
        return any(
            row.undoes == owner[1]
            and row.journal == owner[0]
            and row.state is State.UNDONE
            and (key not in self._rows or self._rows[key].state is not State.UNDONE)
            for key, row in rows.items()
        )


VARIANTS = ("sqlite-one", "sqlite-two", "mariadb-one", "mariadb-two")


@pytest.fixture(params=VARIANTS)
def site(request: pytest.FixtureRequest, make_cloud: Callable[[str, str], Cloud]) -> Iterator[Site]:
    """A cloud of either backend, with one journal for both controllers or one for each."""
    backend, journals = request.param.split("-")
    cloud = make_cloud(backend, "34")
    if request.param == "mariadb-one":
        with journal_on_mariadb(cloud) as url:
            yield from _site(cloud, [url])
    else:
        names = ("a", "b")[: 1 if journals == "one" else 2]
        yield from _site(cloud, [f"sqlite:///{cloud.folder}/journal-{name}" for name in names])


def _site(cloud: Cloud, urls: list[str]) -> Iterator[Site]:
    configs = []
    for number, name in enumerate(("ctl-a", "ctl-b")):
        place_journal(cloud, urls[number % len(urls)])
        configs.append(cloud.folder / f"{name}.conf")
        configs[-1].write_text(cloud.config_file.read_text())
    for url in urls:
        open_state(url).close()
    journals = [_engine(url) for url in urls]
    writer = [_engine(cloud.url(name)) for name in ("cell1", "cell2", "api")]
    with (
        closing(Controller("ctl-a", configs[0])) as a,
        closing(Controller("ctl-b", configs[1])) as b,
    ):
        yield Site(cloud, [a, b], journals, writer)
    for engine in (*journals, *writer):
        engine.dispose()


def _engine(url: str) -> sa.Engine:
    if url.startswith("sqlite"):
        return sa.create_engine(url, connect_args={"timeout": 0.1}, poolclass=sa.NullPool)
    command = "SET SESSION innodb_lock_wait_timeout = 1"
    arguments = {"init_command": command}
    return sa.create_engine(url, connect_args=arguments, isolation_level="READ COMMITTED")


def test_every_history(site: Site) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Machine(site),
        settings=settings(
            max_examples=(HISTORIES or 100) // len(VARIANTS),
            stateful_step_count=STEPS,
            derandomize=not HISTORIES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
            report_multiple_bugs=False,
        ),
    )


def _half(machine: Machine) -> None:
    """Killed between the databases; somebody writes the request spec; resume, then undo."""
    machine.begin(1, ("set", 7, ()), ("kill", "UPDATE request_specs"))
    machine.run(0, ("resume", None, False), ("", 0), None, write=0)
    machine.run(0, ("undo", 0, False), ("", 0), None)


def _undone(machine: Machine) -> None:
    """Interrupted, undone: neither a bare resume nor a named one carries it on."""
    machine.begin(1, ("set", 7, ()), ("interrupt", "UPDATE instances"))
    machine.run(0, ("undo", 0, False), ("", 0), None)
    machine.run(0, ("resume", None, False), ("", 0), None)
    machine.run(0, ("resume", 1, False), ("", 0), None)


def _asleep(machine: Machine) -> None:
    """A process sleeps, another takes its run over; then the run is undone, and that as well."""
    machine.sleep(0, ("set", 7, ()), "UPDATE request_specs", ("resume", 0, True), None)
    machine.sleep(0, ("set", 7, ("hw_disk_bus=scsi",)), 30, ("resume", 0, True), None)
    machine.run(1, ("undo", 0, True), ("", 0), None)
    machine.run(0, ("undo", 0, True), ("", 0), None)


def _put_back_in_part(machine: Machine) -> None:
    """The undo of an undo is killed while it puts back; the first run's undo names it."""
    machine.begin(1, ("set", 3, ("hw_disk_bus=sata",)), ("", 0))
    machine.run(0, ("undo", 0, False), ("", 0), None)
    machine.run(0, ("undo", 0, False), ("kill", "UPDATE request_specs"), None)
    machine.run(1, ("undo", 2, False), ("", 0), None)
    machine.run(1, ("undo", 0, True), ("", 0), None)


def _went_on(machine: Machine) -> None:
    """An undo sleeps, and its run is carried on."""
    machine.begin(1, ("set", 7, ()), ("lost", "UPDATE instances"))
    machine.sleep(0, ("undo", 0, False), 1, ("resume", None, True), None)
    machine.run(0, ("undo", 0, False), ("", 0), None)


@pytest.mark.parametrize("known", [_half, _undone, _asleep, _put_back_in_part, _went_on])
def test_known_histories(site: Site, known: Callable[[Machine], None]) -> None:
    """Those that went wrong once."""
    known(Machine(site))
