"""`image-property sync`: the request spec says what the cell stores, as a real Nova reads both."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novadev.errors import BadInput, InvalidValue
from novadev.image_property.sync import ACTION
from novadev.rules.image_meta import ADAPTER, FIELDS, OLDER_NAMES, VALUES, values
from novadev.runs.change import Change
from novadev.runs.file_checks import check
from novadev.runs.place import Place
from novadev.runs.plan import Draft, Plan
from novadev.value import ABSENT
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.image_property.guests import VOLUME, stored, unordered
from tests.image_property.killed import Killer
from tests.nova_process import NovaProcess

SEVEN = {
    **{"hw_machine_type": "q35", "hw_cdrom_bus": "sata", "hw_disk_bus": "virtio"},
    **{"hw_input_bus": "usb", "hw_pointer_model": "usbtablet"},
    **{"hw_video_model": "virtio", "hw_vif_model": "e1000e"},
}
"""What Nova registers at spawn, in the cell alone."""
LISTS = {"img_mappings": [{"device": "vda"}], "traits_required": ["HW_CPU_X86_AVX2"]}


def sync(cloud: Cloud, *arguments: str) -> Result:
    return novadev(cloud, "image-property", "sync", *(arguments or ("--all",)), "--yes")


def changes(result: Result) -> list[tuple[str, Any, Any]]:
    (plan,) = result.json["plans"]
    return [(item["what"], item["before"], item["after"]) for item in plan["changes"]]


def without_image(cloud: Cloud, **wanted: Any) -> str:
    """A server whose request spec has a null for its image."""
    uuid = cloud.add_instance(**wanted)
    spec = cloud.request_spec(uuid)
    spec["nova_object.data"]["image"] = None
    rewrite(cloud, uuid, spec)
    return uuid


def rewrite(cloud: Cloud, uuid: str, spec: Any) -> None:
    text = spec if isinstance(spec, str) else json.dumps(spec)
    cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec=text)


ODD = {
    **{"hw_architecture": "AMD64", "hw_scsi_model": "lsiLogicsas", "hw_vif_model": "VirtualE1000"},
    **{"hw_video_ram": " 64", "hw_vm_mode": "HV", "img_hv_type": "KVM", "os_type": "Linux"},
    **{"hw_pmu": "Yes", "hw_boot_menu": "maybe", "os_require_quiesce": " on "},
    **{"img_hv_requested_version": ">=6.0", "img_signature_certificate_uuid": VOLUME},
}
"""Values that Nova holds in another form than the cell stores."""


def every_field(release: int) -> dict[str, str]:
    """A value for every field of Nova's image properties that holds one."""
    known = {name: values(name, release) for name in VALUES}
    found = {name: texts[-1] for name, texts in known.items() if texts}
    rest = FIELDS - set(VALUES)
    return {**dict.fromkeys(sorted(rest), "1"), **found, **ODD}


@pytest.mark.parametrize(("backend", "release"), [("sqlite", "34"), ("mariadb", "28")])
@pytest.mark.slow
def test_nova_finds_the_same_in_both(
    make_cloud: Callable[[str, str], Cloud],
    nova: Callable[[Cloud], NovaProcess],
    backend: str,
    release: str,
) -> None:
    """Whatever the spec said before: nothing, all of it otherwise, or no image at all."""
    cloud = make_cloud(backend, release)
    fields = every_field(int(release))
    older = {old: fields[name] for old, name in OLDER_NAMES.items()}
    both = {**older, "hw_architecture": "ppc64le", "hw_disk_bus": "ide", ADAPTER: "lsilogic"}
    cells = [fields, older, both, {ADAPTER: "ide"}, SEVEN, {**SEVEN, "hw_input_bus": None}, {}]
    wrong = {"hw_disk_bus": "usb", "hw_pmu": False, "hw_video_ram": 1, "os_distro": "debian"}
    servers = [
        cloud.add_instance(image_properties=cell, spec_properties=spec, vm_state="active")
        for cell in cells
        for spec in ({}, wrong, {"hw_disk_bus": None})
    ]
    servers += [without_image(cloud, image_properties=cell, image_ref="") for cell in cells]
    traits = {"trait:HW_CPU_X86_AVX2": "required", "trait:HW_CPU_X86_SGX": "no"}
    servers += [without_image(cloud, image_properties={**SEVEN, **traits})]
    result = sync(cloud)
    assert result.code == 0, result.err
    asked = nova(cloud)
    for uuid in servers:
        found = asked.call("read", uuid=uuid)
        assert found["request_spec"] == found["image_properties"]
    assert sync(cloud, "--all", "-f", "json").json["result"] == "nothing"


