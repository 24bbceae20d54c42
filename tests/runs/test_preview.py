"""What a preview promises is what becomes of it: plans of a file, of an undo, of a resumed run."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from novadev.cli.actions import ACTIONS
from novadev.runs import carry_out
from tests.cli.test_hostile_input import resummed
from tests.cloud import Cloud
from tests.command import novadev
from tests.exchange.recorded import VM, export, record, recorded, two_guests
from tests.previewing import kept

ON_HOSTS = {
    "device alias-migrate": "tests/device/test_alias_migrate.py",
    "device detach": "tests/device/test_detach.py",
    "device restore": "tests/device/test_restore_refused.py",
}
"""Actions whose writer needs a host, and the tests that have one."""
COMMANDS = {
    "image-property set": ("image-property", "set", "--property", "hw_disk_bus=sata"),
    "image-property sync": ("image-property", "sync"),
    "image-property unset": ("image-property", "unset", "--property", "hw_disk_bus"),
    "machine-type set": ("machine-type", "set", "q35"),
    "stash-defaults": ("stash-defaults", "--source", "driver", "--property", "hw_machine_type"),
}
VOLUME = "77777777-7777-4777-8777-777777777777"


def server(cloud: Cloud, **wanted: Any) -> str:
    """A server of which every command has something to do."""
    given = {"hw_machine_type": "pc", "hw_disk_bus": "virtio", "hw_vif_model": "virtio"}
    uuid = cloud.add_instance(**{**given, "spec_properties": {"hw_vif_model": "e1000"}, **wanted})
    cloud.add_disk(uuid)
    return uuid


def starts(cloud: Cloud, uuid: str) -> None:
    cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active", task_state="rebooting")


def gets_another_value(cloud: Cloud, uuid: str) -> None:
    for name in ("hw_disk_bus", "hw_machine_type", "hw_vif_model", "hw_pointer_model"):
        where = {"instance_uuid": uuid, "key": f"image_{name}"}
        cloud.update("instance_system_metadata", "cell1", where, value="other")
    cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec="{}")


def gets_a_volume(cloud: Cloud, uuid: str) -> None:
    cloud.add_volume(uuid, VOLUME, "/dev/vdb", disk_bus="virtio")


def loses_its_disk(cloud: Cloud, uuid: str) -> None:
    cloud.delete("block_device_mapping", "cell1", instance_uuid=uuid)


def is_deleted(cloud: Cloud, uuid: str) -> None:
    cloud.soft_delete(uuid)


def comes_to_another_cell(cloud: Cloud, uuid: str) -> None:
    cloud.update("instances", "cell1", {"uuid": uuid}, hidden=True)
    cloud.add_instance(uuid=uuid, cell="cell2", mapped=False, request_spec=False)


FIRST, *REST = COMMANDS
SLOW = pytest.mark.slow
CHANGES = (
    starts,
    gets_another_value,
    gets_a_volume,
    loses_its_disk,
    is_deleted,
    comes_to_another_cell,
)


def test_every_action_has_a_preview() -> None:
    assert {*COMMANDS, *ON_HOSTS, "device import"} == set(ACTIONS)
    for file in ON_HOSTS.values():
        assert "kept(" in (Path(__file__).parents[2] / file).read_text()


@pytest.mark.parametrize("command", [FIRST, *(pytest.param(name, marks=SLOW) for name in REST)])
def test_a_preview_refuses_what_the_writer_refuses(
    sqlite_cloud: Cloud, tmp_path: Path, command: str
) -> None:
    """Whatever has become of a server meanwhile: one of a file, and one of a run."""
    run = partial(novadev, sqlite_cloud)
    saved, done = ({change: server(sqlite_cloud) for change in CHANGES} for _ in range(2))
    same = server(sqlite_cloud)
    file = str(tmp_path / "plan")
    assert run(*COMMANDS[command], *saved.values(), "--plan-out", file).code == 0
    assert run(*COMMANDS[command], *done.values(), same, "--yes").code == 0
    for change in CHANGES:
        for uuid in (saved[change], done[change]):
            change(sqlite_cloud, uuid)
    applied, undone = kept(run, "apply", file), kept(run, "undo", "1")
    plans = [*applied.json["plans"], *undone.json["plans"]]
    states = {plan["instance"]: plan["state"] for plan in plans}
    assert states[same] == "applied"
    for change in (is_deleted, comes_to_another_cell):
        assert [states[uuid] for uuid in (saved[change], done[change])] == ["stale"] * 2
    assert applied.code == 7
    assert "plan again" not in undone.out + undone.err


@pytest.mark.parametrize("is_gone", [False, True])
def test_the_preview_of_an_import(sqlite_cloud: Cloud, tmp_path: Path, is_gone: bool) -> None:
    run = partial(novadev, sqlite_cloud)
    two_guests(sqlite_cloud)
    exported, file = str(tmp_path / "exported"), str(tmp_path / "plan")
    export(sqlite_cloud, "--json", "web-1", "-o", exported)
    words = ("device", "import", exported, "--instance", "web-2")
    assert run(*words, "--plan-out", file).code == 0
    if is_gone:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            devices = recorded(sqlite_cloud, VM)
        record(sqlite_cloud, list(devices.values())[:1])
    assert run(*words, "--yes").code == 0
    assert kept(run, "apply", file).code == 7
    assert kept(run, "undo", "1").code == 0


def test_a_dry_run_says_stale_and_plans_the_others(sqlite_cloud: Cloud) -> None:
    uuid, other = server(sqlite_cloud, name="web-1"), server(sqlite_cloud, name="web-2")
    assert novadev(sqlite_cloud, *COMMANDS["image-property set"], uuid, other, "--yes").code == 0
    starts(sqlite_cloud, uuid)
    result = novadev(sqlite_cloud, "undo", "1", "--dry-run")
    assert (result.code, uuid in result.out, other in result.out) == (7, False, True)
    assert f"stale: instance web-1 ({uuid}): it is active now" in result.err
    assert "1 planned, 1 stale, 0 skipped; nothing was changed." in result.err


def test_only_an_undo_is_written_as_one(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """A file that says so of another plan would have it written beside disks it does not know."""
    uuid, file = server(sqlite_cloud), tmp_path / "plan"
    words = (*COMMANDS["image-property set"], uuid, "--plan-out", str(file))
    assert novadev(sqlite_cloud, *words).code == 0
    plan = json.loads(file.read_text().splitlines()[1])["plan"]
    resummed(file, plan | {"guard": {**plan["guard"], "undo": True}})
    result = novadev(sqlite_cloud, "apply", str(file), "--yes")
    assert (result.code, "it takes back no plan" in result.err) == (4, True), result.err


def test_nobody_is_asked_about_plans_that_would_all_be_refused(sqlite_cloud: Cloud) -> None:
    uuid = server(sqlite_cloud)
    run = partial(novadev, sqlite_cloud)
    assert run(*COMMANDS["image-property set"], uuid, "--yes").code == 0
    starts(sqlite_cloud, uuid)
    result = run("undo", "1")
    assert (result.code, result.out) == (7, "")
    assert "it is active now" in result.err
    assert "Nothing was done." in result.err
    assert [item["run"] for item in run("history", "-f", "json").json] == [1]


def test_a_resumed_run_is_previewed(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """The first server has changed, so the run ends before the others, one of which changes."""
    run = partial(novadev, sqlite_cloud)
    uuids = [server(sqlite_cloud) for _ in range(3)]
    file = str(tmp_path / "plan")
    assert run(*COMMANDS["image-property set"], *uuids, "--plan-out", file).code == 0
    starts(sqlite_cloud, uuids[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(carry_out, "BATCH", 1)
        assert run("apply", file, "--yes", "--max-failures", "0").code == 7
    gets_a_volume(sqlite_cloud, uuids[1])
    result = kept(run, "resume")
    states = {plan["instance"]: plan["state"] for plan in result.json["plans"]}
    assert states == {uuids[1]: "stale", uuids[2]: "applied"}


def test_a_resumed_run_has_the_effects_of_today(
    sqlite_cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config drive has moved since: the preview and the document say it alike."""
    run, file = partial(novadev, sqlite_cloud), str(tmp_path / "plan")
    uuids = [server(sqlite_cloud, columns={"config_drive": "True"}) for _ in range(2)]
    command = ("machine-type", "set", "pc-i440fx-7.2")
    assert run(*command, *uuids, "--plan-out", file).code == 0
    starts(sqlite_cloud, uuids[0])
    monkeypatch.setattr(carry_out, "BATCH", 1)
    assert run("apply", file, "--yes", "--max-failures", "0").code == 7
    moved = ("image-property", "set", "--property", "hw_cdrom_bus=sata", "--yes", uuids[1])
    assert run(*moved).code == 0
    (plan,) = kept(run, "resume", "1").json["plans"]
    effects = {item["what"]: (item["before"], item["after"]) for item in plan["effects"]}
    assert effects["disk.config cdrom"] == ("sata sda", "sata sda")


