"""Nova's own libvirt driver finds what novadev wrote, before and after a reboot."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from novadev.virt.alias import Alias
from novadev.virt.devices import Interface
from novadev.virt.host import Host
from tests import domains
from tests.cloud import Cloud
from tests.hypervisor import PRIVILEGED, Hypervisor
from tests.nova_process import NovaProcess
from tests.virt.writing import update_alias

pytestmark = pytest.mark.slow

VOLUME = "0f8fad5b-d9cb-469f-a165-70867728950e"
ALIAS = Alias.for_uuid(VOLUME)
PORT = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10"
MAC = "fa:16:3e:00:00:01"
KIND = "ovs" if PRIVILEGED else "user"


@pytest.fixture
def ask(
    sqlite_cloud: Cloud, nova: Callable[[Cloud], NovaProcess], hypervisor: Hypervisor
) -> Callable[..., Any]:
    """`ask(call, uuid, ...)`: Nova 34's answer about a guest of cmp1."""
    process = nova(sqlite_cloud)
    return lambda name, uuid, **more: process.call(name, uri=hypervisor.uri, uuid=uuid, **more)


@pytest.fixture
def host(hypervisor: Hypervisor) -> Iterator[Host]:
    with Host(hypervisor.name, hypervisor.uri) as host:
        yield host


def test_a_disk_by_the_alias_it_was_given(
    hypervisor: Hypervisor, host: Host, ask: Callable[..., Any]
) -> None:
    disks = [domains.disk("vda"), domains.disk("vdb", serial=VOLUME)]
    nics = [domains.interface(MAC, port=PORT, kind=KIND)]
    uuid = hypervisor.define(domains.domain(disks=disks, interfaces=nics)).UUIDString()
    hypervisor.start(uuid)
    domain = host.persistent(uuid)
    domain = update_alias(host, domain, domain.device("disk vdb"), ALIAS)
    nic = domain.of_class(Interface)[0]
    update_alias(host, domain, nic, Alias.for_uuid(PORT))
    expected = {
        **{"class": "LibvirtConfigGuestDisk", "target_dev": "vdb", "serial": VOLUME},
        **{"source": f"{domains.VOLUMES}/volume-{VOLUME}", "alias": str(ALIAS), "mac": None},
    }
    for persistent, found in ((True, expected), (False, None)):
        seen = ask("guest_device_by_alias", uuid, alias=str(ALIAS), persistent=persistent)
        assert seen == found
    assert ask("soft_reboot", uuid) is True
    for persistent in (True, False):
        seen = ask("guest_device_by_alias", uuid, alias=str(ALIAS), persistent=persistent)
        assert seen == expected
        seen = ask("guest_device_by_alias", uuid, alias=f"ua-{PORT}", persistent=persistent)
        assert (seen["class"], seen["mac"]) == ("LibvirtConfigGuestInterface", MAC)
    assert host.handle(uuid).isActive()


def test_a_lun_by_the_alias_it_was_given(
    hypervisor: Hypervisor, host: Host, ask: Callable[..., Any]
) -> None:
    """Only the definition: a guest with a LUN cannot start here."""
    (path,) = [path for path in domains.samples() if path.stem == "lun"]
    uuid = hypervisor.define(path.read_text()).UUIDString()
    domain = host.persistent(uuid)
    assert ask("guest_device_by_alias", uuid, alias=str(ALIAS), persistent=True) is None
    update_alias(host, domain, domain.device("disk sda"), ALIAS)
    seen = ask("guest_device_by_alias", uuid, alias=str(ALIAS), persistent=True)
    assert (seen["class"], seen["target_dev"]) == ("LibvirtConfigGuestDisk", "sda")
    assert (seen["serial"], seen["alias"]) == (None, str(ALIAS))
    assert seen["source"] == domain.device("disk sda").source  # type: ignore[attr-defined]


def test_nova_reads_aliases_of_disks_interfaces_and_pci_devices(
    sqlite_cloud: Cloud, nova: Callable[[Cloud], NovaProcess]
) -> None:
    """It never asks for a share or a mediated device by its alias."""
    devices = [
        domains.pci("0000:81:00.1", alias="ua-pci"),
        domains.mdev(VOLUME, alias="ua-mdev"),
        domains.share("s-1", alias="ua-share"),
    ]
    text = domains.domain(
        disks=[
            domains.disk("vda"),
            domains.disk("sda", "scsi", kind="block", device="lun", source="/x", alias="ua-lun"),
        ],
        interfaces=[domains.interface(MAC, alias="ua-nic")],
        devices=devices,
    )
    assert nova(sqlite_cloud).call("parse_aliases", xml=text) == [
        ["LibvirtConfigGuestDisk", None, "vda"],
        ["LibvirtConfigGuestDisk", "ua-lun", "sda"],
        ["LibvirtConfigGuestInterface", "ua-nic", MAC],
        ["LibvirtConfigGuestHostdevPCI", "ua-pci", "0000:81:00.1"],
        ["LibvirtConfigGuestHostdevMDEV", None, VOLUME],
        ["LibvirtConfigGuestFilesys", None, "s-1"],
    ]


def test_a_guest_that_is_off_or_gone(hypervisor: Hypervisor, ask: Callable[..., Any]) -> None:
    uuid = hypervisor.define(domains.domain(disks=[domains.disk("vda", alias="ua-1")])).UUIDString()
    seen = ask("guest_device_by_alias", uuid, alias="ua-1", persistent=False)
    assert seen["target_dev"] == "vda", "of a guest that is off, Nova reads the definition"
    hypervisor.connection.lookupByUUIDString(uuid).undefine()
    with pytest.raises(Exception, match="InstanceNotFound"):
        ask("guest_device_by_alias", uuid, alias="ua-1", persistent=True)
