"""A guest's restore in its host's process: what changes, and the guarded write of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from novadev.device.guests import get_definitions_and_jobs
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import Inventory, take_inventory
from novadev.device.redacted import difference, digest
from novadev.device.writable import check_guest
from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.records.device import Pins, VmDevice, as_pinned, is_hardware
from novadev.records.on_host import seen_devices
from novadev.records.recognition import recognise, recorded_elsewhere
from novadev.records.restore_back import WayBack, way_back
from novadev.records.restore_layout import Layout, check_machine, lay_out, named
from novadev.records.restore_notes import when_restored, who_makes_room
from novadev.records.restore_pins import guard_of_changes, iter_leaving, leaves_pin
from novadev.runs.change import Change
from novadev.runs.place import Kind, Place
from novadev.runs.plan import APPLIED, Outcome, Plan, Planned, Skip, taken_back
from novadev.runs.precondition import Found, compare
from novadev.runs.states import State
from novadev.virt.address import Address
from novadev.virt.device import Device
from novadev.virt.domain import Definitions, Domain
from novadev.virt.host import Host
from novadev.virt.writes import redefine

ACTION = "device restore"
_NAMED = 5
"""Devices that a line names."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What is RECORDED of a guest, plugged or not; whether to show the difference.

    ``pins`` are its pinned addresses. ``as_of`` says as of when it was recorded, where that is not
    the newest record: then they are only told. ``keeps``: nova-compute keeps recorded addresses.
    ``recorded_on`` is the host of the newest record. ``found`` are the devices as they were last
    found, beside their pins; ``newest`` are those of the newest record, which alone has pins.
    """

    recorded: tuple[VmDevice, ...]
    diff: bool = False
    pins: Pins = field(default_factory=dict)
    as_of: str = ""
    keeps: bool = False
    recorded_on: str = ""
    found: tuple[VmDevice, ...] = ()
    newest: tuple[VmDevice, ...] = ()

    @property
    def to_be(self) -> tuple[VmDevice, ...]:
        """The devices that are to be there: plugged ones, and pinned ones.

        A pinned device that was gone at the last record may be back by now.
        """
        rows = as_pinned(self.recorded, {} if self.as_of else self.pins)
        return tuple(row for row in rows if row.is_plugged and is_hardware(row))


def plan_guest(host: Host, instance: HostedInstance, question: Question) -> tuple[Planned, ...]:
    """Return the plan for INSTANCE on HOST, or a skip where there is nothing to do.

    Raises NotFound without the domain, NotAsNeeded for a guest that must not be touched or cannot
    have its recorded addresses, and BadInput for a definition that cannot be parsed.
    """
    definitions = get_definitions_and_jobs(host, instance)
    check_guest(instance, definitions)
    inventory = take_inventory(instance, replace(definitions, live=None))
    assert definitions.persistent is not None
    pinned = frozenset(() if question.as_of else question.pins)
    try:
        _check_machine(definitions.persistent, question, pinned)
        matched = _match(inventory, question)
        layout = lay_out(definitions.persistent, matched.rows, pinned)
    except NotAsNeeded as error:
        raise NotAsNeeded(f"instance {instance.uuid}: {error}") from error
    told = (*_told_outdated(layout, matched, pinned), *_told_alone(matched))
    if not layout.moves:
        return (_nothing_to_do(instance, told, question.as_of),)
    plan = _make_plan(inventory, definitions.persistent, layout, matched, question)
    leaving = (leaves_pin(name, place) for name, _, place in iter_leaving(plan, question.pins))
    notes = (
        *_told_as_of(question),
        *leaving,
        *who_makes_room(definitions.persistent, layout, question.as_of),
        *when_restored(definitions.is_active, question.keeps),
        *(f"{text}." for text in told),
    )
    return (replace(plan, notes=notes),)


def _check_machine(domain: Domain, question: Question, pinned: Collection[str]) -> None:
    """Raise NotAsNeeded as `check_machine`; pins are for the former machine as well."""
    try:
        check_machine(domain, question.to_be)
    except NotAsNeeded as error:
        if not pinned:
            raise
        told = "its pins are for the former machine type too: novadev device unpin removes them"
        raise NotAsNeeded(f"{error}; {told}") from error


@dataclass(frozen=True)
class _Matched:
    """The row of each device of the persistent definition that has one, and what has no partner.

    ``ids`` are those of all its devices in the newest record, or that they would have there.
    """

    rows: Mapping[Device, VmDevice]
    ids: Mapping[Device, str]
    only_recorded: tuple[str, ...]
    only_defined: tuple[str, ...]


def _match(inventory: Inventory, question: Question) -> _Matched:
    """Return which device of the persistent definition is which recorded one, and the others.

    A device that an older record has not, or knows by another id, may be pinned in the newest one.
    """
    rows = {row.device_id: row for row in question.to_be}
    last = None if question.as_of else question.recorded_on
    pairs = newest = _recognised(inventory, question.found, last)
    if question.as_of:
        newest = _recognised(inventory, question.newest, question.recorded_on)
    taken = set(pairs.values())
    return _Matched(
        {device: rows[key] for device, key in pairs.items() if key in rows},
        newest,
        tuple(row.label for key, row in rows.items() if key not in taken),
        tuple(device.label for device, key in pairs.items() if key not in rows),
    )


def _recognised(
    inventory: Inventory, rows: Sequence[VmDevice], recorded_on: str | None
) -> dict[Device, str]:
    """Return the id of each device of the persistent definition in the record that has ROWS.

    Which is which says the whole record, as for `record` and `drift`: a device that comes back is
    no other one. RECORDED_ON is as for `recorded_elsewhere`.
    """
    recorded = [row for row in rows if is_hardware(row)]
    elsewhere = recorded_elsewhere(recorded, recorded_on, inventory.instance.host)
    found = seen_devices(inventory, ())
    ids = recognise([*found.devices.values()], recorded, found.owners, elsewhere)
    return {device: ids[row.device_id] for device, row in found.devices.items()}


def _told_as_of(question: Question) -> Iterator[str]:
    if question.as_of:
        yield f"The addresses are those recorded as of {question.as_of}, not the newest ones."


def _nothing_to_do(instance: HostedInstance, told: tuple[str, ...], as_of: str) -> Skip:
    if told:
        text = "its definition has every recorded address that still applies"
    else:
        text = "its definition has the recorded addresses"
    text += f" (as of {as_of})" if as_of else ""
    reason = "; ".join((f"nothing to do for instance {instance.uuid}: {text}", *told))
    return Skip(instance.uuid, reason, 0, instance.named)


def _told_alone(matched: _Matched) -> Iterator[str]:
    """Yield which devices are on one side alone, of which nothing can be put back."""
    for labels, side in (
        (matched.only_recorded, "recorded but not in the definition"),
        (matched.only_defined, "in the definition but not recorded"),
    ):
        if labels:
            more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
            yield f"{side}: {', '.join(labels[:_NAMED])}{more}"


def _told_outdated(layout: Layout, matched: _Matched, pinned: Collection[str]) -> Iterator[str]:
    for device, why in layout.outdated.items():
        text = f"{device.label}: {why}, so its recorded address no longer applies"
        if matched.rows[device].device_id in pinned:
            text += ", although it is pinned: novadev device unpin removes the pin"
        yield text


def _make_plan(
    inventory: Inventory, domain: Domain, layout: Layout, matched: _Matched, question: Question
) -> Plan:
    instance = inventory.instance
    return Plan(
        action=ACTION,
        instance=instance.uuid,
        cell=instance.cell,
        changes=tuple(_changes(domain, layout.moves)),
        name=inventory.name,
        host=instance.host,
        guard={
            "definition": digest(domain.without_addresses(layout.moves)),
            **guard_of_changes(domain, layout.moves, matched.ids, question.pins),
        },
        diff=difference(domain, domain.with_addresses(layout.moves)) if question.diff else "",
    )


def _changes(domain: Domain, moves: Mapping[Device, Address]) -> Iterator[Change]:
    for name, device in named(domain).items():
        if device in moves and device.address:
            place = Place(Kind.ADDRESS, name)
            yield Change(place, device.address.exact_text, moves[device].exact_text)


def write_guest(host: Host, plan: Plan, resumed: bool) -> Outcome:
    """Write PLAN into the persistent definition and return what became of it.

    RESUMED: it may be there already. Raises Unreachable when the host is lost on the way.
    """
    found = _compare_guest(host, plan, resumed)
    if isinstance(found, Outcome):
        return found
    if isinstance(found.due, WayBack):
        return _take_back(host, found.domain, plan, found.due, found.left)
    return _write(host, found.domain, plan, found.due)


def preview_guest(host: Host, plan: Plan, resumed: bool) -> Outcome:
    """Return what `write_guest` would return now; nothing is written."""
    found = _compare_guest(host, plan, resumed)
    if isinstance(found, Outcome):
        return found
    if isinstance(found.due, WayBack):
        return _taken_back(plan, found.due, found.left, is_preview=True)
    return APPLIED


@dataclass(frozen=True)
class _Compared:
    """A plan that may be written: the definition, what moves, what an earlier attempt has left."""

    domain: Domain
    due: WayBack | Mapping[Device, Address]
    left: State | None


def _compare_guest(host: Host, plan: Plan, resumed: bool) -> _Compared | Outcome:
    """Return what is to be written of PLAN, or the outcome of one that is not to be written."""
    left = State.STARTED if resumed else None
    try:
        definitions = host.definitions_and_jobs(plan.instance)
        kinds = _kinds(definitions.persistent, plan)
        left = _left(kinds, plan) if resumed else None
        if kinds and resumed and kinds == {Found.AFTER}:
            return APPLIED
        domain = _check(host, plan, definitions)
        due = way_back(domain, plan) if plan.partly else _moves(domain, plan)
        return _Compared(domain, due, left)
    except Busy as error:  # the guest is stuck, its host is not: nothing was written now
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    except Unreachable:
        raise
    except NotFound as error:
        return Outcome(State.STALE, str(error), StalePlan.exit_code)
    except (NotAsNeeded, StalePlan) as error:
        return Outcome(left or State.STALE, str(error), StalePlan.exit_code)
    except NovadevError as error:
        return Outcome(left or State.FAILED, str(error), error.exit_code)


def _left(kinds: Collection[Found], plan: Plan) -> State | None:
    """Return the state that an earlier attempt may have left: None where nothing of it is there."""
    if Found.AFTER not in kinds:
        return None
    return State.STARTED if plan.partly else State.HALF


def _take_back(
    host: Host, domain: Domain, plan: Plan, back: WayBack, before: State | None
) -> Outcome:
    """Write what of PLAN can be taken back; what cannot is told device by device.

    BEFORE is the state that an earlier attempt has left.
    """
    if back.moves:
        due = replace(plan, changes=tuple(back.changes))
        written = _write(host, domain, due, back.moves)
        if written.state != State.APPLIED:
            return written
    return _taken_back(plan, back, before)


def _taken_back(
    plan: Plan, back: WayBack, before: State | None, is_preview: bool = False
) -> Outcome:
    """Return the outcome of PLAN, an undo of which BACK says how far it goes.

    What still has the address that was written and cannot go back makes the plan half, or stale
    where nothing could be written.
    """
    there = back.there if before is None else ()
    outcome = taken_back(plan, back.left, there, is_preview)
    if not back.is_barred:
        return outcome
    state = State.HALF if back.moves else before or State.STALE
    return replace(outcome, state=state, exit_code=StalePlan.exit_code)


def _check(host: Host, plan: Plan, definitions: Definitions) -> Domain:
    """Return the persistent definition; raises where the guest is not as it was planned.

    What is taken back device by device does not need the definition of the day.
    """
    check_guest(HostedInstance(plan.instance, plan.name, host.name), definitions)
    domain = definitions.persistent
    assert domain is not None
    if plan.partly:
        return domain
    if digest(domain.without_addresses(_places(domain, plan))) != plan.guard.get("definition"):
        raise StalePlan(
            f"host {host.name}: the definition of domain {plan.instance} has changed since the "
            "plan was made: plan again"
        )
    return domain


def _places(domain: Domain, plan: Plan) -> dict[Device, Change]:
    """Return the devices of PLAN, each with its change; raises StalePlan where one is gone."""
    devices = named(domain)
    found = {}
    for item in plan.changes:
        name = item.place.name
        if name not in devices:
            raise StalePlan(f"domain {plan.instance} has no {name} any more: plan again")
        found[devices[name]] = item
    return found


def _moves(domain: Domain, plan: Plan) -> Mapping[Device, Address]:
    """Return where the devices are to be; raises StalePlan where one is not as planned.

    A definition is written whole, so either all of a plan is there or nothing.
    """
    places = _places(domain, plan)
    for device, item in places.items():
        if _value(device) != item.before:
            place = device.address or "no address"
            raise StalePlan(f"domain {plan.instance}: {device.label} has {place} now: plan again")
    return {device: Address.from_text(str(item.after)) for device, item in places.items()}


def _kinds(domain: Domain | None, plan: Plan) -> set[Found]:
    """Return what there is at the devices of PLAN, nothing without DOMAIN."""
    if domain is None:
        return set()
    devices = named(domain)
    found = ((item, devices.get(item.place.name)) for item in plan.changes)
    return {
        Found.OTHER if device is None else compare(item, _value(device)) for item, device in found
    }


def _value(device: Device) -> str | None:
    return device.address.exact_text if device.address else None


def _write(host: Host, domain: Domain, plan: Plan, moves: Mapping[Device, Address]) -> Outcome:
    try:
        redefine(host, domain, domain.with_addresses(moves))
    except Unreachable:
        raise
    except NovadevError as error:
        return _disturbed(host, plan, error)
    return APPLIED


def _disturbed(host: Host, plan: Plan, error: NovadevError) -> Outcome:
    """Return what became of a plan whose write met ERROR: what is there now decides.

    An error, too, may come after the write: where nobody can tell, the plan is left for resume.
    """
    try:
        kinds = _kinds(host.definitions(plan.instance).persistent, plan)
    except Unreachable:
        raise
    except NotFound:
        kinds = set()
    except NovadevError as second:
        text = f"{error}; in addition, the present definition could not be read: {second}"
        return Outcome(State.STARTED, text, error.exit_code)
    if kinds == {Found.AFTER}:
        LOG.warning("host %s: domain %s is written, but: %s", host.name, plan.instance, error)
        return APPLIED
    if Found.AFTER in kinds:
        return Outcome(State.HALF, f"{error}; a part of the change was made", StalePlan.exit_code)
    if isinstance(error, StalePlan | NotFound):
        return Outcome(State.STALE, str(error), StalePlan.exit_code)
    return Outcome(State.FAILED, f"the addresses cannot be written: {error}", error.exit_code)
