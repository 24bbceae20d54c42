"""Writes on a real libvirt and QEMU, with others writing at the same time."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import libvirt
import pytest

from novadev.errors import NotAsNeeded, NotFound, StalePlan
from novadev.virt import writes
from novadev.virt.alias import Alias
from novadev.virt.alias_writes import can_update
from novadev.virt.devices import Disk, Interface
from novadev.virt.domain import Domain
from novadev.virt.host import PERSISTENT, Host
from novadev.virt.writes import Affect
from tests import domains
from tests.hypervisor import Hypervisor
from tests.virt.writing import update_alias

pytestmark = pytest.mark.slow

VOLUME = "0f8fad5b-d9cb-469f-a165-70867728950e"
PORT = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10"
MAC = "fa:16:3e:00:00:01"


@pytest.fixture
def host(hypervisor: Hypervisor) -> Iterator[Host]:
    with Host(hypervisor.name, hypervisor.uri) as host:
        yield host


@pytest.fixture
def define(hypervisor: Hypervisor, host: Host) -> Callable[[str], Domain]:
    return lambda text: host.persistent(hypervisor.define(text).UUIDString())


def guest(**more: object) -> str:
    disks = [domains.disk("vda"), domains.disk("vdb", serial=VOLUME)]
    interfaces = [domains.interface(MAC, port=PORT)]
    return domains.domain(disks=disks, interfaces=interfaces, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", domains.samples(), ids=lambda path: path.stem)
def test_samples_differ_in_aliases_alone(
    path: Path, host: Host, define: Callable[[str], Domain]
) -> None:
    before = domain = define(path.read_text())
    for device in before.devices:
        if can_update(device):
            found = domain.device(device.label)
            domain = update_alias(host, domain, found, Alias.for_uuid(str(uuid4())))
            assert domain.device(device.label).alias != device.alias
    assert domain.canonical_without_aliases == before.canonical_without_aliases
    for device in before.devices:
        if can_update(device):
            found = domain.device(device.label)
            domain = update_alias(host, domain, found, device.alias)
    assert domain.canonical == before.canonical
    everything = before.with_aliases(
        {
            device: Alias.for_uuid(str(uuid4()))
            for device in before.devices
            if device.type not in ("graphics", "audio", "serial", "console", "controller")
        }
    )
    after = writes.redefine(host, before, everything)
    assert after.canonical_without_aliases == before.canonical_without_aliases
    assert writes.redefine(host, after, before.text).canonical == before.canonical


def test_sets_changes_and_takes_out(host: Host, define: Callable[[str], Domain]) -> None:
    domain = define(guest())
    for label in ("disk vdb", "interface tapa3bb189e-8b"):
        for alias in (Alias("ua-1"), Alias("ua-2"), Alias("ua-2"), None, None):
            domain = update_alias(host, domain, domain.device(label), alias)
            assert host.persistent(domain.uuid).device(label).alias == alias


def test_a_long_alias_is_kept(host: Host, define: Callable[[str], Domain]) -> None:
    domain = define(guest())
    alias = Alias("ua-" + "x" * 297)
    domain = update_alias(host, domain, domain.device("disk vdb"), alias)
    assert domain.find_by_alias(alias)


def test_libvirt_lets_two_devices_have_an_alias_and_we_do_not(
    host: Host, define: Callable[[str], Domain]
) -> None:
    domain = define(guest())
    alias = Alias("ua-1")
    after = update_alias(host, domain, domain.device("disk vda"), alias)
    with pytest.raises(NotAsNeeded, match="two devices"):
        update_alias(host, after, after.device("disk vdb"), alias)
    with pytest.raises(NotAsNeeded, match="two devices"):
        update_alias(host, domain, domain.device("disk vdb"), alias)
    assert host.persistent(domain.uuid).canonical == after.canonical


def test_a_device_that_is_gone(host: Host, define: Callable[[str], Domain]) -> None:
    domain = define(guest())
    handle = host.handle(domain.uuid)
    for device in (*domain.of_class(Disk), *domain.of_class(Interface)):
        writes.detach_xml(host, domain.uuid, device, Affect.PERSISTENT)
        with pytest.raises(StalePlan):
            update_alias(host, domain, device, Alias("ua-1"))
    assert "ua-1" not in handle.XMLDesc(PERSISTENT)


def test_an_undefined_domain_is_not_brought_back(
    host: Host, define: Callable[[str], Domain]
) -> None:
    domain = define(guest())
    host.handle(domain.uuid).undefine()
    with pytest.raises(NotFound):
        update_alias(host, domain, domain.device("disk vda"), Alias("ua-1"))
    with pytest.raises(NotFound):
        writes.redefine(host, domain, domain.text)
    assert host.list_domains() == ()


def test_a_running_domain_undefined_after_the_write(
    host: Host,
    hypervisor: Hypervisor,
    define: Callable[[str], Domain],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    domain = define(guest())
    handle = hypervisor.start(domain.uuid)
    read_back = host.read_back_text

    def undefined_before(uuid: str) -> str:
        handle.undefine()
        return read_back(uuid)

    monkeypatch.setattr(host, "read_back_text", undefined_before)
    written = update_alias(host, domain, domain.device("disk vda"), Alias("ua-1"))
    assert written.device("disk vda").alias == Alias("ua-1")
    assert not handle.isPersistent()
    with pytest.raises(NotAsNeeded):
        update_alias(host, written, written.device("disk vdb"), Alias("ua-2"))


def test_what_only_a_whole_definition_changes(host: Host, define: Callable[[str], Domain]) -> None:
    domain = define(guest(devices=[domains.pci("0000:81:00.1")]))
    device = domain.device("hostdev 0000:81:00.1")
    assert not can_update(device)
    with pytest.raises(NotAsNeeded, match="not supported"):
        update_alias(host, domain, device, Alias("ua-1"))
    after = writes.redefine(host, domain, domain.with_aliases({device: Alias("ua-1")}))
    assert after.device(device.label).alias == Alias("ua-1")


@pytest.mark.parametrize("running", [False, True])
def test_a_domain_undefined_in_between_stays_undefined(
    host: Host,
    hypervisor: Hypervisor,
    define: Callable[[str], Domain],
    monkeypatch: pytest.MonkeyPatch,
    running: bool,
) -> None:
    domain = define(guest())
    if running:
        hypervisor.start(domain.uuid)
    monkeypatch.setattr(host, "_connection", Meanwhile(host.connection, domain.uuid))
    with pytest.raises(StalePlan, match="undefined meanwhile"):
        writes.redefine(host, domain, domain.with_aliases({domain.devices[0]: Alias("ua-1")}))
    assert [found.is_active for found in host.list_domains()] == [True] * running
    assert not running or not host.handle(domain.uuid).isPersistent()


class Meanwhile:
    """A connection on which another undefines the domain right before a definition."""

    def __init__(self, connection: libvirt.virConnect, uuid: str) -> None:
        self._connection, self._uuid = connection, uuid

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def defineXML(self, text: str) -> object:
        self._connection.lookupByUUIDString(self._uuid).undefine()
        return self._connection.defineXML(text)


def test_a_running_guest_keeps_its_live_aliases(
    host: Host, hypervisor: Hypervisor, define: Callable[[str], Domain]
) -> None:
    domain = define(guest(graphics_password="s3cret"))
    hypervisor.start(domain.uuid)
    before = host.live(domain.uuid)
    disk = domain.device("disk vdb")
    after = update_alias(host, domain, disk, Alias.for_uuid(VOLUME))
    assert "s3cret" in after.text
    found = host.definitions(domain.uuid)
    assert found.live
    assert before
    assert found.live.canonical == before.canonical
    assert host.definitions_and_jobs(domain.uuid).jobs == found.jobs == ()
    assert found.live.device("disk vdb").alias == Alias("virtio-disk1")
    handle = host.handle(domain.uuid)
    handle.destroy()
    handle.create()
    assert (host.live(domain.uuid) or domain).find_by_alias(Alias.for_uuid(VOLUME))


def test_detaches_by_alias(
    host: Host, hypervisor: Hypervisor, define: Callable[[str], Domain]
) -> None:
    stick = domains.disk("sda", "usb", serial=VOLUME, alias=f"ua-{VOLUME}")
    text = domains.domain(disks=[domains.disk("vda"), stick])
    domain = define(text)
    alias = Alias.for_uuid(VOLUME)
    with pytest.raises(NotAsNeeded):
        writes.detach_alias(host, domain.uuid, alias, Affect.LIVE)
    hypervisor.start(domain.uuid)
    with pytest.raises(NotFound, match="no device found with alias"):
        writes.detach_alias(host, domain.uuid, Alias("ua-1"), Affect.LIVE)
    with writes.removals(host, domain.uuid) as watch:
        writes.detach_alias(host, domain.uuid, alias, Affect.LIVE | Affect.PERSISTENT)
        assert writes.wait_removed(watch, alias, 10)
    assert host.persistent(domain.uuid).find_by_alias(alias) is None
    assert (host.live(domain.uuid) or domain).find_by_alias(alias) is None


def test_a_guest_that_lets_nothing_go(
    host: Host, hypervisor: Hypervisor, define: Callable[[str], Domain]
) -> None:
    domain = define(guest())
    hypervisor.start(domain.uuid)
    with writes.removals(host, domain.uuid) as watch:
        writes.detach_alias(host, domain.uuid, Alias("virtio-disk1"), Affect.LIVE)
        assert not writes.wait_removed(watch, Alias("virtio-disk1"), 0.5)


def test_a_block_job_is_seen(
    host: Host, hypervisor: Hypervisor, define: Callable[[str], Domain]
) -> None:
    domain = define(guest())
    handle = hypervisor.start(domain.uuid)
    copy = "<disk type='file'><source file='/var/lib/nova/copy'/><driver type='raw'/></disk>"
    handle.blockCopy("vdb", copy, {}, libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)
    assert host.definitions(domain.uuid).jobs == ("block job on vdb",)
    assert host.definitions_and_jobs(domain.uuid).jobs == ("block job on vdb",)


def test_a_managed_save_is_seen(
    host: Host, hypervisor: Hypervisor, define: Callable[[str], Domain]
) -> None:
    domain = define(guest())
    hypervisor.start(domain.uuid).managedSave()
    found = host.definitions(domain.uuid)
    assert (found.has_managed_save, found.is_active) == (True, False)


def test_another_attaches_and_detaches_meanwhile(
    host: Host, hypervisor: Hypervisor, define: Callable[[str], Domain]
) -> None:
    """No attachment is lost, none comes back, while every alias is set again and again."""
    domain = define(guest())
    other = hypervisor.connect().lookupByUUIDString(domain.uuid)
    targets = [f"vd{letter}" for letter in "defghijkl"]
    done = threading.Event()
    wrong: list[str] = []

    def attach_and_detach() -> None:
        for number in range(12):
            for target in targets:
                text = domains.disk(target, serial=str(UUID(int=number)))
                other.attachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
            wrong.extend(t for t in targets if f"dev='{t}'" not in other.XMLDesc(PERSISTENT))
            for target in targets:
                other.detachDeviceFlags(
                    domains.disk(target, source="/x"), libvirt.VIR_DOMAIN_AFFECT_CONFIG
                )
            wrong.extend(t for t in targets if f"dev='{t}'" in other.XMLDesc(PERSISTENT))
        done.set()

    thread = threading.Thread(target=attach_and_detach)
    thread.start()
    written = 0
    while not done.is_set():
        for label in ("disk vda", "disk vdb", "interface tapa3bb189e-8b"):
            now = host.persistent(domain.uuid)
            update_alias(host, now, now.device(label), Alias.for_uuid(str(uuid4())))
            written += 1
    thread.join()
    assert wrong == []
    assert written > 20


def test_another_undefines_meanwhile(host: Host, hypervisor: Hypervisor) -> None:
    other = hypervisor.connect()
    uuids = [hypervisor.define(guest()).UUIDString() for _ in range(30)]
    refused = []

    def undefine() -> None:
        for uuid in uuids:
            other.lookupByUUIDString(uuid).undefine()
            time.sleep(0.002)

    thread = threading.Thread(target=undefine)
    thread.start()
    for uuid in uuids:
        try:
            for label in ("disk vda", "disk vdb", "interface tapa3bb189e-8b"):
                now = host.persistent(uuid)
                update_alias(host, now, now.device(label), Alias.for_uuid(str(uuid4())))
        except NotFound:
            refused.append(uuid)
    thread.join()
    assert host.list_domains() == ()
    assert refused
