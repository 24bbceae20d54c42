"""A cloud with one compute host whose guests both sides know: what alias-migrate is tried on."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from novadev.virt.devices import Disk, Filesystem, Hostdev, Interface
from novadev.virt.domain import Domain
from novadev.virt.host import PERSISTENT
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.device.bed import HOST_TIMEOUT, ConfigFile, reach
from tests.hypervisor import Hypervisor

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Site:
    """The cloud, and its host cmp1."""

    cloud: Cloud
    host: Hypervisor

    @classmethod
    def of(cls, cloud: Cloud, host: Hypervisor, timeout: int = HOST_TIMEOUT) -> "Site":
        """The site of an empty cloud and an empty host."""
        reach(cloud, [host], timeout)
        return cls(cloud, host)

    def add(self, text: str, *, start: bool = False, **instance: Any) -> str:
        """Define a guest, and write what Nova would have of it; its UUID comes back."""
        uuid: str = self.host.define(text).UUIDString()
        if start:
            self.host.start(uuid)
            instance = {"vm_state": "active", **instance}
        record(self.cloud, text, **instance)
        return uuid

    def run(self, *arguments: str, on: ConfigFile | None = None) -> Result:
        """Run novadev with the cloud's configuration, or a compute host's."""
        result = novadev(on or self.cloud, *arguments)  # type: ignore[arg-type]
        assert "virsh" not in result.out + result.err
        assert "Traceback" not in result.err
        return result

    def migrate(self, *arguments: str, code: int = 0) -> Result:
        """Run alias-migrate without a question; it must end with CODE."""
        result = self.run("device", "alias-migrate", "--yes", *arguments)
        assert result.code == code, result.out + result.err
        return result

    def plan(self, *arguments: str, on: ConfigFile | None = None) -> Any:
        """The document of a dry run."""
        asked = ("device", "alias-migrate", "--dry-run", "-f", "json", *arguments)
        return self.run(*asked, on=on).json

    def reasons(self, *arguments: str) -> list[str]:
        """Why what is skipped is skipped, without the name of the instance."""
        skips = self.plan(*arguments)["skipped"]
        return [skip["reason"].removeprefix(f"instance {skip['instance']}: ") for skip in skips]

    def handle(self, uuid: str) -> Any:
        """libvirt's handle of a guest, on the connection that is kept."""
        return self.host.connection.lookupByUUIDString(uuid)

    def persistent(self, uuid: str) -> Domain:
        """The persistent definition, secrets included."""
        return Domain.from_xml(self.handle(uuid).XMLDesc(PERSISTENT))

    def live(self, uuid: str) -> Domain:
        """What the guest runs with."""
        return Domain.from_xml(self.handle(uuid).XMLDesc(0))

    def aliases(self, uuid: str) -> dict[str, str]:
        """The aliases in the persistent definition, by the labels of their devices."""
        return aliases(self.persistent(uuid))

    def journal_bytes(self) -> bytes:
        """All that novadev's own database holds, the log of its changes included."""
        with sqlite3.connect(self.cloud.folder / "state.sqlite") as connection:
            connection.execute("SELECT 1")
        return b"".join(path.read_bytes() for path in self.cloud.folder.glob("state.sqlite*"))


def aliases(domain: Domain) -> dict[str, str]:
    """The aliases of a definition, by the labels of their devices."""
    return {device.label: device.alias.name for device in domain.devices if device.alias}


def changes(plan: Any) -> dict[str, str]:
    """The alias each device of a plan is to get, by its label."""
    return {item["what"].removesuffix(" alias"): item["after"] for item in plan["changes"]}


def record(cloud: Cloud, text: str, **instance: Any) -> str:
    """Write what Nova has of the guest that TEXT defines; its UUID comes back.

    A disk with a serial, an alias or a source that names a volume is one, any other is local. A
    port is the one the interface or the metadata name. A PCI device gets a UUID of its own.
    """
    domain = Domain.from_xml(text)
    uuid = cloud.add_instance(uuid=domain.uuid, **{"name": domain.name, **instance})
    for disk in domain.of_class(Disk):
        _record_disk(cloud, uuid, disk)
    for interface in domain.of_class(Interface):
        _record_port(cloud, uuid, interface, domain.nova.ports if domain.nova else ())
    for hostdev in domain.of_class(Hostdev):
        if hostdev.device == "pci":
            cloud.add_pci_device(uuid, str(hostdev.host_address))
    for share in domain.of_class(Filesystem):
        assert share.target
        cloud.add_share(uuid, share.target)
    return uuid


def _record_disk(cloud: Cloud, uuid: str, disk: Disk) -> None:
    volume = next((found for found in _volumes_named(disk) if found != uuid), None)
    name = f"/dev/{disk.target}"
    if volume and not (disk.source or "").startswith(f"/var/lib/nova/instances/{uuid}"):
        cloud.add_volume(uuid, volume, name, disk_bus=disk.bus, device_type=disk.device)
    else:
        cloud.add_disk(uuid, name, disk.bus, disk.device)


def _volumes_named(disk: Disk) -> Iterator[str]:
    for text in (disk.serial, disk.source, disk.alias.name if disk.alias else None):
        yield from (found.group() for found in UUID.finditer(text or ""))


def _record_port(cloud: Cloud, uuid: str, interface: Interface, named: tuple[str, ...]) -> None:
    by_tap = (port for port in named if port[:11] in (interface.target or ""))
    port = interface.interface_id or next(by_tap, None)
    fields: dict[str, Any] = {}
    if interface.host_address:
        fields = {"type": "hw_veb", "vnic_type": "direct", "ovs_interfaceid": None}
        fields |= {"profile": {"pci_slot": str(interface.host_address)}}
        cloud.add_pci_device(uuid, str(interface.host_address))
    cloud.add_port(uuid, port, interface.mac or "", **fields)
