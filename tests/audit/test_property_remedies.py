"""Every command that the audit names for a stored property is accepted, and ends its finding.

The servers are shelved and offloaded: the rules of the host that they were on are all there is.
"""

import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from novadev.audit.commands import rank
from tests.audit.auditing import STASHED
from tests.cloud import Cloud
from tests.command import novadev

CHECKS = (
    *("not-stashed", "stored-value", "unreadable", "duplicate-property", "no-effect"),
    *("combination", "request-spec", "disk-bus"),
)
USB = {"hw_input_bus": "usb", "hw_pointer_model": "usbtablet"}
SPEC = {name: value for name, value in STASHED.items() if value is not None}


def properties(**wanted: Any) -> dict[str, Any]:
    return {"image_properties": {**STASHED, **wanted}}


def missing(*names: str) -> dict[str, Any]:
    kept = {name: value for name, value in STASHED.items() if name not in names}
    return {"image_properties": kept}


NO_SPEC = "a server that has no request spec"
KINDS: Mapping[str, Mapping[str, Any]] = {
    "not stashed": missing("hw_vif_model"),
    **{
        f"{name} stored as {value!r}": properties(**{name: value})
        for name, value in (
            *(("hw_disk_bus", "SCSI"), ("hw_disk_bus", "virtio "), ("hw_disk_bus", "nvme")),
            *(("hw_vif_model", " VIRTIO"), ("hw_vif_model", "E1001"), ("hw_cdrom_bus", "SATA")),
            *(("hw_scsi_model", "virtio_scsi"), ("hw_pointer_model", "USBTablet")),
            *(("hw_rng_model", "VIRTIO"), ("hw_rng_model", "virtio"), ("hw_rescue_bus", "scsi")),
            *(("hw_scsi_model", "buslogic"), ("hw_scsi_model", "ibmvscsi")),
            *(("hw_video_model", "gop"), ("hw_video_model", "")),
            *(("hw_vif_model", "lan9118"), ("hw_vif_model", "netfront"), ("hw_disk_bus", "sata")),
            *(("os_type", "Windows Server 2019"), ("hw_firmware_type", "UEFI")),
            *(("img_config_drive", "True"), ("hw_video_ram", "64MB"), ("architecture", "x64")),
            *(("hw_watchdog_action", "RESET"), ("vmware_adaptertype", "lsi")),
        )
    },
    "a property in two rows": properties(),
    "a bus that a disk must not have": properties(hw_cdrom_bus="virtio"),
    **{
        f"a bus that a disk must not have, behind {value}": properties(
            hw_cdrom_bus="virtio", hw_disk_bus=value
        )
        for value in ("VIRTIO", "SATA", "nvme", "xen")
    },
    "a bus that a disk must not have, in another case": properties(hw_cdrom_bus="VIRTIO"),
    "a model that its virt_type lacks, in another case": properties(hw_vif_model="NETFRONT"),
    "a pointer that is not read": properties(hw_input_bus="virtio", hw_pointer_model="usbtablet"),
    "a controller that is missing": properties(hw_disk_bus="scsi"),
    "a controller that a bus in another case hides": properties(hw_disk_bus="SCSI"),
    "a controller that two buses hide": properties(hw_disk_bus="SCSI", hw_cdrom_bus="IDE"),
    "a controller that a cdrom's bus hides": properties(hw_disk_bus="scsi", hw_cdrom_bus="IDE"),
    "a pointer that only the cell has": properties(hw_input_bus="virtio")
    | {"spec_properties": SPEC},
    "a pointer that only the request spec has": {
        "image_properties": STASHED,
        "spec_properties": {**SPEC, **USB},
    },
    "a request spec of old": {
        "image_properties": STASHED,
        "spec_properties": {**SPEC, "hw_vif_model": "e1000"},
    },
    "a bad value that the request spec has not": {
        "image_properties": {**STASHED, "hw_disk_bus": "SCSI"},
        "spec_properties": SPEC,
    },
    **{
        f"a request spec of old behind {name}={value}": {
            "image_properties": {**STASHED, name: value},
            "spec_properties": {**SPEC, "hw_video_model": "vga"},
        }
        for name, value in (("hw_disk_bus", "SCSI"), ("os_type", "Windows 11"))
    },
    "a request spec that Nova cannot read": {
        "image_properties": STASHED,
        "spec_properties": {**SPEC, "hw_disk_bus": "SCSI", "os_type": "Windows 11"},
    },
    NO_SPEC: {
        **properties(hw_vif_model=" VIRTIO", hw_rng_model="VIRTIO"),
        "request_spec": False,
    },
    "a host whose rules are not known": properties(hw_vif_model=" VIRTIO"),
}
LEFT = {(kind, "combination") for kind in KINDS if "controller" in kind} | {
    (NO_SPEC, "request-spec")
}
"""What has no remedy: nothing shows a controller, and no command makes a request spec."""


@pytest.fixture
def kinds(sqlite_cloud: Cloud) -> Mapping[str, str]:
    """A server of each kind, by its UUID; hosts whose rules are known."""
    folder = sqlite_cloud.folder / "compute"
    folder.mkdir()
    (folder / "cmp1.conf").write_text("[libvirt]\nvirt_type = kvm\n")
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"compute_config_dir = {folder}\n")
    return {_add(sqlite_cloud, kind, wanted): kind for kind, wanted in KINDS.items()}


