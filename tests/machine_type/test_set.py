"""`machine-type set` on real databases: what is planned, refused, written and taken back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from novadev.rules.osinfo import Recommendation
from novadev.virt.capabilities import MachineType
from tests.capabilities.samples import DEBIAN_12, saved
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.image_property.guests import stored, with_properties
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow

CDROM = "66666666-6666-4666-8666-666666666666"
MACHINES = {
    "pc": MachineType("pc-i440fx-7.2"),
    "pc-i440fx-7.2": MachineType("pc-i440fx-7.2"),
    "pc-i440fx-2.12": MachineType("pc-i440fx-2.12", deprecated=True),
    "q35": MachineType("pc-q35-7.2"),
    "pc-q35-7.2": MachineType("pc-q35-7.2"),
    "pc-q35-6.2": MachineType("pc-q35-6.2"),
    "microvm": MachineType("microvm"),
}
WINDOWS = {"os_type": "windows", "os_distro": "win2k19"}


def set_(cloud: Cloud, *arguments: str, to: str = "q35") -> Result:
    result = novadev(cloud, "machine-type", "set", to, "--yes", "-f", "json", *arguments)
    assert "Traceback" not in result.err
    return result


def plan(cloud: Cloud, *arguments: str, to: str = "q35") -> Any:
    """The one plan of a dry run."""
    result = set_(cloud, *arguments, "--dry-run", to=to)
    assert result.code == 0, result.out
    (found,) = result.json["plans"]
    return found


def reason(cloud: Cloud, *arguments: str, to: str = "q35", code: int) -> str:
    """Why the one instance of a dry run is refused."""
    result = set_(cloud, *arguments, "--dry-run", to=to)
    assert result.code == code, result.out
    (skip,) = result.json["skipped"]
    return str(skip["reason"])


def on_ide(cloud: Cloud, **wanted: Any) -> str:
    """A server with its root disk and a cdrom on IDE, and a config drive."""
    given = {"hw_machine_type": "pc", "hw_disk_bus": "ide", "hw_cdrom_bus": "ide"}
    columns = {"config_drive": "True"}
    place = {"root_device_name": "/dev/hda", "columns": columns}
    uuid = cloud.add_instance(**{**given, **place, **wanted})
    cloud.add_disk(uuid, "/dev/hda", disk_bus="ide")
    cloud.add_volume(uuid, CDROM, "/dev/hdb", disk_bus="ide", device_type="cdrom")
    return uuid


def on_virtio(cloud: Cloud, **wanted: Any) -> str:
    uuid = cloud.add_instance(**{"hw_machine_type": "pc", **wanted})
    cloud.add_disk(uuid)
    return uuid


def know(cloud: Cloud, host: str = "cmp1", **changes: Any) -> None:
    """Have a capability file of the host."""
    folder = cloud.folder / "hosts"
    folder.mkdir(exist_ok=True)
    given = {"host": host, "saved_on": host, "machine_types": {"x86_64": MACHINES}}
    saved(folder, f"{host}.json", **{**DEBIAN_12, **given, **changes})
    with cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\ncompute_config_dir = {folder}\n")


def test_all_that_is_stored_goes_together(any_cloud: Cloud) -> None:
    uuid = on_ide(any_cloud)
    before = stored(any_cloud, uuid)
    result = set_(any_cloud, uuid)
    assert result.code == 0, result.err
    buses = {"hw_disk_bus": "sata", "hw_cdrom_bus": "sata"}
    after = with_properties(before, hw_machine_type="q35", **buses)
    for disk, name in zip(after.cell["disks"], ("/dev/sda", "/dev/sdb"), strict=True):
        disk.update(disk_bus="sata", device_name=name)
    after.cell["instance"]["root_device_name"] = "/dev/sda"
    assert stored(any_cloud, uuid) == after
    (action,) = any_cloud.actions(uuid)
    assert action["action"] == "update_machine_type"
    assert novadev(any_cloud, "undo", "1", "--yes").code == 0
    assert stored(any_cloud, uuid) == before


def test_nova_reads_it(any_cloud: Cloud, nova: Callable[[Cloud], NovaProcess]) -> None:
    """nova-manage, the objects, and what the driver makes of the rows."""
    uuid = on_ide(any_cloud)
    assert set_(any_cloud, uuid).code == 0
    process = nova(any_cloud)
    assert process.call("machine_type", uuid=uuid) == "q35"
    read = process.call("read", uuid=uuid)
    for found in (read["image_properties"], read["request_spec"]):
        assert found["hw_machine_type"] == "q35"
        assert (found["hw_disk_bus"], found["hw_cdrom_bus"]) == ("sata", "sata")
    assert [bdm["device_name"] for bdm in read["bdms"]] == ["/dev/sda", "/dev/sdb"]
    assert [action["action"] for action in read["actions"]] == ["update_machine_type"]
    mapping = process.call("disk_info", uuid=uuid)["mapping"]
    assert {name: (disk["bus"], disk["dev"]) for name, disk in mapping.items()} == {
        "root": ("sata", "sda"),
        "disk": ("sata", "sda"),
        "/dev/sdb": ("sata", "sdb"),
        "disk.config": ("sata", "sdc"),
    }


def test_the_plan_tells_all_and_a_dry_run_writes_nothing(cloud: Cloud) -> None:
    uuid = on_ide(cloud, hw_vif_model="e1000")
    before = stored(cloud, uuid)
    found = plan(cloud, uuid)
    assert [(item["what"], item["before"], item["after"]) for item in found["changes"]] == [
        ("hw_machine_type", "pc", "q35"),
        ("request_spec hw_machine_type", "pc", "q35"),
        ("hw_disk_bus", "ide", "sata"),
        ("request_spec hw_disk_bus", "ide", "sata"),
        ("hw_cdrom_bus", "ide", "sata"),
        ("request_spec hw_cdrom_bus", "ide", "sata"),
        ("block_device_mapping 1 disk_bus", "ide", "sata"),
        ("block_device_mapping 1 device_name", "/dev/hda", "/dev/sda"),
        ("root_device_name", "/dev/hda", "/dev/sda"),
        ("block_device_mapping 2 disk_bus", "ide", "sata"),
        ("block_device_mapping 2 device_name", "/dev/hdb", "/dev/sdb"),
    ]
    assert [(item["what"], item["before"], item["after"]) for item in found["effects"]] == [
        ("machine type", "pc", "q35"),
        ("root disk", "ide hda", "sata sda"),
        ("volume hdb cdrom", "ide hdb", "sata sdb"),
        ("disk.config cdrom", "ide hdc", "sata sdc"),
    ]
    for words in (
        "hw_vif_model=e1000: it is a conventional",
        "Not all network cards are counted",
        "another address",
    ):
        assert words in found["note"]
    assert "virtio 1.0" not in found["note"]
    assert stored(cloud, uuid) == before


def test_an_absent_property_stays_absent_and_its_new_default_is_told(sqlite_cloud: Cloud) -> None:
    uuid = on_virtio(sqlite_cloud, hw_machine_type=None, columns={"config_drive": "True"})
    found = plan(sqlite_cloud, uuid)
    assert {item["what"] for item in found["changes"]} == {
        "hw_machine_type",
        "request_spec hw_machine_type",
    }
    effects = {item["what"]: (item["before"], item["after"]) for item in found["effects"]}
    assert effects["new cdroms"] == ("ide", "sata")
    assert effects["disk.config cdrom"] == ("ide hda", "sata sda")
    assert effects["root disk"] == ("virtio vda", "virtio vda")
    assert "no machine type is stored: by Nova's rules it was pc" in found["note"]
    assert "virtio 1.0" in found["note"]


def test_a_disk_on_ide_beside_a_property_that_says_otherwise(sqlite_cloud: Cloud) -> None:
    """It moves; those on virtio and on scsi, and the property, stay."""
    uuid = on_virtio(sqlite_cloud, hw_disk_bus="virtio")
    sqlite_cloud.add_volume(uuid, device_name="/dev/hda", disk_bus="ide")
    sqlite_cloud.add_volume(uuid, device_name="/dev/sda", disk_bus="scsi")
    sqlite_cloud.add_volume(uuid, device_name="/dev/hdc", disk_bus=None)
    assert set_(sqlite_cloud, uuid).code == 0
    disks = [(disk["disk_bus"], disk["device_name"]) for disk in sqlite_cloud.disks(uuid)]
    assert disks == [
        ("virtio", "/dev/vda"),
        ("sata", "/dev/sdb"),
        ("scsi", "/dev/sda"),
        ("sata", "/dev/sdc"),
    ]
    assert sqlite_cloud.system_metadata(uuid)["image_hw_disk_bus"] == "virtio"


def test_a_request_spec_alone_that_names_ide(sqlite_cloud: Cloud) -> None:
    """The next migration would bring it back."""
    inside = {"hw_machine_type": "pc", "hw_cdrom_bus": "ide"}
    uuid = on_virtio(sqlite_cloud, spec_properties=inside)
    assert set_(sqlite_cloud, uuid).code == 0
    spec = sqlite_cloud.spec_properties(uuid)
    assert (spec["hw_machine_type"], spec["hw_cdrom_bus"]) == ("q35", "sata")
    assert sqlite_cloud.system_metadata(uuid)["image_hw_cdrom_bus"] == "sata"


@pytest.mark.parametrize("name", ["hw_disk_bus", "hw_cdrom_bus"])
@pytest.mark.parametrize("bus", ["virtio", "scsi", "sata", None])
def test_a_request_spec_that_names_ide_follows_the_cell(
    sqlite_cloud: Cloud, name: str, bus: str | None
) -> None:
    """The bus in the cell is the guest's own, and an absent one what the rules give on Q35."""
    own = {"hw_machine_type": "pc"} if bus is None else {"hw_machine_type": "pc", name: bus}
    uuid = sqlite_cloud.add_instance(**own, spec_properties={"hw_machine_type": "pc", name: "ide"})
    sqlite_cloud.add_disk(uuid)
    wanted = bus or {"hw_disk_bus": "virtio", "hw_cdrom_bus": "sata"}[name]
    found = {item["what"]: item["after"] for item in plan(sqlite_cloud, uuid)["changes"]}
    assert found.pop(f"request_spec {name}") == wanted
    assert found == {
        **{"hw_machine_type": "q35", "request_spec hw_machine_type": "q35"},
        **({name: wanted} if bus is None else {}),
    }


