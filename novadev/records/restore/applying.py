"""The writer of addresses: the databases are asked once more, then every host writes its guests."""

from __future__ import annotations

from collections.abc import Sequence

from novadev.deployment import Deployment
from novadev.device.on_hosts import apply_on_hosts
from novadev.records.restore.writing import write_guest
from novadev.runs.lease import Fence
from novadev.runs.plan import Outcome, Plan


def apply(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, fence: Fence
) -> list[Outcome]:
    """Write PLANS of one cell; return as :func:`novadev.device.on_hosts.apply_on_hosts`."""
    return apply_on_hosts(deployment, plans, resumed, fence, write_guest)
