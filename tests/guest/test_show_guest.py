"""`device show --guest` with the real agent, in a guest that runs, pauses, hangs and ends."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from novadev.device.guest_names import GuestNames, names_of
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import take_inventory
from novadev.errors import NotFound, Unreachable
from novadev.virt.devices import Disk
from novadev.virt.guest_agent import LIMIT, ask_disks
from novadev.virt.guest_answer import GuestAnswer
from novadev.virt.host import Host
from tests import domains
from tests.cloud import Cloud
from tests.device.bed import compute_host
from tests.device.rig import Desk, Rig, Terminal, mac, volume_id
from tests.device.site import record
from tests.guest.conftest import NVME_SERIAL
from tests.guest.micro import MicroGuest
from tests.hypervisor import Hypervisor
from tests.running_nova.guest import Guest

pytestmark = pytest.mark.slow

BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
HOST_TIMEOUT = 20
LABELS = {
    "disk vda": "$(grep -L . /sys/block/vd*/serial)",
    "disk vdf": f"/dev/disk/by-id/virtio-{volume_id(1)[:20]}",
    "disk vdc": f"/dev/disk/by-id/virtio-{volume_id(2)[:20]}",
    "disk sdb": f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{volume_id(3)}",
    "disk sdc": "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0-0-0-2",
    "disk sdd": f"/dev/disk/by-id/ata-QEMU_HARDDISK_{volume_id(4)[:20]}",
    "disk sde": "/dev/disk/by-id/ata-QEMU_DVD-ROM_*",
}
"""The guest's first disks, and how it is asked for each without its agent's knowledge of disks.