@pytest.mark.parametrize("row", ["/dev/hda", "hda"])
@pytest.mark.parametrize("before", ["/dev/hda", "hda", "/dev/sda", None])
def test_the_name_of_the_root_disk_keeps_its_spelling(
    sqlite_cloud: Cloud, row: str, before: str | None
) -> None:
    uuid = sqlite_cloud.add_instance(
        hw_machine_type="pc", hw_disk_bus="ide", root_device_name=before
    )
    sqlite_cloud.add_disk(uuid, row, disk_bus="ide")
    assert set_(sqlite_cloud, uuid).code == 0
    wanted = "sda" if before == "hda" else "/dev/sda"
    assert sqlite_cloud.instance(uuid)["root_device_name"] == wanted
    assert sqlite_cloud.disks(uuid)[0]["device_name"] == row.replace("hda", "sda")
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert sqlite_cloud.instance(uuid)["root_device_name"] == before


@pytest.mark.parametrize(("found", "code"), [("virtio", 0), ("sata", 7)])
def test_a_bus_that_nova_wrote_down_at_a_start_does_not_hinder_a_saved_plan(
    sqlite_cloud: Cloud, found: str, code: int
) -> None:
    """A volume attached to a running guest has none until then; another bus is another disk.

    An undo is not hindered by either.
    """
    uuid = on_virtio(sqlite_cloud, hw_disk_bus="virtio")
    sqlite_cloud.add_volume(uuid, device_name="/dev/vdz", disk_bus=None, device_type=None)
    assert set_(sqlite_cloud, uuid).code == 0
    file = str(sqlite_cloud.folder / "plan")
    assert novadev(sqlite_cloud, "machine-type", "set", "pc", uuid, "--plan-out", file).code == 0
    late = {"instance_uuid": uuid, "device_name": "/dev/vdz"}
    sqlite_cloud.update("block_device_mapping", "cell1", late, disk_bus=found, device_type="disk")
    dry = novadev(sqlite_cloud, "undo", "1", "--dry-run")
    assert dry.code == 0, dry.err
    result = novadev(sqlite_cloud, "apply", file, "--yes")
    assert result.code == code, result.err
    assert ("its disks have changed since the plan: plan again" in result.err) == bool(code)
    if code:
        assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0


