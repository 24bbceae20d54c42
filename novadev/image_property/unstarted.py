"""What a guest still has if its server was not started since runs that changed what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from novadev.image_property.decisions import ACTIONS
from novadev.image_property.present_effects import guest_with
from novadev.rules.buses import TooManyDisks, UnsupportedBus
from novadev.rules.guest import Guest
from novadev.runs.change import Change, Effect
from novadev.runs.journal_rows import Journaled
from novadev.runs.place import Kind
from novadev.runs.plan import Plan
from novadev.runs.states import State
from novadev.value import ABSENT, Value, shown


@dataclass(frozen=True)
class Earlier:
    """The guest before RUN, which is the oldest of those that led to what is stored now."""

    run: int
    guest: Guest


def guest_before(items: Iterable[Journaled], guest: Guest) -> Earlier | None:
    """Return what is known of GUEST before the runs that led to it; None if nothing is.

    ITEMS are what the journal says of it, newest first. A run counts as long as everything that it
    wrote is stored. An undo has left what was there before, with the run that it undid.
    """
    found = None
    for item in items:
        if item.undoes is not None or item.plan.action not in ACTIONS:
            continue
        changes = [one for one in item.plan.changes if _is_there(one, guest)]
        is_stored = all(_stored(one, guest) == one.after for one in changes)
        if item.state is not State.APPLIED or not is_stored:
            break
        guest = guest_with(guest, [one.inverse for one in changes])
        found = Earlier(item.run, guest)
    return found


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


def with_way(
    plan: Plan, earlier: Earlier | None, effects: Callable[[Guest], tuple[Effect, ...]]
) -> Plan:
    """Return PLAN with a note of what its guest sees if it was not started since an earlier run.

    EFFECTS are those of the change on a guest that is as EARLIER says. There is no note where they
    are those of the plan.
    """
    if earlier is None or not plan.effects:
        return plan
    try:
        others = _others(effects(earlier.guest), plan.effects)
    except (UnsupportedBus, TooManyDisks):
        return plan
    if not others:
        return plan
    note = (
        f"if the server has not been started since run {earlier.run}, its guest still has what it "
        f"had before that run, and sees: {'; '.join(others)}"
    )
    return replace(plan, notes=(*plan.notes, note))


def _others(found: Iterable[Effect], planned: Iterable[Effect]) -> list[str]:
    """Return those of the effects FOUND that are not PLANNED, in words."""
    known = [(item.before, item.after) for item in planned]
    return [
        f"{item.what} {shown(item.before)} -> {shown(item.after)}"
        if item.before != item.after
        else f"{item.what} {shown(item.after)} (stays)"
        for item in found
        if (item.before, item.after) not in known
    ]
