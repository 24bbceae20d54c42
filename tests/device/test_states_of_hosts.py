"""Whatever happens to a run that writes guests: its states are true, nobody's change is lost.

A state machine over the real journal, the real loop, the real writers and a pretended libvirt.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from novadev.database import Database
from novadev.device.alias.guest import Wish, plan_guest
from novadev.device.hosted_instance import HostedInstance
from novadev.device.redacted import digest
from novadev.errors import NotAsNeeded
from novadev.records import restore_on_host
from novadev.records.restore_layout import named
from novadev.runs import undo
from novadev.runs.change import Change
from novadev.runs.journal_rows import Journaled, Run
from novadev.runs.place import Kind
from novadev.runs.place import Place as PlanPlace
from novadev.runs.plan import Draft, Outcome, Plan, Skip
from novadev.runs.states import BEGUN, WRITTEN, State
from novadev.state.store import open_state
from novadev.virt import writes
from novadev.virt.address import Address
from novadev.virt.alias import Alias
from novadev.virt.domain import Domain
from tests import domains
from tests.device.pretended import At, Controller, Daemon, Fault, Place, places

UUID = "6e1f0f2f-5d10-4c8c-9b3e-a3bb189e8bf9"
A, B = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
PORT = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10"
MDEV = "d3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d99"
TAP = f"interface tap{PORT[:11]}"
MOVABLE = ("disk vdb", "disk vdc", TAP)
NAMES = (*MOVABLE, f"hostdev {MDEV}")


def guest() -> str:
    """Two volumes, a port and a mediated device, each at an address."""
    domain = Domain.from_xml(
        domains.domain(
            UUID,
            disks=[
                domains.disk("vda"),
                domains.disk("vdb", serial=A),
                domains.disk("vdc", serial=B),
            ],
            interfaces=[domains.interface("fa:16:3e:00:00:01", port=PORT)],
            devices=[domains.mdev(MDEV), '<controller type="pci" index="0" model="pci-root"/>'],
        )
    )
    for number, name in enumerate(NAMES):
        domain.device(name).address = slot(number)
    return domain.text


def slot(number: int) -> Address:
    return Address.from_text(f"0000:00:{number + 4:02x}.0")


GUEST = guest()


@dataclass(frozen=True)
class Other:
    """What another writer does."""

    what: str
    name: str = ""
    number: int = 0

    def do(self, daemon: Daemon) -> None:
        """Do it, where it can be done."""
        with suppress(LookupError):
            getattr(self, self.what)(daemon)

    def _device(self, domain: Domain) -> Any:
        return named(domain)[self.name]

    def alias(self, daemon: Daemon) -> None:
        wanted = Alias(f"ua-other{self.number}") if self.number else None
        daemon.edit(lambda domain: setattr(self._device(domain), "alias", wanted))

    def move(self, daemon: Daemon) -> None:
        daemon.edit(lambda domain: setattr(self._device(domain), "address", slot(self.number)))

    def detach(self, daemon: Daemon) -> None:
        def out(domain: Domain) -> None:
            element = self._device(domain).element
            element.getparent().remove(element)

        daemon.edit(out)

    def attach(self, daemon: Daemon) -> None:
        """Attach the device as it was at first, or one more disk."""
        if self.name in named(Domain.from_xml(daemon.persistent)):
            return
        source = Domain.from_xml(GUEST)
        extra = Domain.from_xml(domains.domain(disks=[domains.disk("vdx", serial=UUID)]))
        device = named(source).get(self.name) or extra.device("disk vdx")
        if device.label in named(Domain.from_xml(daemon.persistent)):
            return
        daemon.edit(lambda domain: domain.root.find("devices").append(device.element))  # type: ignore[union-attr]

    def start(self, daemon: Daemon) -> None:
        daemon.start()

    def stop(self, daemon: Daemon) -> None:
        daemon.stop()

    def save(self, daemon: Daemon) -> None:
        daemon.saved = not daemon.saved


OTHERS = st.builds(
    Other,
    st.sampled_from(("alias", "move", "detach", "attach", "start", "stop", "save")),
    st.sampled_from((*NAMES, "disk vda")),
    st.integers(0, 3),
)
FAULTS = st.builds(
    Fault, st.sampled_from(("killed", "lost", "down", "refused", "broken")), st.booleans()
)
EVENTS = st.dictionaries(st.integers(0, 20), st.one_of(OTHERS, FAULTS), max_size=2)


class Machine(RuleBasedStateMachine):
    """One guest, one journal; what is where, and which plan has put it there."""

    database: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        self.daemon = Daemon(GUEST, on_write=self.note)
        self.controller = Controller(self.database, self.daemon)
        self.journal = self.controller.journal
        self.runs: list[int] = []
        self.credit: dict[Place, frozenset[int]] = {}
        """The plans that have put the value of a place there; none of another's."""
        self.held: set[tuple[Place, str | None]] = set()
        self.item: Journaled | None = None
        self.wrong: list[str] = []

    # What is where

    @property
    def now(self) -> dict[Place, str]:
        return places(self.daemon.persistent)

    def note(self, is_ours: bool, changed: Mapping[Place, tuple[str | None, str | None]]) -> None:
        """Note who writes what, and what novadev must not have written."""
        raced = {name for name, _ in self.daemon.unseen}
        for place, (old, new) in changed.items():
            self.held.add((place, new))
            if not is_ours:
                gone = ("alias", "address") if place[1] == "there" else (place[1],)
                for kind in gone:
                    self.credit.pop((place[0], kind), None)
                continue
            assert self.item is not None
            wanted = wanted_of(self.item.plan)
            is_known = place in wanted and {old, new} <= set(wanted[place])
            if not is_known and place[0] not in raced:
                self.wrong.append(f"{place}: {old} became {new}")
            chain = self.chain(self.item)
            self.credit[place] = frozenset(
                one.id for one in chain if wanted_of(one.plan).get(place, (None, old))[1] == new
            )

    def chain(self, item: Journaled) -> Iterator[Journaled]:
        """The plan, what it takes back, and so on."""
        yield item
        while item.undoes is not None:
            item = self.journal.list_plans([item.undoes])[item.undoes]
            yield item

    def there(self, item: Journaled) -> set[Place]:
        """What novadev has written of a plan and is there."""
        now = self.now
        return {
            place
            for place, (_, after) in wanted_of(item.plan).items()
            if (place[0], "there") in now
            and now.get(place) == after
            and item.id in self.credit.get(place, ())
        }

    def items(self) -> Iterator[Journaled]:
        for number in self.runs:
            yield from self.journal.iter_plans(self.journal.get(number))

    # What novadev does

    def run(self, run: Run, events: Mapping[int, Other | Fault]) -> Outcome | None:
        """Carry RUN out while EVENTS happen, and look what became of it."""
        (self.item,) = self.journal.iter_plans(run)
        self.held = {(place, self.now.get(place)) for place in wanted_of(self.item.plan)}
        outcome = self.controller.carry_out(run, self.at(events))
        (item,) = self.journal.iter_plans(run)
        self.check(item, outcome)
        return outcome

    def at(self, events: Mapping[int, Other | Fault]) -> At:
        return {
            number: event if isinstance(event, Fault) else lambda event=event: event.do(self.daemon)
            for number, event in events.items()
        }

    def begin(self, draft: Draft, undoes: int | None = None) -> Run:
        run = self.controller.begin(draft, undoes)
        self.runs.append(run.id)
        return run

    # What must be so

    def check(self, item: Journaled, outcome: Outcome | None) -> None:
        """ITEM has just been carried out."""
        assert self.wrong == []
        if outcome is not None:
            assert item.state == outcome.state
        wanted = {(place, after) for place, (_, after) in wanted_of(item.plan).items()}
        if item.state == State.APPLIED and not item.plan.partly:
            assert wanted <= self.held
        if item.state == State.HALF:
            assert wanted & self.held
        items = list(self.items())
        coming_back = {
            one.id for item in items if item.state in BEGUN for one in (*self.chain(item),)[1:]
        }
        for one in items:
            left = self.there(one)
            if one.state == State.UNDONE and one.id in coming_back:
                continue  # an undo of its undo has been begun, and says so
            if "nothing" in WRITTEN[one.state] and one.state != State.STARTED:
                assert left == set(), (one.id, one.state, one.error, left)

    # The rules

    @rule(
        what=st.sampled_from(("migrate", "restore", "resume", "undo", "resume", "undo")),
        number=st.integers(0, 3),
        events=EVENTS,
        meanwhile=st.none() | OTHERS,
    )
    def act(
        self,
        what: str,
        number: int,
        events: Mapping[int, Other | Fault],
        meanwhile: Other | None,
    ) -> None:
        """Run one command, after what another did meanwhile.

        One rule, not one for each: hypothesis leaves out some of several.
        """
        if meanwhile is not None:
            self.daemon.by_another(lambda: meanwhile.do(self.daemon))
        if what == "migrate":
            self.migrate(number > 0, events)
        elif what == "restore":
            self.restore(1 + number % 2, events)
        elif self.runs:
            run = self.journal.get(self.runs[-1 - min(number, len(self.runs) - 1)])
            (self.undo if what == "undo" else self.resume)(run, events)

    def migrate(self, whole: bool, events: Mapping[int, Other | Fault]) -> None:
        """Plan aliases as on a compute host, or for a stopped server, and write them."""
        instance = HostedInstance(UUID, "", "cmp1")
        if whole and self.daemon.live is None:
            instance = HostedInstance(UUID, "", "cmp1", vm_state="stopped")
        try:
            planned = plan_guest(self.controller.host, instance, Wish(whole_definition=whole))
        except NotAsNeeded:
            return
        drafts = [Draft(plan) for plan in planned if isinstance(plan, Plan)]
        if drafts:
            self.run(self.begin(drafts[0]), events)

    def restore(self, shift: int, events: Mapping[int, Other | Fault]) -> None:
        """Let devices change their places."""
        plan = turn(Domain.from_xml(self.daemon.persistent), shift)
        if plan is not None:
            self.run(self.begin(Draft(plan)), events)

    def resume(self, run: Run, events: Mapping[int, Other | Fault]) -> None:
        if self.journal.count_left(run):
            if any(self.journal.get(number).undoes == run.id for number in self.runs):
                with pytest.raises(NotAsNeeded, match="was undone by"):
                    self.journal.take_over(run)
            else:
                self.run(self.journal.take_over(run), events)

    def undo(self, run: Run, events: Mapping[int, Other | Fault]) -> None:
        """Take a run back: nothing of it is left, or that is told."""
        found = list(undo.drafts(self.journal, run))
        drafts = [draft for draft in found if isinstance(draft, Draft)]
        (item,) = self.journal.iter_plans(run)
        if drafts:
            outcome = self.run(self.begin(drafts[0], run.id), events)
            is_told = outcome is None or outcome.exit_code != 0
        else:
            is_told = any(isinstance(skip, Skip) for skip in found)
        assert is_told or not self.there(item)