def test_a_running_server_is_mended_by_one_plan_and_undo_takes_it_back(cloud: Cloud) -> None:
    """What novadev does not write stays: lists in the spec, the cell, the rows of disks."""
    spec = {"hw_disk_bus": "ide", **LISTS}
    uuid = cloud.add_instance(**SEVEN, vm_state="active", spec_properties=spec)
    lonely = without_image(cloud, **SEVEN, vm_state="active", name="web-2")
    before, row = [stored(cloud, name) for name in (uuid, lonely)], cloud.instance(uuid)
    result = sync(cloud, uuid, "-f", "json")
    assert (result.code, result.json["result"]) == (0, "applied")
    assert ("request_spec hw_disk_bus", "ide", "virtio") in changes(result)
    assert len(changes(result)) == len(SEVEN)
    assert cloud.spec_properties(uuid) == {**SEVEN, **LISTS}
    assert sync(cloud, lonely).code == 0
    assert cloud.spec_properties(lonely) == SEVEN
    assert (stored(cloud, uuid).cell, cloud.instance(uuid)) == (before[0].cell, row)
    assert cloud.actions(uuid) == []
    for run in ("2", "1"):
        assert novadev(cloud, "undo", run, "--yes").code == 0
    assert [stored(cloud, name) for name in (uuid, lonely)] == before
    for run in ("3", "4"):
        assert novadev(cloud, "undo", run, "--yes").code == 0
    assert cloud.spec_properties(lonely) == SEVEN
    assert cloud.spec_properties(uuid) == {**SEVEN, **LISTS}


