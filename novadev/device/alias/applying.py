"""Writes aliases: reads the databases once more, then lets every host write its guests."""

from __future__ import annotations

from collections.abc import Sequence

from novadev.deployment import Deployment
from novadev.device.alias.writing import preview_guest, write_guest
from novadev.device.on_hosts import apply_on_hosts, preview_on_hosts
from novadev.nova.instances import Instance
from novadev.rules.server_states import way_to_stopped
from novadev.runs.lease import Fence
from novadev.runs.plan import Outcome, Plan
from novadev.runs.preview import Previewed


def apply(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, fence: Fence
) -> list[Outcome]:
    """Write PLANS of one cell; return as :func:`novadev.device.on_hosts.apply_on_hosts`."""
    return apply_on_hosts(deployment, plans, resumed, fence, write_guest, _refusal)


def preview(deployment: Deployment, plans: Sequence[Plan], resumed: bool) -> list[Previewed]:
    """Return what `apply` would make of PLANS; see :func:`preview_on_hosts`."""
    return preview_on_hosts(deployment, plans, resumed, preview_guest, _refusal)


def _refusal(plan: Plan, instance: Instance) -> str | None:
    if plan.guard.get("whole_definition") and instance.vm_state != "stopped":
        return (
            f"it is {instance.vm_state} now: its whole definition can be replaced only while it is "
            f"stopped ({way_to_stopped(instance.vm_state, instance.host is not None)})"
        )
    return None
