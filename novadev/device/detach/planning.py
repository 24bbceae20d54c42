"""The plan that detaches one device from one guest."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.deployment import Deployment
from novadev.device.detach.guest import Wish, plan_device
from novadev.device.selecting import get_hosted
from novadev.runs.plan import Planned


def plan_detach(
    deployment: Deployment, instance: str, device: str, timeout: int, force: bool
) -> Iterator[Planned]:
    """Return the plan that detaches DEVICE from INSTANCE, waiting TIMEOUT seconds for the guest.

    Raises NotFound for either, NotAsNeeded for a device that is no orphan (unless FORCE) or has
    no device at all (a ghost), BadInput for a name that fits several, Unreachable for the host.
    """
    hosted = get_hosted(deployment, instance)
    wish = Wish(device, timeout, force)
    yield deployment.hosts.call(hosted.host, plan_device, hosted, wish)
