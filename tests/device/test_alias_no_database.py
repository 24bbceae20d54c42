"""The same device gets the same alias, whether Nova's databases are read or libvirt alone is."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.bed import compute_host
from tests.device.site import Site, changes
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

IDENTITY = "0f8fad5b-d9cb-469f-a165-70867728950e"
GUESTS = 25
SCSI, VIRTIO = ("sda", "sdb", "sdc"), ("vdb", "vdc", "vdd")
MACS = ("fa:16:3e:00:00:01", "fa:16:3e:00:00:02")
"""Few enough for guests with one MAC twice."""


@dataclass
class Generated:
    """A guest of volumes on every bus, LUNs, ports of every kind and host devices, by chance.

    ``certain`` is what must be told from the definition alone: the owners' UUIDs, by labels.
    """

    random: Random
    certain: dict[str, str] = field(default_factory=dict)
    ports: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Its definition."""
        targets = self.random.sample(SCSI + VIRTIO, self.random.randint(0, 5))
        kinds = self.random.choices(("ovs", "bridge", "ethernet", "sriov"), k=self._upto(4))
        return domains.domain(
            self._uuid(),
            disks=[domains.disk("vda"), *map(self._disk, targets)],
            interfaces=[*map(self._interface, kinds)],
            devices=[domains.mdev(self._uuid()) for _ in range(self._upto(2))],
            ports=self.ports,
        )

    def _disk(self, target: str) -> str:
        volume, bus = self._uuid(), "scsi" if target in SCSI else "virtio"
        alias = self._alias(volume)
        if bus == "scsi" and self._upto(1):
            path = f"/dev/disk/by-path/ip-192.0.2.10:3260-volume-{volume}-lun-1"
            lun = {"device": "lun", "kind": "block", "source": path}
            return domains.disk(target, bus, alias=alias, **lun)  # type: ignore[arg-type]
        self.certain[f"disk {target}"] = volume
        kind = self.random.choice(("file", "network"))
        return domains.disk(target, bus, serial=volume, kind=kind, alias=alias)

    def _interface(self, kind: str) -> str:
        port = self._uuid()
        self.ports.append(port)
        if kind == "sriov":
            mac = "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in UUID(port).bytes[:3])
            place = UUID(port).bytes
            return domains.sriov(mac, f"{place[0]:04x}:{place[1]:02x}:{place[2] % 32:02x}.0")
        self.certain[f"interface tap{port[:11]}"] = port
        mac = self.random.choice(MACS)
        return domains.interface(mac, port=port, kind=kind, alias=self._alias(port))

    def _upto(self, most: int) -> int:
        return self.random.randint(0, most)

    def _uuid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def _alias(self, uuid: str) -> str | None:
        return f"ua-{uuid}" if self._upto(1) else None


@pytest.mark.parametrize("seed", range(3))
def test_the_same_alias_either_way(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, tmp_path: Path, seed: int
) -> None:
    site, random = Site.of(sqlite_cloud, hypervisor), Random(seed)
    known = {}
    for _ in range(GUESTS):
        guest = Generated(random)
        known[site.add(guest.text())] = guest
    plans = site.plan("--all", "--whole-definition")["plans"]
    with_databases = {plan["instance"]: changes(plan) for plan in plans}
    on = compute_host(tmp_path, hypervisor)
    of_host = site.plan("--host", "cmp1", "--no-database")
    assert of_host == site.plan("--all", on=on)
    without = {plan["instance"]: changes(plan) for plan in of_host["plans"]}
    for uuid, guest in known.items():
        found, domain = without.get(uuid, {}), site.persistent(uuid)
        assert found.items() <= with_databases.get(uuid, {}).items()
        assert found == {
            label: f"ua-{owner}"
            for label, owner in guest.certain.items()
            if domain.device(label).alias is None
        }
    assert sum(map(len, with_databases.values())) > sum(map(len, without.values())) > GUESTS


def test_a_compute_host_alone(sqlite_cloud: Cloud, hypervisor: Hypervisor, tmp_path: Path) -> None:
    """Its own guests are done and undone; what is not Nova's, or is rescued, is left alone."""
    site = Site.of(sqlite_cloud, hypervisor)
    on = compute_host(tmp_path, hypervisor)
    volume = str(uuid4())
    disk = domains.disk("vdb", serial=volume)
    ours = hypervisor.define(domains.domain(disks=[disk])).UUIDString()
    other = hypervisor.define(domains.domain(disks=[disk], metadata=False)).UUIDString()
    uuid = str(uuid4())
    own = domains.disk("vda", source=f"{domains.IMAGES}/{uuid}/disk.rescue")
    rescued = hypervisor.define(domains.domain(uuid, disks=[own, disk])).UUIDString()
    before = {uuid: site.persistent(uuid).canonical for uuid in (ours, other, rescued)}
    done = site.run("device", "alias-migrate", "--all", "--yes", "-f", "json", on=on)
    assert done.code == 0
    assert [plan["instance"] for plan in done.json["plans"]] == [ours]
    assert site.aliases(ours) == {"disk vdb": f"ua-{volume}"}
    reasons = {skip["instance"]: skip["reason"] for skip in done.json["skipped"]}
    assert "does not belong to Nova" in reasons[other]
    assert "it is rescued" in reasons[rescued]
    assert site.run("device", "alias-migrate", other, "--dry-run", on=on).code == 3
    assert site.run("device", "alias-migrate", "nobody", "--dry-run", on=on).code == 2
    assert site.run("device", "alias-migrate", "--all", "--vm-state", "active", on=on).code == 4
    assert site.run("undo", "1", "--yes", on=on).code == 0
    assert {uuid: site.persistent(uuid).canonical for uuid in before} == before


def test_a_plan_in_a_file_on_a_compute_host(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, tmp_path: Path
) -> None:
    site = Site.of(sqlite_cloud, hypervisor)
    on, file = compute_host(tmp_path, hypervisor), str(tmp_path / "plan")
    uuid = hypervisor.define(domains.domain(disks=[domains.disk("vdb", serial=IDENTITY)]))
    saved = site.run("device", "alias-migrate", "--all", "--plan-out", file, on=on)
    assert saved.code == 0
    assert site.run("apply", file, "--yes", on=on).code == 0
    assert site.aliases(uuid.UUIDString()) == {"disk vdb": f"ua-{IDENTITY}"}