def _add(cloud: Cloud, kind: str, wanted: Mapping[str, Any]) -> str:
    on_scsi = "controller" in kind
    place = {"vm_state": "shelved_offloaded", "host": None, "image_ref": ""}
    place |= {"root_device_name": "/dev/sda" if on_scsi else "/dev/vda"}
    drive = {"config_drive": "True"} if "must not have" in kind else {}
    uuid = cloud.add_instance(name=kind, columns=drive, **place, **wanted)
    cloud.add_disk(uuid, place["root_device_name"], disk_bus="scsi" if on_scsi else "virtio")
    host = {"key": "shelved_host", "value": "cmp9" if "rules" in kind else "cmp1", "deleted": 0}
    cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **host)
    if kind == "a property in two rows":
        row = {"key": "image_hw_vif_model", "value": "virtio", "deleted": 0}
        cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)
    return uuid


@pytest.mark.slow
def test_every_remedy_is_accepted_and_ends_its_finding(
    sqlite_cloud: Cloud, kinds: Mapping[str, str]
) -> None:
    found = _audit(sqlite_cloud)
    assert set(kinds.values()) <= {item["name"] for item in found}
    assert {item["check"] for item in found} == set(CHECKS)
    for again in ({"not-stashed"}, set[str]()):
        mended = [item for item in found if item["remedy"]]
        for remedy in sorted(dict.fromkeys(item["remedy"] for item in mended), key=rank):
            _run(sqlite_cloud, remedy)
        found = _audit(sqlite_cloud)
        assert set(map(_told, mended)).isdisjoint(map(_told, found))
        assert {item["check"] for item in found if item["remedy"]} == again
    assert {(item["name"], item["check"]) for item in found} == LEFT


def _audit(cloud: Cloud) -> list[dict[str, Any]]:
    words = [word for name in CHECKS for word in ("--check", name)]
    result = novadev(cloud, "audit", "--all", "-f", "json", *words)
    assert result.code in (0, 3), result.err
    found: list[dict[str, Any]] = result.json
    return found


def _told(item: Mapping[str, str]) -> tuple[str, str]:
    return item["instance"], item["details"].partition(":")[0]


def _run(cloud: Cloud, remedy: str) -> None:
    program, *words = shlex.split(remedy)
    assert program == "novadev"
    result = novadev(cloud, *words)
    assert result.code == 0, f"{remedy}: {result.out}{result.err}"


@pytest.mark.parametrize("model", ["virtio_scsi", "VIRTIO-SCSI", "bogus"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("hw_serial_port_count", ""), ("os_type", "Windows 11"), ("hw_viommu_model", "AUTO")],
)
def test_a_value_the_guest_boots_with_is_replaced_before_others_are_taken_out(
    sqlite_cloud: Cloud, model: str, name: str, value: str
) -> None:
    """All in one round: taken out with the others, it would leave no controller to boot from."""
    stored = properties(hw_disk_bus="scsi", hw_scsi_model=model, **{name: value})
    uuid = _add(sqlite_cloud, "a controller", stored)
    found = _audit(sqlite_cloud)
    assert [item for item in found if item["remedy"] is None] == []
    for remedy in sorted({item["remedy"] for item in found}, key=rank):
        _run(sqlite_cloud, remedy)
    assert _audit(sqlite_cloud) == []
    assert sqlite_cloud.system_metadata(uuid)["image_hw_scsi_model"].lower() == "virtio-scsi"


@pytest.mark.parametrize(
    ("name", "value"), [("hw_cdrom_bus", "bogus"), ("hw_disk_bus", ""), ("hw_vif_model", "e1001")]
)
def test_a_value_that_no_guest_can_have_was_no_decision(
    sqlite_cloud: Cloud, name: str, value: str
) -> None:
    """Once it is taken out, the property is one that is not stored, like any other."""
    uuid = sqlite_cloud.add_instance(image_properties={**STASHED, name: value})
    words = ("image-property", "unset", "--yes", "--property", name, uuid)
    assert novadev(sqlite_cloud, *words).code == 0
    found = novadev(sqlite_cloud, "audit", "--all", "--check", "not-stashed", "-f", "json").json
    (item,) = (one for one in found if one["check"] == "not-stashed")
    assert item["remedy"] == f"novadev stash-defaults --yes --versioned {uuid}"
    assert " took " not in item["details"]


@pytest.mark.parametrize(
    ("cell", "spec", "remedy", "told"),
    [
        ("pc-q35-7.2", "bogus", "sync", None),
        ("PC", "bogus", "sync", None),
        ("pc-q35-7.2", "pc-i440fx-7.2", None, ("pc-i440fx-7.2 ", "image-property sync")),
        ("bogus", "pc-i440fx-7.2", None, ("pc-i440fx-7.2 ", None)),
    ],
)
def test_no_command_names_a_machine_type_that_nobody_has(
    sqlite_cloud: Cloud, cell: str, spec: str, remedy: str | None, told: tuple[str, str] | None
) -> None:
    stored = {**STASHED, "hw_machine_type": cell}
    there = {**SPEC, "hw_machine_type": spec}
    sqlite_cloud.add_instance(image_properties=stored, spec_properties=there)
    words = ("audit", "--all", "--check", "request-spec", "-f", "json")
    (item,) = novadev(sqlite_cloud, *words).json
    assert (remedy or "") in (item["remedy"] or "")
    assert (item["remedy"] is None) == (remedy is None)
    assert "--yes bogus" not in item["details"]
    if told is None:
        assert "to keep that of" not in item["details"]
        return
    assert f"machine-type set --yes {told[0]}" in item["details"]
    assert ("image-property sync" in item["details"]) is (told[1] is not None)