def test_libosinfo_that_recommends_ide_is_overruled(sqlite_cloud: Cloud) -> None:
    """Else the next disk to be attached would be on IDE, and so is swap without a row."""
    know(sqlite_cloud, recommendations={"os2": Recommendation("ide", None)})
    distro = {"os_distro": "os2"}
    uuid = on_virtio(sqlite_cloud, image_properties=distro, flavor={"swap": 512})
    found = plan(sqlite_cloud, uuid)
    assert {item["what"]: item["after"] for item in found["changes"]}["hw_disk_bus"] == "sata"
    effects = {item["what"]: (item["before"], item["after"]) for item in found["effects"]}
    assert effects["disk.swap disk"] == ("ide hda", "sata sda")


def test_a_q35_guest_that_was_left_on_ide_is_mended(sqlite_cloud: Cloud) -> None:
    uuid = on_ide(sqlite_cloud, hw_machine_type="q35")
    assert set_(sqlite_cloud, uuid).code == 0
    assert {disk["disk_bus"] for disk in sqlite_cloud.disks(uuid)} == {"sata"}
    again = set_(sqlite_cloud, uuid)
    assert (again.code, again.json["result"]) == (0, "nothing")
    assert "has this machine type already" in again.json["skipped"][0]["reason"]


def test_what_nova_manage_leaves_behind_is_mended(sqlite_cloud: Cloud) -> None:
    """It writes the cell alone: the next migration would bring pc back."""
    uuid = on_virtio(sqlite_cloud, hw_machine_type="q35", spec_properties={"hw_machine_type": "pc"})
    found = plan(sqlite_cloud, uuid)
    assert [item["what"] for item in found["changes"]] == ["request_spec hw_machine_type"]


