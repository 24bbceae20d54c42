"""A running Nova as its users have it: its API, and nothing else of it."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import libvirt
from openstack.exceptions import BadRequestException

from cloud import client
from cloud.places import HOSTS, RUN
from cloud.settings import COMPUTE_CONFIGS, NOVA_CONF
from tests.command import Result, novadev
from tests.running_nova.guest import Guest

LIMIT = 600.0
"""Seconds that Nova or a guest may take; where nothing else runs it takes a tenth."""
COMPUTE = "nova-compute"
BOOTS = ("kernel_id", "ramdisk_id", "os_command_line", "hw_qemu_guest_agent")
"""The properties of the image by which its guest boots."""


class Nova:
    """The cloud that runs; `api` is an admin's connection to it."""

    config_file = NOVA_CONF

    def __init__(self) -> None:
        libvirt.registerErrorHandler(lambda *_: None, None)  # else it prints what it also raises
        self.api = client.connect()
        self._hosts: dict[str, Any] = {}

    @property
    def keeps(self) -> bool:
        """Whether its hosts keep addresses and aliases."""
        files = [COMPUTE_CONFIGS / f"{host}.conf" for host in HOSTS]
        return all("keep_addresses = on" in file.read_text() for file in files)

    def novadev(self, *arguments: str, code: int = 0) -> Result:
        """Run novadev on it; it has to end with CODE."""
        result = novadev(self, *arguments)  # type: ignore[arg-type]
        assert result.code == code, result.out + result.err
        return result

    def write(self, *arguments: str, code: int = 0) -> Any:
        """Run a command that writes, without a question; its document comes back."""
        return self.novadev(*arguments, "--yes", "-f", "json", code=code).json

    def image(self, **more: str) -> str:
        """The id of the image that servers are made from, or of a new one with MORE properties."""
        found = self.api.image.find_image("micro")
        if not more:
            return str(found.id)
        made = self.api.image.create_image(
            name=f"micro-{uuid4().hex[:6]}",
            data=bytes(1 << 20),
            disk_format="raw",
            container_format="bare",
            **({name: str(found[name]) for name in BOOTS} | more),
        )
        return str(made.id)

    def create_server(
        self, *, host: str = "cmp1", flavor: str = "tiny", name: str = "test", **more: Any
    ) -> "Server":
        """Begin to make a server with one port; MORE is what the API takes beside that."""
        compute = self.api.compute
        network = next(iter(self.api.network.networks()))
        if "block_device_mapping" not in more:
            more = {"image_id": self.image(), **more}
        made = compute.create_server(
            name=f"{name}-{uuid4().hex[:6]}",
            flavor_id=compute.find_flavor(flavor).id,
            networks=[{"uuid": network.id}],
            availability_zone=f"nova:{host}",
            **more,
        )
        return Server(self, made.id)

    def create_volume(self) -> str:
        """The id of a new volume, which has the size of GiB."""
        return str(self.api.block_storage.create_volume(size=1).id)

    def create_bootable_volume(self) -> str:
        """The id of a new volume that boots what the image boots."""
        volume = self.api.block_storage.create_volume(size=1)
        image = self.api.image.find_image("micro")
        known = {"image_id": image.id, "min_ram": "0", "min_disk": "0"}
        known |= {name: str(image[name]) for name in BOOTS}
        self.api.block_storage.set_volume_bootable_status(volume, True)
        self.api.block_storage.set_volume_image_metadata(volume, **known)
        return str(volume.id)

    def revive(self, host: str) -> None:
        """Let a host that counts as dead come back with a nova-compute that starts."""
        end_compute(host)
        until(lambda: self._is_forced_up(host), f"{host} is back")

    def _is_forced_up(self, host: str) -> bool:
        """Say that it is alive; Nova refuses until it has removed what was evacuated."""
        try:
            self.api.compute.update_service_forced_down(None, host, COMPUTE, False)
        except BadRequestException:
            return False
        return True

    def libvirt(self, host: str) -> Any:
        """A connection to a compute host's libvirt."""
        try:
            self._hosts[host].getLibVersion()
        except (KeyError, libvirt.libvirtError):  # none yet, or its libvirtd was restarted
            path = f"{RUN}/{host}/run/libvirt/libvirt-sock"
            self._hosts[host] = libvirt.open(f"qemu+unix:///system?socket={path}")
        return self._hosts[host]


