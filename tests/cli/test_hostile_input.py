"""What somebody types, saves or configures wrongly at three in the morning, or on purpose."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.command import Result, novadev

E1000 = ("image-property", "set", "--property", "hw_vif_model=e1000")
SCSI = ("image-property", "set", "--property", "hw_disk_bus=sata")


def resummed(file: Path, plan: dict[str, Any]) -> None:
    """Put another plan into a plan file, with a sum that fits."""
    lines = file.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | {"plan": plan})
    body = "".join(f"{line}\n" for line in lines[:2])
    end = {"plans": 1, "sha256": hashlib.sha256(body.encode()).hexdigest()}
    file.write_text(body + json.dumps(end) + "\n")


def saved(cloud: Cloud, uuid: str, command: tuple[str, ...]) -> tuple[Path, dict[str, Any]]:
    file = cloud.folder / "plan"
    assert novadev(cloud, *command, "--plan-out", str(file), uuid).code == 0
    return file, json.loads(file.read_text().splitlines()[1])["plan"]


def change(what: str, after: Any, before: Any = None) -> dict[str, Any]:
    return {"what": what, "before": before or {"absent": True}, "after": after}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([change("os_distro", "evil")], 5),
        ([change("hw_machine_type", "q35")], 5),
        ([change("hw_vif_model", "bogus")], 6),
        ([change("hw_vif_model", "VirtualE1000")], 6),
        ([change("hw_vif_model", None)], 6),
        ([change("hw_vif_model", 5)], 6),
        ([change("request_spec hw_vif_model", "x" * 300)], 6),
        ([change("block_device_mapping 1 disk_bus", "bogus")], 6),
        ([change("block_device_mapping 1 device_name", "/dev/../etc")], 6),
        ([change("block_device_mapping x disk_bus", "sata")], 5),
        ([change("block_device_mapping 1 connection_info", "{}")], 5),
        ([change("root_device_name", {"absent": True})], 6),
        ([change("hw_vif_model", "e1000"), change("hw_vif_model", "e1000")], 4),
        ([], 4),
        ([change("hw_disk_bus", "sata")], 4),
        ("nonsense", 4),
    ],
)
def test_a_plan_file_that_no_command_would_write(
    sqlite_cloud: Cloud, changes: Any, code: int
) -> None:
    uuid = sqlite_cloud.add_instance()
    before = sqlite_cloud.system_metadata(uuid)
    file, plan = saved(sqlite_cloud, uuid, E1000)
    resummed(file, plan | {"changes": changes})
    result = novadev(sqlite_cloud, "apply", str(file), "--yes")
    assert result.code == code, result.err
    assert sqlite_cloud.system_metadata(uuid) == before
    assert novadev(sqlite_cloud, "history", "-f", "json").json == []


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"owner": "me"}, "has a key that does not belong there: 'owner'"),
        ({"cell": 7}, "cell is not text"),
        ({"changes": [{"what": "hw_vif_model", "before": None}]}, "changes[0] has no after"),
        ({"changes": [change("hw_vif_model", 1.5)]}, "changes[0].after is not "),
        ({"effects": [change("x", {"absent": False})]}, "not a value"),
    ],
)
def test_a_plan_of_another_form_is_told_where(
    sqlite_cloud: Cloud, edit: dict[str, Any], told: str
) -> None:
    file, plan = saved(sqlite_cloud, sqlite_cloud.add_instance(), E1000)
    resummed(file, plan | edit)
    result = novadev(sqlite_cloud, "apply", str(file), "--yes")
    assert result.code == 4
    assert f"plan file {file}: line 2" in result.err
    assert told in result.err


@pytest.mark.parametrize("guard", [{}, {"kept_disks": [5]}, {"kept_disks": None}])
def test_a_plan_about_disks_without_its_guard(sqlite_cloud: Cloud, guard: dict[str, Any]) -> None:
    uuid = sqlite_cloud.add_instance()
    sqlite_cloud.add_disk(uuid)
    file, plan = saved(sqlite_cloud, uuid, SCSI)
    resummed(file, plan | {"guard": guard})
    assert novadev(sqlite_cloud, "apply", str(file), "--yes").code == 4


def test_a_sum_that_fits_and_a_plan_that_is_right(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    file, plan = saved(sqlite_cloud, uuid, E1000)
    resummed(file, plan)
    assert novadev(sqlite_cloud, "apply", str(file), "--yes").code == 0


@pytest.mark.parametrize("option", ["--cell", "--host", "--project", "--vm-state", "--without"])
def test_an_empty_filter_is_not_everything(sqlite_cloud: Cloud, option: str) -> None:
    sqlite_cloud.add_instance()
    assert novadev(sqlite_cloud, *E1000, "--dry-run", option, "").code == 4


def test_what_lacks_a_property_is_no_choice_by_itself(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance()
    assert novadev(sqlite_cloud, *E1000, "--dry-run", "--without", "hw_tpyo").code == 4
    assert novadev(sqlite_cloud, *E1000, "--dry-run", "--all", "--without", "hw_x").code == 0


def test_an_unknown_vm_state(sqlite_cloud: Cloud) -> None:
    result = novadev(sqlite_cloud, *E1000, "--dry-run", "--vm-state", "stoped")
    assert result.code == 4
    assert "stopped" in result.err


def test_a_named_instance_that_the_filters_leave_out_is_told(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(cell="cell2", host="cmp9")
    sqlite_cloud.add_instance(host="cmp1")
    for option, value in (("--cell", "cell1"), ("--host", "cmp1")):
        result = novadev(sqlite_cloud, "image-property", "list", uuid, option, value)
        assert (result.code, result.out) == (0, "")
        assert uuid in result.err


def test_a_plan_is_never_saved_over_something_else(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid = sqlite_cloud.add_instance()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    for name in ("-", str(tmp_path), str(link), str(tmp_path / "no" / "plan")):
        result = novadev(sqlite_cloud, *E1000, "--plan-out", name, uuid)
        assert result.code == 4, name
    assert link.is_symlink()


def edit_config(cloud: Cloud, old: str, new: str) -> Result:
    text = cloud.config_file.read_text()
    assert old in text
    cloud.config_file.write_text(text.replace(old, new, 1))
    return novadev(cloud, "image-property", "list", "--all")


def test_a_dollar_in_a_password_is_not_told(sqlite_cloud: Cloud) -> None:
    result = edit_config(sqlite_cloud, "sqlite:///", "mysql+pymysql://nova:Win$Tr0ub4dor@db/x#")
    assert result.code == 4
    assert "$$" in result.err
    assert "Tr0ub4dor" not in result.err


def test_options_in_a_url_are_not_told(sqlite_cloud: Cloud) -> None:
    result = edit_config(
        sqlite_cloud, sqlite_cloud.url("api"), "mysql+pymysql://u:p@127.0.0.1/n?bogus=S3cretPw"
    )
    assert result.code == 4, result.err
    assert "S3cretPw" not in result.err


@pytest.mark.parametrize("what", ["folder", "binary"])
def test_a_configuration_that_is_no_text(tmp_path: Path, what: str) -> None:
    file = tmp_path / "nova.conf"
    if what == "folder":
        file.mkdir()
    else:
        file.write_bytes(b"[api_database]\nconnection = \xff\xfe\n")
    assert novadev(None, "--config-file", str(file), "history").code == 4


def test_a_configuration_folder_that_is_not_there(sqlite_cloud: Cloud) -> None:
    assert novadev(sqlite_cloud, "--config-dir", "/nope", "history").code == 4


def test_arguments_that_are_no_text(sqlite_cloud: Cloud) -> None:
    assert novadev(sqlite_cloud, "image-property", "list", "\udcff").code == 4


@pytest.mark.parametrize("command", ["undo", "history"])
def test_the_number_of_a_run_that_cannot_be(sqlite_cloud: Cloud, command: str) -> None:
    assert novadev(sqlite_cloud, command, "99999999999999999999999").code == 4


def test_a_file_with_a_byte_order_mark(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid = sqlite_cloud.add_instance(name="web-1")
    file = tmp_path / "names"
    file.write_bytes(b"\xef\xbb\xbfweb-1\r\n# web-2\r\n")
    result = novadev(sqlite_cloud, "image-property", "list", "--from-file", str(file), "-f", "json")
    assert {record["instance"] for record in result.json} == {uuid}


def test_a_database_of_something_else_gets_no_journal(sqlite_cloud: Cloud) -> None:
    state = f"sqlite:///{sqlite_cloud.folder}/state.sqlite"
    cell = sqlite_cloud.url("cell1")
    text = sqlite_cloud.config_file.read_text()
    sqlite_cloud.config_file.write_text(text.replace(state, cell))
    result = novadev(sqlite_cloud, "history")
    assert result.code == 3
    assert "a database of its own" in result.err


def test_a_plan_file_below_a_file(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid = sqlite_cloud.add_instance(hw_vif_model="virtio")
    below = tmp_path / "plain" / "plan"
    below.parent.write_text("")
    words = ("set", "--property", "hw_vif_model=e1000", uuid, "--plan-out", str(below))
    result = novadev(sqlite_cloud, "image-property", *words)
    assert (result.code, "is not a folder" in result.err) == (4, True)
