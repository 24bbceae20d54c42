"""Simulated hosts are real, apart from each other, and leave nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from lxml import etree

from tests.command import heed_signals
from tests.domains import disk, domain, interface, mdev, pci, samples, scsi_controller, share, sriov
from tests.hypervisor import PRIVILEGED, Hypervisor, Hypervisors

MAC = "fa:16:3e:00:00:01"
PORT = "90270000-aaaa-4a00-8b00-0a0b0c0d0e00"
VOLUME = "701e0000-aaaa-4a00-8b00-0a0b0c0d0e00"
ALIAS = f"ua-{VOLUME}"
BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
STARTABLE = ("ovs", "bridge", "ethernet", "user") if PRIVILEGED else ("user",)

HOST_WITH_GUEST = """
import os, time
from tests.domains import domain
from tests.hypervisor import pool
with pool() as hosts:
    [host] = hosts.take()
    guest = host.define(domain())
    guest.create()
    print(host.folder, os.readlink(f"/proc/{host.pid}/ns/pid"), flush=True)
    time.sleep(60)
"""

pytestmark = pytest.mark.slow


def aliases(guest: Any, flags: int = 0) -> set[str]:
    root = etree.fromstring(guest.XMLDesc(flags))
    return {str(alias.get("name")) for alias in root.iter("alias")}


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def processes(namespace: str) -> Iterator[int]:
    """The processes in a pid namespace; one that has ended and awaits its parent has no command."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "ns/pid") == namespace and (entry / "cmdline").read_bytes():
                yield int(entry.name)
        except OSError:  # ended meanwhile, or another user's
            continue


@pytest.mark.fresh
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_guest_runs_and_takes_devices(hypervisor: Hypervisor, machine: str) -> None:
    nics = [interface(MAC, port=PORT, kind=kind) for kind in STARTABLE[:1]]
    disks = [disk("vda"), disk("sda", "scsi", serial=PORT, alias="ua-x")]
    xml = domain(machine=machine, disks=disks, interfaces=nics, devices=[scsi_controller()])
    guest = hypervisor.start(hypervisor.define(xml).UUIDString())
    assert guest.state()[0] == libvirt.VIR_DOMAIN_RUNNING

    plugged = disk("vdb", serial=VOLUME, alias=ALIAS)
    hypervisor.make_files(plugged)
    guest.attachDeviceFlags(plugged, BOTH)
    assert ALIAS in aliases(guest)
    assert ALIAS in aliases(guest, libvirt.VIR_DOMAIN_XML_INACTIVE)

    guest.detachDeviceAlias(ALIAS, BOTH)
    guest.reset()  # without an operating system, the guest lets go of a device at a reset
    assert eventually(lambda: ALIAS not in aliases(guest))
    assert ALIAS not in aliases(guest, libvirt.VIR_DOMAIN_XML_INACTIVE)
    guest.destroy()
    assert not guest.isActive()


def test_a_guest_with_every_startable_interface(hypervisor: Hypervisor) -> None:
    nics = [
        interface(f"fa:16:3e:00:00:0{number}", kind=kind) for number, kind in enumerate(STARTABLE)
    ]
    guest = hypervisor.start(hypervisor.define(domain(interfaces=nics)).UUIDString())
    assert {f"net{number}" for number in range(len(nics))} <= aliases(guest)


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_every_device_defines_and_keeps_its_alias(hypervisor: Hypervisor, machine: str) -> None:
    disks = [
        disk("vda", alias="ua-0"),
        disk("vdb", kind="network", serial=VOLUME, alias="ua-1"),
        disk("sda", "scsi", kind="block", source="/dev/dm-1", device="lun", alias="ua-2"),
        disk("sdb", "sata", device="cdrom", alias="ua-3"),
        disk("vdc", serial=PORT, shareable=True, alias="ua-4"),
    ]
    nics = [interface(f"fa:16:3e:00:00:0{n}", alias=f"ua-n{n}") for n in range(3)]
    devices = [
        sriov(MAC, "0000:81:00.1", alias="ua-5"),
        pci("0000:82:00.0", alias="ua-6"),
        mdev(PORT, alias="ua-7"),
        share("s-1", alias="ua-8") if PRIVILEGED else pci("0000:83:00.0", alias="ua-8"),
    ]
    guest = hypervisor.define(
        domain(machine=machine, disks=disks, interfaces=nics, devices=devices)
    )
    assert aliases(guest) == {f"ua-{n}" for n in range(9)} | {f"ua-n{n}" for n in range(3)}


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.stem)
def test_a_sample_defines(hypervisor: Hypervisor, path: Path) -> None:
    if path.stem == "share" and not PRIVILEGED:
        pytest.skip("a session daemon takes no virtiofs")
    text = path.read_text()
    uuid = etree.fromstring(text.encode()).findtext("uuid")
    assert hypervisor.define(text).UUIDString() == uuid