def test_a_root_disk_without_a_row_that_would_clash(sqlite_cloud: Cloud) -> None:
    """Nova would keep its name, and give the config drive the same place."""
    uuid = sqlite_cloud.add_instance(
        hw_machine_type="pc",
        hw_disk_bus="ide",
        root_device_name="/dev/hda",
        columns={"config_drive": "True"},
    )
    assert "would get the same drive address" in reason(sqlite_cloud, uuid, code=6)


def test_back_to_pc_nothing_is_forced(sqlite_cloud: Cloud) -> None:
    uuid = on_virtio(sqlite_cloud, hw_machine_type="q35", hw_cdrom_bus="sata")
    sqlite_cloud.add_volume(uuid, CDROM, "/dev/sda", disk_bus="sata", device_type="cdrom")
    found = plan(sqlite_cloud, uuid, to="pc")
    assert len(found["changes"]) == 2
    assert ("volume sda cdrom", "sata sda") in {
        (item["what"], item["after"]) for item in found["effects"]
    }
    assert "PCI Express" not in found["note"]


def test_a_version_of_the_same_family_is_the_simple_case(sqlite_cloud: Cloud) -> None:
    know(sqlite_cloud)
    uuid = on_ide(sqlite_cloud, image_properties=WINDOWS)
    found = plan(sqlite_cloud, uuid, to="pc-i440fx-7.2")
    assert [item["what"] for item in found["changes"]] == [
        "hw_machine_type",
        "request_spec hw_machine_type",
    ]
    assert found["effects"][0]["before"] == "pc (pc-i440fx-7.2)"
    assert found["note"] == (
        "a rescue by an image without hw_machine_type replaces it with q35, by the host's "
        "configuration, for good: after such a rescue, set it again"
    )


