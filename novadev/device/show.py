"""The devices of one guest, wherever it is: the work behind ``device show``."""

from __future__ import annotations

from novadev.deployment import Deployment
from novadev.device.selecting import get_hosted
from novadev.device.show_on_host import GuestDevices, Side, read_devices


def show_devices(
    deployment: Deployment,
    name: str,
    device: str | None = None,
    side: Side | None = None,
    no_database: bool = False,
    asks_guest: bool = False,
) -> GuestDevices:
    """Return the devices of the instance NAME; just the one called DEVICE, or of one SIDE.

    ASKS_GUEST: with what the guest calls its disks, if it runs and its agent says so in time.
    Raises NotFound for the instance, its domain or DEVICE, NotAsNeeded for an instance on no
    host, BadInput for a DEVICE that fits several and Unreachable for a host that is down.
    """
    instance = get_hosted(deployment, name, no_database)
    special = deployment.config.special_managed_devices
    return deployment.hosts.call(
        instance.host, read_devices, instance, device, side, special, asks_guest
    )
