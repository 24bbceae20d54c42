"""`image-property set` and `unset`: what is planned, refused and written."""

import pytest

from novadev.rules.buses import BUS_PROPERTIES
from tests.cloud import IMAGE, Cloud
from tests.command import Result, novadev

SCSI = ("hw_disk_bus=scsi", "hw_scsi_model=virtio-scsi")


def set_(cloud: Cloud, *arguments: str, properties: tuple[str, ...] = SCSI) -> Result:
    wanted = [word for item in properties for word in ("--property", item)]
    return novadev(cloud, "image-property", "set", *wanted, "--yes", *arguments)


def add_server(cloud: Cloud, **wanted: object) -> str:
    """A stopped server with a root disk and a volume on virtio."""
    uuid = cloud.add_instance(**wanted)
    cloud.add_disk(uuid)
    cloud.add_disk(
        uuid,
        device_name="/dev/vdb",
        source_type="volume",
        destination_type="volume",
        boot_index=None,
        volume_id="0f8fad5b-d9cb-469f-a165-70867728950e",
    )
    return uuid


def buses(cloud: Cloud, uuid: str) -> list[tuple[str, str]]:
    return [(disk["disk_bus"], disk["device_name"]) for disk in cloud.disks(uuid)]


def test_both_databases_the_disks_and_the_action(any_cloud: Cloud) -> None:
    uuid = add_server(any_cloud, hw_disk_bus="virtio")
    result = set_(any_cloud, uuid)
    assert result.code == 0, result.err
    stored = any_cloud.system_metadata(uuid)
    assert (stored["image_hw_disk_bus"], stored["image_hw_scsi_model"]) == ("scsi", "virtio-scsi")
    spec = any_cloud.spec_properties(uuid)
    assert (spec["hw_disk_bus"], spec["hw_scsi_model"]) == ("scsi", "virtio-scsi")
    assert buses(any_cloud, uuid) == [("scsi", "/dev/sda"), ("scsi", "/dev/sdb")]
    assert any_cloud.instance(uuid)["root_device_name"] == "/dev/sda"
    [action] = any_cloud.actions(uuid)
    assert action["action"] == "update_image_property"
    assert action["request_id"].startswith("req-")
    assert action["start_time"] is not None
    assert action["finish_time"] is not None


def test_a_dry_run_writes_nothing_and_tells_all(cloud: Cloud) -> None:
    uuid = add_server(cloud, hw_disk_bus="virtio")
    result = set_(cloud, uuid, "--dry-run", "-f", "json")
    [plan] = result.json["plans"]
    assert (result.json["run"], result.json["result"], plan["state"]) == (
        None,
        "planned",
        "planned",
    )
    assert {"what": "hw_disk_bus", "before": "virtio", "after": "scsi"} in plan["changes"]
    assert {"what": "root disk", "before": "virtio vda", "after": "scsi sda"} in plan["effects"]
    assert cloud.system_metadata(uuid)["image_hw_disk_bus"] == "virtio"
    assert buses(cloud, uuid) == [("virtio", "/dev/vda"), ("virtio", "/dev/vdb")]
    assert novadev(cloud, "history", "-f", "json").json == []


