"""stash-defaults by the rules alone: what is recorded, what is left, and what is said of it."""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from novadev.capabilities.content import Versions
from novadev.image_property.states import AT_REST
from novadev.image_property.sync import NO_IMAGE
from novadev.stash_defaults.planning import NO_OSINFO
from tests.capabilities.samples import SAMPLE, saved
from tests.cloud import IMAGE, Cloud
from tests.command import novadev
from tests.image_property.guests import stored
from tests.nova_process import NovaProcess
from tests.stash_defaults.stashing import BY_RULES, KVM, Stash, changes, none_with, notes

Nova = Callable[[Cloud], NovaProcess]
DRIVER = ("--source", "driver")
KEYBOARD = (
    "hw_input_bus: not recorded: storing it would add a keyboard at the next power-on "
    "(--property hw_input_bus stores it anyway)"
)
ROOT = {
    **{"device_name": "/dev/vda", "disk_bus": "virtio", "device_type": "disk", "boot_index": 0},
    **{"source_type": "image", "destination_type": "local", "image_id": IMAGE},
}


@pytest.fixture
def stash(sqlite_cloud: Cloud) -> Stash:
    return Stash(sqlite_cloud, cmp1=KVM)


@pytest.mark.slow
def test_nova_reads_what_is_recorded_in_both_databases(any_cloud: Cloud, nova: Nova) -> None:
    stash, process = Stash(any_cloud, cmp1=KVM), nova(any_cloud)
    given = {"image_ref": IMAGE, "image_properties": {"os_distro": "debian"}, "bdms": [ROOT]}
    uuid = process.call("create_instance", **given)
    before, disks = process.call("read", uuid=uuid), process.call("disk_info", uuid=uuid)
    stash.run(uuid, *DRIVER)
    after = process.call("read", uuid=uuid)
    wanted = {"os_distro": "debian", **BY_RULES}
    assert (after["image_properties"], after["request_spec"]) == (wanted, wanted)
    metadata = {f"image_{name}": value for name, value in BY_RULES.items()}
    assert after["system_metadata"] == {**before["system_metadata"], **metadata}
    assert (after["actions"], after["bdms"]) == ([], before["bdms"])
    assert process.call("disk_info", uuid=uuid) == disks
    stash.undo()
    assert process.call("read", uuid=uuid) == before


def test_a_second_run_plans_nothing_and_undo_restores_all(any_cloud: Cloud) -> None:
    stash = Stash(any_cloud, cmp1=KVM)
    uuids = [stash.add(cell=cell) for cell in ("cell1", "cell1", "cell2")]
    uuids.append(stash.add(hw_disk_bus=None, hw_video_model="vga", spec_properties={}))
    before = [stored(any_cloud, uuid) for uuid in uuids]
    assert stash.run("--all", *DRIVER).json["result"] == "applied"
    again = stash.run("--all", *DRIVER).json
    assert (again["result"], again["plans"]) == ("nothing", [])
    assert [any_cloud.actions(uuid) for uuid in uuids] == [[]] * 4
    stash.undo()
    assert [stored(any_cloud, uuid) for uuid in uuids] == before
    assert [any_cloud.actions(uuid) for uuid in uuids] == [[]] * 4


def test_what_is_recorded_by_the_driver_s_rules(stash: Stash) -> None:
    uuid = stash.add()
    plan = stash.plan(uuid, *DRIVER)
    assert changes(plan) == changes(plan, "request_spec ") == BY_RULES
    assert notes(plan) == [f"from the driver's rules ({stash.hosts}/cmp1.conf): {_names(BY_RULES)}"]
    assert stash.reasons(uuid, *DRIVER) == [KEYBOARD]


def test_a_keyboard_is_added_where_it_is_asked_for(stash: Stash) -> None:
    uuid = stash.add()
    stash.run(uuid, *DRIVER, "--property", "hw_input_bus")
    assert stash.stored(uuid) == stash.cloud.spec_properties(uuid) == {"hw_input_bus": "usb"}