# What speaks against it


def test_a_machine_type_that_the_host_has_not(sqlite_cloud: Cloud) -> None:
    know(sqlite_cloud)
    uuid = on_virtio(sqlite_cloud)
    told = reason(sqlite_cloud, uuid, to="pc-q35-9.2", code=6)
    assert "cmp1 has no such machine type" in told
    assert "of q35 it has q35, pc-q35-7.2, pc-q35-6.2" in told
    assert "did you mean pc-i440fx-7.2" in reason(sqlite_cloud, uuid, to="pc_i440fx-7.2", code=6)
    forced = plan(sqlite_cloud, uuid, "--force", to="pc-q35-9.2")
    assert "forced: pc-q35-9.2: cmp1 has no such" in forced["note"]


def test_what_the_host_says_of_a_machine_type(sqlite_cloud: Cloud) -> None:
    know(sqlite_cloud)
    uuid = on_virtio(sqlite_cloud)
    found = plan(sqlite_cloud, uuid)
    assert found["effects"][0]["after"] == "q35 (pc-q35-7.2)"
    assert "not checked" not in found["note"]
    old = plan(sqlite_cloud, uuid, to="pc-i440fx-2.12")
    assert "calls it deprecated" in old["note"]
    assert "pc-i440fx-2.12 is older than pc-i440fx-7.2" in old["note"]


def test_an_offloaded_server_goes_by_the_host_it_was_on(sqlite_cloud: Cloud) -> None:
    know(sqlite_cloud, "cmp7")
    uuid = on_virtio(sqlite_cloud, vm_state="shelved_offloaded", host=None)
    sqlite_cloud.insert(
        "instance_system_metadata",
        "cell1",
        instance_uuid=uuid,
        key="shelved_host",
        value="cmp7",
        deleted=0,
    )
    assert "cmp7 has no such" in reason(sqlite_cloud, uuid, to="pc-q35-9.2", code=6)
    note = plan(sqlite_cloud, uuid)["note"]
    assert "openstack image set --property hw_machine_type=q35 SNAPSHOT" in note


@pytest.mark.parametrize("name", ["virt-7.2", "pseries", "microvm", "isapc"])
def test_a_machine_of_another_family(sqlite_cloud: Cloud, name: str) -> None:
    uuid = on_virtio(sqlite_cloud)
    assert "the families i440fx and q35" in reason(sqlite_cloud, uuid, to=name, code=6)


@pytest.mark.parametrize("name", ["virt-7.2", "microvm", "isapc", "pseries"])
def test_from_a_machine_of_another_family(sqlite_cloud: Cloud, name: str) -> None:
    uuid = on_virtio(sqlite_cloud, hw_machine_type=name)
    told = reason(sqlite_cloud, uuid, code=6)
    assert f"the guest has {name}, a board of another family" in told


def test_a_name_that_is_no_machine_type_can_be_mended(sqlite_cloud: Cloud) -> None:
    uuid = on_virtio(sqlite_cloud, hw_machine_type="PC")
    assert plan(sqlite_cloud, uuid, to="pc")["changes"]


@pytest.mark.parametrize("name", ["", "q35 ", "../q35", "q" * 65, "-q35"])
def test_what_is_no_machine_type(sqlite_cloud: Cloud, name: str) -> None:
    uuid = on_virtio(sqlite_cloud)
    code = 4 if name in ("", "-q35") else 6
    assert set_(sqlite_cloud, uuid, to=name).code == code


def test_an_aarch64_guest_takes_virt(sqlite_cloud: Cloud) -> None:
    uuid = on_virtio(sqlite_cloud, hw_machine_type="virt-6.2", hw_architecture="aarch64")
    assert len(plan(sqlite_cloud, uuid, to="virt-7.2")["changes"]) == 2
    assert "the families virt" in reason(sqlite_cloud, uuid, code=6)


