"""The effects of plans of the past, by what is stored now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.deployment import Deployment
from novadev.image_property.changes import guest_with
from novadev.image_property.past import Past
from novadev.image_property.plan_notes import Setting, with_notes
from novadev.image_property.present_effects import chunk_of, renewed
from novadev.machine_type.effects import effects, notes
from novadev.machine_type.gathering import Evidence, gather
from novadev.rules.buses import TooManyDisks, UnsupportedBus
from novadev.rules.guest import Guest, machine_type
from novadev.runs.change import Effect
from novadev.runs.plan import Plan


def with_machine_effects(deployment: Deployment, plans: Sequence[Plan]) -> dict[str, Plan]:
    """Return PLANS of one cell with what their guests will see of them, by UUID."""
    hosts, past = ComputeHosts(deployment.config), Past(deployment)
    by_uuid = {plan.instance: plan for plan in plans}
    chunk, found = chunk_of(deployment, plans), {}
    past.read(chunk)
    for evidence in gather(deployment, chunk, hosts):
        plan, old = by_uuid[evidence.facts.instance.uuid], evidence.guest
        plan = renewed(plan, effects_between, old, guest_with(old, plan.changes), evidence)
        found[plan.instance] = with_machine_notes(plan, evidence, past)
    return found


def with_machine_notes(plan: Plan, evidence: Evidence, past: Past) -> Plan:
    """Return PLAN with all notes that hold for it now; see `with_notes`."""
    guest, rules = evidence.guest, evidence.rules
    known = past.unstarted(plan.instance, guest)
    setting = Setting(
        evidence.facts, guest, rules, partial(effects_between, evidence=evidence), known
    )
    after = guest_with(guest, plan.changes)
    before, wanted = (machine_type(item, rules) or "" for item in (guest, after))
    try:
        own = tuple(notes(before, wanted, after, evidence))
    except (UnsupportedBus, TooManyDisks):
        own = ()
    return with_notes(plan, setting, own)


def effects_between(old: Guest, new: Guest, evidence: Evidence) -> tuple[Effect, ...]:
    """Return what the guest will see of a change from OLD to NEW; raises as `effects`."""
    before, after = (machine_type(guest, evidence.rules) or "" for guest in (old, new))
    return effects(before, after, old, new, evidence)
