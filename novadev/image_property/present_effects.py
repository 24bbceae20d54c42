"""The effects of plans of the past, by what is stored now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ParamSpec

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.image_property.changes import guest_with
from novadev.image_property.effects import disk_effects
from novadev.image_property.facts import Facts, read_facts
from novadev.image_property.past import Past
from novadev.image_property.plan_notes import Setting, with_notes
from novadev.nova.instances import InstanceFilter, list_instances
from novadev.rules.buses import TooManyDisks, UnsupportedBus
from novadev.rules.guest import ComputeRules, Guest
from novadev.runs.change import Effect
from novadev.runs.plan import Plan
from novadev.selection import Chunk

P = ParamSpec("P")
WithEffects = Callable[[Deployment, Sequence[Plan]], Mapping[str, Plan]]
"""Returns plans of one cell with their present effects, by the UUID of the instance."""


def with_disk_effects(deployment: Deployment, plans: Sequence[Plan]) -> dict[str, Plan]:
    """Return PLANS of one cell with what their guests will see of them, by UUID."""
    hosts, past = ComputeHosts(deployment.config), Past(deployment)
    releases = ServerReleases(deployment, hosts)
    by_uuid = {plan.instance: plan for plan in plans}
    chunk, found = chunk_of(deployment, plans), {}
    past.read(chunk)
    for facts in read_facts(deployment, chunk, releases):
        plan, old = by_uuid[facts.instance.uuid], facts.guest
        rules = facts.rules(hosts, deployment.config)
        if "kept_disks" in plan.guard:
            new = guest_with(old, plan.changes)
            plan = renewed(plan, disk_effects, old, new, rules)
        found[plan.instance] = with_notes(plan, disk_setting(facts, rules, past))
    return found


def disk_setting(facts: Facts, rules: ComputeRules, past: Past) -> Setting:
    """Return what a plan of image properties is compared with for its notes."""
    guest = facts.guest

    def effects(old: Guest, new: Guest) -> tuple[Effect, ...]:
        return disk_effects(old, new, rules)

    return Setting(facts, guest, rules, effects, past.unstarted(facts.instance.uuid, guest))


def chunk_of(deployment: Deployment, plans: Sequence[Plan]) -> Chunk:
    """Return the instances of PLANS, all of one cell, that live there."""
    cell = deployment.cell(plans[0].cell)
    uuids = [plan.instance for plan in plans]
    with deployment.cell_database(cell).reading() as connection:
        instances = list_instances(connection, cell.uuid, uuids, InstanceFilter())
    return Chunk(cell, tuple(instances), {})


def renewed(
    plan: Plan, effects: Callable[P, tuple[Effect, ...]], *args: P.args, **kwargs: P.kwargs
) -> Plan:
    """Return PLAN with the EFFECTS of the arguments.

    Where Nova could not start the guest, a note says why there are none.
    """
    try:
        return replace(plan, effects=effects(*args, **kwargs))
    except (NovadevError, TooManyDisks, UnsupportedBus) as error:
        note = f"what the guest will see at its next power-on is not known: {error}"
        return replace(plan, effects=(), notes=(*plan.notes, note))