@pytest.mark.parametrize(
    ("image", "flavor", "words"),
    [
        ({"hw_viommu_model": "intel"}, {}, "hw_viommu_model=intel: needs a q35"),
        ({}, {"hw:viommu_model": "auto"}, "hw_viommu_model=auto: needs a q35"),
        ({"hw_mem_encryption": "True"}, {}, "hw_mem_encryption=True: needs a q35"),
        (
            {"hw_firmware_type": "uefi"},
            {"os:secure_boot": "required"},
            "os_secure_boot=required: needs a q35",
        ),
    ],
)
def test_what_only_q35_has(
    sqlite_cloud: Cloud, image: dict[str, str], flavor: dict[str, str], words: str
) -> None:
    uuid = on_virtio(
        sqlite_cloud,
        hw_machine_type="q35",
        image_properties=image,
        flavor={"extra_specs": flavor},
    )
    assert words in reason(sqlite_cloud, uuid, to="pc", code=6)


def test_secure_boot_that_is_optional(sqlite_cloud: Cloud) -> None:
    firmware = {"hw_firmware_type": "uefi", "os_secure_boot": "optional"}
    uuid = on_virtio(sqlite_cloud, image_properties=firmware)
    note = plan(sqlite_cloud, uuid)["note"]
    assert "secure boot, which is optional" in note
    assert "Nova keeps the firmware files" in note


