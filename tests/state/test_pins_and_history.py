"""A pin is laid over what was found: the history has the one, the record the other."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novadev.database import Database
from novadev.device.hosted_instance import HostedInstance
from novadev.errors import NotAsNeeded
from novadev.records.comparison import Look
from novadev.records.device import AsOf, VmDevice, VmDynamic, as_pinned, hash_of
from novadev.records.on_host import Seen
from novadev.records.pin_store import PinStore
from novadev.records.record import write_looks
from novadev.records.store import VmDevices
from novadev.state.store import open_state

SLOTS, UNMANAGED, ROOT = 6, 3, 9
Slots = Mapping[int, int]
"""Where the devices of a guest are, by their numbers."""


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = open_state(url)
    yield opened
    opened.close()


def pci(slot: int) -> str:
    return f"{{type=pci, slot=0x{slot:02x}, bus=0x00, domain=0x0000, function=0x0}}"


@dataclass
class Life:
    """A guest, what it had at each record, and what is recorded of it."""

    database: Database
    vm: str = field(default_factory=lambda: str(uuid.uuid4()))
    last: dict[str, VmDevice] = field(default_factory=dict)
    past: dict[int, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store, self.pins = VmDevices(self.database), PinStore(self.database)

    def id(self, number: int) -> str:
        return f"{number:08x}{self.vm[8:]}"

    def devices(self, slots: Slots, root: str, model: str) -> list[VmDevice]:
        """What the guest has: cards in SLOTS, of one MODEL, and a ROOT."""
        cards = [
            VmDevice(
                *(self.id(number), self.vm, "interface", "bridge", pci(slot)),
                is_managed=number < UNMANAGED,
                spec_params={"model": model, "mac": f"52:54:00:00:00:{number:02x}"},
                label=f"interface tap{number}",
            )
            for number, slot in slots.items()
        ]
        bus = VmDevice(self.id(ROOT), self.vm, "controller", "pci", spec_params={"model": root})
        return [*cards, replace(bus, label="controller pci 0")]

    @property
    def rows(self) -> tuple[VmDevice, ...]:
        return self.store.list_devices([self.vm]).get(self.vm, ())

    @property
    def pinned(self) -> Mapping[str, str]:
        return self.store.list_pins([self.vm]).get(self.vm, {})

    def look(self, seen: Sequence[VmDevice]) -> Look:
        recorded = {self.vm: self.rows} if self.rows else {}
        found = self.store.list_found(recorded, {self.vm: self.pinned})
        return Look(
            HostedInstance(self.vm, "web-1", "cmp1"),
            self.store.list_dynamics([self.vm]).get(self.vm),
            Seen(VmDynamic(self.vm, hash_of(seen), "text", "cmp1"), tuple(seen)),
            self.rows,
            self.pinned,
            self.store.list_newest([self.vm])[self.vm],
            found.get(self.vm, ()),
        )

    def record(self, seen: Sequence[VmDevice]) -> None:
        look = self.look(seen)
        before = hash_of(self.last.values()) if self.last else None
        assert look.found_hash == before, "the hash before is that of the last record or import"
        number, left = write_looks(self.store, [look] if look.is_new else [], None)
        assert left == ()
        now = {item.device_id: item for item in seen}
        assert look.has_news or look.hash == before
        if number is not None:
            self.past[number] = {key: item.address for key, item in now.items()}
        assert (number is None) is (now == self.last)
        self.last = now
        assert not self.look(seen).has_news, "what is recorded is no news again"
        assert self.look(seen).found_hash == look.hash

    def pin(self, number: int) -> None:
        there = {row.device_id: row.address for row in self.rows if row.is_plugged}
        key = self.id(number)
        if key in there:
            with suppress(NotAsNeeded):  # another is pinned there, or for another machine type
                self.pins.pin(self.vm, {key: there[key]}, "ops")

    def import_(self, number: int, slot: int) -> None:
        """Bring another address to the record, as ``device import`` does."""
        key = self.id(number)
        if key not in self.last or key in self.pinned:
            return

        def change(recorded: Sequence[VmDevice]) -> tuple[VmDynamic, Sequence[VmDevice]]:
            after = [replace(row, address=pci(slot)) if row.device_id == key else row
                     for row in recorded]  # fmt: skip
            return VmDynamic(self.vm, hash_of(after), "", "cmp1"), after

        self.store.replace(self.vm, change)
        self.last[key] = replace(self.last[key], address=pci(slot))

    def check(self) -> None:
        """The record has each pin, and else what was last found; the past what was found then."""
        pins = self.pinned
        wanted = {item.device_id: item for item in as_pinned(self.rows, pins)}
        for key, place in pins.items():
            assert wanted[key].address == place
        for key, item in self.last.items():
            assert key in pins or wanted[key].address == item.address
        plugged = {key for key, item in wanted.items() if item.is_plugged}
        assert plugged == self.last.keys() | pins.keys()
        for number, then in self.past.items():
            found = self.store.list_devices_as_of([self.vm], AsOf(number))[self.vm]
            assert {item.device_id: item.address for item in found if item.is_plugged} == then
        if not pins:
            newest = self.store.list_newest([self.vm])[self.vm].state
            assert self.store.list_devices_until(self.vm, newest) == self.rows


numbers = st.integers(0, UNMANAGED)
layouts = st.dictionaries(numbers, st.integers(1, SLOTS), max_size=UNMANAGED + 1).filter(
    lambda slots: len({*slots.values()}) == len(slots)
)
records = st.tuples(
    *(st.just("record"), layouts),
    *(st.sampled_from(["pci-root", "pcie-root"]), st.sampled_from(["virtio", "e1000"])),
)
steps = st.one_of(
    records,
    st.tuples(st.just("pin"), numbers),
    st.tuples(st.just("unpin"), numbers),
    st.tuples(st.just("import"), numbers, st.integers(10, 12)),
)


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=records, later=st.lists(steps, min_size=4, max_size=14))
def test_whatever_happens_nothing_found_is_lost_and_hashes_chain(
    database: Database, first: tuple[str, Slots, str, str], later: list[tuple[object, ...]]
) -> None:
    """Records, pins and imports in any order, devices that go and come back, other machines."""
    life = Life(database)
    for step in (first, *later):
        match step:
            case ("record", slots, root, model):
                life.record(life.devices(slots, root, model))  # type: ignore[arg-type]
            case ("pin", int(number)):
                life.pin(number)
            case ("unpin", int(number)):
                life.pins.unpin(life.vm, [life.id(number)], "ops")
            case ("import", int(number), int(slot)):
                life.import_(number, slot)
        life.check()


def test_a_pin_that_was_stored_over_what_was_found(database: Database) -> None:
    """As earlier releases did: the next record finds where the device is, and is one."""
    life = Life(database)
    home, away = ([*life.devices({0: slot}, "pci-root", "virtio")] for slot in (5, 6))
    life.record(home)
    life.pin(0)
    life.record(away)
    assert {item.address for item in life.rows} == {pci(5), ""}
    states = [item.device for item in life.store.iter_versions(life.vm, life.id(0))]
    assert [item.address for item in states if item] == [pci(5), pci(6)]
    life.record(away)
    life.record(home)
    assert len(life.past) == 3
    life.check()


def test_no_pin_joins_those_of_a_former_machine_type(database: Database) -> None:
    """Nobody would use it: the record has bus 0 of the machine that the first pin is for."""
    life = Life(database)
    life.record([*life.devices({0: 5, 1: 6}, "pci-root", "virtio")])
    life.pin(0)
    life.record([*life.devices({0: 7, 1: 8}, "pcie-root", "virtio")])
    with pytest.raises(NotAsNeeded, match=r"its machine type has changed.*novadev device unpin"):
        life.pins.pin(life.vm, {life.id(1): pci(8)}, "ops")
    life.pins.unpin(life.vm, [life.id(0)], "ops")
    life.pins.pin(life.vm, {life.id(0): pci(7), life.id(1): pci(8)}, "ops")
    life.check()


def test_what_is_imported_beside_a_held_pin_keeps_what_was_found(database: Database) -> None:
    """Custom properties come to the record of a pinned device that is elsewhere."""
    life = Life(database)
    life.record(life.devices({0: 5}, "pci-root", "virtio"))
    life.pin(0)
    life.record(life.devices({0: 6}, "pci-root", "virtio"))

    def change(recorded: Sequence[VmDevice]) -> tuple[VmDynamic, Sequence[VmDevice]]:
        return VmDynamic(life.vm, "", "", "cmp1"), [
            replace(row, custom_properties="a=b") if row.device_id == life.id(0) else row
            for row in recorded
        ]

    life.store.replace(life.vm, change)
    (row,) = (item for item in life.rows if item.device_id == life.id(0))
    assert (row.address, row.custom_properties) == (pci(5), "a=b")
    *_, last = life.store.iter_versions(life.vm, life.id(0))
    assert last.device
    assert (last.device.address, last.device.custom_properties) == (pci(6), "a=b")
