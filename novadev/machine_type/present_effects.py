"""The effects of plans of the past, by what is stored now."""

from __future__ import annotations

from collections.abc import Sequence

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.deployment import Deployment
from novadev.image_property.present_effects import chunk_of, guest_with, noted, renewed
from novadev.machine_type.effects import effects
from novadev.machine_type.gathering import Evidence, gather
from novadev.rules.guest import Guest, machine_type
from novadev.runs.change import Effect
from novadev.runs.plan import Plan


def with_machine_effects(deployment: Deployment, plans: Sequence[Plan]) -> dict[str, Plan]:
    """Return PLANS of one cell with what their guests will see of them, by UUID."""
    hosts = ComputeHosts(deployment.config)
    by_uuid = {plan.instance: plan for plan in plans}
    found = {}
    for evidence in gather(deployment, chunk_of(deployment, plans), hosts):
        plan = by_uuid[evidence.facts.instance.uuid]
        old, new = evidence.guest, guest_with(evidence.guest, plan.changes)
        with_notes = noted(plan, old, new, evidence.rules)
        found[plan.instance] = renewed(with_notes, effects_between, old, new, evidence)
    return found


def effects_between(old: Guest, new: Guest, evidence: Evidence) -> tuple[Effect, ...]:
    """Return what the guest will see of a change from OLD to NEW; raises as `effects`."""
    before, after = (machine_type(guest, evidence.rules) or "" for guest in (old, new))
    return effects(before, after, old, new, evidence)