def test_scsi_without_a_model_is_told(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(hw_machine_type="pc", root_device_name="/dev/sda")
    sqlite_cloud.add_disk(uuid, "/dev/sda", disk_bus="scsi")
    assert "stash-defaults records the present one" in plan(sqlite_cloud, uuid)["note"]


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("state", [("active", None), ("stopped", "powering-on"), ("resized", None)])
def test_only_what_is_stopped_and_at_rest(
    sqlite_cloud: Cloud, state: tuple[str, str | None], force: tuple[str, ...]
) -> None:
    uuid = on_virtio(sqlite_cloud, vm_state=state[0], task_state=state[1])
    told = reason(sqlite_cloud, uuid, *force, code=3)
    assert (state[1] or state[0]) in told
    assert ("resize confirm or resize revert; then" in told) is (state[0] == "resized")


def test_without_a_request_spec(sqlite_cloud: Cloud) -> None:
    uuid = on_virtio(sqlite_cloud, request_spec=False)
    assert "--no-request-spec changes the cell alone" in reason(sqlite_cloud, uuid, code=2)
    command = ("machine-type", "set", "q35", uuid, "--no-request-spec", "--yes")
    assert novadev(sqlite_cloud, *command).code == 0
    assert sqlite_cloud.system_metadata(uuid)["image_hw_machine_type"] == "q35"


def test_a_bad_file_of_its_host(sqlite_cloud: Cloud) -> None:
    know(sqlite_cloud)
    (sqlite_cloud.folder / "hosts" / "cmp1.json").write_text("{")
    assert "cmp1.json" in reason(sqlite_cloud, on_virtio(sqlite_cloud), code=4)


# Windows


@pytest.mark.parametrize(
    "says",
    [
        WINDOWS,
        {"os_type": "Windows"},
        {"os_distro": "win10"},
        {"os_distro": "http://microsoft.com/win/10"},
        {"vmware_ostype": "windows9_64Guest"},
    ],
    ids=str,
)
def test_windows_on_ide_is_shown_the_way(sqlite_cloud: Cloud, says: dict[str, str]) -> None:
    uuid = on_ide(sqlite_cloud, image_properties=says)
    told = reason(sqlite_cloud, uuid, code=3)
    assert "root disk bus ide becomes sata; machine family pc becomes q35" in told
    step = f"image-property set --property hw_disk_bus=sata --update-disks none --force {uuid}"
    assert step in told
    assert f"machine-type set q35 --force {uuid}" in told
    assert "new ones" in plan(sqlite_cloud, uuid, "--force")["note"]


def test_windows_goes_the_way(sqlite_cloud: Cloud) -> None:
    """A disk attached after the first step is on SATA, the others wait for the second."""
    uuid = on_ide(sqlite_cloud, image_properties=WINDOWS)
    step = ("--property", "hw_disk_bus=sata", "--update-disks", "none", "--force", "--yes")
    assert novadev(sqlite_cloud, "image-property", "set", *step, uuid).code == 0
    assert [disk["disk_bus"] for disk in sqlite_cloud.disks(uuid)] == ["ide", "ide"]
    assert set_(sqlite_cloud, uuid, "--force").code == 0
    assert [disk["disk_bus"] for disk in sqlite_cloud.disks(uuid)] == ["sata", "sata"]
    assert sqlite_cloud.system_metadata(uuid)["image_hw_disk_bus"] == "sata"


def test_windows_that_keeps_its_bus_is_skipped_too(sqlite_cloud: Cloud) -> None:
    told = reason(sqlite_cloud, on_virtio(sqlite_cloud, image_properties=WINDOWS), code=3)
    assert "machine family pc becomes q35" in told
    assert "Its driver for virtio is installed" in told
    assert "attach an empty" not in told


# Many, and plans in a file


def test_one_that_cannot_be_does_not_stop_the_others(cloud: Cloud) -> None:
    fine = [on_virtio(cloud), on_ide(cloud, vm_state="shelved")]
    running = on_virtio(cloud, vm_state="active")
    on_virtio(cloud, hw_machine_type="q35")
    result = set_(cloud, "--where", "hw_machine_type=pc")
    assert (result.code, result.json["result"]) == (0, "applied")
    assert [item["instance"] for item in result.json["plans"]] == fine
    assert [item["instance"] for item in result.json["skipped"]] == [running]
    assert set_(cloud).code == 4


def test_a_disk_that_came_since_makes_the_plan_stale(cloud: Cloud, tmp_path: Path) -> None:
    uuid, other = on_virtio(cloud), on_virtio(cloud)
    file = str(tmp_path / "q35.plan")
    assert set_(cloud, uuid, other, "--plan-out", file).code == 0
    cloud.add_volume(uuid, device_name="/dev/hda", disk_bus="ide")
    result = novadev(cloud, "apply", file, "--yes", "-f", "json")
    assert result.code == 7
    states = {item["instance"]: item["state"] for item in result.json["plans"]}
    assert states == {uuid: "stale", other: "applied"}


def change(plan: Any, what: str, after: object) -> None:
    (item,) = [item for item in plan["changes"] if item["what"] == what]
    item["after"] = after


def test_what_the_check_of_a_file_lets_through(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """A plan made for another command, or edited, is not one of these."""
    from novadev.errors import NovadevError
    from novadev.runs.encoding import decode
    from novadev.runs.file_checks import check
    from novadev.runs.plan import Draft

    uuid, file = on_ide(sqlite_cloud), tmp_path / "q35.plan"
    assert set_(sqlite_cloud, uuid, "--plan-out", str(file)).code == 0
    line = file.read_text().splitlines()[1]
    found = json.loads(line)
    record = found.get("plan", found)
    check(Draft(decode(record)))

    def without_guard(plan: Any) -> None:
        plan["guard"] = {}

    def another_property(plan: Any) -> None:
        plan["changes"][0]["what"] = "hw_video_model"

    edits = [
        lambda plan: change(plan, "hw_machine_type", "q35; rm"),
        lambda plan: change(plan, "request_spec hw_machine_type", {"absent": True}),
        lambda plan: change(plan, "hw_disk_bus", "nvme"),
        lambda plan: change(plan, "block_device_mapping 1 device_name", "/etc/passwd"),
        without_guard,
        another_property,
    ]
    for edit in edits:
        edited = json.loads(json.dumps(record))
        edit(edited)
        with pytest.raises(NovadevError):
            check(Draft(decode(edited)))
