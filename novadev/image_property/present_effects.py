"""The effects of plans of the past, by what is stored now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ParamSpec

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.image_property.changes import guest_after
from novadev.image_property.effects import disk_effects
from novadev.image_property.facts import read_facts
from novadev.nova.block_devices import BlockDevice
from novadev.nova.instances import InstanceFilter, list_instances
from novadev.rules.buses import TooManyDisks, UnsupportedBus
from novadev.rules.guest import ComputeRules, Guest
from novadev.rules.outcome import outcome_notes, unsaid
from novadev.runs.change import Change, Effect
from novadev.runs.place import Kind
from novadev.runs.plan import Plan
from novadev.selection import Chunk

P = ParamSpec("P")
WithEffects = Callable[[Deployment, Sequence[Plan]], Mapping[str, Plan]]
"""Returns plans of one cell with their present effects, by the UUID of the instance."""


def with_disk_effects(deployment: Deployment, plans: Sequence[Plan]) -> dict[str, Plan]:
    """Return PLANS of one cell with what their guests will see of them, by UUID."""
    hosts = ComputeHosts(deployment.config)
    releases = ServerReleases(deployment, hosts)
    by_uuid = {plan.instance: plan for plan in plans}
    found = {}
    for facts in read_facts(deployment, chunk_of(deployment, plans), releases):
        plan, old = by_uuid[facts.instance.uuid], facts.guest
        rules, new = facts.rules(hosts, deployment.config), guest_with(old, plan.changes)
        with_notes = noted(plan, old, new, rules)
        found[plan.instance] = (
            renewed(with_notes, disk_effects, old, new, rules)
            if "kept_disks" in plan.guard
            else with_notes
        )
    return found


def chunk_of(deployment: Deployment, plans: Sequence[Plan]) -> Chunk:
    """Return the instances of PLANS, all of one cell, that live there."""
    cell = deployment.cell(plans[0].cell)
    uuids = [plan.instance for plan in plans]
    with deployment.cell_database(cell).reading() as connection:
        instances = list_instances(connection, cell.uuid, uuids, InstanceFilter())
    return Chunk(cell, tuple(instances), {})


def is_about_disks(plan: Plan) -> bool:
    """Return whether PLAN changes the disks of its guest, or the controller that they are on."""
    names = (item.place.name for item in plan.changes if item.place.kind is Kind.PROPERTY)
    return "kept_disks" in plan.guard or "hw_scsi_model" in names


def noted(plan: Plan, old: Guest, new: Guest, rules: ComputeRules) -> Plan:
    """Return PLAN with what is to be known of the disks that its guest will have."""
    more = unsaid(outcome_notes(old, new, rules), plan.notes)
    return replace(plan, notes=(*plan.notes, *more))


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


def guest_with(guest: Guest, changes: Iterable[Change]) -> Guest:
    """Return GUEST with CHANGES written: its properties, the rows of its disks, the root's name."""
    items = list(changes)
    values = {item.place.name: item.after for item in items if item.place.kind is Kind.PROPERTY}
    roots = [str(item.after) for item in items if item.place.kind is Kind.ROOT]
    return replace(
        guest_after(guest, values, ()),
        block_devices=tuple(_device_with(device, items) for device in guest.block_devices),
        root_device_name=roots[0] if roots else guest.root_device_name,
    )


def _device_with(device: BlockDevice, changes: Iterable[Change]) -> BlockDevice:
    for item in changes:
        if item.place.kind is Kind.DISK and item.place.row == device.id:
            value = item.after if isinstance(item.after, str) else None
            if item.place.name == "disk_bus":
                device = replace(device, disk_bus=value)
            else:
                device = replace(device, device_name=value)
    return device
