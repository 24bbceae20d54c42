"""What the audit against another host prescribes: the host has it, and it ends what was found."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novadev.audit.prescription import Present, present_host
from novadev.virt.capabilities import MachineType
from tests import domains
from tests.audit.auditing import STASHED
from tests.capabilities.samples import PC, SAMPLE, saved
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.rig import mac, port_id
from tests.device.site import Site
from tests.hypervisor import Hypervisor

VIDEO = {"pc-i440fx-7.2": replace(PC, video=("vga", "none"))}


def offloaded(cloud: Cloud, **stored: Any) -> str:
    return cloud.add_instance(vm_state="shelved_offloaded", host=None, **{**STASHED, **stored})


def failing(cloud: Cloud, *targets: Path) -> list[dict[str, Any]]:
    """What is found against TARGETS; an unreachable host of the guests is nothing of that."""
    files = [word for target in targets for word in ("--capabilities", str(target))]
    words = ("audit", "-f", "json", "--all", "--check", "target", *files)
    found: list[dict[str, Any]] = novadev(cloud, *words).json
    return [item for item in found if (item["check"], item["severity"]) == ("target", "failure")]


def run(cloud: Cloud, found: list[dict[str, Any]]) -> None:
    """Run each remedy once, as often as it was named."""
    for remedy in dict.fromkeys(item["remedy"] for item in found if item["remedy"]):
        result = novadev(cloud, *shlex.split(remedy)[1:])
        assert result.code == 0, (remedy, result.err)


@pytest.mark.parametrize(
    ("models", "value"),
    [(("virtio", "vga"), "virtio"), (("vga", "none"), "vga"), (("none",), None)],
)
def test_a_remedy_is_what_the_target_has(
    sqlite_cloud: Cloud, tmp_path: Path, models: tuple[str, ...], value: str | None
) -> None:
    uuid = offloaded(sqlite_cloud, hw_video_model="qxl")
    known = {"pc-i440fx-7.2": replace(PC, video=models)}
    target = saved(tmp_path, "target.json", domain_capabilities=known)
    (found,) = (item for item in failing(sqlite_cloud, target) if "qxl" in item["details"])
    if value is None:
        assert (found["remedy"], found["needs"]) == (None, "decision")
        return
    assert f"hw_video_model={value} {uuid}" in found["remedy"]
    run(sqlite_cloud, [found])
    assert not [item for item in failing(sqlite_cloud, target) if "video" in item["details"]]


def test_what_the_new_machine_type_meets_is_told_before_it_is_stored(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    """One round of remedies: the second audit has nothing that the first had not."""
    offloaded(sqlite_cloud, hw_machine_type="pc-i440fx-1.0", hw_video_model="qxl")
    target = saved(tmp_path, "target.json", domain_capabilities=VIDEO)
    before = failing(sqlite_cloud, target)
    remedies = " ".join(item["remedy"] or "" for item in before)
    assert "machine-type set --yes pc-i440fx-7.2" in remedies
    assert "hw_video_model=vga" in remedies
    run(sqlite_cloud, before)
    after = failing(sqlite_cloud, target)
    assert {item["details"] for item in after} <= {item["details"] for item in before}
    assert not [item for item in after if item["remedy"]]


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["pc-i440fx-6.2", "pc-i440fx-7.2"])
def test_a_stopped_guest_is_judged_by_what_is_stored_once_that_is_another(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, tmp_path: Path, machine: str
) -> None:
    """Its definition is the old one until the power-on, which builds it anew."""
    site = Site.of(sqlite_cloud, hypervisor)
    old = {"hw_machine_type": machine, "hw_vif_model": "rtl8139", "hw_cdrom_bus": None}
    card = domains.interface(mac(0), port=port_id(0), model="rtl8139")
    text = domains.domain(machine=machine, disks=[domains.disk("vda")], interfaces=[card])
    site.add(text, **{**STASHED, **old})
    machines = {name: MachineType(name) for name in ("pc-i440fx-6.2", "pc-i440fx-7.2")}
    here = {"host": hypervisor.name, "machine_types": {"x86_64": machines}}
    targets = saved(tmp_path, "target.json"), saved(tmp_path, "present.json", **here)
    before = failing(sqlite_cloud, *targets)
    named = " ".join(item["details"] for item in before)
    assert ("machine type pc-i440fx-6.2" in named) == (machine == "pc-i440fx-6.2")
    assert "rtl8139" in named
    run(sqlite_cloud, before)
    after = " ".join(item["details"] for item in failing(sqlite_cloud, *targets))
    assert "machine type" not in after
    assert "rtl8139" not in after


def with_machines(folder: Path, host: str, *names: str, old: tuple[str, ...] = ()) -> Path:
    """The capability file of a HOST with these i440fx machine types; OLD ones are deprecated."""
    machines = {name: MachineType(name, deprecated=name in old) for name in (*names, *old)}
    known = {"x86_64": machines}
    devices = dict.fromkeys(machines, VIDEO["pc-i440fx-7.2"])
    return saved(
        folder, f"{host}.json", host=host, machine_types=known, domain_capabilities=devices
    )


def i440fx(*versions: str) -> tuple[str, ...]:
    return tuple(f"pc-i440fx-{version}" for version in versions)


@pytest.mark.parametrize(
    ("new", "old", "value"),
    [
        (i440fx("2.4", "5.2", "7.1"), (), "pc-i440fx-2.4"),
        (i440fx("5.2", "7.1"), i440fx("2.4"), "pc-i440fx-5.2"),
        (i440fx("7.1"), i440fx("2.4", "5.2"), "pc-i440fx-2.4"),
        (i440fx("7.1", "9.0"), (), None),
    ],
)
@pytest.mark.parametrize("is_known_by", ["its own file", "a target"])
def test_a_machine_type_is_one_that_the_present_host_has(
    sqlite_cloud: Cloud,
    tmp_path: Path,
    new: tuple[str, ...],
    old: tuple[str, ...],
    value: str | None,
    is_known_by: str,
) -> None:
    """The guest has to start where it is until it moves."""
    uuid = sqlite_cloud.add_instance(**{**STASHED, "hw_machine_type": "pc-i440fx-2.0"})
    folder = tmp_path / "hosts"
    folder.mkdir()
    present = with_machines(folder, "cmp1", *i440fx("2.0", "2.4", "5.2"))
    targets = [with_machines(tmp_path, "cmp9", *new, old=old)]
    if is_known_by == "a target":
        targets.append(present)
    else:
        with sqlite_cloud.config_file.open("a") as file:
            file.write(f"[novadev]\ncompute_config_dir = {folder}\n")
    found = failing(sqlite_cloud, *targets)
    (machine,) = (item for item in found if "machine type" in item["details"])
    if value is not None:
        assert f"machine-type set --yes {value} {uuid}" in machine["remedy"]
        run(sqlite_cloud, [machine])
        after = " ".join(item["details"] for item in failing(sqlite_cloud, *targets))
        assert "machine type" not in after
        return
    assert (machine["remedy"], machine["needs"]) == (None, "decision")
    assert "cmp9 has pc-i440fx-7.1 to pc-i440fx-9.0 of this kind" in machine["details"]
    assert "no such machine type is on all of cmp1, cmp9" in machine["details"]


def test_no_machine_type_is_prescribed_where_the_present_host_is_not_known(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    sqlite_cloud.add_instance(**{**STASHED, "hw_machine_type": "pc-i440fx-2.0"})
    target = with_machines(tmp_path, "cmp9", *i440fx("7.1"))
    found = failing(sqlite_cloud, target)
    (machine,) = (item for item in found if "machine type" in item["details"])
    assert machine["remedy"] is None
    assert "novadev does not know which of these cmp1 has" in machine["details"]
    assert "novadev capabilities save" in machine["details"]


def test_a_file_of_the_present_host_of_another_qemu_is_none_of_it() -> None:
    """It was saved before an upgrade of the host, or it says what the host is going to be."""
    given = replace(SAMPLE, host="cmp1")
    assert present_host("cmp1", None, "7.2.22", [given]).capabilities == given
    assert present_host("cmp1", None, None, [given]).capabilities == given
    assert present_host("cmp1", None, "5.2.0", [given]).capabilities is None
    assert present_host(None, None, None, [given]) == Present()


def test_a_remedy_breaks_the_guest_on_no_other_target(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """Neither its machine type nor a model."""
    offloaded(sqlite_cloud, hw_machine_type="pc-i440fx-2.0", hw_video_model="qxl")
    one = with_machines(tmp_path, "cmp8", *i440fx("2.4", "5.2", "7.1"))
    other = with_machines(tmp_path, "cmp9", *i440fx("2.0", "5.2"))
    before = failing(sqlite_cloud, one, other)
    assert {item["target"] for item in before if "video" in item["details"]} == {"cmp8", "cmp9"}
    remedies = " ".join(item["remedy"] or "" for item in before)
    assert "machine-type set --yes pc-i440fx-5.2 " in remedies
    run(sqlite_cloud, before)
    after = " ".join(item["details"] for item in failing(sqlite_cloud, one, other))
    assert "machine type" not in after
    assert "video" not in after


@pytest.mark.parametrize("is_present", [True, False])
def test_a_model_that_one_host_refuses_is_not_prescribed_for_another(
    sqlite_cloud: Cloud, tmp_path: Path, is_present: bool
) -> None:
    here = {"host": "cmp1"} if is_present else {"vm_state": "shelved_offloaded", "host": None}
    sqlite_cloud.add_instance(**{**STASHED, "hw_video_model": "qxl", **here})
    files = [
        saved(
            tmp_path,
            f"{host}.json",
            host=host,
            domain_capabilities={"pc-i440fx-7.2": replace(PC, video=video)},
        )
        for host, video in (("cmp9", ("virtio",)), ("cmp1", ("qxl", "vga")))
    ]
    (found,) = (item for item in failing(sqlite_cloud, *files) if "qxl" in item["details"])
    assert (found["remedy"], found["target"]) == (None, "cmp9")
    assert "no hw_video_model for all hosts: virtio cannot be used on cmp1" in found["details"]


def test_what_a_refused_bus_hides_is_told_at_once(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """Nova builds no guest with this bus; the next audit has nothing that the first had not."""
    uuid = offloaded(sqlite_cloud, hw_disk_bus="xen", hw_video_model="qxl")
    sqlite_cloud.add_disk(uuid, "/dev/vda", "virtio")
    target = saved(tmp_path, "target.json", domain_capabilities=VIDEO)
    before = {item["details"] for item in failing(sqlite_cloud, target)}
    assert [item for item in before if "hw_video_model" in item]
    words = ("image-property", "set", "--yes", "--property", "hw_disk_bus=virtio", uuid)
    assert novadev(sqlite_cloud, *words).code == 0
    assert {item["details"] for item in failing(sqlite_cloud, target)} <= before


@pytest.mark.parametrize("others", [{}, {"hw_vif_model": "e1000"}])
def test_a_machine_type_for_a_target_settles_which_of_two_a_server_keeps(
    sqlite_cloud: Cloud, tmp_path: Path, others: dict[str, str]
) -> None:
    """Its command writes both databases, so the rest of the request spec is told at once."""
    stored = {**STASHED, "hw_machine_type": "pc-i440fx-2.0"}
    spec = {**stored, "hw_machine_type": "pc-i440fx-1.4", **others}
    uuid = offloaded(sqlite_cloud, hw_machine_type="pc-i440fx-2.0", spec_properties=spec)
    target = with_machines(tmp_path, "cmp9", *i440fx("7.1"))
    checks = ("--check", "target", "--check", "request-spec")
    words = ("audit", "--all", *checks, "--capabilities", str(target), "-f")
    (found,) = (
        item
        for item in novadev(sqlite_cloud, *words, "json").json
        if item["check"] == "request-spec"
    )
    setting = f"novadev machine-type set --yes pc-i440fx-7.1 {uuid}"
    assert found["remedy"] == (f"novadev image-property sync --yes {uuid}" if others else setting)
    assert "to keep that of" not in found["details"]
    lines = novadev(sqlite_cloud, *words, "commands").out.splitlines()
    for line in (line for line in lines if line.startswith("novadev ")):
        assert novadev(sqlite_cloud, *shlex.split(line)[1:]).code == 0
    after = novadev(sqlite_cloud, *words, "json").json
    assert not [item for item in after if item["check"] == "request-spec" or item["remedy"]]
