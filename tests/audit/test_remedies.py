"""A deployment full of faults: every remedy that the audit names is run, and mends.

Every guest but the one-sided one is stopped, so that no remedy has to wait.
"""

import shlex
from datetime import datetime
from typing import Any

import libvirt
import pytest

from novadev.audit.checks import CHECKS
from tests import domains
from tests.audit.auditing import STASHED, audit, checks
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.site import Site
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
OBSERVED = {**STASHED, "hw_cdrom_bus": None, "hw_video_model": "cirrus"}
LONG_AGO = {"updated_at": datetime(2026, 1, 1)}


def volume_id(number: int) -> str:
    return f"{number:02x}8fad5b-d9cb-469f-a165-70867728950e"


def port_id(number: int) -> str:
    return f"{number:02x}bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10"


def mac(number: int) -> str:
    return f"fa:16:3e:00:00:{number:02x}"


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    """A cloud that knows the rules of its host."""
    made = Site.of(sqlite_cloud, hypervisor, timeout=30)
    folder = sqlite_cloud.folder / "compute"
    folder.mkdir()
    (folder / f"{hypervisor.name}.conf").write_text("[libvirt]\nvirt_type = qemu\n")
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"compute_config_dir = {folder}\n")
    return made


def guest(number: int, aliases: bool = True, machine: str = "pc") -> str:
    """A guest with a disk of its own, a volume and a port."""
    volume, port = volume_id(number), port_id(number)
    return domains.domain(
        machine=machine,
        disks=[
            domains.disk("vda"),
            domains.disk("vdb", serial=volume, alias=f"ua-{volume}" if aliases else None),
        ],
        interfaces=[
            domains.interface(mac(number), port=port, alias=f"ua-{port}" if aliases else None)
        ],
    )


def fill(site: Site) -> None:
    """Add a guest for each fault."""
    site.add(guest(0), name="healthy", **OBSERVED)
    site.add(guest(1), name="not-stashed")
    site.add(guest(2, aliases=False), name="without-aliases", **OBSERVED)
    faults: list[dict[str, Any]] = [
        {"hw_rng_model": "virtio"},
        {"hw_video_model": "gop"},
        {"hw_scsi_model": "buslogic"},
        {"hw_vif_model": "e1001"},
        {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"},
        {"hw_machine_type": "pc"},
        {"hw_vif_model": None},
        {"hw_pointer_model": "usbtablet", "hw_input_bus": "virtio"},
        {"os_type": "Windows Server 2019"},
    ]
    for number, wanted in enumerate(faults, 3):
        site.add(guest(number), name=f"fault-{number}", **{**OBSERVED, **wanted})
    _add_what_only_its_owner_can_mend(site)
    _add_twice_stored(site, 24)
    _add_lun(site, 23)
    _add_stale_request_spec(site, 20)
    _add_drifted(site, 21)
    _add_ghost(site, 22)
    _add_one_sided(site, 24)


def _add_what_only_its_owner_can_mend(site: Site) -> None:
    orphan = site.add(guest(30), name="orphan", **OBSERVED)
    stray = domains.disk("vdx", source="/var/lib/nova/mnt/stray")
    site.handle(orphan).attachDeviceFlags(stray, CONFIG)
    cards = [
        domains.interface(mac(31), port=port_id(number), alias=f"ua-{port_id(number)}")
        for number in (31, 32)
    ]
    twins = domains.domain(disks=[domains.disk("vda")], interfaces=cards)
    site.add(twins, name="twins", **OBSERVED)
    site.host.define(domains.domain(name="stranger"))
    site.cloud.add_instance(name="lost", **OBSERVED)
    site.add(guest(33), name="failed", vm_state="error", **OBSERVED)
    site.add(guest(34), name="busy", task_state="image_uploading", columns=LONG_AGO, **OBSERVED)
    renamed = site.add(guest(35), name="renamed", **OBSERVED)
    where = {"instance_uuid": renamed, "volume_id": volume_id(35)}
    site.cloud.update("block_device_mapping", "cell1", where, device_name="/dev/vdc")


def _add_lun(site: Site, number: int) -> None:
    """A LUN behind a controller that passes its commands through, and a property that does not."""
    volume = volume_id(number)
    source = f"/dev/disk/by-path/volume-{volume}"
    lun = domains.disk(
        "sda", "scsi", kind="block", device="lun", source=source, alias=f"ua-{volume}"
    )
    text = domains.domain(
        disks=[domains.disk("vda"), lun], devices=[domains.scsi_controller("virtio-scsi")]
    )
    site.add(text, name="lun", **{**OBSERVED, "hw_vif_model": None, "hw_scsi_model": "lsilogic"})


def _add_twice_stored(site: Site, number: int) -> None:
    uuid = site.add(guest(number), name="twice-stored", **OBSERVED)
    row = {"key": "image_hw_vif_model", "value": "virtio", "deleted": 0}
    site.cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)


