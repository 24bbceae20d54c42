"""What alias-migrate leaves alone, each with its reason; and what stands next to it is done."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import libvirt
import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.bed import compute_host
from tests.device.site import Site, aliases, record
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

A, B = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
P, Q = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10", "b1c2d3e4-0001-4c8c-9b3e-6e1f0f2f5d11"
MAC = "fa:16:3e:00:00:01"
LONG = "ua-" + "x" * 297


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


def volumes(*disks: str, **more: object) -> str:
    """A guest with a local disk and these."""
    return domains.domain(disks=[domains.disk("vda"), *disks], **more)  # type: ignore[arg-type]


def test_devices_that_are_not_certain(site: Site) -> None:
    lun = domains.disk("sda", "scsi", device="lun", kind="block", source="/dev/dm-7")
    macvtaps = [domains.interface(MAC, kind="user")] * 2
    override = "<qemu:override><qemu:device alias='ua-mine'/></qemu:override></domain>"
    generated = override.replace("ua-mine", "virtio-disk1")
    setting = "<qemu:commandline><qemu:arg value='-set'/><qemu:arg value='device.ua-mine.x=1'/>"
    texts = {
        "twice": volumes(domains.disk("vdb", serial=A), domains.disk("vdc", serial=A)),
        "either": volumes(lun),
        "swapped": volumes(
            domains.disk("vdb", serial=A, alias=f"ua-{B}"), domains.disk("vdc", serial=B)
        ),
        "unknown": volumes(domains.disk("vdz"), domains.disk("vdb", serial=A)),
        "one-mac": domains.domain(interfaces=macvtaps),
        "scsi": volumes(
            domains.disk("sda", "scsi", source=f"/var/lib/nova/mnt/volume-{A}"),
            domains.disk("sdb", "scsi", device="lun", kind="block", source=f"/dev/{B}"),
        ),
        "long": volumes(domains.disk("vdb", serial=A, alias=LONG)),
        "teaming": domains.domain(
            interfaces=[
                teamed(domains.interface(MAC, port=P, alias="ua-backup"), "persistent"),
                teamed(domains.sriov(MAC, "0000:81:00.1"), "transient", persistent="ua-backup"),
            ]
        ),
        "override": volumes(domains.disk("vdb", serial=A, alias="ua-mine")).replace(
            "</domain>", override
        ),
        "generated": volumes(domains.disk("vdb", serial=A)).replace("</domain>", generated),
        "set": volumes(domains.disk("vdb", serial=A, alias="ua-mine")).replace(
            "</domain>", f"{setting}</qemu:commandline></domain>"
        ),
    }
    uuids = {name: site.add(with_qemu(text), name=name) for name, text in texts.items()}
    cloud = site.cloud
    cloud.delete("block_device_mapping", "cell1", device_name="/dev/vdz")
    cloud.delete("block_device_mapping", "cell1", device_name="/dev/vdc", volume_id=A)
    cloud.delete("block_device_mapping", "cell1", device_name="/dev/sda", volume_id=None)
    for volume in (A, B):
        cloud.add_volume(uuids["either"], volume, "/dev/sda", device_type="lun")
    before = {name: site.persistent(uuid) for name, uuid in uuids.items()}

    result = site.migrate("--all", "-f", "json")
    assert reasons(result.json, uuids) == {
        "twice": [
            f"disk vdb: disk vdb and disk vdc have the serial of volume {A}",
            f"disk vdc: disk vdb and disk vdc have the serial of volume {A}",
        ],
        "either": [f"disk sda: its target sda matches volume {A} and volume {B}"],
        "swapped": [
            f"disk vdb: its serial {A} is that of volume {A}; disk vdc has the serial of volume "
            f"{B} too",
            f"disk vdc: its serial {B} is that of volume {B}",
        ],
        "unknown": ["disk vdz: it matches nothing that Nova has attached"],
        "one-mac": [
            f"interface {MAC} at 0000:00:0{slot}.0: "
            + "; ".join(f"its mac {MAC} is that of port {port}" for port in ports(site, "one-mac"))
            for slot in (3, 4)
        ],
        "scsi": [
            "disk sda: it has no serial, so the guest sees its alias as its name in /dev/disk/by-id"
        ],
        "long": [
            f"disk vdb: its alias {LONG} was not set by Nova: it names nothing that this instance "
            "has"
        ],
        "teaming": [f"interface tap{P[:11]}: {NAMED}"],
        "override": [f"disk vdb: {NAMED}"],
        "set": [f"disk vdb: {NAMED}"],
        "generated": [
            "disk vdb: a part of the definition refers to devices by aliases that libvirt generates"
        ],
    }
    done = {name for name in uuids if site.aliases(uuids[name]) != aliases(before[name])}
    assert done == {"unknown", "scsi", "teaming"}
    assert site.aliases(uuids["scsi"]) == {"disk sdb": f"ua-{B}"}
    assert site.aliases(uuids["unknown"]) == {"disk vdb": f"ua-{A}"}
    for name, uuid in uuids.items():
        now = site.persistent(uuid).canonical_without_aliases
        assert now == before[name].canonical_without_aliases
    assert "error" not in result.err
    site.migrate("--all", "--fail-on-skip", code=3)
    site.migrate(uuids["scsi"], code=3)
    site.migrate(uuids["unknown"])


NAMED = "another part of the definition refers to its present alias"


def reasons(document: Any, uuids: dict[str, str]) -> dict[str, list[str]]:
    """Why what is skipped is, by the names of the instances, without the instances."""
    found: dict[str, list[str]] = {}
    names = {uuid: name for name, uuid in uuids.items()}
    for skip in document["skipped"]:
        reason = skip["reason"].removeprefix(f"instance {skip['instance']}: ")
        found.setdefault(names[skip["instance"]], []).append(reason)
    return found


def ports(site: Site, name: str) -> list[str]:
    """The ports Nova has of an instance."""
    (instance,) = site.cloud.rows("instances", "cell1", display_name=name)
    where = {"instance_uuid": instance["uuid"]}
    (cache,) = site.cloud.rows("instance_info_caches", "cell1", **where)
    return [vif["id"] for vif in json.loads(cache["network_info"])]


def test_guests_that_are_not_to_be_touched(site: Site) -> None:
    cloud, host = site.cloud, site.host
    states: dict[str, dict[str, Any]] = {
        "fine": {},
        "busy": {"task_state": "powering-on"},
        "rescued": {"vm_state": "rescued"},
        "offloaded": {"vm_state": "shelved_offloaded", "host": None},
        "migrating": {"vm_state": "active"},
        "resized": {"vm_state": "resized"},
        "elsewhere": {"host": "cmp9"},
    }
    uuids = {name: site.add(one_volume(), name=name, **state) for name, state in states.items()}
    for name in ("saved", "copying"):
        uuids[name] = site.add(one_volume(), name=name, start=True)
    uuids["transient"] = record(cloud, transient := one_volume(), name="transient")
    host.make_files(transient)
    host.connection.createXML(transient)
    uuids["missing"] = record(cloud, one_volume(), name="missing")
    uuids["deleted"] = site.add(one_volume(), name="deleted")
    cloud.soft_delete(uuids["deleted"])
    cloud.add_migration(uuids["migrating"])
    cloud.add_migration(uuids["resized"], "finished", "resize")
    site.handle(uuids["saved"]).managedSave()
    copy = "<disk type='file'><source file='/var/lib/nova/copy'/><driver type='raw'/></disk>"
    flags = libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    site.handle(uuids["copying"]).blockCopy("vdb", copy, {}, flags)
    before = {
        name: site.persistent(uuid).canonical
        for name, uuid in uuids.items()
        if name not in ("missing", "fine")
    }
    result = site.migrate("--all", "-f", "json", code=8)
    found = {name: reason for name, (reason,) in reasons(result.json, uuids).items()}
    assert found.pop("elsewhere").startswith("host cmp9 could not be reached")
    assert found.pop("missing").startswith(
        f"host cmp1: domain {uuids['missing']}: Domain not found"
    )
    assert found == {
        "busy": "it has a task in progress: powering-on",
        "rescued": "it is rescued: its present definition is dropped when it is unrescued",
        "offloaded": f"instance {uuids['offloaded']} is shelved_offloaded: it is on no host",
        "migrating": "its live-migration 1 is running",
        "resized": "its resize 2 is finished, not yet confirmed or reverted",
        "transient": "its domain is transient: there is no persistent definition",
        "saved": "it has a managed save image, which contains its old definition",
        "copying": "an operation is running: block job on vdb",
    }
    assert list(site.aliases(uuids["fine"])) == ["disk vdb"]
    assert all(site.persistent(uuids[name]).canonical == xml for name, xml in before.items())
    codes = {
        name: site.run("device", "alias-migrate", uuid, "--yes").code
        for name, uuid in uuids.items()
    }
    assert codes == {
        **dict.fromkeys(uuids, 3),
        "missing": 2,
        "deleted": 2,
        "fine": 0,
        "elsewhere": 8,
    }


def one_volume() -> str:
    """A guest with a volume of its own."""
    return volumes(domains.disk("vdb", serial=str(uuid4())))


def teamed(interface: str, kind: str, **more: str) -> str:
    """An interface of a team."""
    attributes = "".join(f" {name}='{value}'" for name, value in {"type": kind, **more}.items())
    return interface.replace("</interface>", f"<teaming{attributes}/></interface>")


def with_qemu(text: str) -> str:
    """The domain with the namespace of QEMU's own settings."""
    return text.replace(
        "<domain ", '<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0" ', 1
    )