def test_aarch64_has_its_keyboard_already(stash: Stash) -> None:
    plan = stash.plan(stash.add(hw_architecture="aarch64"), *DRIVER)
    assert changes(plan)["hw_input_bus"] == "usb"


def test_where_the_rule_gives_no_value_a_null_is_recorded_as_nova_does(stash: Stash) -> None:
    stash.know("cmp1", "[DEFAULT]\npointer_model = ps2mouse\n[libvirt]\nvirt_type = qemu\n")
    uuid = stash.add()
    stash.run(uuid, *DRIVER)
    nulls = dict.fromkeys(("hw_input_bus", "hw_pointer_model"))
    assert stash.stored(uuid) == {**BY_RULES, **nulls}
    in_spec = {name: value for name, value in BY_RULES.items() if name not in nulls}
    assert stash.cloud.spec_properties(uuid) == in_spec
    assert stash.run(uuid, *DRIVER).json["result"] == "nothing"


def test_a_stored_null_stays_null(stash: Stash) -> None:
    uuid = stash.add(hw_video_model=None, hw_disk_bus=None)
    stash.run(uuid, *DRIVER)
    left = {name: BY_RULES[name] for name in BY_RULES if name not in _NULLS}
    assert stash.stored(uuid) == {**left, **_NULLS}
    assert stash.cloud.spec_properties(uuid) == left


_NULLS = {"hw_video_model": None, "hw_disk_bus": None}


def test_what_is_stored_is_never_overwritten(stash: Stash) -> None:
    own = {"hw_disk_bus": "scsi", "hw_video_model": "cirrus", "hw_machine_type": "q35"}
    uuid = stash.add(**own)
    stash.run(uuid, *DRIVER)
    assert stash.stored(uuid) == {**BY_RULES, **own, "hw_cdrom_bus": "sata"}
    assert stash.cloud.spec_properties(uuid) == stash.stored(uuid)


def test_a_value_of_the_request_spec_is_left_too(stash: Stash) -> None:
    uuid = stash.add(spec_properties={"hw_disk_bus": "sata"})
    plan = stash.plan(uuid, *DRIVER)
    assert changes(plan)["hw_disk_bus"] == "virtio"
    assert "hw_disk_bus" not in changes(plan, "request_spec ")


def test_a_request_spec_that_lacks_what_the_cell_has(stash: Stash) -> None:
    uuid = stash.add(**BY_RULES, hw_input_bus="usb", spec_properties={"hw_video_model": "virtio"})
    plan = stash.plan(uuid, *DRIVER)
    lacking = {**BY_RULES, "hw_input_bus": "usb"}
    del lacking["hw_video_model"]
    assert (changes(plan), changes(plan, "request_spec ")) == ({}, lacking)
    before = stash.stored(uuid)
    stash.run(uuid, *DRIVER)
    assert stash.stored(uuid) == stash.cloud.spec_properties(uuid) == before


def test_a_request_spec_is_completed_without_any_rules(stash: Stash) -> None:
    uuid = stash.add(**BY_RULES, hw_input_bus="usb", host="cmp9", spec_properties={})
    stash.run(uuid, *DRIVER)
    assert stash.cloud.spec_properties(uuid) == stash.stored(uuid)


def test_the_request_spec_is_left_with_a_warning(stash: Stash) -> None:
    uuid = stash.add()
    before = stash.cloud.request_spec(uuid)
    result = stash.run(uuid, *DRIVER, "--no-request-spec")
    warning = "the request spec is not changed: a resize or cold migration may bring new defaults"
    assert warning in notes(result.json["plans"][0])
    assert stash.stored(uuid) == BY_RULES
    assert stash.cloud.request_spec(uuid) == before


