"""Whether the Nova on a server's host can read what a plan stores: asked again as it is written.

A server may move to a host of an older release between its plan and the write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.nova.instances import Instance, InstanceFilter, list_instances
from novadev.rules.image_meta import unreadable, was_unreadable
from novadev.runs.place import Kind
from novadev.runs.plan import RELEASE, Plan
from novadev.value import Value


def release_guard(values: Mapping[str, Value], release: int) -> dict[str, Any]:
    """Return the guard of a plan that stores VALUES on a host of this RELEASE.

    It is empty where every release reads them.
    """
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    depends = any(was_unreadable(name, value) for name, value in texts.items())
    return {RELEASE: release} if depends else {}


def unread_now(deployment: Deployment, plans: Sequence[Plan]) -> dict[str, str]:
    """Return why the Nova on the host of a server cannot read what its plan stores, by UUID.

    What the release that the plan was made for cannot read either was overruled then. Raises the
    error of a cell that cannot be read.
    """
    guarded = {plan.instance: plan for plan in plans if RELEASE in plan.guard}
    if not guarded:
        return {}
    cell = deployment.cell(plans[0].cell)
    with deployment.cell_database(cell).reading() as connection:
        found = list_instances(connection, cell.uuid, guarded, InstanceFilter())
    releases = ServerReleases(deployment, ComputeHosts(deployment.config))
    reasons = {
        instance.uuid: "; ".join(_reasons(guarded[instance.uuid], releases.of(instance)))
        for instance in found
    }
    hosts = {instance.uuid: _host(instance) for instance in found}
    return {uuid: f"{hosts[uuid]}: {text}: plan again" for uuid, text in reasons.items() if text}


def _host(instance: Instance) -> str:
    return f"it is on host {instance.host or instance.shelved_host} now"


def _reasons(plan: Plan, release: int) -> Iterator[str]:
    if release == plan.guard[RELEASE]:
        return
    in_image = (Kind.PROPERTY, Kind.SPEC)
    texts = {item.place.name: item.after for item in plan.changes if item.place.kind in in_image}
    values = {name: value for name, value in texts.items() if isinstance(value, str)}
    overruled = unreadable(values, plan.guard[RELEASE])
    for name, reason in unreadable(values, release).items():
        if name not in overruled:
            yield reason