class NotAttached(Exception):
    """Nova took a volume back because its host could not attach it."""


class NotResized(Exception):
    """Nova has left a server as it is: no other host could take it."""


class Server:
    """A server, by its UUID: each method asks Nova for one thing and waits until it is done."""

    def __init__(self, nova: Nova, uuid: str) -> None:
        self.nova, self.uuid = nova, uuid
        self._compute = nova.api.compute
        self.volumes: list[str] = []

    @property
    def host(self) -> str:
        """The compute host where it is."""
        return str(self._row().compute_host)

    @property
    def guest(self) -> Guest:
        """What runs on its host."""
        return Guest(self.nova.libvirt(self.host).lookupByUUIDString(self.uuid))

    def stop(self) -> None:
        """Stop it as a user does."""
        self._compute.stop_server(self.uuid)
        self.wait_for("SHUTOFF")

    def start(self) -> None:
        """Start it, and wait for its guest."""
        self.begin_to_start()
        self.wait_for_guest()

    def begin_to_start(self) -> None:
        """Start it, and wait for nothing but Nova."""
        self._compute.start_server(self.uuid)
        self.wait_for("ACTIVE")

    def reboot(self, how: str = "HARD") -> None:
        """Reboot it, HARD or SOFT, and wait for its guest."""
        number = self.guest.number
        self._compute.reboot_server(self.uuid, how)
        self.wait_for_guest()
        assert self.guest.number != number

    def live_migrate(self) -> None:
        """Migrate it while it runs."""
        before = self.host
        self._compute.live_migrate_server(self.uuid, block_migration="auto")
        self.wait_for_guest()
        until(lambda: not list(self._compute.server_migrations(self.uuid)), "its migration ends")
        assert self.host != before

    def cold_migrate(self) -> None:
        """Migrate it, stopped or running, and confirm that."""
        before = self.host
        self._compute.migrate_server(self.uuid)
        self._confirm()
        assert self.host != before

    def resize(self, flavor: str) -> None:
        """Resize it, and confirm that."""
        self._compute.resize_server(self.uuid, self._compute.find_flavor(flavor))
        self._confirm()

    def shelve(self) -> None:
        """Shelve it; its host keeps it."""
        self._compute.shelve_server(self.uuid)
        self.wait_for("SHELVED")

    def offload(self) -> None:
        """Take a shelved one from its host."""
        self._compute.shelve_offload_server(self.uuid)
        self.wait_for("SHELVED_OFFLOADED")

    def unshelve(self) -> None:
        """Bring it back, and wait for its guest."""
        self._compute.unshelve_server(self.uuid)
        self.wait_for_guest()

    def rebuild(self) -> None:
        """Make its disks and its guest anew from the image that it had."""
        image = self._row().image
        self._compute.rebuild_server(self.uuid, image.id if image else self.nova.image())
        self.wait_for_guest()

    def rescue(self) -> None:
        """Boot its guest from another disk."""
        self._compute.rescue_server(self.uuid)
        self.wait_for("RESCUE")

    def unrescue(self) -> None:
        """Boot its guest from its own disk again."""
        self._compute.unrescue_server(self.uuid)
        self.wait_for_guest()

    def evacuate(self) -> None:
        """Make its guest anew on another host; its own counts as dead until Nova.revive."""
        before = self.host
        self._compute.update_service_forced_down(None, before, COMPUTE)
        self._compute.evacuate_server(self.uuid)
        until(lambda: self._has_left(before), f"{self.uuid} is elsewhere")  # after its last task
        self.wait_for("ACTIVE", "SHUTOFF")

    def delete(self) -> None:
        """Leave nothing of it."""
        self._compute.delete_server(self.uuid)
        until(lambda: self._compute.find_server(self.uuid) is None, "it is deleted")
        for volume in self.volumes:
            self.nova.api.block_storage.delete_volume(volume)

    def attach_volume(self) -> str:
        """Attach a new volume; its id comes back. Raises NotAttached where Nova could not."""
        volume = self.nova.create_volume()
        self.volumes.append(volume)
        self._compute.create_volume_attachment(self.uuid, volume_id=volume)
        until(lambda: self._is_attached(volume), f"volume {volume} is attached")
        return volume

    def _is_attached(self, volume: str) -> bool:
        if self.nova.api.block_storage.get_volume(volume).status == "available":
            raise NotAttached(volume)
        return volume in self.guest.text

    def detach_volume(self, volume: str) -> None:
        """Detach a volume."""
        self._compute.delete_volume_attachment(self.uuid, volume)
        storage = self.nova.api.block_storage
        until(lambda: storage.get_volume(volume).status == "available", f"{volume} is detached")

    def forget_volume(self, volume: str) -> None:
        """Make Nova forget a volume that its guest keeps, as when cinder has lost its attachment.

        See ``_delete_dangling_bdms`` in nova/compute/manager.py; a soft reboot makes no definition.
        """
        rows = self._compute.volume_attachments(self.uuid)
        (attachment,) = (row.attachment_id for row in rows if row.volume_id == volume)
        storage = self.nova.api.block_storage
        until(lambda: storage.get_volume(volume).status == "in-use", f"{volume} is attached whole")
        storage.delete_attachment(attachment)
        self.reboot("SOFT")
        assert volume not in [row.volume_id for row in self._compute.volume_attachments(self.uuid)]

    def detach_ports(self) -> None:
        """Detach its ports."""
        for port in self._compute.server_interfaces(self.uuid):
            self._compute.delete_server_interface(port, server=self.uuid)
        until(lambda: not self.guest.models("interface"), "its ports are detached")

    def failures(self) -> list[str]:
        """What Nova could not do of what it was asked."""
        actions = self._compute.server_actions(self.uuid)
        return [action.action for action in actions if action.message]

    def wait_for(self, *statuses: str) -> str:
        """Wait until no task is in progress and it has one of STATUSES, which comes back."""
        until(lambda: self._settled(statuses), f"{self.uuid} is {' or '.join(statuses)}")
        return str(self._row().status)

    def wait_for_guest(self) -> None:
        """Wait until it is ACTIVE and its guest has booted."""
        self.wait_for("ACTIVE")
        until(lambda: self.guest.agent.answers, f"the guest of {self.uuid} has booted")

    def wait_for_resize(self) -> None:
        """Wait until it waits to be confirmed; raises NotResized where Nova has given up."""
        if self.wait_for("VERIFY_RESIZE", "ACTIVE", "SHUTOFF") != "VERIFY_RESIZE":
            raise NotResized(self.uuid)

    def _confirm(self) -> None:
        self.wait_for_resize()
        self._compute.confirm_server_resize(self.uuid)
        if self.wait_for("ACTIVE", "SHUTOFF") == "ACTIVE":
            self.wait_for_guest()

    def _settled(self, statuses: tuple[str, ...]) -> bool:
        row = self._row()
        if "ERROR" not in statuses:
            self._raise_for(row)
        return row.task_state is None and row.status in statuses

    def _has_left(self, host: str) -> bool:
        self._raise_for(row := self._row())
        return bool(row.compute_host != host)

    def _raise_for(self, row: Any) -> None:
        """Raise AssertionError where Nova has given up on the server."""
        if row.status == "ERROR":
            raise AssertionError(f"{self.uuid} is in error: {row.fault}")

    def _row(self) -> Any:
        return self._compute.get_server(self.uuid)


def end_compute(host: str, how: signal.Signals = signal.SIGKILL) -> None:
    """End the nova-compute of a host as a crash does; the cloud starts it again.

    With SIGSTOP it hangs instead, until it is ended. What waits for it (``nsenter``) stops with it,
    and would not see its end.
    """
    config = str(COMPUTE_CONFIGS / f"{host}.conf")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_text().split("\0")
            program = [word for word in words[1:4] if word.endswith(f"/{COMPUTE}")]  # or wrapped
            if config in words and "python" in words[0] and program:
                parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
                os.kill(int(path.parent.name), how)
                if how == signal.SIGKILL:
                    os.kill(parent, signal.SIGCONT)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until CONDITION comes true; raises TimeoutError after LIMIT seconds.

    What takes long is asked for less and less often: each question costs the services something.
    """
    end, pause = time.monotonic() + LIMIT, 0.3
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {LIMIT:g} s: {what}")
        time.sleep(pause)
        pause = min(2, pause * 1.3)
