"""When a watch looks at which guest."""

import pytest

from novadev.errors import NotAsNeeded, NotFound, Unreachable
from novadev.records.watch_jobs import NotRecorded, Recorded, Result
from novadev.records.watch_schedule import (
    NAME_PAUSES,
    PER_WINDOW,
    RETRIES,
    SETTLE,
    SILENT,
    WINDOW,
    Flapping,
    Schedule,
    Unnamed,
)
from novadev.virt.guest_events import GuestEvent, News

HOST, GUEST = "cmp1", "4f5d6c9a-0000-4000-8000-000000000001"


def free(_host: str) -> bool:
    return True


class Clock:
    """A schedule of one guest, gone through second by second."""

    def __init__(self) -> None:
        self.schedule, self.now = Schedule(asks_guest=True), 1000.0
        self.told: list[object] = []

    def event(self, news: News) -> None:
        self.told += self.schedule.changed(GuestEvent(HOST, GUEST, news), self.now)

    def next(self) -> float:
        """Go to when something is due; the seconds until then come back."""
        due = self.schedule.due(free, free)
        passed, self.now = due - self.now, due
        return passed

    def records(self) -> list[str]:
        return self.schedule.take_records(self.now, free, 1).get(HOST, [])

    def asks(self) -> str | None:
        return self.schedule.take_asks(self.now, free, 1).get(HOST)

    def recorded(self, result: Result) -> None:
        self.schedule.recorded(HOST, [result], self.now)

    def asked(self, result: Result) -> None:
        self.told += self.schedule.asked(HOST, [result], self.now)

    def until_quiet(self, result: Result) -> int:
        """Answer every question to the agent with RESULT; how many there were comes back."""
        for number in range(100):
            if self.next() == float("inf"):
                return number
            assert self.asks() == GUEST
            self.asked(result)
        raise AssertionError("it asks for ever")


def seen(**values: object) -> Recorded:
    known: dict[str, object] = {"unnamed": ("disk vdb",), "is_running": True} | values
    return Recorded(GUEST, **known)  # type: ignore[arg-type]


def test_what_changes_at_once_is_one_record() -> None:
    """A job begins at once, and looks a moment later; what happens until then is in that look."""
    clock = Clock()
    begun = clock.now
    clock.event(News.CHANGED)
    assert clock.records() == [GUEST]
    while clock.now < begun + SETTLE:
        clock.event(News.CHANGED)
        clock.now += SETTLE / 4
    assert clock.next() == float("inf")
    clock.event(News.CHANGED)
    assert clock.records() == [GUEST]


def test_a_guest_that_flaps_is_recorded_seldom_and_in_the_end() -> None:
    clock = Clock()
    begun, records = clock.now, 0
    while clock.now < begun + WINDOW:
        clock.event(News.CHANGED)
        records += len(clock.records())
        clock.now += 0.5
    assert records == PER_WINDOW
    assert clock.told == [Flapping(HOST, GUEST)]
    clock.next()
    assert clock.records() == [GUEST]


@pytest.mark.parametrize(
    ("result", "questions", "told"),
    [
        (seen(unnamed=(), has_answered=True), 1, []),
        (seen(has_answered=True), len(NAME_PAUSES), [Unnamed(HOST, GUEST, ("disk vdb",))]),
        (seen(), SILENT, []),
        (seen(is_running=False), 1, []),
        (NotRecorded(GUEST, "gone", NotFound.exit_code), 1, []),
    ],
    ids=["named", "not named", "no agent", "stopped", "gone"],
)
def test_an_agent_is_asked_until_it_has_the_name_and_not_for_ever(
    result: Result, questions: int, told: list[object]
) -> None:
    clock = Clock()
    clock.event(News.PLUGGED)
    clock.records()
    assert clock.until_quiet(result) == questions
    assert clock.told == told


def test_an_agent_that_comes_and_goes_and_lies_costs_no_more_than_a_guest_that_flaps() -> None:
    """In any minute of ten so many questions and records; it is told once, and again later."""
    clock = Clock()
    begun, asks, records = clock.now, list[float](), list[float]()
    while clock.now < begun + 10 * WINDOW:
        clock.event(News.AGENT)
        records += [clock.now] * len(clock.records())
        if clock.asks():
            asks.append(clock.now)
            records.append(clock.now)
            clock.asked(seen(has_answered=True, is_written=True, record=7))
        clock.now += 0.5
    for times in (asks, records):
        latest = zip(times, times[PER_WINDOW:], strict=False)
        assert all(late - early >= WINDOW - 0.5 for early, late in latest)
    assert len(asks) >= 10
    assert clock.told == [Flapping(HOST, GUEST)]
    for pause in (3 * WINDOW, *[0.5] * 4 * PER_WINDOW):
        clock.now += pause
        clock.event(News.CHANGED)
        clock.records()
    assert clock.told == [Flapping(HOST, GUEST)] * 2


def test_names_that_a_sweep_misses_are_asked_for_once() -> None:
    clock = Clock()
    clock.recorded(seen(is_running=None))
    assert clock.until_quiet(seen(has_answered=True)) == 1
    assert clock.told == []


@pytest.mark.parametrize(
    ("code", "tries"),
    [(NotFound.exit_code, 1), (NotAsNeeded.exit_code, len(RETRIES) + 1), (0, len(RETRIES) + 1)],
)
def test_a_guest_that_may_be_on_its_way_is_looked_at_again(code: int, tries: int) -> None:
    clock = Clock()
    clock.event(News.CHANGED)
    found = 0
    while clock.next() < float("inf"):
        assert clock.records() == [GUEST]
        clock.recorded(NotRecorded(GUEST, "why", code))
        found += 1
    assert found == tries
    assert clock.told == []


def test_what_a_database_keeps_from_being_recorded_is_not_forgotten() -> None:
    clock = Clock()
    clock.event(News.CHANGED)
    for _ in range(3 * len(RETRIES)):
        assert clock.next() <= RETRIES[-1]
        assert clock.records() == [GUEST]
        clock.recorded(NotRecorded(GUEST, "no answer", Unreachable.exit_code))
    clock.event(News.GONE)
    assert clock.next() == float("inf")


def test_a_host_that_is_busy_keeps_nobody_waiting() -> None:
    schedule = Schedule(asks_guest=False)
    for host in ("cmp1", "cmp2", "cmp3"):
        list(schedule.changed(GuestEvent(host, GUEST, News.CHANGED), 0))
    assert schedule.take_records(9, lambda host: host != "cmp1", 5).keys() == {"cmp2", "cmp3"}
    assert schedule.due(lambda host: host != "cmp1", free) == float("inf")
    assert schedule.take_records(9, free, 5) == {"cmp1": [GUEST]}
