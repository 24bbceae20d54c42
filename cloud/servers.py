"""What the cloud begins with: an image, flavors, two servers, and a volume."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from openstack.connection import Connection

from cloud.places import HOSTS
from tests.guest.image import micro_guest

COMMAND_LINE = "console=ttyS0 quiet panic=-1 tsc=unstable agent=real"
LIMIT = 600.0
"""Seconds that a host or a server may take."""
BOOTED = "init: ready"
"""What the micro guest says on its console when it is there."""


def wait_for_hosts(api: Connection) -> None:
    """Wait until Nova has found both compute hosts."""
    _wait(lambda: _found(api) == set(HOSTS), f"Nova does not know {' and '.join(HOSTS)}")


def create(api: Connection) -> None:
    """Make it all, and wait until both servers have booted."""
    image = _create_image(api)
    flavor = api.compute.create_flavor(name="tiny", ram=256, vcpus=1, disk=1)
    api.compute.create_flavor(name="small", ram=320, vcpus=1, disk=2)
    api.compute.create_flavor(name="full", ram=256, vcpus=1, disk=1, ephemeral=1, swap=64)
    network = next(iter(api.network.networks()))
    made = [
        api.compute.create_server(
            name=name,
            image_id=image.id,
            flavor_id=flavor.id,
            networks=[{"uuid": network.id}],
            availability_zone=f"nova:{host}",
        )
        for name, host in zip(("web-1", "db-1"), HOSTS, strict=True)
    ]
    volume = api.block_storage.create_volume(name="data", size=1)
    wait_for_boot(api, made)
    api.compute.create_volume_attachment(made[1], volume_id=volume.id)


def wait_for_boot(api: Connection, servers: Iterable[Any]) -> None:
    """Wait until servers are ACTIVE and their guests have booted."""
    for server in servers:
        api.compute.wait_for_server(server, wait=LIMIT)
        _wait(lambda server=server: BOOTED in _console(api, server), f"{server.name} does not boot")


def _create_image(api: Connection) -> Any:
    """Make the micro guest: a kernel, an initramfs, and a disk with nothing on it."""
    parts = {}
    for name, path in micro_guest()._asdict().items():
        with path.open("rb") as data:
            parts[name] = api.image.create_image(
                name=f"micro-{name}", data=data, disk_format="raw", container_format="bare"
            )
    return api.image.create_image(
        name="micro",
        data=bytes(1 << 20),
        disk_format="raw",
        container_format="bare",
        kernel_id=parts["kernel"].id,
        ramdisk_id=parts["initramfs"].id,
        os_command_line=COMMAND_LINE,
        hw_qemu_guest_agent="yes",
    )


def _found(api: Connection) -> set[str]:
    return {hypervisor.name for hypervisor in api.compute.hypervisors()}


def _console(api: Connection, server: Any) -> str:
    return str(api.compute.get_server_console_output(server, length=20).get("output"))


def _wait(condition: Callable[[], bool], why: str) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{why} after {LIMIT:g} s")
        time.sleep(0.5)
