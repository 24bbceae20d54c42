"""Plans that take out what Nova cannot use: values it cannot read, rows it never reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import InvalidValue, NovadevError
from novadev.image_property.changes import check_one_row, guest_after, kept_disks
from novadev.image_property.effects import disk_effects
from novadev.image_property.facts import Facts, read_facts
from novadev.image_property.past import Past
from novadev.image_property.plan_notes import with_notes
from novadev.image_property.planning import UNSET, Request, check_state, objections
from novadev.image_property.present_effects import disk_setting
from novadev.nova.image_properties import PROPERTIES
from novadev.rules.buses import TooManyDisks, UnsupportedBus
from novadev.rules.guest import ComputeRules
from novadev.rules.image_meta import spelling, unreadable
from novadev.runs.change import Change
from novadev.runs.place import Kind, Place, in_cell, in_spec
from novadev.runs.plan import Plan, Planned, Skip
from novadev.selection import Chunk, Selection, iter_selected, of_chunks
from novadev.value import ABSENT, Value, shown


def plan_unset_unreadable(
    deployment: Deployment, selection: Selection, force: bool = False, request_spec: bool = True
) -> Iterator[Planned]:
    """Return plans that take out the stored values that Nova cannot read, whatever their names.

    Nova is that of the instance's host, as the audit sees it. In the request spec, too, nothing
    else is taken out. Raises BadInput for a folder of compute hosts that cannot be read; what
    stands against one instance is a Skip.
    """
    hosts = ComputeHosts(deployment.config)

    def plan(facts: Facts) -> Plan | None:
        facts = facts if request_spec else facts.without_spec
        return plan_without_unreadable(facts, facts.rules(hosts, deployment.config), force)

    return _iter_plans(deployment, selection, plan, "Nova can read everything that it stores")


def plan_unset_duplicates(deployment: Deployment, selection: Selection) -> Iterator[Planned]:
    """Return plans that take out the rows that Nova never reads: a later one has the same key.

    Nothing changes for Nova. What stands against one instance is a Skip.
    """
    nothing = "it stores each property in only one row"
    return _iter_plans(deployment, selection, _without_duplicates, nothing)


def _without_duplicates(facts: Facts) -> Plan | None:
    instance = facts.instance
    if not instance.hidden_rows:
        return None
    check_state(instance)
    kept = (f"{name}={shown(instance.image_properties[name])}" for name in instance.hidden_rows)
    return Plan(
        action=UNSET,
        instance=instance.uuid,
        cell=instance.cell,
        changes=tuple(
            Change(Place(Kind.HIDDEN, name, row.id), row.value, ABSENT)
            for name, rows in instance.hidden_rows.items()
            for row in rows
        ),
        name=instance.name,
        host=instance.host,
        notes=(f"Nova still reads the same values: {', '.join(kept)}",),
    )


def _iter_plans(
    deployment: Deployment,
    selection: Selection,
    plan: Callable[[Facts], Plan | None],
    nothing: str,
) -> Iterator[Planned]:
    named = selection.is_named
    hosts, past = ComputeHosts(deployment.config), Past(deployment)
    releases = ServerReleases(deployment, hosts)

    def plans(chunk: Chunk) -> Iterator[Planned]:
        past.read(chunk)
        for facts in read_facts(deployment, chunk, releases):
            uuid = facts.instance.uuid
            skip = Skip(uuid, f"nothing to do for instance {uuid}: {nothing}", 0, named)
            try:
                found = plan(facts)
                setting = disk_setting(facts, facts.rules(hosts, deployment.config), past)
                yield with_notes(found, setting) if found else skip
            except NovadevError as error:
                yield Skip.of(uuid, error, named)
            except (UnsupportedBus, TooManyDisks) as error:
                yield Skip.of(uuid, InvalidValue(f"instance {uuid}: {error}"), named)

    return of_chunks(iter_selected(deployment, selection), plans, named)


def plan_without_unreadable(facts: Facts, rules: ComputeRules, force: bool = False) -> Plan | None:
    """Return the plan for one instance, None where Nova can read all that it stores.

    Raises as `novadev.image_property.planning.plan_one`.
    """
    cell = _unreadable(facts.instance.image_properties, facts.release)
    spec = _unreadable((facts.spec and facts.spec.image_properties) or {}, facts.release)
    facts.check_spec()
    if not cell and not spec:
        return None
    check_state(facts.instance)
    for name in cell:
        check_one_row(facts.instance, name)
    facts.check_flavor()
    gone = dict.fromkeys(cell, ABSENT)
    request = Request(UNSET, gone, "none", force)
    after = guest_after(facts.guest, gone, ())
    effects = disk_effects(facts.guest, after, rules) if request.touches_disks else ()
    return Plan(
        action=UNSET,
        instance=facts.instance.uuid,
        cell=facts.instance.cell,
        changes=(
            *(Change(in_cell(name), value, ABSENT) for name, value in cell.items()),
            *(Change(in_spec(name), value, ABSENT) for name, value in spec.items()),
        ),
        name=facts.instance.name,
        host=facts.instance.host,
        effects=effects,
        notes=(
            *_spellings(facts.instance.uuid, cell),
            *objections(facts, after, request, rules, effects),
        ),
        guard=kept_disks(facts.guest, ()) if request.touches_disks else {},
    )


def _unreadable(stored: Mapping[str, Value], release: int) -> dict[str, Value]:
    return {name: stored[name] for name in unreadable(stored, release)}


def _spellings(uuid: str, values: Mapping[str, Value]) -> Iterator[str]:
    """Yield what is lost with a value that Nova has in another spelling."""
    for name, value in values.items():
        known = spelling(name, str(value))
        if known is None or known == value:
            continue
        lost = f"Nova does not know {name}={value}, but it knows {known}"
        if name in PROPERTIES:
            command = f"novadev image-property set --property {name}={known} {uuid}"
            yield f"{lost}: to keep the property, run this instead: {command}"
        else:
            yield f"{lost}: without the property, the server gets Nova's default for {name}"