def test_entities_in_the_metadata_of_a_guest(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """libvirt keeps what refers to an entity: its XML cannot be parsed, and is not resolved."""
    caplog.set_level("DEBUG")
    secret = tmp_path / "secret"
    secret.write_text("from-a-file")
    bomb = "".join(
        f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" if n else "<!ENTITY e0 'boom'>" for n in range(8)
    )
    kinds = {
        "external": f"<!DOCTYPE domain [<!ENTITY e0 SYSTEM 'file://{secret}'>]>",
        "bomb": f"<!DOCTYPE domain [{bomb}]>",
    }
    uuids = {}
    for name, doctype in kinds.items():
        odd = '<x:x xmlns:x="x:x">&e0;</x:x></metadata>'
        text = one_volume()
        uuids[name] = record(site.cloud, text, name=name)
        site.host.connection.defineXML(doctype + text.replace("</metadata>", odd))
    uuids["fine"] = site.add(one_volume(), name="fine")
    result = site.migrate("--all", "-f", "json", code=4)
    found = reasons(result.json, uuids)
    for name in kinds:
        (reason,) = found[name]
        assert reason.startswith(f"host cmp1: the XML of domain {uuids[name]} cannot be parsed: ")
        assert site.migrate(uuids[name], code=4)
    assert len(site.aliases(uuids["fine"])) == 1
    on, name = compute_host(tmp_path, site.host), site.persistent(uuids["fine"]).name
    site.run("undo", "1", "--yes")
    for names in (["--all"], list(uuids.values()), [name]):
        alone = site.run("device", "alias-migrate", "--yes", "-f", "json", *names, on=on)
        assert {plan["instance"] for plan in alone.json["plans"]} == {uuids["fine"]}
        site.run("undo", str(alone.json["run"]), "--yes", on=on)
    for text in ("from-a-file", "boom"):
        assert text not in result.out + result.err + caplog.text
