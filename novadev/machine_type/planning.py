"""Plans that change the machine type, and with it all that cannot stay on the new one.

A plan changes both databases: the property, the buses that the new machine has not, the rows of
the disks on them with their names. Or it is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from novadev.capabilities.asked_hosts import AskedHosts
from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.host_word import HostWord, word_on
from novadev.deployment import Deployment
from novadev.errors import InvalidValue, NotAsNeeded, NovadevError
from novadev.image_property.changes import disk_changes, guest_after, kept_disks, property_changes
from novadev.image_property.facts import Facts, with_spec_or_without
from novadev.image_property.past import Past
from novadev.image_property.planning import check_state
from novadev.machine_type import ACTION, windows
from novadev.machine_type.effects import effects
from novadev.machine_type.gathering import Evidence, gather
from novadev.machine_type.objections import canonical, name_faults
from novadev.machine_type.present_effects import with_machine_notes
from novadev.nova.image_properties import MACHINE_TYPE
from novadev.rules.buses import BUS_PROPERTIES, TooManyDisks, UnsupportedBus, bus_for_device_type
from novadev.rules.defaults import with_properties
from novadev.rules.disks import guest_disks
from novadev.rules.fault import Fault
from novadev.rules.guest import ComputeRules, Guest, machine_type
from novadev.rules.machine_types import NAME, Q35, family_of
from novadev.rules.moves import Move, moved_off
from novadev.rules.validity import new_faults
from novadev.runs.change import Change
from novadev.runs.plan import Plan, Planned, Skip
from novadev.selection import Chunk, Selection, iter_selected, of_chunks

_GONE, _INSTEAD = "ide", "sata"
"""The bus that Q35 has not, and the one that its own controller is for."""
_BUSES = {name: kind for name, kind in BUS_PROPERTIES.items() if kind != "floppy"}
"""The properties that may change with the machine, and the kind of disk each one is for."""


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    machine_type: str
    force: bool
    with_request_spec: bool = True


@dataclass(frozen=True)
class _Result:
    """What is stored afterwards: the properties that are set, the disks that move, the guest."""

    values: dict[str, str]
    moves: tuple[Move, ...]
    before: Guest
    after: Guest


def plan_set(
    deployment: Deployment,
    selection: Selection,
    machine_type: str,
    force: bool = False,
    request_spec: bool = True,
    ask_hosts: bool = False,
) -> Iterator[Planned]:
    """Return plans that give the selected instances this MACHINE_TYPE.

    The capability file of a server's host says what the host cannot give; with ASK_HOSTS its
    libvirt does.
    Raises InvalidValue at once for what can be no machine type, and BadInput for a folder of
    compute hosts that cannot be read; what stands against one instance is a Skip.
    """
    if not NAME.fullmatch(machine_type):
        raise InvalidValue(f"{machine_type[:64]!r} is not a machine type; an example is q35")
    hosts = AskedHosts(deployment) if ask_hosts else ComputeHosts(deployment.config)
    request = Request(machine_type, force, request_spec)
    return _iter_plans(deployment, selection, request, hosts)


def _iter_plans(
    deployment: Deployment, selection: Selection, request: Request, hosts: ComputeHosts
) -> Iterator[Planned]:
    past = Past(deployment)

    def plans(chunk: Chunk) -> Iterator[Planned]:
        past.read(chunk)
        for evidence in gather(deployment, chunk, hosts):
            plan = _plan_or_skip(evidence, request, selection.is_named)
            yield with_machine_notes(plan, evidence, past) if isinstance(plan, Plan) else plan

    return of_chunks(iter_selected(deployment, selection), plans, selection.is_named)


def _plan_or_skip(evidence: Evidence, request: Request, named: bool) -> Planned:
    uuid = evidence.facts.instance.uuid
    try:
        plan = plan_one(evidence, request)
    except NovadevError as error:
        return Skip.of(uuid, error, named)
    except (UnsupportedBus, TooManyDisks) as error:
        return Skip.of(uuid, InvalidValue(f"instance {uuid}: {error}"), named)
    return plan or Skip(
        uuid, f"nothing to do for instance {uuid}: it has this machine type already", 0, named
    )


def plan_one(evidence: Evidence, request: Request) -> Plan | None:
    """Return the plan for one instance, still without its notes; None if all is as asked for.

    Raises NotAsNeeded (state, Windows that is not prepared), NotFound (no request spec), BadInput
    (its host's file), InvalidValue (what the guest cannot have) and the rules' UnsupportedBus and
    TooManyDisks.
    """
    check_state(evidence.facts.instance)
    facts = with_spec_or_without(evidence.facts, request.with_request_spec)
    evidence = replace(evidence, facts=facts)
    if evidence.bad_compute is not None:
        raise evidence.bad_compute
    result = _result(evidence, request.machine_type)
    changes = (*property_changes(facts, result.values), *disk_changes(facts, result.moves))
    if not changes:
        return None
    return _plan(evidence, request, result, changes)


def _result(evidence: Evidence, wanted: str) -> _Result:
    guest = evidence.guest
    values, moves = {MACHINE_TYPE: wanted}, tuple[Move, ...]()
    if family_of(canonical(wanted, evidence)) == Q35:
        on_q35 = with_properties(guest, {MACHINE_TYPE: wanted})
        values |= _new_buses(evidence.facts, on_q35, evidence.rules)
        moves = moved_off(guest, evidence.rules, _GONE, _INSTEAD)
    return _Result(values, moves, guest, guest_after(guest, values, moves))


def _new_buses(facts: Facts, on_q35: Guest, rules: ComputeRules) -> Iterator[tuple[str, str]]:
    """Yield the properties that name the bus that is gone, by whatever database they do.

    Also that of disks where the rules give it, as libosinfo does for old systems. Where the request
    spec alone names it, the guest is elsewhere: the spec gets the bus that the guest has.
    """
    spec = (facts.spec.image_properties if facts.spec else None) or {}
    for name, kind in _BUSES.items():
        stored = facts.instance.image_properties.get(name)
        bus = stored or _bus(kind, on_q35, rules)
        if stored == _GONE or (kind == "disk" and bus == _GONE):
            yield name, _INSTEAD
        elif spec.get(name) == _GONE:
            yield name, bus if bus and bus != _GONE else _INSTEAD


def _bus(kind: str, guest: Guest, rules: ComputeRules) -> str | None:
    try:
        return bus_for_device_type(kind, guest, rules)
    except UnsupportedBus:
        return None


def _plan(
    evidence: Evidence, request: Request, result: _Result, changes: tuple[Change, ...]
) -> Plan:
    facts, wanted = evidence.facts, request.machine_type
    before = machine_type(result.before, evidence.rules) or ""
    return Plan(
        action=ACTION,
        instance=facts.instance.uuid,
        cell=facts.instance.cell,
        changes=changes,
        name=facts.instance.name,
        host=facts.instance.host,
        effects=effects(before, wanted, result.before, result.after, evidence),
        notes=_objections(before, evidence, request, result),
        guard=kept_disks(result.before, result.moves),
    )


def _objections(
    before: str, evidence: Evidence, request: Request, result: _Result
) -> tuple[str, ...]:
    """Return what speaks against the change and was overruled; raises where it was not."""
    uuid = evidence.facts.instance.uuid
    faults = [
        *name_faults(before, request.machine_type, result.before, evidence),
        *new_faults(result.before, result.after, evidence.rules),
    ]
    word = _host_word(evidence, result)
    wrong = [fault.message for fault in faults if fault.severity == "error"]
    wrong += word.refused
    if wrong and not request.force:
        raise InvalidValue(f"instance {uuid}: {'; '.join(wrong)} (--force overrides this check)")
    warnings = [fault.message for fault in faults if fault.severity == "warning"]
    warnings += _about_windows(faults, evidence, request, result)
    return (*(f"forced: {text}" for text in wrong), *warnings, *word.notes)


def _host_word(evidence: Evidence, result: _Result) -> HostWord:
    """Return what the host says to the devices on the new board; nothing if it is not known."""
    if evidence.compute is None or evidence.compute.capabilities is None:
        return HostWord()
    return word_on(evidence.compute, evidence.host, result.before, result.after)


def _about_windows(
    faults: list[Fault], evidence: Evidence, request: Request, result: _Result
) -> list[str]:
    """Return what else is to be known of a Windows guest; raises NotAsNeeded, with the way to go.

    Only where its way to the boot disk changes.
    """
    boot = next((fault for fault in faults if fault.rule == "windows-boot"), None)
    if boot is None:
        return []
    if not request.force:
        uuid = evidence.facts.instance.uuid
        old, new = (guest_disks(item, evidence.rules)[0] for item in (result.before, result.after))
        way = windows.route(uuid, request.machine_type, old, new)
        raise NotAsNeeded(f"instance {uuid} runs Windows, and its {_first(boot.message)}. {way}")
    return [windows.INTERFACES]


def _first(message: str) -> str:
    """Return a fault's message up to its reason: what changes."""
    return message.partition(":")[0]