A test may have plugged others in.
"""


@pytest.fixture(scope="module")
def expected(guest: MicroGuest) -> dict[str, str]:
    """The names of those disks."""
    guest.run("udevadm settle")
    paths = " ".join(LABELS.values())
    found = guest.run(f"for path in {paths}; do readlink -f $path; done").splitlines()
    found[0] = f"/dev/{found[0].split('/')[-2]}"
    return dict(zip(LABELS, found, strict=True))


@pytest.fixture
def rig(sqlite_cloud: Cloud, guest: MicroGuest) -> Rig:
    record(sqlite_cloud, guest.text, vm_state="active")
    return Rig(sqlite_cloud, [guest.host], HOST_TIMEOUT)


@pytest.fixture
def host(guest: MicroGuest) -> Iterator[Host]:
    with Host(guest.host.name, guest.host.uri, HOST_TIMEOUT) as host:
        yield host


def names(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {label: item["logical_name"] for label, item in found.items() if item["logical_name"]}


def asked(host: Host, guest: MicroGuest) -> GuestNames:
    inventory = take_inventory(
        HostedInstance(guest.uuid, "", host.name), host.definitions(guest.uuid)
    )
    return names_of(host, inventory)


def test_the_name_of_every_disk(rig: Rig, guest: MicroGuest, expected: dict[str, str]) -> None:
    found = rig.show(guest.uuid, "--guest")
    assert sorted(set(expected.values()) - {"/dev/sr0"}) == [
        *("/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/vda", "/dev/vdb", "/dev/vdc"),
    ]
    assert {label: found[label]["logical_name"] for label in LABELS} == expected
    assert [found[label]["disagreements"] for label in LABELS] == [[]] * len(LABELS)
    assert {item["type"] for item in found.values() if item["logical_name"]} == {"disk"}
    (one,) = rig.show(guest.uuid, volume_id(1), "--guest", "--live").values()
    assert (one["owner_id"], one["logical_name"]) == (volume_id(1), expected["disk vdf"])


@pytest.mark.fresh
def test_libvirt_numbers_the_buses_in_another_way(guest: MicroGuest, host: Host) -> None:
    live = host.live(guest.uuid)
    assert live
    told = {str(disk.address) for disk in live.of_class(Disk) if disk.bus == "virtio"}
    answer = ask_disks(host, guest.uuid)
    seen = {disk.address.pci for disk in answer.disks or () if disk.address}
    assert not told <= seen


def test_only_when_asked(rig: Rig, guest: MicroGuest) -> None:
    assert names(rig.show(guest.uuid)) == {}
    assert " guest " not in rig.novadev("device", "show", guest.uuid).out


def test_the_table(rig: Rig, guest: MicroGuest, expected: dict[str, str], tmp_path: Path) -> None:
    screen = Terminal(rig.cloud, "--color", "never", "device", "show", guest.uuid, "--guest")
    assert screen.code == 0, screen.text
    assert max(map(len, screen.lines)) <= 100
    name = expected["disk vdf"]
    words = next(line for line in screen.lines if volume_id(1) in line).split()
    assert (words[:3], words[4:]) == (["disk", "vdf", "virtio"], [volume_id(1), name, "no"])
    chosen = rig.novadev(
        *("device", "show", guest.uuid, "vdf", "--guest"),
        *("-f", "value", "-c", "owner_id", "-c", "logical_name"),
    )
    assert chosen.out == f"{volume_id(1)} {name}\n"
    alone = Desk(compute_host(tmp_path, guest.host, HOST_TIMEOUT))
    assert "/dev/sr0" in alone.novadev("device", "show", guest.uuid, "--guest").out


def test_partitions_and_what_is_mapped(
    rig: Rig, guest: MicroGuest, host: Host, expected: dict[str, str]
) -> None:
    crypt, parted = expected["disk vdf"], expected["disk vdc"]
    guest.run(
        f"dmsetup create crypt --table '0 100 linear {crypt} 0' && "
        "dmsetup create upper --table '0 50 linear /dev/mapper/crypt 0' && "
        f"dmsetup create part --table '0 50 linear {parted}1 0'"
    )
    try:
        entries = {item["name"] for item in guest.ask("guest-get-disks")}
        assert {f"{parted}1", "/dev/nvme0n1p1", "/dev/dm-0", "/dev/dm-1", "/dev/dm-2"} <= entries
        found = rig.show(guest.uuid, "--guest")
        answer = ask_disks(host, guest.uuid)
    finally:
        guest.run("dmsetup remove upper; dmsetup remove crypt; dmsetup remove part")
    assert {label: found[label]["logical_name"] for label in LABELS} == expected
    assert answer.disks is not None
    serials = {disk.name: disk.serial for disk in answer.disks}
    assert NVME_SERIAL in str(serials["/dev/nvme0n1"])
    assert not {f"{parted}1", "/dev/nvme0n1p1", "/dev/dm-0"} & set(serials)


@pytest.mark.parametrize(("number", "target", "bus"), [(7, "vdp", "virtio"), (8, "sdf", "scsi")])
def test_a_disk_plugged_in_while_it_runs(
    rig: Rig, guest: MicroGuest, number: int, target: str, bus: str
) -> None:
    rig.cloud.add_volume(guest.uuid, volume_id(number), f"/dev/{target}")
    assert f"disk {target}" not in rig.show(guest.uuid, "--guest")
    rig.attach(guest.domain, domains.disk(target, bus, serial=volume_id(number)), BOTH)
    serial = volume_id(number)[:20]
    guest.wait_for(lambda: serial in guest.run("udevadm settle; ls /dev/disk/by-id"), 30)
    found = rig.show(guest.uuid, "--guest")[f"disk {target}"]
    node = guest.run(f"readlink -f /dev/disk/by-id/*{serial}*").strip()
    assert (found["owner_id"], found["logical_name"]) == (volume_id(number), node)


def test_a_paused_guest(rig: Rig, guest: MicroGuest) -> None:
    guest.domain.suspend()
    try:
        result = rig.novadev("device", "show", guest.uuid, "--guest", "-f", "json")
    finally:
        guest.domain.resume()
    assert (result.code, result.err) == (0, "Names in the guest: the guest is not running.\n")
    assert {item["logical_name"] for item in result.json} == {None}
    assert "disk vdf" in names(rig.show(guest.uuid, "--guest"))


def hang(guest: MicroGuest, seconds: int) -> None:
    """Stop the guest's agent for some seconds."""
    agent = guest.run("pidof qemu-ga").strip()
    guest.begin(f"sleep 0.2; kill -STOP {agent}; sleep {seconds}; kill -CONT {agent}")
    guest.wait_for(lambda: not guest.answers)


