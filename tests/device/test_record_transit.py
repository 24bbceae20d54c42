"""A guest that is being migrated in: its definition is not complete there, and is not read."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import libvirt
import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.bed import reach
from tests.device.site import Site
from tests.hypervisor import PRIVILEGED, Hypervisor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PRIVILEGED, reason="hosts of an ordinary user cannot migrate"),
]
SLOWLY = 1
"""MiB a second."""


def test_a_guest_on_its_way(sqlite_cloud: Cloud, hypervisors3: Sequence[Hypervisor]) -> None:
    reach(sqlite_cloud, hypervisors3)
    here, there = (Site(sqlite_cloud, host) for host in hypervisors3[:2])
    card = domains.interface("fa:16:3e:00:00:01", kind="user")
    uuid = here.add(domains.domain(interfaces=[card]), start=True)
    assert here.run("device", "record", uuid).code == 0
    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_UNSAFE
    parameters = {"migrate_uri": "tcp://127.0.0.1", "bandwidth": SLOWLY}
    handle = here.handle(uuid)
    failed: list[libvirt.libvirtError] = []

    def migrate() -> None:
        try:
            handle.migrate3(there.host.connection, parameters, flags)
        except libvirt.libvirtError as error:
            failed.append(error)

    thread = threading.Thread(target=migrate)
    emulator = _emulator(here.host, uuid)
    thread.start()
    try:
        _wait_for(there, uuid, thread, emulator)
        sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, host=there.host.name)
        result = there.run("device", "list", "--long", uuid)
        record = there.run("device", "record", uuid, "-f", "json")
        assert thread.is_alive(), failed
    finally:
        os.kill(emulator, signal.SIGCONT)
        thread.join()
    assert (record.code, record.json[0]["changed"]) == (0, False)
    assert result.code == 3
    assert "is being started or migrated in: its devices are not complete yet" in result.err


def _emulator(host: Hypervisor, uuid: str) -> int:
    """The process of a guest."""
    (found,) = (
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if uuid in _command_line(path) and "qemu-system" in _command_line(path)
    )
    return found


def _command_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _wait_for(site: Site, uuid: str, thread: threading.Thread, emulator: int) -> None:
    """Wait until the guest is on its way in, and keep it there."""
    end = time.monotonic() + 20
    while time.monotonic() < end and thread.is_alive():
        if uuid in [item.UUIDString() for item in site.host.connection.listAllDomains()]:
            os.kill(emulator, signal.SIGSTOP)
            return
        time.sleep(0.02)
    raise AssertionError("it never came")
