"""The compute hosts of the demo: private libvirtds with QEMU in software emulation.

They live in namespaces of their own and see nothing of the machine's libvirt. The kernel ends them
with the process that made them.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt
from lxml import etree

from demo import guests
from demo.deployment import Deployment, Server
from tests import domains
from tests.hypervisor import CAPABILITIES, PRIVILEGED, Hypervisor, NoHost, unsupported

NAMES = ("cmp1", "cmp2", "cmp7")
TIMEOUT = 3


class Hosts:
    """Hosts with the guests of a deployment."""

    def __init__(self, cloud: Deployment, folder: Path) -> None:
        """Begin with none; FOLDER is where their sockets will be found by the hosts' names."""
        self._cloud, self._folder = cloud, folder
        self._hosts: dict[str, Hypervisor] = {}

    def start(self) -> None:
        """Start the hosts: the first asks QEMU what it can, the others take over the answer."""
        libvirt.registerErrorHandler(lambda *_: None, None)  # what it prints, it raises too
        first = self._begin(NAMES[0], None)
        first.wait()
        first.connection.getCapabilities()
        others = [self._begin(name, first.folder / CAPABILITIES) for name in NAMES[1:]]
        for host in others:
            host.wait()
        self._reach()
        self._define()

    def _begin(self, name: str, capabilities: Path | None) -> Hypervisor:
        self._hosts[name] = Hypervisor(name, capabilities)
        return self._hosts[name]

    def stop(self) -> None:
        """End every host and guest."""
        for host in self._hosts.values():
            host.stop()

    def _reach(self) -> None:
        """Let the deployment's nova.conf lead to the hosts, and cmp1.conf to that one alone."""
        scheme = self._hosts[NAMES[0]].uri.partition("?")[0]
        for name, host in self._hosts.items():
            (self._folder / name).symlink_to(host.uri.partition("socket=")[2])
        uri = f"{scheme}?socket={self._folder}/"
        self._cloud.configure(f"[novadev]\nlibvirt_uri = {uri}{{host}}\nhost_timeout = {TIMEOUT}\n")
        self._cloud.write_compute_config(NAMES[0], f"{uri}{NAMES[0]}")

    def _define(self) -> None:
        for name, definition in guests.definitions(self._cloud).items():
            server = self._cloud.servers[name]
            host = self._host_of(server)
            host.define(definition)
            if server.is_active:
                host.start(server.uuid)

    def _host_of(self, server: Server) -> Hypervisor:
        assert server.host is not None
        return self._hosts[server.host]

    def soft_reboot(self, name: str) -> None:
        """Do what Nova's soft reboot does: the guest ends, and starts from its definition.

        Nova asks the guest to shut down; these have no operating system that would.
        """
        server = self._cloud.servers[name]
        self._handle(server).destroy()
        self._host_of(server).start(server.uuid)

    def plug(self, name: str) -> None:
        """Attach the volume that Nova has at vdb to a server that is shut off."""
        server = self._cloud.servers[name]
        disk = domains.disk("vdb", serial=server.volumes["vdb"])
        self._handle(server).attachDeviceFlags(disk, libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def power_on(self, name: str) -> None:
        """Do what Nova's power-on does first: define the server anew, without addresses."""
        server = self._cloud.servers[name]
        root = etree.fromstring(self._handle(server).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        for address in root.findall("devices/*/address"):
            address.getparent().remove(address)
        self._host_of(server).define(etree.tostring(root, encoding="unicode"))

    def _handle(self, server: Server) -> Any:
        return self._host_of(server).connection.lookupByUUIDString(server.uuid)

    def pause(self, name: str) -> None:
        """Make a host hang."""
        self._hosts[name].pause()

    def resume(self, name: str) -> None:
        """Let a host go on."""
        self._hosts[name].resume()


@contextmanager
def private_hosts(cloud: Deployment) -> Iterator[Hosts]:
    """Give the compute hosts of CLOUD with its guests, until the end of the ``with``."""
    with tempfile.TemporaryDirectory(prefix="novadev-demo-") as folder:
        hosts = Hosts(cloud, Path(folder))
        try:
            _start(hosts)
            yield hosts
        finally:
            hosts.stop()


def _start(hosts: Hosts) -> None:
    try:
        hosts.start()
    except libvirt.libvirtError as error:
        raise NoHost(str(error)) from error


def why_not() -> str:
    """Return why there can be no private hosts on this machine; empty where there can be."""
    return unsupported()


def why_not_the_same() -> str:
    """Return why private hosts would not show what the pages show; empty where they would."""
    return unsupported() if PRIVILEGED else "the hosts of an ordinary user have no taps"