def test_effects_are_those_of_what_is_stored_now(sqlite_cloud: Cloud) -> None:
    """A machine type is taken back after the config drive has moved: that is seen."""
    uuid = server(sqlite_cloud, columns={"config_drive": "True"})
    run = partial(novadev, sqlite_cloud)
    assert run("machine-type", "set", "pc-i440fx-7.2", "--yes", uuid).code == 0
    moved = ("image-property", "set", "--property", "hw_cdrom_bus=sata", "--yes", uuid)
    assert run(*moved).code == 0
    (plan,) = run("undo", "1", "--dry-run", "-f", "json").json["plans"]
    effects = {item["what"]: (item["before"], item["after"]) for item in plan["effects"]}
    assert effects["disk.config cdrom"] == ("sata sda", "sata sda")


def test_the_history_names_only_an_undo_that_took_something_back(sqlite_cloud: Cloud) -> None:
    run = partial(novadev, sqlite_cloud)
    uuid = server(sqlite_cloud)
    assert run(*COMMANDS["image-property set"], uuid, "--yes").code == 0
    starts(sqlite_cloud, uuid)
    assert run("undo", "1", "--yes").code == 7
    refused = run("history", "1").err
    assert "undone by" not in refused
    assert "run 2 was an undo of it: it was refused, and undid nothing" in refused
    assert run("undo", "1", "--yes").code == 7
    refused = run("history", "1").err
    for undo in (2, 3):
        assert f"run {undo} was an undo of it: it was refused, and undid nothing" in refused
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="stopped", task_state=None)
    assert run("undo", "1", "--yes").code == 0
    assert "  undone by run 4" in run("history", "1").err
    assert "Run 1 was undone by run 4." in run("undo", "1", "--yes").err
    assert run("undo", "4", "--yes").code == 0
    assert "undone by" not in run("history", "1").err
    assert "run 4 was an undo of it: nothing of run 4 is in effect now" in run("history", "1").err