@pytest.mark.skipif(not PRIVILEGED, reason="its interface needs a bridge")
def test_the_sample_with_everything_starts(hypervisor: Hypervisor) -> None:
    [path] = [path for path in samples() if path.stem == "extras"]
    guest = hypervisor.define(path.read_text())
    guest.create()
    assert "ua-local" in aliases(guest)


def test_the_metadata_name_the_ports(hypervisor: Hypervisor) -> None:
    guest = hypervisor.define(domain(interfaces=[interface(MAC, port=PORT)]))
    metadata = guest.metadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT, "http://openstack.org/xmlns/libvirt/nova/1.1"
    )
    assert f'<port uuid="{PORT}"/>' in metadata


def test_a_password_is_shown_only_when_asked_for(hypervisor: Hypervisor) -> None:
    guest = hypervisor.define(domain(graphics_password="s3cret"))
    inactive = libvirt.VIR_DOMAIN_XML_INACTIVE
    assert "s3cret" not in guest.XMLDesc(inactive)
    assert "s3cret" in guest.XMLDesc(inactive | libvirt.VIR_DOMAIN_XML_SECURE)


def test_hosts_are_apart(hypervisors3: list[Hypervisor]) -> None:
    names = ["cmp1", "cmp2", "cmp3"]
    assert [host.name for host in hypervisors3] == names
    assert [host.connection.getHostname() for host in hypervisors3] == names
    capabilities = [etree.fromstring(host.connection.getCapabilities()) for host in hypervisors3]
    assert len({root.findtext("host/uuid") for root in capabilities}) == 3
    uuids = [host.define(domain(name="same")).UUIDString() for host in hypervisors3]
    for host, uuid in zip(hypervisors3, uuids, strict=True):
        assert [guest.UUIDString() for guest in host.connection.listAllDomains()] == [uuid]


def test_a_hanging_host_hangs_its_calls_and_recovers(hypervisors3: list[Hypervisor]) -> None:
    hanging, well = hypervisors3[:2]
    answers: list[str] = []
    connection = hanging.connection
    hanging.pause()
    calling = threading.Thread(target=lambda: answers.append(connection.getHostname()))
    calling.start()
    calling.join(0.5)
    assert calling.is_alive()
    assert well.connection.getHostname() == "cmp2"
    hanging.resume()
    calling.join(10)
    assert answers == ["cmp1"]


def test_guests_outlive_a_killed_daemon(hypervisor: Hypervisor) -> None:
    guest = hypervisor.start(hypervisor.define(domain()).UUIDString())
    hypervisor.kill()
    with pytest.raises(libvirt.libvirtError):
        guest.state()
    with pytest.raises(libvirt.libvirtError):
        hypervisor.connect()
    hypervisor.restart()
    assert hypervisor.connection.lookupByUUIDString(guest.UUIDString()).isActive()


@pytest.mark.parametrize("harm", ["kill", "pause"])
def test_a_host_is_well_and_empty_for_the_next_test(hypervisors: Hypervisors, harm: str) -> None:
    [host] = hypervisors.take()
    host.start(host.define(domain()).UUIDString())
    getattr(host, harm)()
    [host] = hypervisors.take()
    assert host.connection.listAllDomains() == []


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left(hypervisors: Hypervisors, number: signal.Signals | None) -> None:
    """Without a signal the pool is left because its program ends."""
    code = HOST_WITH_GUEST if number else HOST_WITH_GUEST.replace("sleep(60)", "sleep(0)")
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=heed_signals,
    )
    assert process.stdout
    folder, namespace = process.stdout.readline().split()
    if number:
        assert len(list(processes(namespace))) >= 3  # the first, the daemon, the guest
        process.send_signal(number)
    process.communicate(timeout=20)
    assert eventually(lambda: not list(processes(namespace)))
    assert folder not in Path("/proc/self/mounts").read_text()
    if number == signal.SIGKILL:  # nobody is there to remove the folder
        shutil.rmtree(folder)
    assert not Path(folder).exists()
