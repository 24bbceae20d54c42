"""What a guest still has if its server was not started since runs that changed what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from novadev.image_property.changes import guest_with
from novadev.image_property.decisions import ACTIONS
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.nova.starts import Starts
from novadev.rules.buses import BUS_PROPERTIES, TooManyDisks, UnsupportedBus
from novadev.rules.guest import Guest
from novadev.runs.change import Change, Effect
from novadev.runs.journal_rows import Written
from novadev.runs.place import Kind
from novadev.runs.plan import Plan
from novadev.runs.states import State
from novadev.value import ABSENT, Value, shown

CLOSE = timedelta(minutes=1)
"""So near to a start, a run may be in the guest or not: clocks differ, and a start takes time."""
_HARDWARE = frozenset((*PROPERTIES, MACHINE_TYPE)) - frozenset(BUS_PROPERTIES)
"""What the guest sees besides the buses of its disks, which have lines of their own."""


@dataclass(frozen=True)
class Unstarted:
    """What is known of a guest that was perhaps not started since RUNS, the oldest first.

    ``guests`` are those before each of the runs, the newest first, as far as the journal says.
    ``is_certain``: the last of them is what the guest had before the oldest of the runs.
    ``last`` is when it was last started with what was stored then, None where Nova does not say.
    """

    runs: tuple[int, ...]
    guests: tuple[Guest, ...]
    is_certain: bool
    last: datetime | None = None


def unstarted(history: Iterable[Written], guest: Guest, starts: Starts) -> Unstarted | None:
    """Return what is known of GUEST before the runs since its last start; None of no such run.

    HISTORY is what the journal says of it, newest first, with what was undone and the undos. A run
    counts as long as everything that it wrote is stored. Where Nova stores no start, the runs of
    which that is so count, and no others.
    """
    found = [item for item in history if item.plan.action in ACTIONS and _is_since(item, starts)]
    guests = tuple(_guests_before(found, guest))
    is_whole = len(guests) == len(found)
    runs = tuple(item.run for item in reversed(found))
    if starts == Starts() and guests:
        return Unstarted(runs[-len(guests) :], guests, is_certain=True)
    if starts == Starts() or not runs:
        return None
    is_certain = is_whole and starts.perhaps is None and not _is_close(found[-1], starts)
    return Unstarted(runs, guests, is_certain, starts.last)


def _is_since(item: Written, starts: Starts) -> bool:
    ended = item.finished or datetime.max
    return starts.last is None or ended > starts.last - CLOSE


def _is_close(item: Written, starts: Starts) -> bool:
    return starts.last is not None and item.started < starts.last + CLOSE


def _guests_before(items: Iterable[Written], guest: Guest) -> Iterator[Guest]:
    """Yield the guest before each of ITEMS, newest first, until one is not there as it wrote it."""
    for item in items:
        changes = [one for one in item.plan.changes if _is_there(one, guest)]
        is_stored = all(_stored(one, guest) == one.after for one in changes)
        if item.state not in (State.APPLIED, State.UNDONE) or not is_stored:
            return
        guest = guest_with(guest, [one.inverse for one in changes])
        yield guest


def _is_there(change: Change, guest: Guest) -> bool:
    """Whether CHANGE is about the guest; a disk that is gone is no part of it."""
    place = change.place
    if place.kind is Kind.DISK:
        return any(device.id == place.row for device in guest.block_devices)
    return place.kind in (Kind.PROPERTY, Kind.ROOT)


def _stored(change: Change, guest: Guest) -> Value:
    place = change.place
    if place.kind is Kind.PROPERTY:
        return guest.image_properties.get(place.name, ABSENT)
    if place.kind is Kind.ROOT:
        return guest.root_device_name
    (device,) = (device for device in guest.block_devices if device.id == place.row)
    return device.disk_bus if place.name == "disk_bus" else device.device_name


def unstarted_note(
    plan: Plan,
    after: Guest,
    found: Unstarted,
    effects: Callable[[Guest, Guest], tuple[Effect, ...]],
) -> tuple[str, ...]:
    """Return what PLAN, which leads to AFTER, is for a guest that was not started since the runs.

    EFFECTS are those of a change from one guest to another. There is no note where the guest sees
    what the plan says.
    """
    if not found.is_certain:
        return (_uncertain(found, after),)
    before = found.guests[-1]
    try:
        seen = effects(before, after)
    except (UnsupportedBus, TooManyDisks):
        return (_uncertain(found, after),)
    others = (*_others(seen, plan), *_other_hardware(before, after, seen, plan))
    if not others:
        return ()
    return (
        f"if the server has not been started since run {found.runs[0]}, its guest still has what "
        f"it had before that run, and sees: {'; '.join(others)}",
    )


def _uncertain(found: Unstarted, guest: Guest) -> str:
    *others, last = map(str, dict.fromkeys(found.runs))
    runs = f"runs {', '.join(others)} and {last}" if others else f"run {last}"
    since = f"since {found.last:%Y-%m-%d %H:%M} UTC" if found.last else "so far"
    how = "" if guest.is_offloaded else " (novadev device show and forecast compare with that)"
    return (
        f"{runs} changed what is stored, and it is not certain that the guest was started with it "
        f"{since}: what the guest has may differ from what is compared here{how}"
    )


def _others(found: Iterable[Effect], plan: Plan) -> Iterator[str]:
    """Yield those of the effects FOUND that PLAN does not have, in words."""
    known = [(item.before, item.after) for item in plan.effects]
    for item in found:
        stays = item.before == item.after
        if (item.before, item.after) in known or (stays and not plan.effects):
            continue
        yield _told(item.what, item.before, item.after)


def _other_hardware(
    before: Guest, after: Guest, seen: Sequence[Effect], plan: Plan
) -> Iterator[str]:
    """Yield the properties that change for the guest otherwise than PLAN says."""
    planned = {
        item.place.name: (item.before, item.after)
        for item in plan.changes
        if item.place.kind is Kind.PROPERTY
    }
    machine = {MACHINE_TYPE} if any(item.what == "machine type" for item in seen) else set()
    for name in sorted(_HARDWARE - machine):
        old, new = (guest.image_properties.get(name, ABSENT) for guest in (before, after))
        if planned.get(name, (new, new)) != (old, new):
            yield _told(name, old, new)


def _told(what: str, before: Value, after: Value) -> str:
    if before == after:
        return f"{what} {shown(after)} (stays)"
    return f"{what} {shown(before)} -> {shown(after)}"