def _add_stale_request_spec(site: Site, number: int) -> None:
    uuid = site.add(guest(number), name="stale-spec", **OBSERVED)
    (row,) = site.cloud.rows("request_specs", "api", instance_uuid=uuid)
    text = row["spec"].replace('"hw_vif_model": "virtio"', '"hw_vif_model": "e1000"')
    site.cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec=text)


def _add_drifted(site: Site, number: int) -> None:
    uuid = site.add(guest(number), name="drifted", **OBSERVED)
    assert novadev(site.cloud, "device", "record", uuid).code == 0
    site.handle(uuid).attachDeviceFlags('<input type="tablet" bus="usb"/>', CONFIG)


def _add_ghost(site: Site, number: int) -> None:
    uuid = site.add(guest(number), name="ghost", **OBSERVED)
    site.cloud.add_volume(uuid, volume_id(90), "/dev/vdz", disk_bus="virtio", device_type="disk")


def _add_one_sided(site: Site, number: int) -> None:
    uuid = site.add(guest(number), name="one-sided", start=True, **OBSERVED)
    site.cloud.add_volume(uuid, volume_id(91), "/dev/vdz", disk_bus="virtio", device_type="disk")
    disk = domains.disk("vdz", serial=volume_id(91), alias=f"ua-{volume_id(91)}")
    site.handle(uuid).attachDeviceFlags(disk, CONFIG)


def test_the_remedies_work(site: Site) -> None:
    fill(site)
    found = [item for item in audit(site.cloud, code=3) if item["check"] != "forecast"]
    elsewhere = {"forecast", "mapping", "not-keeping", "pcie-ports", "rehearsal", "target"}
    elsewhere |= {"unreachable"}
    every = {check.name for check in CHECKS} - elsewhere
    assert set(checks(found)) == every
    for _ in range(3):
        remedies = dict.fromkeys(item["remedy"] for item in found if item["remedy"])
        assert not any("detach" in remedy for remedy in remedies)
        for remedy in remedies:
            _run(site, remedy)
        found = [item for item in audit(site.cloud, code=3) if item["check"] != "forecast"]
    assert [(item["name"], item["details"]) for item in found if item["remedy"]] == []
    unmended = {"ghost", "one-sided", "orphan", "duplicate-mac", "missing-domain", "unknown-domain"}
    unmended |= {"error-state", "stuck-task", "volume-name"}
    (stored,) = (item["details"] for item in found if item["check"] == "definition")
    start = "hw_video_model is stored as virtio, and the guest has cirrus: run "
    assert stored.startswith(start), "a remedy stored it, and the guest waits for its power-on"
    assert set(checks(found)) == unmended | {"definition"}
    assert {item["needs"] for item in found} == {"decision"}


def _run(site: Site, remedy: str) -> None:
    for command in remedy.split(" && "):
        program, *words = shlex.split(command)
        assert program == "novadev"
        result = novadev(site.cloud, *words)
        assert result.code == 0, f"{remedy}: {result.out}{result.err}"