def test_an_agent_that_hangs(rig: Rig, guest: MicroGuest, host: Host) -> None:
    hang(guest, 20)
    try:
        begun = time.monotonic()
        answer = asked(host, guest)
        assert time.monotonic() - begun < LIMIT + 2
        result = rig.novadev("device", "show", guest.uuid, "--guest", "-f", "json")
    finally:
        guest.wait_for(lambda: guest.answers)
    assert (answer.names, answer.notes) == (None, ("the guest's agent does not answer",))
    assert (result.code, {item["logical_name"] for item in result.json}) == (0, {None})
    assert result.err == "Names in the guest: the guest's agent does not answer.\n"
    assert "disk vdf" in names(rig.show(guest.uuid, "--guest"))


def test_a_host_in_a_hurry_has_less_patience(guest: MicroGuest) -> None:
    hang(guest, 8)
    with Host(guest.host.name, guest.host.uri, 3) as host:
        begun = time.monotonic()
        answer = ask_disks(host, guest.uuid)
        assert time.monotonic() - begun < 3
        assert answer == GuestAnswer(None, ("the guest's agent did not answer within 1.5 s",))
        assert host.live(guest.uuid) is not None
    guest.wait_for(lambda: guest.answers)


def test_an_agent_that_is_gone(rig: Rig, guest: MicroGuest) -> None:
    command = guest.run("tr '\\0' ' ' </proc/$(pidof qemu-ga)/cmdline")
    guest.begin(f"sleep 0.2; killall qemu-ga; sleep 8; {command}")
    guest.wait_for(lambda: not guest.has_agent)
    result = rig.novadev("device", "show", guest.uuid, "--guest", "-f", "json")
    guest.wait_for(lambda: guest.has_agent)
    assert (result.code, {item["logical_name"] for item in result.json}) == (0, {None})
    assert result.err == "Names in the guest: the guest's agent does not answer.\n"


def test_guests_without_an_agent(sqlite_cloud: Cloud, guest_host: Hypervisor) -> None:
    rig = Rig(sqlite_cloud, [guest_host], HOST_TIMEOUT)
    text = domains.domain(disks=[domains.disk("vda")])
    uuid = record(sqlite_cloud, text, vm_state="active")
    domain = guest_host.define(text)
    try:
        for starts, note in ((False, "is not running"), (True, "has no channel for a guest agent")):
            if starts:
                domain.create()
            result = rig.novadev("device", "show", uuid, "--guest", "-f", "json")
            assert (result.code, result.json[0]["logical_name"]) == (0, None)
            assert result.err == f"Names in the guest: the guest {note}.\n"
    finally:
        domain.destroy()
        domain.undefine()


def test_a_domain_and_a_host_that_are_gone(hypervisor: Hypervisor) -> None:
    domain = hypervisor.define(domains.domain())
    uuid = domain.UUIDString()
    with Host("cmp1", hypervisor.uri) as host:
        assert ask_disks(host, uuid).notes == ("the guest is not running",)
        domain.undefine()
        with pytest.raises(NotFound):
            ask_disks(host, uuid)
        hypervisor.kill()
        with pytest.raises(Unreachable):
            ask_disks(host, uuid)


def test_a_network_card_has_the_name_of_its_place(guest: MicroGuest) -> None:
    """By Debian's own rules; what is played on a running Nova compares these names."""
    name, place = Guest(guest.domain).cards()[mac(2)]
    bus, slot = place.rsplit("/", 1)[1].split(":")[1:]
    assert name == f"enp{int(bus, 16)}s{int(slot[:2], 16)}"