def test_undo_takes_out_the_image_that_the_spec_had_no_field_for(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(**SEVEN)
    spec = sqlite_cloud.request_spec(uuid)
    del spec["nova_object.data"]["image"]
    rewrite(sqlite_cloud, uuid, spec)
    before = sqlite_cloud.rows("request_specs", "api", instance_uuid=uuid)[0]["spec"]
    assert sync(sqlite_cloud).code == 0
    assert sqlite_cloud.spec_properties(uuid) == SEVEN
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert sqlite_cloud.rows("request_specs", "api", instance_uuid=uuid)[0]["spec"] == before


@pytest.mark.parametrize("make", [Cloud.add_instance, without_image])
def test_traits_that_the_scheduler_will_require_are_named(
    sqlite_cloud: Cloud, make: Callable[..., str]
) -> None:
    make(sqlite_cloud, hw_vif_model="e1000e", hw_video_ram="64", spec_properties={})
    words = ("image-property", "sync", "--all", "--dry-run", "-f", "json")
    assert novadev(sqlite_cloud, *words).json["plans"][0]["note"] is None
    with sqlite_cloud.config_file.open("a") as file:
        file.write("[scheduler]\nimage_metadata_prefilter = true\n")
    note = novadev(sqlite_cloud, *words).json["plans"][0]["note"]
    assert note.endswith("traits of its next host: COMPUTE_NET_VIF_MODEL_E1000E")


def test_another_spelling_of_one_value_is_no_difference(sqlite_cloud: Cloud) -> None:
    stored = {"hw_vif_model": "VirtualE1000", "hw_pmu": "yes", "hw_video_ram": "064"}
    said = {"hw_vif_model": "e1000", "hw_pmu": True, "hw_video_ram": 64}
    sqlite_cloud.add_instance(image_properties=stored, spec_properties=said)
    assert sync(sqlite_cloud, "--all", "-f", "json").json["result"] == "nothing"


@pytest.mark.parametrize("kept", [{}, {"img_signature": 344 * "s", "os_command_line": "quiet"}])
def test_what_the_cell_may_have_cut_off_is_left(sqlite_cloud: Cloud, kept: dict[str, str]) -> None:
    """Nova stores 255 bytes of a value at most, and whole ones in the request spec."""
    stored = {"img_signature": 255 * "s", "os_command_line": 126 * "é", "hw_vif_model": "e1000"}
    uuid = sqlite_cloud.add_instance(image_properties=stored, spec_properties=kept)
    assert sync(sqlite_cloud).code == 0
    assert sqlite_cloud.spec_properties(uuid) == {**kept, "hw_vif_model": "e1000"}


@pytest.mark.parametrize(
    ("wanted", "code", "word"),
    [
        ({"hw_disk_bus": "SCSI"}, 6, "hw_disk_bus=SCSI"),
        ({"image_properties": {"os_type": "Windows Server 2019"}}, 6, "os_type=Windows Server"),
        ({"request_spec": False}, 2, "no request spec"),
        ({"request_spec": "{"}, 4, "request spec cannot be read"),
        ({"task_state": "rebuilding"}, 3, "rebuilding"),
        ({"vm_state": "building"}, 3, "building"),
    ],
)
def test_what_is_refused_is_named_and_the_others_are_done(
    sqlite_cloud: Cloud, wanted: dict[str, Any], code: int, word: str
) -> None:
    bad = sqlite_cloud.add_instance(**{"hw_vif_model": "e1000", "spec_properties": {}, **wanted})
    good = sqlite_cloud.add_instance(hw_vif_model="e1000", spec_properties={}, vm_state="active")
    result = sync(sqlite_cloud, bad, good)
    assert result.code == code
    assert word in result.err
    assert bad in result.err
    assert sqlite_cloud.spec_properties(good) == {"hw_vif_model": "e1000"}


def _cell_says_otherwise(cloud: Cloud, uuid: str) -> None:
    where = {"instance_uuid": uuid, "key": "image_hw_vif_model"}
    cloud.update("instance_system_metadata", "cell1", where, value="rtl8139")


def _spec_says_otherwise(cloud: Cloud, uuid: str) -> None:
    spec = cloud.request_spec(uuid)
    image = spec["nova_object.data"]["image"] or {"nova_object.data": {"properties": {}}}
    spec["nova_object.data"]["image"] = image
    image["nova_object.data"]["properties"]["nova_object.data"] = {"hw_vif_model": "rtl8139"}
    rewrite(cloud, uuid, spec)


def _task_begins(cloud: Cloud, uuid: str) -> None:
    cloud.update("instances", "cell1", {"uuid": uuid}, task_state="resize_prep")


@pytest.mark.parametrize("image", ["null", "there"])
@pytest.mark.parametrize(
    "meanwhile", [_cell_says_otherwise, _spec_says_otherwise, _task_begins, Cloud.soft_delete]
)
def test_another_writer_between_plan_and_write_is_never_lost(
    sqlite_cloud: Cloud,
    tmp_path: Path,
    image: str,
    meanwhile: Callable[[Cloud, str], None],
) -> None:
    make = without_image if image == "null" else Cloud.add_instance
    uuid = make(sqlite_cloud, hw_vif_model="e1000", spec_properties={}, vm_state="active")
    other = sqlite_cloud.add_instance(hw_vif_model="e1000", spec_properties={})
    file = str(tmp_path / "plan")
    assert novadev(sqlite_cloud, "image-property", "sync", "--all", "--plan-out", file).code == 0
    meanwhile(sqlite_cloud, uuid)
    before = unordered(sqlite_cloud.request_spec(uuid))
    result = novadev(sqlite_cloud, "apply", file, "--yes", "-f", "json")
    assert result.code == 7
    states = {plan["instance"]: plan["state"] for plan in result.json["plans"]}
    assert states == {uuid: "stale", other: "applied"}
    assert unordered(sqlite_cloud.request_spec(uuid)) == before


def test_an_undo_keeps_what_somebody_wrote_since(sqlite_cloud: Cloud) -> None:
    uuid = without_image(sqlite_cloud, hw_vif_model="e1000")
    assert sync(sqlite_cloud).code == 0
    assert (
        novadev(
            sqlite_cloud, "image-property", "set", "--property", "hw_video_model=vga", uuid, "--yes"
        ).code
        == 0
    )
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 7
    assert sqlite_cloud.spec_properties(uuid) == {"hw_vif_model": "e1000", "hw_video_model": "vga"}


@pytest.mark.parametrize(
    ("what", "after", "error"),
    [
        ("request_spec hw_disk_bus", "SCSI", InvalidValue),
        ("request_spec hw_video_ram", "64", InvalidValue),
        ("request_spec hw_pmu", "yes", InvalidValue),
        ("request_spec os_command_line", 70_000 * "x", InvalidValue),
        ("request_spec traits_required", "X", BadInput),
        ("hw_disk_bus", "scsi", BadInput),
        ("request_spec image", None, InvalidValue),
        ("request_spec image", '{"properties":{"hw_disk_bus":"SCSI"}}', InvalidValue),
        ("request_spec image", '{"properties":{},"owner":"me"}', InvalidValue),
        ("request_spec image", "[]", InvalidValue),
    ],
)
def test_a_plan_file_holds_what_sync_writes_and_nothing_else(
    what: str, after: Any, error: type[Exception]
) -> None:
    """A file that somebody edited, and signed again."""
    change = Change(Place.parse(what), ABSENT, after)
    plan = Plan(ACTION, VOLUME, "cell", (change,), guard={"source": "cell"})
    with pytest.raises(error):
        check(Draft(plan))
    unsourced = replace(plan, changes=(replace(change, after=ABSENT),), guard={})
    with pytest.raises((BadInput, error)):
        check(Draft(unsourced))


@pytest.mark.slow
def test_a_killed_run_is_finished_or_taken_back(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """At moments before, between and after the writes; the spec is as before or as planned."""
    words = ("image-property", "sync", "--all", "--yes")
    assert novadev(sqlite_cloud, "history").code == 0, "the journal is there"
    sqlite_cloud.add_instance(hw_vif_model="e1000", spec_properties={})
    with closing(Killer(tmp_path)) as killer:
        last = killer.run(0, sqlite_cloud.config_file, *words).events
        for at in range(last // 3, last, 5):
            uuid = sqlite_cloud.add_instance(hw_vif_model="e1000", spec_properties={})
            assert killer.run(at, sqlite_cloud.config_file, *words).was_killed
            assert sqlite_cloud.spec_properties(uuid) in ({}, {"hw_vif_model": "e1000"})
            _finish(sqlite_cloud, uuid, takes_back=bool(at % 2))


def _finish(cloud: Cloud, uuid: str, takes_back: bool) -> None:
    """Undo what was begun, or resume it; what is left is found by the next sync."""
    newest = novadev(cloud, "history", "-f", "json").json[0]
    if takes_back and newest["state"] not in ("applied", "planning", "nothing"):
        assert novadev(cloud, "undo", str(newest["run"]), "--yes").code == 0
        assert cloud.spec_properties(uuid) == {}
    assert novadev(cloud, "resume", "--yes").code == 0
    assert sync(cloud).code == 0
    assert cloud.spec_properties(uuid) == {"hw_vif_model": "e1000"}
    assert cloud.actions(uuid) == []