def test_update_disks_says_which_move(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(hw_disk_bus="virtio")
    sqlite_cloud.add_disk(uuid)
    sqlite_cloud.add_disk(
        uuid,
        device_name="/dev/sda",
        disk_bus="sata",
        source_type="volume",
        destination_type="volume",
        boot_index=None,
        volume_id=IMAGE,
    )
    set_(sqlite_cloud, uuid)
    assert buses(sqlite_cloud, uuid) == [("scsi", "/dev/sdb"), ("sata", "/dev/sda")]
    set_(sqlite_cloud, uuid, "--update-disks", "all", properties=("hw_disk_bus=virtio",))
    assert buses(sqlite_cloud, uuid) == [("virtio", "/dev/vda"), ("virtio", "/dev/vdb")]


def test_luns_and_cdroms_stay(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(hw_disk_bus="virtio", hw_scsi_model="virtio-scsi")
    sqlite_cloud.add_disk(uuid)
    sqlite_cloud.add_disk(
        uuid,
        device_name="/dev/vdb",
        device_type="lun",
        boot_index=None,
        source_type="volume",
        destination_type="volume",
        volume_id=IMAGE,
    )
    sqlite_cloud.add_disk(
        uuid,
        device_name="/dev/hda",
        device_type="cdrom",
        disk_bus="ide",
        boot_index=None,
        source_type="volume",
        destination_type="volume",
        volume_id=IMAGE,
    )
    assert set_(sqlite_cloud, uuid).code == 0
    assert [bus for bus, _ in buses(sqlite_cloud, uuid)] == ["scsi", "virtio", "ide"]


def test_the_cdrom_bus_moves_cdroms(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(hw_machine_type="pc")
    sqlite_cloud.add_disk(uuid)
    sqlite_cloud.add_disk(
        uuid,
        device_name="/dev/hda",
        device_type="cdrom",
        disk_bus="ide",
        boot_index=None,
        source_type="volume",
        destination_type="volume",
        volume_id=IMAGE,
    )
    assert set_(sqlite_cloud, uuid, properties=("hw_cdrom_bus=sata",)).code == 0
    assert buses(sqlite_cloud, uuid) == [("virtio", "/dev/vda"), ("sata", "/dev/sda")]


def test_the_canonical_spelling_is_stored(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    set_(sqlite_cloud, uuid, properties=("image_hw_vif_model=VirtualE1000",))
    assert sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"] == "e1000"


def test_the_request_spec_alone_is_brought_into_step(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(
        hw_vif_model="e1000", spec_properties={"hw_vif_model": "virtio"}
    )
    assert set_(sqlite_cloud, uuid, properties=("hw_vif_model=e1000",)).code == 0
    assert sqlite_cloud.spec_properties(uuid)["hw_vif_model"] == "e1000"


def test_doing_it_again_is_nothing_to_do(sqlite_cloud: Cloud) -> None:
    uuid = add_server(sqlite_cloud)
    assert set_(sqlite_cloud, uuid).code == 0
    again = set_(sqlite_cloud, uuid, "-f", "json")
    assert (again.code, again.json["result"], again.json["run"]) == (0, "nothing", None)
    assert len(sqlite_cloud.actions(uuid)) == 1


def test_a_null_becomes_a_value_and_undo_makes_it_null_again(cloud: Cloud) -> None:
    uuid = cloud.add_instance(hw_video_model=None)
    set_(cloud, uuid, properties=("hw_video_model=vga", "hw_vif_model=e1000"))
    assert cloud.system_metadata(uuid)["image_hw_video_model"] == "vga"
    assert novadev(cloud, "undo", "1", "--yes").code == 0
    stored = cloud.system_metadata(uuid)
    assert stored["image_hw_video_model"] is None
    assert "image_hw_vif_model" not in stored
    assert "hw_vif_model" not in cloud.spec_properties(uuid)
    assert [action["action"] for action in cloud.actions(uuid)] == ["update_image_property"] * 2


def test_unset(cloud: Cloud) -> None:
    uuid = cloud.add_instance(hw_vif_model="e1000", hw_video_model=None)
    result = novadev(
        cloud,
        "image-property",
        "unset",
        "--property",
        "hw_vif_model",
        "--property",
        "hw_video_model",
        uuid,
        "--yes",
    )
    assert result.code == 0, result.err
    assert not {"image_hw_vif_model", "image_hw_video_model"} & set(cloud.system_metadata(uuid))
    assert cloud.spec_properties(uuid) == {}


@pytest.mark.parametrize("state", ["stopped", "shelved", "shelved_offloaded"])
def test_states_in_which_it_can_change(sqlite_cloud: Cloud, state: str) -> None:
    uuid = sqlite_cloud.add_instance(vm_state=state)
    assert set_(sqlite_cloud, uuid, properties=("hw_vif_model=e1000",)).code == 0


STOP = "openstack server stop"


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ("active", STOP),
        ("error", STOP),
        (None, STOP),
        ("building", "wait until Nova has built it"),
        ("paused", f"openstack server unpause; then {STOP}"),
        ("rescued", f"openstack server unrescue; then {STOP}"),
        ("resized", f"openstack server resize confirm or resize revert; then {STOP}"),
        ("soft-delete", f"openstack server restore; then {STOP}"),
        ("suspended", f"openstack server resume; then {STOP}"),
    ],
)
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_states_in_which_it_cannot(
    sqlite_cloud: Cloud, state: str | None, way: str, force: tuple[str, ...]
) -> None:
    uuid = sqlite_cloud.add_instance(vm_state=state)
    result = set_(sqlite_cloud, uuid, *force, properties=("hw_vif_model=e1000",))
    assert result.code == 3
    assert f"is {state}" in result.err
    assert f"stopped, shelved or shelved_offloaded ({way})" in result.err
    assert "image_hw_vif_model" not in sqlite_cloud.system_metadata(uuid)


def test_a_task_in_progress(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(task_state="powering-on")
    result = set_(sqlite_cloud, uuid, "--force", properties=("hw_vif_model=e1000",))
    assert result.code == 3
    assert "powering-on" in result.err


@pytest.mark.parametrize(
    ("properties", "code", "message"),
    [
        (("hw_disk_bus",), 4, "not NAME=VALUE"),
        (("=scsi",), 4, "not NAME=VALUE"),
        (("hw_disk_bus=a=b",), 6, "'a=b'"),
        (("hw_disk_bus=scsi", "hw_disk_bus=sata"), 4, "given twice"),
        (("hw_disk_bus=scsi", "image_hw_disk_bus=sata"), 4, "given twice"),
        (("hw_disk_bus=",), 6, "hw_disk_bus=''"),
        (("hw_disk_bus=virtio ",), 6, "did you mean virtio?"),
        (("hw_disk_bus=" + "x" * 256,), 6, "256 characters"),
        (("hw_disk_bus=scssi",), 6, "did you mean scsi?"),
        (("hw_disk_bus=\U0001f600",), 6, "hw_disk_bus="),
        (("hw_pointer_model=ps2mouse",), 6, "allowed are usbtablet"),
        (("hw_disk_buss=scsi",), 5, "did you mean hw_disk_bus?"),
        (("os_version=12",), 5, "not an image property"),
        (("trait:HW_CPU=required",), 5, "not an image property"),
        (("hw_machine_type=q35",), 5, "hw_machine_type"),
    ],
)
def test_bad_properties(
    sqlite_cloud: Cloud, properties: tuple[str, ...], code: int, message: str
) -> None:
    uuid = sqlite_cloud.add_instance()
    before = sqlite_cloud.system_metadata(uuid)
    result = set_(sqlite_cloud, uuid, "--force", properties=properties)
    assert result.code == code
    assert message in result.err
    assert "Traceback" not in result.err
    assert sqlite_cloud.system_metadata(uuid) == before


def test_the_same_value_twice_is_no_contradiction(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    assert set_(sqlite_cloud, uuid, properties=("hw_vif_model=e1000",) * 2).code == 0


@pytest.mark.parametrize(
    ("stored", "properties", "word"),
    [
        ({"hw_machine_type": "q35"}, ("hw_disk_bus=ide",), "q35"),
        ({"hw_machine_type": "pc"}, ("hw_cdrom_bus=virtio",), "removable media"),
        ({}, ("hw_disk_bus=scsi",), "hw_scsi_model"),
        ({}, ("hw_disk_bus=xen",), "virt_type"),
        ({}, ("hw_video_model=gop",), "gop"),
        ({}, ("hw_vif_model=netfront",), "netfront"),
    ],
)
def test_what_the_guest_cannot_have_needs_force(
    sqlite_cloud: Cloud, stored: dict[str, str], properties: tuple[str, ...], word: str
) -> None:
    uuid = sqlite_cloud.add_instance(image_properties=stored, columns={"config_drive": "True"})
    sqlite_cloud.add_disk(uuid)
    result = set_(sqlite_cloud, uuid, properties=properties)
    assert result.code == 6, result.err
    assert word in result.err


def test_force_notes_what_it_overruled(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    sqlite_cloud.add_disk(uuid)
    result = set_(sqlite_cloud, uuid, "--force", "-f", "json", properties=("hw_disk_bus=scsi",))
    assert result.code == 0
    assert "forced: " in result.json["plans"][0]["note"]


def test_a_fault_that_was_there_before_does_not_stand_in_the_way(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(hw_video_model="gop")
    assert set_(sqlite_cloud, uuid, properties=("hw_vif_model=e1000",)).code == 0


@pytest.mark.parametrize(
    ("arguments", "properties", "word"),
    [
        ((), ("hw_rescue_bus=scsi",), "rescue image"),
        ((), ("hw_rng_model=virtio",), "hw_rng_model"),
        (("--update-disks", "none"), SCSI, "moves no disk"),
        ((), ("hw_floppy_bus=fdc",), "the server has no floppy ("),
        ((), ("hw_cdrom_bus=sata",), "the server has no cdrom ("),
        ((), ("hw_input_bus=usb", "hw_pointer_model=usbtablet"), "hw_pointer_model"),
    ],
)
def test_no_effect_is_said_and_needs_force(
    sqlite_cloud: Cloud, arguments: tuple[str, ...], properties: tuple[str, ...], word: str
) -> None:
    uuid = sqlite_cloud.add_instance()
    sqlite_cloud.add_disk(uuid)
    result = set_(sqlite_cloud, uuid, *arguments, properties=properties)
    assert result.code == 3
    assert "no effect" in result.err
    assert word in result.err
    name = properties[0].partition("=")[0]
    assert ("no effect on its present disks: " in result.err) is (name in BUS_PROPERTIES)
    later = "only for volumes that are attached later"
    assert (later in result.err) is (properties == SCSI)
    assert set_(sqlite_cloud, uuid, *arguments, "--force", properties=properties).code == 0


@pytest.mark.parametrize(
    ("stored", "properties"),
    [
        (
            {"hw_pointer_model": "usbtablet", "hw_input_bus": "usb"},
            ("hw_pointer_model=usbtablet", "hw_video_model=qxl"),
        ),
        ({"hw_rng_model": "virtio"}, ("hw_rng_model=virtio", "hw_video_model=qxl")),
        ({"hw_rescue_bus": "scsi"}, ("hw_rescue_bus=scsi", "hw_video_model=qxl")),
        (
            {
                **{"hw_machine_type": "pc", "hw_cdrom_bus": "ide", "hw_disk_bus": "sata"},
                **{"hw_input_bus": "usb", "hw_pointer_model": "usbtablet"},
                **{"hw_video_model": "cirrus", "hw_vif_model": "e1000"},
            },
            (
                *("hw_cdrom_bus=sata", "hw_disk_bus=virtio", "hw_input_bus=virtio"),
                *("hw_pointer_model=usbtablet", "hw_video_model=qxl", "hw_vif_model=virtio"),
            ),
        ),
    ],
)
def test_a_list_of_what_is_to_be_stored_is_judged_by_what_changes(
    sqlite_cloud: Cloud, stored: dict[str, str], properties: tuple[str, ...]
) -> None:
    """The last list is the one of Nova's own test of `nova-manage image_property set`.

    It is nova/tests/functional/libvirt/test_device_bus_migration.py, without the machine type.
    """
    uuid = sqlite_cloud.add_instance(image_properties=stored)
    sqlite_cloud.add_disk(uuid, device_name="/dev/sda", disk_bus="sata")
    result = set_(sqlite_cloud, uuid, properties=properties)
    assert result.code == 0, result.err
    now = sqlite_cloud.system_metadata(uuid)
    assert {f"{name[6:]}={value}" for name, value in now.items()} >= set(properties)
    again = set_(sqlite_cloud, uuid, "-f", "json", properties=properties)
    assert (again.code, again.json["result"]) == (0, "nothing")


@pytest.mark.parametrize(
    ("state", "start"),
    [("shelved", "once offloaded, it is unshelved"), ("shelved_offloaded", "it is unshelved")],
)
def test_a_shelved_server_is_unshelved_from_its_snapshot(
    sqlite_cloud: Cloud, state: str, start: str
) -> None:
    uuid = sqlite_cloud.add_instance(vm_state=state)
    snapshot = "55555555-5555-4555-8555-555555555555"
    sqlite_cloud.insert(
        "instance_system_metadata",
        "cell1",
        instance_uuid=uuid,
        key="shelved_image_id",
        value=snapshot,
        deleted=0,
    )
    result = set_(sqlite_cloud, uuid, "-f", "json", properties=("hw_vif_model=e1000",))
    assert result.code == 0
    line = f"openstack image set --property hw_vif_model=e1000 {snapshot}"
    note = result.json["plans"][0]["note"]
    assert line in note
    assert note.startswith(start)


def test_a_volume_backed_shelved_server_has_no_snapshot(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(vm_state="shelved_offloaded", image_ref="")
    result = set_(sqlite_cloud, uuid, "-f", "json", properties=("hw_vif_model=e1000",))
    assert result.json["plans"][0]["note"] is None


def test_a_missing_request_spec(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(request_spec=False)
    result = set_(sqlite_cloud, uuid, properties=("hw_vif_model=e1000",))
    assert result.code == 2
    assert "has no request spec in the API database (--no-request-spec" in result.err
    assert "image_hw_vif_model" not in sqlite_cloud.system_metadata(uuid)


@pytest.mark.parametrize("request_spec", [True, False])
def test_the_request_spec_may_be_left(sqlite_cloud: Cloud, request_spec: bool) -> None:
    """The cell alone is written, whether there is a request spec or not; undo takes it back."""
    uuid = sqlite_cloud.add_instance(hw_vif_model="virtio", request_spec=request_spec)
    before = sqlite_cloud.rows("request_specs", "api")
    words = ("--no-request-spec", "-f", "json")
    result = set_(sqlite_cloud, uuid, *words, properties=("hw_vif_model=e1000",))
    assert result.code == 0, result.err
    note = result.json["plans"][0]["note"] or ""
    assert ("the request spec is not changed" in note) is request_spec
    assert sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"] == "e1000"
    name = ("--property", "hw_vif_model")
    assert novadev(sqlite_cloud, "image-property", "unset", *name, *words, uuid, "--yes").code == 0
    assert "image_hw_vif_model" not in sqlite_cloud.system_metadata(uuid)
    assert novadev(sqlite_cloud, "undo", "2", "--yes").code == 0
    assert sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"] == "e1000"
    assert sqlite_cloud.rows("request_specs", "api") == before


def test_one_named_instance_that_cannot_be_done_gives_the_code_and_the_others_are_done(
    sqlite_cloud: Cloud,
) -> None:
    good = sqlite_cloud.add_instance()
    busy = sqlite_cloud.add_instance(vm_state="active")
    result = set_(sqlite_cloud, good, busy, "-f", "json", properties=("hw_vif_model=e1000",))
    assert result.code == 3
    assert [plan["state"] for plan in result.json["plans"]] == ["applied"]
    assert [skip["instance"] for skip in result.json["skipped"]] == [busy]


def test_without_a_terminal_it_needs_yes(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    result = novadev(
        sqlite_cloud, "image-property", "set", "--property", "hw_vif_model=e1000", uuid, stdin="y\n"
    )
    assert result.code == 4
    assert "--yes or --dry-run" in result.err


def test_a_journal_that_cannot_be_written_stops_everything(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    text = sqlite_cloud.config_file.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("state_connection")]
    broken = "\n".join([*lines, "state_connection = sqlite:////proc/novadev/state.sqlite", ""])
    sqlite_cloud.config_file.write_text(broken)
    result = set_(sqlite_cloud, uuid, properties=("hw_vif_model=e1000",))
    assert result.code == 8
    assert "state database" in result.err
    assert "image_hw_vif_model" not in sqlite_cloud.system_metadata(uuid)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[database]\nconnection = mysql://nova:s3cret@h/n\n", "[api_database]"),
        ("this is = [not\n an ini s3cret", "cannot be parsed"),
        (
            "[api_database]\nconnection = mysql://u:s3cret@h/n\n[compute]\n"
            "max_disk_devices_to_attach = many\n",
            "max_disk_devices_to_attach",
        ),
    ],
)
def test_bad_configuration(sqlite_cloud: Cloud, content: str, word: str) -> None:
    sqlite_cloud.config_file.write_text(content)
    result = novadev(sqlite_cloud, "image-property", "list", "--all")
    assert result.code == 4
    assert word in result.err
    assert "s3cret" not in result.err
