"""Whatever happens to a detach: what it says of either side is so, and nothing else goes."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novadev.database import Database
from novadev.device.detach.guest import Wish, plan_device
from novadev.device.hosted_instance import HostedInstance
from novadev.runs.plan import Draft, Outcome
from novadev.runs.states import PENDING, WRITTEN
from novadev.state.store import open_state
from novadev.virt.address import Address
from novadev.virt.alias import Alias
from novadev.virt.devices import Disk
from novadev.virt.domain import Domain
from tests import domains
from tests.device.pretended import At, Controller, Daemon, Fault, Place

UUID = "6e1f0f2f-5d10-4c8c-9b3e-a3bb189e8bf9"
SERIAL, ANOTHER = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def guest(alias: str | None = None, serial: str = SERIAL) -> str:
    return domains.domain(
        UUID, disks=[domains.disk("vda"), domains.disk("vdb", serial=serial, alias=alias)]
    )


def serials(text: str | None) -> set[str]:
    """The serials of the disks in a definition."""
    found = Domain.from_xml(text).of_class(Disk) if text else ()
    return {disk.serial for disk in found if disk.serial}


class Other:
    """What another does with the guest, by name."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def start(self) -> None:
        if self.daemon.live is None:
            self.daemon.start()

    def stop(self) -> None:
        self.daemon.stop()

    def let_go(self) -> None:
        self.daemon.let_go()

    def answer(self) -> None:
        self.daemon.lets_go = "at once"

    def rename(self) -> None:
        self._edit(lambda disk: setattr(disk, "alias", Alias(f"ua-{SERIAL}")))

    def unname(self) -> None:
        self._edit(lambda disk: setattr(disk, "alias", None))

    def move(self) -> None:
        self._edit(lambda disk: setattr(disk, "address", Address.from_text("0000:00:0a.0")))

    def detach(self) -> None:
        self._edit(lambda disk: disk.element.getparent().remove(disk.element))

    def swap(self) -> None:
        """Another volume comes to the place of the one that is to go."""
        self._edit(lambda disk: setattr(disk.element.find("serial"), "text", ANOTHER))

    def _edit(self, change: Callable[[Disk], None]) -> None:
        def edit(domain: Domain) -> None:
            for disk in domain.of_class(Disk):
                if disk.target == "vdb":
                    change(disk)

        self.daemon.edit(edit)


WHAT = ("start", "stop", "let_go", "answer", "rename", "unname", "move", "detach", "swap")
OTHERS = st.sampled_from(WHAT)
FAULTS = st.builds(
    Fault, st.sampled_from(("killed", "lost", "down", "broken")), st.booleans()
) | st.just(Fault("refused"))
EVENTS = st.dictionaries(st.integers(0, 16), st.one_of(OTHERS, FAULTS), max_size=2)
ATTEMPT = st.tuples(st.lists(OTHERS, max_size=2), EVENTS)


class Case:
    """A guest with a disk that is to go, and what was done to it."""

    def __init__(self, database: Database, alias: str | None, sides: str, lets_go: str) -> None:
        self.daemon = Daemon(guest(alias), lets_go=lets_go, on_write=self.note)
        if "live" in sides:
            self.daemon.start()
        if "persistent" not in sides:
            self.daemon.persistent = domains.domain(UUID, disks=[domains.disk("vda")])
        self.other = Other(self.daemon)
        self.controller = Controller(database, self.daemon)
        self.took: list[Place] = []
        self.is_begun = False
        plan = plan_device(
            self.controller.host, HostedInstance(UUID, "", "cmp1"), Wish(SERIAL, 0, True)
        )
        self.run = self.controller.begin(Draft(plan))

    def note(self, is_ours: bool, changed: Mapping[Place, tuple[str | None, str | None]]) -> None:
        if is_ours:
            self.took += changed

    def do(self, what: str) -> None:
        self.daemon.by_another(getattr(self.other, what))

    def attempt(self, events: Mapping[int | str, str | Fault]) -> Outcome | None:
        at: At = {
            number: event if isinstance(event, Fault) else lambda event=event: self.do(event)
            for number, event in events.items()
        }
        before = serials(self.daemon.persistent), serials(self.daemon.live)
        if self.is_begun:
            self.run = self.controller.journal.take_over(self.run)
        self.is_begun = True
        outcome = self.controller.carry_out(self.run, at)
        (item,) = self.controller.journal.iter_plans(self.run)
        there = serials(self.daemon.persistent), serials(self.daemon.live)
        if item.state == "applied" and not {"start"} & {*events.values()}:
            assert SERIAL not in there[0] | there[1]
        if WRITTEN[item.state] == "nothing":
            assert not self.took
            assert not self.daemon.asked_to_go
        if outcome is not None and item.state != "applied":
            assert outcome.exit_code
        swapped = "swap" in events.values()
        if ANOTHER in before[0] and not swapped and "detach" not in events.values():
            assert ANOTHER in there[0]
        return outcome

    @property
    def is_pending(self) -> bool:
        (item,) = self.controller.journal.iter_plans(self.run)
        return item.state in PENDING


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    state = open_state(f"sqlite:///{tmp_path}/state.sqlite")
    yield state
    state.close()