def test_a_request_spec_that_is_not_there(stash: Stash) -> None:
    uuid, other = stash.add(request_spec=False), stash.add()
    reason = f"instance {uuid} has no request spec in the API database"
    (told,) = stash.reasons(uuid, *DRIVER, code=2)
    assert told == f"{reason} (--no-request-spec changes the cell alone)"
    stash.run("--all", *DRIVER)
    assert (stash.stored(uuid), stash.stored(other)) == ({}, BY_RULES)
    stash.run(uuid, *DRIVER, "--no-request-spec")
    assert stash.stored(uuid) == BY_RULES


def test_a_request_spec_without_an_image(stash: Stash) -> None:
    uuid = stash.add()
    spec = stash.cloud.request_spec(uuid)
    spec["nova_object.data"]["image"] = None
    stash.cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec=json.dumps(spec))
    plan = stash.run(uuid, *DRIVER).json["plans"][0]
    assert NO_IMAGE in notes(plan)
    assert stash.stored(uuid) == BY_RULES
    assert stash.cloud.request_spec(uuid) == spec


@pytest.mark.parametrize("vm_state", sorted(AT_REST - {"shelved_offloaded"}))
def test_allowed_in_every_lasting_state(stash: Stash, vm_state: str) -> None:
    uuid = stash.add(vm_state=vm_state)
    stash.run(uuid, *DRIVER)
    assert stash.stored(uuid) == stash.cloud.spec_properties(uuid) == BY_RULES
    assert stash.cloud.instance(uuid)["vm_state"] == vm_state


def test_not_in_transition(stash: Stash) -> None:
    building, busy = stash.add(vm_state="building"), stash.add(task_state="powering-on")
    assert stash.reasons(building, *DRIVER, code=3) == [f"instance {building} is building"]
    reason = f"instance {busy} has a task in progress: powering-on"
    assert stash.reasons(busy, *DRIVER, code=3) == [reason]
    stash.run("--all", *DRIVER)
    assert stash.stored(building) == stash.stored(busy) == {}


# Whose rules


def test_an_offloaded_instance_goes_by_the_host_it_was_on(stash: Stash) -> None:
    stash.know("cmp7", "[libvirt]\nvirt_type = kvm\nhw_machine_type = x86_64=q35\n")
    uuid = stash.add(vm_state="shelved_offloaded", host=None)
    row = {"key": "shelved_host", "value": "cmp7", "deleted": 0}
    stash.cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)
    plan = stash.plan(uuid)
    assert changes(plan)["hw_machine_type"] == "q35"
    assert "by the rules only: it is shelved_offloaded, on no host" in notes(plan)


@pytest.mark.parametrize("source", ["auto", "domain"])
def test_where_no_host_answers_nothing_is_recorded(stash: Stash, source: str) -> None:
    uuids = [stash.add(), stash.add(vm_state="error")]
    result = stash.run("--all", "--source", source, code=8)
    assert (result.json["result"], len(result.json["skipped"])) == ("nothing", 2)
    assert result.err.count("host cmp1 could not be reached") == 2  # once, and "2 times"
    stash.run(uuids[0], "--source", source, code=8)
    assert [stash.stored(uuid) for uuid in uuids] == [{}, {}]


@pytest.mark.parametrize("source", ["auto", "domain"])
def test_a_rescued_instance_waits_until_it_is_itself_again(stash: Stash, source: str) -> None:
    uuid = stash.add(vm_state="rescued")
    told = stash.run(uuid, "--source", source, code=3).err
    assert "it is rescued and runs with the hardware of its rescue image" in told
    assert stash.stored(uuid) == {}


def test_without_rules_it_is_a_skip_until_some_are_assumed(stash: Stash) -> None:
    uuid = stash.add(host="cmp9")
    (reason,) = stash.reasons(uuid, *DRIVER, code=3)
    missing = ("hw_machine_type", "hw_cdrom_bus", "hw_disk_bus", "hw_input_bus")
    assert reason.startswith(f"{', '.join(missing)}, hw_pointer_model, ")
    assert (
        ": the rules of the host cmp9 are not known: run novadev capabilities save there" in reason
    )
    assumed = stash.cloud.folder / "assumed"
    assumed.write_text(KVM)
    plan = stash.plan(uuid, *DRIVER, "--assume-config", str(assumed))
    assert changes(plan) == BY_RULES
    assert notes(plan)[0].startswith(f"from the driver's rules (--assume-config {assumed}): ")


