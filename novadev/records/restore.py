"""Restores recorded addresses: the work behind ``device restore``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from novadev.deployment import Deployment
from novadev.device.forecast.keeping import Keeping
from novadev.device.guests import Hosted
from novadev.device.on_hosts import apply_on_hosts, plan_on_hosts, preview_on_hosts
from novadev.device.selecting import iter_hosted
from novadev.errors import StalePlan, Unreachable
from novadev.records.baseline import Baseline
from novadev.records.device import AsOf, VmDevice
from novadev.records.restore_on_host import (
    ACTION,
    Question,
    plan_guest,
    preview_guest,
    write_guest,
)
from novadev.records.restore_pins import why_pinned, with_pins
from novadev.records.store import VmDevices
from novadev.runs.lease import Fence
from novadev.runs.plan import Draft, Outcome, Plan, Planned, Skip
from novadev.runs.preview import Previewed
from novadev.runs.states import State
from novadev.selection import Selection

Rows = Mapping[str, Sequence[VmDevice]]


def plan_restore(
    deployment: Deployment, selection: Selection, diff: bool = False, as_of: AsOf | None = None
) -> Iterator[Planned]:
    """Return plans that give the devices of the selected guests their recorded addresses.

    Those of the newest record, or AS OF a moment. A guest that cannot have them all is a Skip that
    says why. Raises as :func:`novadev.device.selecting.iter_hosted` and :meth:`Baseline.of`.
    """
    baseline, keeping = Baseline.of(deployment, as_of), Keeping(deployment.config)
    for chunk in iter_hosted(deployment, selection):
        uuids = [item.uuid for item in chunk if not isinstance(item, Skip)]
        rows = baseline.list_devices(uuids)
        hosts = {item.uuid: item.host for item in chunk if not isinstance(item, Skip)}
        store = VmDevices(deployment.state)
        pins, dynamics = store.list_pins(uuids), store.list_dynamics(uuids)
        newest = store.list_found(store.list_devices(uuids) if as_of else rows, pins)
        asked = {
            uuid: Question(
                devices,
                diff,
                pins.get(uuid, {}),
                str(as_of or ""),
                keeping.keeps(hosts[uuid]),
                dynamics[uuid].host if uuid in dynamics else "",
                devices if as_of else newest[uuid],
                newest.get(uuid, ()),
            )
            for uuid, devices in rows.items()
        }
        yield from plan_on_hosts(
            deployment,
            _recorded_ones(chunk, rows, baseline),
            plan_guest,
            lambda instance, asked=asked: asked[instance.uuid],  # type: ignore[misc]
        )


def _recorded_ones(chunk: Sequence[Hosted], rows: Rows, baseline: Baseline) -> Iterator[Hosted]:
    """Yield those of CHUNK of which something is recorded, and a skip for each other one."""
    for item in chunk:
        if isinstance(item, Skip) or item.uuid in rows:
            yield item
        else:
            yield Skip.of(item.uuid, baseline.why_none(item.uuid), item.named)


def apply(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, fence: Fence
) -> list[Outcome]:
    """Write PLANS of one cell; return as :func:`novadev.device.on_hosts.apply_on_hosts`.

    A plan is stale that would move a device off a pin which somebody has set since it was shown.
    """
    found = _pinned_since(deployment, plans, resumed)
    due = [plan for plan in plans if plan.instance not in found]
    written = iter(apply_on_hosts(deployment, due, resumed, fence, write_guest) if due else ())
    return [found.get(plan.instance) or next(written) for plan in plans]


def preview(deployment: Deployment, plans: Sequence[Plan], resumed: bool) -> list[Previewed]:
    """Return what `apply` would make of PLANS; see :func:`preview_on_hosts`."""
    found = _pinned_since(deployment, plans, resumed)
    due = [plan for plan in plans if plan.instance not in found]
    rest = iter(preview_on_hosts(deployment, due, resumed, preview_guest) if due else ())
    return [
        (plan, found[plan.instance]) if plan.instance in found else next(rest) for plan in plans
    ]


def _pinned_since(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool
) -> Mapping[str, Outcome]:
    """Return the outcomes of those of PLANS, by instance, that pins speak against."""
    uuids = [plan.instance for plan in plans]
    try:
        pins = VmDevices(deployment.state).list_pins(uuids)
    except Unreachable as error:
        left = State.STARTED if resumed else State.PLANNED
        return dict.fromkeys(uuids, Outcome(left, str(error), error.exit_code))
    state = State.STARTED if resumed else State.STALE
    return {
        plan.instance: Outcome(state, why, StalePlan.exit_code)
        for plan in plans
        if (why := why_pinned(plan, pins.get(plan.instance, {})))
    }


def with_pin_notes(
    deployment: Deployment, drafts: Iterable[Draft | Skip]
) -> Iterator[Draft | Skip]:
    """Yield DRAFTS of an undo; one that moves pinned devices off their pins has a note of each."""
    for draft in drafts:
        if isinstance(draft, Skip) or draft.plan.action != ACTION:
            yield draft
            continue
        plan = draft.plan
        pins = VmDevices(deployment.state).list_pins([plan.instance]).get(plan.instance, {})
        yield replace(draft, plan=with_pins(plan, pins))