def turn(domain: Domain, shift: int) -> Plan | None:
    """The plan that gives each device the address of another; None where there is nothing to do."""
    found = {name: device for name, device in named(domain).items() if name in MOVABLE}
    there = [found[name].address for name in MOVABLE if name in found]
    if len(there) < len(MOVABLE):
        return None
    moves = dict(zip(MOVABLE, there[shift:] + there[:shift], strict=True))
    changes = tuple(
        Change(PlanPlace(Kind.ADDRESS, name), now.exact_text, place.exact_text)
        for name, place in moves.items()
        if place and (now := found[name].address) and place != now
    )
    moved = [found[item.place.name] for item in changes]
    guard = {"definition": digest(domain.without_addresses(moved))}
    plan = Plan(restore_on_host.ACTION, UUID, "", changes, host="cmp1", guard=guard)
    return plan if changes else None


def wanted_of(plan: Plan) -> dict[Place, tuple[str | None, str | None]]:
    """Before and after of every place of a plan."""
    return {
        (item.place.name, "alias" if item.place.kind is Kind.ALIAS else "address"): (
            _text(item.before),
            _text(item.after),
        )
        for item in plan.changes
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    state = open_state(f"sqlite:///{tmp_path}/state.sqlite")
    yield state
    state.close()


@pytest.fixture
def no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is lost waiting for an event that does not come."""
    monkeypatch.setattr(writes, "_EVENT_WAIT", 0)


@pytest.mark.slow
def test_states_tell_the_truth(
    database: Database, no_events: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "database", database, raising=False)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def aliases_of(controller: Controller, whole: bool) -> Draft:
    """The plan of alias-migrate."""
    instance = HostedInstance(UUID, "", "cmp1", vm_state="stopped" if whole else None)
    planned = plan_guest(controller.host, instance, Wish(whole_definition=whole))
    return Draft(next(plan for plan in planned if isinstance(plan, Plan)))


def turned(controller: Controller) -> Draft:
    """The plan of a restore that turns three devices round."""
    domain = Domain.from_xml(controller.daemon.persistent)
    return Draft(turn(domain, 1))


@dataclass
class Written:
    """One plan carried out, and what is there."""

    controller: Controller
    run: Run

    def again(self, at: At) -> Outcome:
        self.run = self.controller.journal.take_over(self.run)
        outcome = self.controller.carry_out(self.run, at)
        assert outcome is not None
        return outcome

    @property
    def there(self) -> int:
        """How many of its changes are there."""
        (item,) = self.controller.journal.iter_plans(self.run)
        now = places(self.controller.daemon.persistent)
        return sum(now.get(place) == after for place, (_, after) in wanted_of(item.plan).items())


def written(database: Database, what: str, at: At) -> tuple[Written, Outcome | None]:
    """One plan, carried out while this happens."""
    controller = Controller(database, Daemon(GUEST))
    draft = turned(controller) if what == "restore" else aliases_of(controller, what == "whole")
    run = controller.begin(draft)
    return Written(controller, run), controller.carry_out(run, at)


@pytest.mark.parametrize(
    ("what", "call", "state", "there"),
    [
        ("alias", "updateDeviceFlags", "failed", 0),
        ("whole", "defineXML", "failed", 0),
        ("restore", "defineXML", "applied", 3),
    ],
)
def test_an_error_after_the_write(
    database: Database, no_events: None, what: str, call: str, state: str, there: int
) -> None:
    """libvirt has written, and then fails: what is there decides, and nothing else is told."""
    done, outcome = written(database, what, {call: Fault("broken", after=True)})
    assert outcome is not None
    assert (outcome.state, done.there) == (state, there)


@pytest.mark.parametrize(
    ("what", "state", "there"), [("whole", "stale", 0), ("restore", "half", 2)]
)
def test_another_detaches_right_after_the_definition(
    database: Database, no_events: None, what: str, state: str, there: int
) -> None:
    """The other aliases are put back; of addresses that are there, it is said."""
    controller = Controller(database, Daemon(GUEST))
    daemon = controller.daemon

    def detach() -> None:
        if daemon.persistent != before:
            Other("detach", "disk vdc").do(daemon)

    draft = turned(controller) if what == "restore" else aliases_of(controller, True)
    if what == "whole":
        (only,) = [item for item in draft.plan.changes if item.place.name == NAMES[-1]]
        draft = Draft(replace(draft.plan, changes=(only,)))
    before = daemon.persistent
    run = controller.begin(draft)
    outcome = controller.carry_out(run, {"XMLDesc": detach})
    assert outcome is not None
    assert (outcome.state, Written(controller, run).there) == (state, there)


def test_another_names_a_device_after_the_first_is_written(database: Database) -> None:
    """Its alias is read before the next write, and not written over."""
    controller = Controller(database, Daemon(GUEST))
    run = controller.begin(aliases_of(controller, False))
    name = Other("alias", "disk vdc", 3)
    outcome = controller.carry_out(run, {"updateDeviceFlags": lambda: name.do(controller.daemon)})
    assert outcome is not None
    assert (outcome.state, Written(controller, run).there) == ("stale", 0)
    assert places(controller.daemon.persistent)["disk vdc", "alias"] == "ua-other3"


@pytest.mark.parametrize("what", ["alias", "restore"])
@pytest.mark.parametrize("kind", ["refused", "broken"])
def test_what_cannot_be_read_at_resume(database: Database, what: str, kind: str) -> None:
    """Nobody has looked, so nobody says that nothing is there."""
    call = "defineXML" if what == "restore" else "updateDeviceFlags"
    done, _ = written(database, what, {call: Fault("killed", after=True)})
    assert done.there
    assert done.again({"XMLDesc": Fault(kind)}).state == "started"
    assert done.again({}).state == "applied"
    assert done.there == 3


def renamed(controller: Controller) -> Draft:
    """The plan that gives the port another alias, which libvirt takes in two calls."""
    domain = Domain.from_xml(controller.daemon.persistent)
    domain.device(TAP).alias = Alias("ua-old")
    controller.daemon.persistent = domain.text
    plan = aliases_of(controller, False).plan
    change = Change(PlanPlace(Kind.ALIAS, TAP), "ua-old", f"ua-{PORT}")
    return Draft(replace(plan, changes=(change,)))


def alias_of(controller: Controller) -> str | None:
    return places(controller.daemon.persistent).get((TAP, "alias"))


def test_killed_between_the_two_calls_of_a_port(database: Database) -> None:
    """The old alias is out and the new one not in: resume ends it, and the undo of it is ended."""
    controller = Controller(database, Daemon(GUEST))
    killed = {"updateDeviceFlags": Fault("killed", after=True)}
    run = controller.begin(renamed(controller))
    for after in (f"ua-{PORT}", "ua-old"):
        assert controller.carry_out(run, killed) is None
        assert alias_of(controller) is None
        assert Written(controller, run).again({}).state == "applied"
        assert alias_of(controller) == after
        (item,) = controller.journal.iter_plans(run)
        run = controller.begin(Draft(undo.inverse(item), item.id), run.id)


def test_killed_between_the_two_calls_and_undone(database: Database) -> None:
    controller = Controller(database, Daemon(GUEST))
    run = controller.begin(renamed(controller))
    assert controller.carry_out(run, {"updateDeviceFlags": Fault("killed", after=True)}) is None
    (draft,) = undo.drafts(controller.journal, run)
    assert isinstance(draft, Draft)
    outcome = controller.carry_out(controller.begin(draft, run.id), {})
    assert outcome is not None
    assert (outcome.state, alias_of(controller)) == ("applied", "ua-old")


@pytest.mark.parametrize("kind", ["refused", "broken"])
def test_an_error_between_the_two_calls_of_a_port(database: Database, kind: str) -> None:
    """The old alias is put back."""
    controller = Controller(database, Daemon(GUEST))
    run = controller.begin(renamed(controller))
    outcome = controller.carry_out(run, {"updateDeviceFlags": Fault(kind, after=True)})
    assert outcome is not None
    assert (outcome.state, alias_of(controller)) == ("failed", "ua-old")
