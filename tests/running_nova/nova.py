"""A running Nova as its users have it, and what libvirt and the guest say of what it did."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import libvirt
from lxml import etree

from cloud import client
from cloud.places import RUN
from cloud.settings import NOVA_CONF
from tests.command import Result, novadev
from tests.guest.micro import Agent

LIMIT = 240.0
"""Seconds that Nova or a guest may take; where nothing else runs it takes a tenth."""


class Nova:
    """The cloud that runs; `api` is an admin's connection to it."""

    config_file = NOVA_CONF

    def __init__(self) -> None:
        libvirt.registerErrorHandler(lambda *_: None, None)  # else it prints what it also raises
        self.api = client.connect()
        self._hosts: dict[str, Any] = {}

    def novadev(self, *arguments: str, code: int = 0) -> Result:
        """Run novadev on it; it has to end with CODE."""
        result = novadev(self, *arguments)  # type: ignore[arg-type]
        assert result.code == code, result.out + result.err
        return result

    def create_server(self) -> "Server":
        """Begin to make a server with one port."""
        compute = self.api.compute
        network = next(iter(self.api.network.networks()))
        made = compute.create_server(
            name=f"test-{uuid4().hex[:6]}",
            image_id=self.api.image.find_image("micro").id,
            flavor_id=compute.find_flavor("tiny").id,
            networks=[{"uuid": network.id}],
        )
        return Server(self, made.id)

    def libvirt(self, host: str) -> Any:
        """A connection to a compute host's libvirt."""
        if host not in self._hosts:
            path = f"{RUN}/{host}/run/libvirt/libvirt-sock"
            self._hosts[host] = libvirt.open(f"qemu+unix:///system?socket={path}")
        return self._hosts[host]


class Server:
    """A server, by its UUID."""

    def __init__(self, nova: Nova, uuid: str) -> None:
        self.nova, self.uuid = nova, uuid
        self._compute = nova.api.compute
        self.volumes: list[str] = []

    def stop(self) -> None:
        """Stop it as a user does."""
        self._compute.stop_server(self.uuid)
        self._wait_for_status("SHUTOFF")

    def start(self) -> None:
        """Start it as a user does, and wait for its guest."""
        self._compute.start_server(self.uuid)
        self.wait_for_guest()

    def soft_reboot(self) -> None:
        """Reboot it softly as a user does, and wait for its guest."""
        number = self._domain.ID()
        self._compute.reboot_server(self.uuid, "SOFT")
        wait_for(lambda: self._domain.ID() not in (number, -1), "it is rebooted")
        self.wait_for_guest()

    def delete(self) -> None:
        """Leave nothing of it."""
        self._compute.delete_server(self.uuid)
        self._compute.wait_for_delete(self._compute.get_server(self.uuid), wait=LIMIT)
        for volume in self.volumes:
            self.nova.api.block_storage.delete_volume(volume)

    def attach_volume(self) -> str:
        """Attach a new volume while it runs; its id comes back."""
        volume = self.nova.api.block_storage.create_volume(size=1).id
        self.volumes.append(volume)
        self._compute.create_volume_attachment(self.uuid, volume_id=volume)
        wait_for(lambda: volume in self.text, f"volume {volume} is attached")
        return str(volume)

    def detach_volume(self, volume: str) -> None:
        """Detach a volume while it runs."""
        self._compute.delete_volume_attachment(self.uuid, volume)
        wait_for(lambda: volume not in self.text, f"volume {volume} is detached")

    def detach_ports(self) -> None:
        """Detach its ports while it runs."""
        for port in self._compute.server_interfaces(self.uuid):
            self._compute.delete_server_interface(port, server=self.uuid)
        wait_for(lambda: not self.models(), "its ports are detached")

    def wait_for_guest(self) -> None:
        """Wait until it is ACTIVE and its guest has booted."""
        self._wait_for_status("ACTIVE")
        wait_for(lambda: self.guest.answers, "its guest has booted")

    @property
    def guest(self) -> Agent:
        """The agent of its guest."""
        return Agent(self._domain)

    @property
    def text(self) -> str:
        """Its live definition, or the persistent one where it does not run."""
        return str(self._domain.XMLDesc())

    def disks(self) -> dict[str, str]:
        """The bus of each of its disks by target."""
        targets = self._devices("disk/target")
        return {str(target.get("dev")): str(target.get("bus")) for target in targets}

    def models(self) -> list[str]:
        """The model of each of its network cards."""
        return [str(model.get("type")) for model in self._devices("interface/model")]

    def machine(self) -> str:
        """Its machine type, as QEMU names it."""
        return str(etree.fromstring(self.text).xpath("string(os/type/@machine)"))

    @property
    def _domain(self) -> Any:
        host = self._compute.get_server(self.uuid).compute_host
        return self.nova.libvirt(host).lookupByUUIDString(self.uuid)

    def _devices(self, path: str) -> list[etree._Element]:
        return etree.fromstring(self.text).findall(f"devices/{path}")

    def _wait_for_status(self, status: str) -> None:
        found = self._compute.get_server(self.uuid)
        self._compute.wait_for_server(found, status=status, wait=LIMIT)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until CONDITION comes true; raises TimeoutError after LIMIT seconds."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {LIMIT:g} s: {what}")
        time.sleep(0.5)
