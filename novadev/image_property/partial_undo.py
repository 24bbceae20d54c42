"""How far an undo goes where volumes were attached or detached since its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.image_property.changes import guest_with
from novadev.image_property.facts import Facts, read_facts
from novadev.image_property.guards import disks_differ
from novadev.image_property.planning import host_word, unreadable_only_now
from novadev.image_property.present_effects import chunk_of
from novadev.rules.guest import without_dev
from novadev.rules.validity import new_faults
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.runs.plan import AGAIN, UNDO, Outcome, Plan


@dataclass(frozen=True)
class WayBack:
    """What of an undo is written, with the disks of today as its guard.

    ``left`` says why of the changes that are left, by the text of their places; ``refusal`` why
    nothing is written at all.
    """

    plan: Plan
    left: Mapping[str, str] = field(default_factory=dict)
    refusal: str | None = None

    def outcome(self, landed: Outcome) -> Outcome:
        """Return the outcome LANDED, with what was left."""
        if not self.left:
            return landed
        rows = list(dict.fromkeys(what.rpartition(" ")[0] for what in self.left))
        are = "is" if len(rows) == 1 else "are"
        text = f"{', '.join(rows)} {are} gone, so what the run wrote there is left"
        error = (
            f"{landed.error}; {text}" if landed.error else f"instance {self.plan.instance}: {text}"
        )
        return replace(landed, error=error, left={**landed.left, **self.left})


def ways_back(deployment: Deployment, plans: Sequence[Plan]) -> dict[str, WayBack]:
    """Return how far those of PLANS go, by UUID, that are undos and whose disks are others by now.

    All PLANS are of one cell. Raises the error of a database that cannot be read.
    """
    undos = {plan.instance: plan for plan in plans if plan.guard.get(UNDO) and _has_disks(plan)}
    if not undos:
        return {}
    hosts = ComputeHosts(deployment.config)
    chunk = chunk_of(deployment, list(undos.values()))
    found = {}
    for facts in read_facts(deployment, chunk, ServerReleases(deployment, hosts)):
        plan, guest = undos[facts.instance.uuid], facts.guest
        going = _changes(plan, {device.id for device in guest.block_devices})
        if len(going) < len(plan.changes) or disks_differ(
            plan, guest.block_devices, guest.image_properties.get("hw_disk_bus")
        ):
            found[plan.instance] = _way_back(deployment, facts, plan, going, hosts)
    return found


def _has_disks(plan: Plan) -> bool:
    return "kept_disks" in plan.guard


def _changes(plan: Plan, rows: set[int]) -> tuple[Change, ...]:
    """Return the changes of PLAN without those of disks that are not in ROWS any more."""
    return tuple(
        item for item in plan.changes if item.place.kind is not Kind.DISK or item.place.row in rows
    )


def _way_back(
    deployment: Deployment,
    facts: Facts,
    plan: Plan,
    going: tuple[Change, ...],
    hosts: ComputeHosts,
) -> WayBack:
    left = {item.what: "is gone" for item in plan.changes if item not in going}
    moved = {item.place.row for item in going if item.place.kind is Kind.DISK}
    disks = facts.guest.block_devices
    kept = [[one.id, one.disk_bus, one.device_name] for one in disks if one.id not in moved]
    trimmed = replace(plan, changes=going, guard={**plan.guard, "kept_disks": kept})
    wrong = list(_objections(deployment, facts, plan, trimmed, hosts))
    text = f"its disks have changed since the run, and {'; '.join(wrong)}: {AGAIN}"
    return WayBack(trimmed, left, text if wrong else None)


def _objections(
    deployment: Deployment, facts: Facts, plan: Plan, trimmed: Plan, hosts: ComputeHosts
) -> Iterator[str]:
    """Yield what speaks against the guest that TRIMMED, a part of PLAN, would make.

    These are the checks of ``image-property set`` for the same values.
    """
    if _lost_its_root(plan, trimmed):
        yield "its root disk is gone"
        return
    rules = facts.rules(hosts, deployment.config)
    after = guest_with(facts.guest, trimmed.changes)
    for fault in new_faults(facts.guest, after, rules):
        if fault.severity == "error":
            yield fault.message
    yield from unreadable_only_now(facts.guest, after, rules.release)
    try:
        yield from host_word(facts, after, hosts).refused
    except NovadevError as error:
        yield str(error)


def _lost_its_root(plan: Plan, trimmed: Plan) -> bool:
    """Whether the row is gone whose name is to be the instance's own name of its root disk."""
    gone = {str(item.before) for item in plan.changes if item not in trimmed.changes}
    roots = {str(item.before) for item in plan.changes if item.place.kind is Kind.ROOT}
    return bool({without_dev(name) for name in gone} & {without_dev(name) for name in roots})
