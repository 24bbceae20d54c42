"""Plans that set or take out image properties: what changes, and what the guest will see.

A plan changes the cell (system_metadata, and the disks that move with a bus) and the request spec
of the API database, or it is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from novadev.capabilities.asked_hosts import AskedHosts
from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.host_word import HostWord, word_on
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import InvalidValue, NotAsNeeded, NovadevError
from novadev.image_property.changes import (
    disk_changes,
    guest_after,
    kept_disks,
    property_changes,
    with_moves,
)
from novadev.image_property.effects import disk_effects, futile, mended_without_moving
from novadev.image_property.facts import Facts, read_facts, with_spec_or_without
from novadev.image_property.past import Past
from novadev.image_property.plan_notes import with_notes
from novadev.image_property.present_effects import disk_setting
from novadev.image_property.readability import release_guard
from novadev.nova.image_properties import get_property
from novadev.nova.instances import Instance
from novadev.rules.buses import BUS_PROPERTIES, TooManyDisks, UnsupportedBus, bus_for_device_type
from novadev.rules.guest import ComputeRules, Guest
from novadev.rules.image_meta import unreadable
from novadev.rules.moves import Move, Which, moved
from novadev.rules.server_states import way_to_stopped
from novadev.rules.validity import new_faults
from novadev.runs.change import Effect
from novadev.runs.plan import Plan, Planned, Skip
from novadev.selection import Chunk, Selection, iter_selected, of_chunks
from novadev.value import ABSENT, Value

SET, UNSET = "image-property set", "image-property unset"
_NO_WORD = HostWord()
VM_STATES = frozenset(("stopped", "shelved", "shelved_offloaded"))


@dataclass(frozen=True)
class Request:
    """What was asked for: canonical values by name, ABSENT to take a property out."""

    action: str
    values: Mapping[str, Value]
    update_disks: Which
    force: bool
    with_request_spec: bool = True

    @property
    def touches_disks(self) -> bool:
        """Whether a property of the request gives disks their bus."""
        return any(name in BUS_PROPERTIES for name in self.values)


def plan_set(
    deployment: Deployment,
    selection: Selection,
    properties: Mapping[str, str],
    update_disks: Which = "matching",
    force: bool = False,
    request_spec: bool = True,
    ask_hosts: bool = False,
) -> Iterator[Planned]:
    """Return plans that store PROPERTIES, in the spelling Nova coerces them to.

    The capability file of a server's host says what the host cannot give; with ASK_HOSTS its
    libvirt does. Raises InvalidProperty or InvalidValue at once; what stands against one instance
    is a Skip.
    """
    values = {name: get_property(name).canonical(value) for name, value in properties.items()}
    hosts = AskedHosts(deployment) if ask_hosts else ComputeHosts(deployment.config)
    request = Request(SET, values, update_disks, force, request_spec)
    return _iter_plans(deployment, selection, request, hosts)


def plan_unset(
    deployment: Deployment,
    selection: Selection,
    names: tuple[str, ...],
    force: bool = False,
    request_spec: bool = True,
) -> Iterator[Planned]:
    """Return plans that take out the stored NAMES; disks keep the bus they have.

    Raises InvalidProperty at once; what stands against one instance is a Skip.
    """
    values = {get_property(name).name: ABSENT for name in names}
    request = Request(UNSET, values, "none", force, request_spec)
    return _iter_plans(deployment, selection, request, ComputeHosts(deployment.config))


def _iter_plans(
    deployment: Deployment, selection: Selection, request: Request, hosts: ComputeHosts
) -> Iterator[Planned]:
    named, saved = selection.is_named, ComputeHosts(deployment.config)
    releases, past = ServerReleases(deployment, saved), Past(deployment)

    def plans(chunk: Chunk) -> Iterator[Planned]:
        past.read(chunk)
        for facts in read_facts(deployment, chunk, releases):
            rules = facts.rules(saved, deployment.config)
            plan = _plan_or_skip(facts, request, rules, hosts, named)
            if isinstance(plan, Plan):
                plan = with_notes(plan, disk_setting(facts, rules, past))
            yield plan

    return of_chunks(iter_selected(deployment, selection), plans, named)


def _plan_or_skip(
    facts: Facts, request: Request, rules: ComputeRules, hosts: ComputeHosts, named: bool
) -> Planned:
    uuid = facts.instance.uuid
    try:
        plan = plan_one(facts, request, rules, hosts)
    except NovadevError as error:
        return Skip.of(uuid, error, named)
    except (UnsupportedBus, TooManyDisks) as error:
        return Skip.of(uuid, InvalidValue(f"instance {uuid}: {error}"), named)
    return plan or Skip(
        uuid, f"nothing to do for instance {uuid}: its stored properties would not change", 0, named
    )


def plan_one(
    facts: Facts, request: Request, rules: ComputeRules, hosts: ComputeHosts
) -> Plan | None:
    """Return the plan for one instance, still without `with_notes`; None if all is as asked for.

    Raises NotAsNeeded (state, no effect), NotFound (no request spec), InvalidValue (a
    combination that the guest cannot have, or its host cannot give), BadInput (its host's file)
    and the rules' UnsupportedBus and TooManyDisks.
    """
    check_state(facts.instance)
    facts = with_spec_or_without(facts, request.with_request_spec)
    moves = _moves(facts.guest, request, rules)
    after = guest_after(facts.guest, request.values, moves)
    changes = (*property_changes(facts, request.values), *disk_changes(facts, moves))
    if not changes:
        return None
    effects = disk_effects(facts.guest, after, rules) if request.touches_disks else ()
    word = host_word(facts, after, hosts) if request.action == SET else HostWord()
    return Plan(
        action=request.action,
        instance=facts.instance.uuid,
        cell=facts.instance.cell,
        changes=changes,
        name=facts.instance.name,
        host=facts.instance.host,
        effects=effects,
        notes=objections(facts, after, request, rules, effects, word),
        guard={
            **(kept_disks(facts.guest, moves) if request.touches_disks else {}),
            **release_guard(request.values, facts.release),
        },
    )


def when_down(vm_state: str | None, is_on_host: bool) -> str:
    """Return in which states image properties can change, and how a server gets there."""
    return (
        "image properties can be changed only while it is stopped, shelved or shelved_offloaded "
        f"({way_to_stopped(vm_state, is_on_host)})"
    )


def check_state(instance: Instance) -> None:
    """Raise NotAsNeeded unless INSTANCE is stopped or shelved and has no task in progress."""
    if instance.vm_state not in VM_STATES:
        raise NotAsNeeded(
            f"instance {instance.uuid} is {instance.vm_state}: "
            f"{when_down(instance.vm_state, instance.host is not None)}"
        )
    if instance.task_state is not None:
        raise NotAsNeeded(f"instance {instance.uuid} has a task in progress: {instance.task_state}")


def _moves(guest: Guest, request: Request, rules: ComputeRules) -> tuple[Move, ...]:
    """Return the disks that move with the buses of the request, kind by kind."""
    model = {name: value for name, value in request.values.items() if name == "hw_scsi_model"}
    guest, found = guest_after(guest, model, ()), list[Move]()
    for name, kind in BUS_PROPERTIES.items():
        new_bus = request.values.get(name)
        if not isinstance(new_bus, str):
            continue
        old_bus = _present_bus(kind, guest, rules)
        going = moved(guest, rules, kind, old_bus, new_bus, request.update_disks)
        guest = with_moves(guest, going)
        found += going
    return tuple(found)


def _present_bus(kind: str, guest: Guest, rules: ComputeRules) -> str:
    try:
        return bus_for_device_type(kind, guest, rules) or ""
    except UnsupportedBus:
        return guest.image_properties.get(f"hw_{kind}_bus") or ""


def objections(
    facts: Facts,
    after: Guest,
    request: Request,
    rules: ComputeRules,
    effects: tuple[Effect, ...],
    word: HostWord = _NO_WORD,
) -> tuple[str, ...]:
    """Return what speaks against the change and was overruled; raises where it was not."""
    uuid = facts.instance.uuid
    faults = new_faults(facts.guest, after, rules)
    wrong = [fault.message for fault in faults if fault.severity == "error"]
    wrong += [*unreadable_only_now(facts.guest, after, rules.release), *word.refused]
    if wrong and not request.force:
        raise InvalidValue(f"instance {uuid}: {'; '.join(wrong)} (--force overrides this check)")
    vain = futile(facts, after, request.values, effects, BUS_PROPERTIES)
    if vain and not request.force:
        raise NotAsNeeded(f"instance {uuid}: {_no_effect(vain)} (--force stores it)")
    warnings = [fault.message for fault in faults if fault.severity == "warning"]
    warnings += mended_without_moving(facts, request.values, effects, BUS_PROPERTIES)
    return (*(f"forced: {text}" for text in (*wrong, *vain)), *warnings, *word.notes)


def _no_effect(reasons: tuple[str, ...]) -> str:
    """Return that a change comes to nothing; the bus of disks counts for those that come later."""
    is_about_disks = all(reason.startswith(tuple(BUS_PROPERTIES)) for reason in reasons)
    return f"no effect{' on its present disks' * is_about_disks}: {'; '.join(reasons)}"


def host_word(facts: Facts, after: Guest, hosts: ComputeHosts) -> HostWord:
    """Return what the host of a server says to the guest that it will be; raises as `plan_one`."""
    host = facts.instance.host or facts.instance.shelved_host
    return word_on(hosts.find(host), host, facts.guest, after)


def unreadable_only_now(before: Guest, after: Guest, release: int) -> Iterator[str]:
    """Yield why the release of Nova on the guest's host cannot read what the change stores."""
    old = unreadable(before.image_properties, release)
    for name, reason in unreadable(after.image_properties, release).items():
        if old.get(name) != reason:
            yield reason
