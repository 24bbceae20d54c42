"""Fixtures: a host of its own, and on it two guests that boot once and serve all tests."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import domains
from tests.device.rig import mac, volume_id
from tests.guest.micro import FOLDER, RELAY_PORT, MicroGuest, channel, definition
from tests.hypervisor import IMAGE_SIZE, Hypervisor, pool, unsupported

NVME_SERIAL = "5d0cbfd3-2b6f-4b1c-9"


@pytest.fixture(scope="session")
def guest_host() -> Iterator[Hypervisor]:
    """A host that keeps its guests until the session ends."""
    if reason := unsupported():
        pytest.skip(f"no namespaces for simulated hosts: {reason}")
    with pool() as hosts:
        yield hosts.take()[0]


@pytest.fixture(scope="session")
def booting(guest_host: Hypervisor) -> tuple[MicroGuest, MicroGuest]:
    """Both guests, booting beside each other."""
    return MicroGuest(guest_host, _with_agent(guest_host)), MicroGuest(guest_host, _with_relay())


@pytest.fixture(scope="session")
def guest(booting: tuple[MicroGuest, MicroGuest]) -> MicroGuest:
    """A guest with Debian's agent and disks on every bus, whose targets are not their names."""
    booting[0].wait_for(lambda: booting[0].is_ready and booting[0].has_agent)
    return booting[0]


@pytest.fixture
def relay(booting: tuple[MicroGuest, MicroGuest]) -> MicroGuest:
    """A guest whose agent is the test: see `liar.answering`."""
    relay = booting[1]
    relay.wait_for(lambda: relay.is_ready)
    try:
        relay.wait_for(lambda: not relay.has_agent, 5)
    except TimeoutError:  # a lie before has clogged it
        relay.restart()
    return relay


def _with_agent(host: Hypervisor) -> str:
    """An e1000 is no PCI Express device: the bridge for it shifts the numbers of all buses."""
    for name in (f"{domains.VOLUMES}/volume-{volume_id(2)}", f"{FOLDER}/nvme"):
        _partition(host.folder / name[1:])
    disks = [
        domains.disk("vda"),
        domains.disk("vdf", serial=volume_id(1)),
        domains.disk("vdc", serial=volume_id(2)),
        domains.disk("sdc", "scsi"),
        domains.disk("sdb", "scsi", serial=volume_id(3)),
        domains.disk("sdd", "sata", serial=volume_id(4)),
        domains.disk("sde", "sata", device="cdrom"),
    ]
    drive = f"if=none,id=nvme,format=raw,file={FOLDER}/nvme"
    nvme = f"nvme,drive=nvme,serial={NVME_SERIAL},bus=pcie.0,addr=0x1d"
    return definition(
        disks,
        [domains.scsi_controller(), channel()],
        machine="q35",
        interfaces=[
            domains.interface(mac(1), kind="user", model="e1000"),
            domains.interface(mac(2), kind="user"),
        ],
        arguments=["-drive", drive, "-device", nvme],
    )


def _with_relay() -> str:
    disks = [domains.disk("vda"), *(domains.disk(f"vd{x}", serial=s) for x, s in _RELAYED)]
    ports = [channel(), channel(RELAY_PORT, f"{FOLDER}/relay.sock")]
    return definition(disks, ports, agent="relay")


_RELAYED = (("b", volume_id(5)), ("c", volume_id(6)))


def _partition(path: Path) -> None:
    """Make an image with one partition."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = bytearray(IMAGE_SIZE)
    record[446:462] = struct.pack("<B3sB3sII", 0, b"\xff" * 3, 0x83, b"\xff" * 3, 64, 1000)
    record[510:512] = b"\x55\xaa"
    path.write_bytes(record)