EVERYTHING = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@EVERYTHING
@given(
    alias=st.sampled_from((None, "ua-orphan")),
    sides=st.sampled_from(("persistent live", "persistent", "live")),
    lets_go=st.sampled_from(("at once", "later", "never")),
    attempts=st.lists(ATTEMPT, min_size=1, max_size=4),
)
@pytest.mark.slow
def test_whatever_happens(
    database: Database,
    alias: str | None,
    sides: str,
    lets_go: str,
    attempts: list[tuple[list[str], Mapping[int, str | Fault]]],
) -> None:
    """Attempts, each after what others did meanwhile, until the plan is at its end."""
    case = Case(database, alias, sides, lets_go)
    for meanwhile, events in attempts:
        for what in meanwhile:
            case.do(what)
        case.attempt(events)
        if not case.is_pending:
            break


@pytest.mark.parametrize("meanwhile", [(), ("stop",), ("stop", "start")])
def test_only_the_live_half_was_done(database: Database, meanwhile: tuple[str, ...]) -> None:
    """Resume asks each side by itself, whether the guest was shut off or not."""
    case = Case(database, None, "persistent live", "at once")
    assert case.attempt({"detachDeviceAlias": Fault("killed", after=True)}) is None
    assert (SERIAL in serials(case.daemon.persistent), serials(case.daemon.live)) == (True, set())
    for what in meanwhile:
        case.do(what)
    resumed = case.attempt({})
    assert resumed is not None
    there = serials(case.daemon.persistent) | serials(case.daemon.live)
    if "start" in meanwhile:
        assert (resumed.state, resumed.exit_code, there) == ("applied", 0, set())


@pytest.mark.parametrize(
    ("sides", "meanwhile"),
    [("persistent live", "rename"), ("persistent live", "move"), ("persistent", "start")],
)
def test_the_device_is_otherwise_at_resume(database: Database, sides: str, meanwhile: str) -> None:
    """It has got an alias or another address, or the guest was started: it is never called gone."""
    case = Case(database, None, sides, "at once")
    assert case.attempt({0: Fault("killed")}) is None
    case.do(meanwhile)
    resumed = case.attempt({})
    assert resumed is not None
    assert (resumed.state, resumed.exit_code) == ("started", 7)
    assert "than planned" in str(resumed.error)
    assert SERIAL in serials(case.daemon.persistent)


def test_renamed_right_before_it_is_asked_for(database: Database) -> None:
    case = Case(database, "ua-orphan", "persistent live", "at once")
    outcome = case.attempt({2: "rename"})
    assert outcome is not None
    assert (outcome.state, outcome.exit_code) == ("half", 7)
    assert SERIAL in serials(case.daemon.persistent)


def test_an_error_after_the_request(database: Database) -> None:
    """libvirt has taken it out, and then failed: nobody says that nothing was done."""
    case = Case(database, None, "persistent", "at once")
    outcome = case.attempt({"detachDeviceFlags": Fault("broken", after=True)})
    assert outcome is not None
    assert (outcome.state, serials(case.daemon.persistent)) == ("started", set())
    resumed = case.attempt({})
    assert resumed is not None
    assert resumed.state == "applied"
