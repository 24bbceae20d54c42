"""Plans that record what is missing, so that a new default does not change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.deployment import Deployment
from novadev.errors import BadInput, NotAsNeeded, NovadevError
from novadev.image_property.changes import check_one_row
from novadev.image_property.decisions import Decision
from novadev.image_property.effects import unreadable_notes
from novadev.image_property.facts import Facts, with_spec_or_without
from novadev.image_property.states import check_at_rest
from novadev.image_property.sync import NO_IMAGE
from novadev.image_property.traits import traits_note
from novadev.nova.image_properties import MACHINE_TYPE, get_property
from novadev.nova.instances import Instance
from novadev.rules.defaults import BY_DEFAULT, RECORDED, REFUSALS
from novadev.rules.guest import property_value
from novadev.runs.change import Change
from novadev.runs.place import in_cell, in_spec
from novadev.runs.plan import Plan, Planned, Skip
from novadev.selection import Chunk, Selection, iter_selected, of_chunks
from novadev.stash_defaults import ACTION
from novadev.stash_defaults.disks import by_disks
from novadev.stash_defaults.effects import HARMLESS, not_again, objection
from novadev.stash_defaults.gathering import gather
from novadev.stash_defaults.sources import (
    Evidence,
    Recorded,
    Source,
    Undecided,
    by_rules,
    decide,
    disagreements,
    taken_out,
    versioned,
)
from novadev.value import ABSENT, Value

NO_OSINFO = (
    "libosinfo is not installed on its host, so the rules ignore the os_distro of this instance "
    "and of others like it"
)
"""What a plan says where a compute host has no libosinfo: the first of a run, for all."""

GUESS = (
    " Its hardware could not be read, so nothing is recorded (--source driver records what the "
    "rules would give it)"
)


@dataclass(frozen=True)
class Request:
    """What was asked for; ``names`` is empty where no properties were named.

    ``is_versioned``: of a machine type, the one that an alias stands for.
    """

    source: Source
    names: tuple[str, ...]
    with_request_spec: bool
    is_prefiltered: bool
    is_versioned: bool = False

    @property
    def wanted(self) -> tuple[str, ...]:
        """The properties to look at."""
        return self.names or BY_DEFAULT


def plan_stash(
    deployment: Deployment,
    selection: Selection,
    source: Source = "auto",
    names: Sequence[str] = (),
    request_spec: bool = True,
    assume_config: str | None = None,
    versioned: bool = False,
) -> Iterator[Planned]:
    """Return plans that record what the selected instances do not store of their hardware.

    Raises InvalidProperty for a name novadev may not touch, BadInput for one that no guest can
    show and for a bad ASSUME_CONFIG; what stands against an instance or a property is a Skip.
    """
    request = Request(
        source,
        tuple(dict.fromkeys(map(_checked, names))),
        request_spec,
        deployment.config.image_metadata_prefilter,
        versioned,
    )
    hosts = ComputeHosts(deployment.config, assume_config)
    return _told_once(_iter_plans(deployment, selection, request, hosts), NO_OSINFO)


def _checked(name: str) -> str:
    plain = name.removeprefix("image_")
    if plain != MACHINE_TYPE:
        get_property(plain)
    if plain not in RECORDED:
        raise BadInput(
            f"Nova reads {plain} only from the rescue image, so there is nothing to record"
        )
    return plain


def _told_once(planned: Iterator[Planned], note: str) -> Iterator[Planned]:
    """Yield what is PLANNED, NOTE in the first plan alone that has it."""
    is_told = False
    for item in planned:
        if isinstance(item, Plan) and note in item.notes:
            if is_told:
                notes = tuple(text for text in item.notes if text != note)
                yield replace(item, notes=notes)
                continue
            is_told = True
        yield item


def _iter_plans(
    deployment: Deployment, selection: Selection, request: Request, hosts: ComputeHosts
) -> Iterator[Planned]:
    def plans(chunk: Chunk) -> Iterator[Planned]:
        for evidence in gather(deployment, chunk, hosts, request.source != "driver"):
            yield from _plan_or_skip(evidence, request, selection.is_named)

    return of_chunks(iter_selected(deployment, selection), plans, selection.is_named)


def _plan_or_skip(evidence: Evidence, request: Request, named: bool) -> Iterator[Planned]:
    uuid = evidence.facts.instance.uuid
    try:
        check_at_rest(evidence.facts.instance)
        _check_built(evidence.facts.instance)
        _check_definition(evidence, request.source)
        if evidence.bad_compute is not None and request.source != "domain":
            raise evidence.bad_compute
        found, undecided = _decide_all(evidence, request)
        plan = _plan(evidence, request, found)
    except NovadevError as error:
        yield Skip.of(uuid, error, named)
        return
    except REFUSALS as error:
        known = next(unreadable_notes(evidence.facts, {}), None)
        reason = known or f"Nova's rules fail: {error}"
        yield Skip.of(uuid, NotAsNeeded(f"instance {uuid}: {reason}"), named)
        return
    if plan is not None:
        yield plan
    elif not undecided:
        yield Skip(
            uuid, f"nothing to do for instance {uuid}: all properties are stored already", 0, named
        )
    for reason, names in undecided.items():
        text = f"instance {uuid}: {', '.join(names)}: {reason}"
        code = 0 if reason in HARMLESS else NotAsNeeded.exit_code
        yield Skip(uuid, text, code, named)
    for text in disagreements(evidence):
        yield Skip(uuid, f"instance {uuid}: {text}", 0, named)


def _check_built(instance: Instance) -> None:
    """Raise NotAsNeeded for an INSTANCE that never had a guest."""
    if instance.was_never_built:
        raise NotAsNeeded(
            f"instance {instance.uuid} was never built, so it has no hardware to record"
        )


def outlook(evidence: Evidence) -> tuple[dict[str, Recorded], dict[str, list[str]]]:
    """Return what would be recorded of a guest, and by reason the properties that would not be.

    Raises the NovadevError, or one of ``rules.defaults.REFUSALS``, for which it would be skipped.
    """
    request = Request("auto", (), with_request_spec=True, is_prefiltered=False, is_versioned=True)
    _check_definition(evidence, request.source)
    if evidence.bad_compute is not None:
        raise evidence.bad_compute
    return _decide_all(evidence, request)


def _check_definition(evidence: Evidence, source: Source) -> None:
    """Raise why the definition was not read, unless the rules may be asked instead.

    A guest on a host has hardware whether it can be seen or not, and a rule would be a guess at
    it. One on no host has none: the next is what the rules give.
    """
    error, instance = evidence.no_domain, evidence.facts.instance
    if error is None or source == "driver" or (source == "auto" and instance.host is None):
        return
    text = f"instance {instance.uuid}: {error}"
    if source != "domain":
        text += ("" if text.endswith("?") else ".") + GUESS
    raise type(error)(text)


def _decide_all(
    evidence: Evidence, request: Request
) -> tuple[dict[str, Recorded], dict[str, list[str]]]:
    """Return what to record by property, and by reason the properties that are not recorded."""
    stored = evidence.facts.instance.image_properties
    missing = [name for name in request.wanted if stored.get(name) is None]
    found: dict[str, Recorded] = {}
    undecided: dict[str, list[str]] = {}
    rules = _rules(evidence, request) if missing else {}
    for name in missing:
        try:
            recorded = _decide(name, evidence, rules, request)
        except Undecided as reason:
            undecided.setdefault(str(reason), []).append(name)
        else:
            found |= {} if recorded is None else {name: recorded}
    return found, undecided


def _decide(
    name: str, evidence: Evidence, rules: Mapping[str, Recorded], request: Request
) -> Recorded | None:
    """Return what to record for one property; raises Undecided, also for what changes something."""
    recorded = decide(name, evidence, rules, request.source)
    if request.source == "auto":
        recorded = by_disks(name, recorded, evidence)
    if name == MACHINE_TYPE and request.is_versioned and recorded is not None:
        recorded = versioned(recorded, evidence)
    against = recorded and objection(name, recorded.value, evidence)
    if against and name not in request.names:
        raise Undecided(against)
    taken = _taken_out(name, recorded, evidence)
    if taken and name not in request.names:
        raise Undecided(not_again(name, taken))
    return recorded


def _taken_out(name: str, recorded: Recorded | None, evidence: Evidence) -> Decision | None:
    """Return the decision that recording takes back: what the rules give is only their default."""
    if recorded is None or recorded.source != "domain":
        return None
    return taken_out(name, recorded.value, evidence)


def _rules(evidence: Evidence, request: Request) -> Mapping[str, Recorded]:
    """Return what the rules give; raises where they fail and nothing else tells."""
    values = evidence.hardware.values if evidence.hardware else {}
    to_store = [
        name
        for name in request.wanted
        if name in request.names or not taken_out(name, values.get(name), evidence)
    ]
    try:
        return by_rules(evidence, to_store)
    except REFUSALS:
        if evidence.hardware is None:
            raise
        return {}


def _plan(evidence: Evidence, request: Request, found: Mapping[str, Recorded]) -> Plan | None:
    facts = evidence.facts
    facts.check_flavor()
    changes = (*_cell_changes(facts, found), *_spec_changes(facts, request, found))
    if not changes:
        return None
    return Plan(
        action=ACTION,
        instance=facts.instance.uuid,
        cell=facts.instance.cell,
        changes=changes,
        name=facts.instance.name,
        host=facts.instance.host,
        notes=tuple(_notes(evidence, request, found, changes)),
    )


def _cell_changes(facts: Facts, found: Mapping[str, Recorded]) -> Iterator[Change]:
    for name, recorded in found.items():
        before: Value = facts.instance.image_properties.get(name, ABSENT)
        if before != recorded.value:
            check_one_row(facts.instance, name)
            yield Change(in_cell(name), before, recorded.value)


def _spec_changes(
    facts: Facts, request: Request, found: Mapping[str, Recorded]
) -> Iterator[Change]:
    """Yield what the request spec lacks: also of what the cell has stored already."""
    if not request.with_request_spec:
        return
    spec = with_spec_or_without(facts, request.with_request_spec).spec
    held = spec.image_properties if spec else None
    for name in request.wanted if held is not None else ():
        recorded = found.get(name)
        value = recorded.value if recorded else facts.instance.image_properties.get(name)
        if value is not None and held is not None and held.get(name) is None:
            yield Change(in_spec(name), held.get(name, ABSENT), value)


def _notes(
    evidence: Evidence,
    request: Request,
    found: Mapping[str, Recorded],
    changes: Sequence[Change],
) -> Iterator[str]:
    for source in ("domain", "disks", "osinfo", "driver"):
        names = [name for name, recorded in found.items() if recorded.source == source]
        if names:
            yield f"from {_described(source, evidence)}: {', '.join(names)}"
    yield from (recorded.remark for recorded in found.values() if recorded.remark)
    for name, recorded in found.items():
        taken = _taken_out(name, recorded, evidence)
        if taken:
            yield f"{name}: {taken.told}"
    if evidence.why_no_domain and request.source == "auto":
        yield f"by the rules only: {evidence.why_no_domain}"
    if any(recorded.source != "domain" for recorded in found.values()) and _lacks_osinfo(evidence):
        yield NO_OSINFO
    if evidence.compute and evidence.compute.outdated and MACHINE_TYPE in found:
        yield evidence.compute.outdated
    if evidence.bad_compute is not None:
        yield f"without the rules of its host: {evidence.bad_compute}"
    if evidence.facts.spec and not request.with_request_spec:
        yield "the request spec is not changed: a resize or cold migration may bring new defaults"
    elif evidence.facts.spec and evidence.facts.spec.image_properties is None:
        yield NO_IMAGE
    yield from unreadable_notes(
        evidence.facts, {name: recorded.value for name, recorded in found.items()}
    )
    about_traits = traits_note(changes)
    if about_traits and request.is_prefiltered:
        yield about_traits


def _lacks_osinfo(evidence: Evidence) -> bool:
    compute = evidence.compute
    if compute is None or property_value(evidence.facts.guest, "os_distro") is None:
        return False
    return compute.is_osinfo_known and not compute.osinfo_available


def _described(source: str, evidence: Evidence) -> str:
    if source == "domain" and evidence.hardware is not None:
        return f"its {evidence.hardware.side} definition"
    if source == "disks":
        return "the rows of its disks"
    name = "libosinfo" if source == "osinfo" else "the driver's rules"
    return f"{name} ({evidence.compute.origin})" if evidence.compute else name
