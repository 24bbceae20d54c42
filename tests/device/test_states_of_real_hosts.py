"""Commands on a private libvirtd, ended at any moment: states are true, nobody's change is lost."""

import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import uuid4

import libvirt
import pytest

from novadev.records.restore_layout import named
from novadev.virt.host import PERSISTENT
from tests import domains
from tests.cloud import Cloud
from tests.device.restoring import place, record, swap
from tests.device.site import Site
from tests.device.test_alias_race import guest, stopped
from tests.hypervisor import Hypervisor
from tests.image_property.processes import finish, start

pytestmark = pytest.mark.slow

CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
STEPS = 9
CODES = (0, 3, 4, 7, 8, -signal.SIGKILL)
"""4: nothing to undo or to resume."""


@dataclass
class Bed:
    """Two guests; what another has attached to them stays, whatever ends in the middle."""

    site: Site
    uuids: list[str]
    home: str
    """Where the first disk of each is recorded."""
    random: Random = field(default_factory=lambda: Random(11))
    theirs: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def step(self, command: str, end: str) -> None:
        """Run one command to its END, and look what is said of what there is."""
        arguments = self._arguments(command)
        process = start(self.site.cloud, *arguments, "--yes")
        with ThreadPoolExecutor() as threads:
            striking = threads.submit(self._strike, process, end)
            ended = finish(process)
            striking.result()
        if end == "lost":
            self.site.host.restart()
        assert "Traceback" not in ended.err
        assert ended.code in CODES, ended.err
        self._look(self._newest())

    def _arguments(self, command: str) -> tuple[str, ...]:
        if command == "restore":
            for uuid in self.uuids:
                if place(self.site.persistent(uuid), "disk vda") == self.home:
                    swap(self.site, uuid, "disk vda", "disk vdb")
        if command in ("alias-migrate", "restore"):
            return ("device", command, *self.uuids)
        run = max(1, self._newest() - self.random.randint(0, 1))
        return (command, str(run))

    def _newest(self) -> int:
        return max(item["run"] for item in self.site.run("history", "-f", "json").json)

    def _strike(self, process: "subprocess.Popen[str]", end: str) -> None:
        """Wait until something is written, and a moment more; then let the END happen."""
        host = self.site.host.connect()
        handles = [host.lookupByUUIDString(uuid) for uuid in self.uuids]
        before = [handle.XMLDesc(PERSISTENT) for handle in handles]
        while process.poll() is None:
            if [handle.XMLDesc(PERSISTENT) for handle in handles] != before:
                break
            time.sleep(0.005)
        time.sleep(self.random.uniform(0, 0.08))
        if end == "lost":
            self.site.host.kill()
        elif end == "killed":
            with suppress(OSError), stopped(self.site.host, process):
                process.kill()
        elif end == "beside":
            uuid, serial = self.uuids[-1], str(uuid4())
            if uuid not in self.theirs:
                handles[-1].attachDeviceFlags(domains.disk("vdz", serial=serial), CONFIG)
                self.theirs[uuid] = serial

    def _look(self, run: int) -> None:
        for uuid, serial in self.theirs.items():
            assert serial in self.site.handle(uuid).XMLDesc(PERSISTENT)
        found: dict[tuple[str, str], list[bool]] = {}
        for item in self.site.run("history", str(run), "-f", "json").json:
            is_there = self._value(item) == item["after"]
            found.setdefault((item["instance"], item["state"]), []).append(is_there)
        for (_, state), there in found.items():
            self.seen.add(state)
            if state == "applied":
                assert all(there), (run, found)
            if state == "half":
                assert any(there), (run, found)
            if state in ("planned", "stale", "failed", "abandoned", "undone"):
                assert not any(there), (run, found)

    def _value(self, item: dict[str, Any]) -> object:
        """What there is at the place of a change, as the history tells it."""
        name, _, kind = item["what"].rpartition(" ")
        domain = self.site.persistent(item["instance"])
        device = named(domain)[name] if kind == "address" else domain.device(name)
        if kind == "address":
            return device.address.exact_text if device.address else None
        return device.alias.name if device.alias else {"absent": True}


def test_ended_at_any_moment(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> None:
    """Aliases and addresses are written, carried on and taken back; in the end all is taken back.

    Only what the newest run says is looked at: what it wrote nobody has written since.
    """
    site = Site.of(sqlite_cloud, hypervisor)
    uuids = sorted(site.add(guest(12)) for _ in range(2))
    record(site, *uuids)
    bed = Bed(site, uuids, place(site.persistent(uuids[0]), "disk vda"))
    bed.step("alias-migrate", "killed")
    for _ in range(STEPS):
        command = bed.random.choice(("alias-migrate", "restore", "undo", "undo", "resume"))
        ends = ("whole", "killed", "lost", *["beside"] * (command == "alias-migrate"))
        bed.step(command, bed.random.choice(ends))
    codes = [site.run("undo", str(run), "--yes").code for run in range(bed._newest(), 0, -1)]
    left = [label for uuid in bed.uuids for label in site.aliases(uuid)]
    assert not left or any(codes)
    assert {"applied", "started"} <= bed.seen