def test_a_bad_file_of_one_host_is_nothing_to_the_others(stash: Stash) -> None:
    bad, good = stash.add(host="cmp5"), stash.add()
    file = stash.hosts / "cmp5.json"
    file.write_text("{}")
    (reason,) = stash.reasons(bad, *DRIVER, code=4)
    assert reason == f"{file} is not a capability file written by novadev"
    stash.run("--all", *DRIVER, code=4)
    assert (stash.stored(bad), stash.stored(good)) == ({}, BY_RULES)


@pytest.mark.parametrize(
    ("saved_with", "service", "is_outdated"),
    [
        *((30, 74, True), (34, 67, True), (34, 74, False), (28, 66, False), (None, 74, False)),
        (34, 75, False),
    ],
)
def test_rules_of_another_release_than_the_host_runs_are_not_believed(
    stash: Stash, saved_with: int | None, service: int, is_outdated: bool
) -> None:
    """28 cannot be told from 29, and of a release that novadev does not know nothing is known."""
    uuid = stash.add(host="cmp7")
    given = {"host": "cmp7", "saved_on": "cmp7", "versions": _versions(saved_with)}
    file = saved(stash.hosts, "cmp7.json", **given)
    row = {"host": "cmp7", "binary": "nova-compute", "version": service, "deleted": 0}
    stash.cloud.insert("services", "cell1", topic="compute", report_count=0, **row)
    if not is_outdated:
        assert stash.plan(uuid, *DRIVER)["changes"]
        return
    (reason,) = stash.reasons(uuid, *DRIVER, code=3)
    assert reason.startswith(
        f"the rules in capability file {file} are from Nova {saved_with}, but "
    )
    (stash.hosts / "cmp7.json").rename(stash.cloud.folder / "kept.json")
    assumed = ("--assume-config", str(stash.cloud.folder / "kept.json"))
    assert stash.plan(uuid, *DRIVER, *assumed)["changes"]


def _versions(nova: int | None) -> Versions:
    return replace(SAMPLE.versions, nova=nova)


def test_an_instance_that_never_had_a_host(stash: Stash) -> None:
    uuid = stash.add(vm_state="error", host=None)
    (reason,) = stash.reasons(uuid, "--source", "domain", code=3)
    assert reason == "it is error, on no host"
    (reason,) = stash.reasons(uuid, code=3)
    assert reason.endswith(
        "the rules of the host it was on are not known: run novadev capabilities save "
        "there, or name a file with --assume-config"
    )


def test_libosinfo_s_recommendation_is_told_apart(stash: Stash) -> None:
    plan = stash.plan(stash.add(os_distro="win10"), *DRIVER)
    assert changes(plan) == {**BY_RULES, "hw_vif_model": "e1000"}
    origin = f"{stash.hosts}/cmp1.conf"
    rest = [name for name in BY_RULES if name != "hw_vif_model"]
    assert notes(plan) == [
        f"from libosinfo ({origin}): hw_vif_model",
        f"from the driver's rules ({origin}): {_names(rest)}",
    ]


def test_that_libosinfo_is_missing_is_told_once(stash: Stash) -> None:
    saved(stash.hosts, "cmp1.json", recommendations=None)
    saved(stash.hosts, "cmp2.json", recommendations=None, host="cmp2")
    stash.add()
    for host in ("cmp1", "cmp1", "cmp2"):
        stash.add(os_distro="win10", host=host)
    plans = stash.run("--all", *DRIVER, "--dry-run").json["plans"]
    assert len(plans) == 4
    assert [note for plan in plans for note in notes(plan) if "libosinfo is" in note] == [NO_OSINFO]
    assert NO_OSINFO in notes(plans[1])


