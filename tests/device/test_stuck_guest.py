"""A guest whose QEMU hangs costs itself alone: it is named, and the host's others are done."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.site import Site
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

UUIDS = [f"{number}c9e6679-7425-40de-944b-e07fc1f90ae7" for number in (1, 2, 3)]
VOLUMES = [f"{number}f8fad5b-d9cb-469f-a165-70867728950e" for number in (1, 2, 3)]
FIRST, STUCK, LAST = UUIDS


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    """Three running guests, each with a volume that lacks its alias."""
    site = Site.of(sqlite_cloud, hypervisor)
    for uuid, volume in zip(UUIDS, VOLUMES, strict=True):
        disks = [domains.disk("vda"), domains.disk("vdb", serial=volume)]
        site.add(domains.domain(uuid, disks=disks), start=True)
    return site


@contextmanager
def stuck(site: Site, uuid: str) -> Iterator[None]:
    """Stop the guest's QEMU, and let somebody's question to it hang: that holds the guest's job."""
    emulator = emulator_of(uuid)
    os.kill(emulator, signal.SIGSTOP)
    asker = threading.Thread(target=ask_it, args=(site.host.connect(), uuid))
    try:
        asker.start()
        while site.handle(uuid).controlInfo()[0] != libvirt.VIR_DOMAIN_CONTROL_OCCUPIED:
            time.sleep(0.05)
        yield
    finally:
        os.kill(emulator, signal.SIGCONT)
        asker.join()


def ask_it(connection: Any, uuid: str) -> None:
    with suppress(libvirt.libvirtError):
        connection.lookupByUUIDString(uuid).blockStats("vda")


def emulator_of(uuid: str) -> int:
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            if b"qemu-system" in words[0] and uuid.encode() in words:
                return int(place.name)
    raise AssertionError(f"no QEMU of {uuid}")


def test_alias_migrate_does_the_others(site: Site) -> None:
    with stuck(site, STUCK):
        result = site.migrate("--all", code=8)
        assert f"({STUCK}): its QEMU does not answer within 1 s" in result.err
        assert f"ua-{VOLUMES[0]}" in site.aliases(FIRST).values()
        assert f"ua-{VOLUMES[2]}" in site.aliases(LAST).values()
        assert site.aliases(STUCK) == {}
    assert site.migrate("--all").code == 0
    assert f"ua-{VOLUMES[1]}" in site.aliases(STUCK).values()


def test_whoever_only_reads_asks_no_qemu(site: Site) -> None:
    with stuck(site, STUCK):
        shown = site.run("device", "show", STUCK, "-f", "json")
        assert (shown.code, shown.err) == (0, "")
        assert VOLUMES[1] in shown.out
        for command in (
            ["device", "forecast"],
            ["device", "record"],
            ["stash-defaults", "--source", "domain", "--dry-run"],
            ["audit", "--check", "alias"],
        ):
            done = site.run(*command, "--all", "-f", "json")
            assert "could not be reached" not in done.err
            assert "no answer" not in done.err
            assert done.code in (0, 3), done.err


def test_a_guest_that_gets_stuck_between_plan_and_write(site: Site) -> None:
    file = str(site.cloud.folder / "plan")
    planned = site.run("device", "alias-migrate", "--all", "--plan-out", file)
    assert planned.code == 0
    with stuck(site, STUCK):
        applied = site.run("apply", file, "--yes")
        assert applied.code == 8
        assert f"({STUCK}): its QEMU does not answer" in applied.err + applied.out
        assert f"ua-{VOLUMES[2]}" in site.aliases(LAST).values()
    assert site.run("resume", "--yes").code == 0
    assert f"ua-{VOLUMES[1]}" in site.aliases(STUCK).values()