def test_a_libosinfo_that_nobody_can_ask_is_not_taken_for_one_that_is_missing(
    stash: Stash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller lacks it, and the compute host's nova.conf does not say whether it has it."""
    monkeypatch.setitem(sys.modules, "gi", None)
    windows, plain = stash.add(os_distro="win10"), stash.add()
    found = changes(stash.plan(windows, *DRIVER, code=3))
    asked = ("hw_disk_bus", "hw_vif_model")
    assert found == {name: value for name, value in BY_RULES.items() if name not in asked}
    (reason, _) = sorted(stash.reasons(windows, *DRIVER, code=3))
    assert reason.startswith(
        "hw_disk_bus, hw_vif_model: libosinfo is not installed on this machine"
    )
    assert changes(stash.plan(plain, *DRIVER)) == BY_RULES


@pytest.mark.parametrize(
    ("config", "recorded"),
    [
        ("[vnc]\nenabled = no\n", {"hw_input_bus": "usb"}),
        ("[vnc]\nenabled = no\n[spice]\nenabled = yes\nagent_enabled = no\n", {}),
    ],
)
def test_without_a_graphical_console_no_keyboard_would_come(
    stash: Stash, config: str, recorded: dict[str, str]
) -> None:
    stash.know("cmp1", KVM + config)
    found = changes(stash.plan(stash.add(), *DRIVER))
    assert {name: found[name] for name in found if name == "hw_input_bus"} == recorded


def test_rules_that_raise_are_a_skip_and_the_others_are_done(stash: Stash) -> None:
    stash.know("cmp8", "[libvirt]\nvirt_type = lxc\n")
    bad, good = stash.add(hw_cdrom_bus="virtio", host="cmp8"), stash.add()
    (reason,) = stash.reasons(bad, *DRIVER, code=3)
    assert reason.startswith("Nova's rules fail: ")
    result = stash.run("--all", *DRIVER)
    assert [plan["state"] for plan in result.json["plans"]] == ["applied"]
    assert (stash.stored(bad), stash.stored(good)) == ({"hw_cdrom_bus": "virtio"}, BY_RULES)


def test_a_prefilter_makes_the_scheduler_ask_for_traits(stash: Stash) -> None:
    uuid = stash.add()
    assert none_with("trait", notes(stash.plan(uuid, *DRIVER)))
    stash.configure("[scheduler]\nimage_metadata_prefilter = true\n")
    traits = (
        "COMPUTE_STORAGE_BUS_IDE, COMPUTE_STORAGE_BUS_VIRTIO, COMPUTE_GRAPHICS_MODEL_VIRTIO, "
        "COMPUTE_NET_VIF_MODEL_VIRTIO"
    )
    expected = f"the scheduler will require these traits of its next host: {traits}"
    assert notes(stash.plan(uuid, *DRIVER))[-1] == expected
    assert none_with("trait", notes(stash.plan(uuid, *DRIVER, "--no-request-spec")))


# What can be named


def test_only_what_is_named(stash: Stash) -> None:
    uuid = stash.add()
    named = ("--property", "hw_video_model", "--property", "hw_machine_type")
    plan = stash.plan(uuid, *DRIVER, *named)
    assert set(changes(plan)) == {"hw_video_model", "hw_machine_type"}


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("hw_rescue_bus", 4, "there is nothing to record"),
        ("hw_qemu_guest_agent", 5, "not an image property that novadev can change"),
    ],
)
def test_what_cannot_be_named(stash: Stash, name: str, code: int, words: str) -> None:
    result = novadev(stash.cloud, "stash-defaults", "--all", "--property", name, "--dry-run")
    assert result.code == code
    assert words in result.err


@pytest.mark.parametrize("name", ["hw_scsi_model", "hw_floppy_bus", "hw_rng_model"])
def test_the_rules_give_no_value_of_what_nova_does_not_register(stash: Stash, name: str) -> None:
    result = stash.run(stash.add(), *DRIVER, "--property", name)
    assert (result.json["result"], result.json["plans"]) == ("nothing", [])


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
