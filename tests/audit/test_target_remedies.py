"""What the audit against another host prescribes: the host has it, and it ends what was found."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import domains
from tests.audit.auditing import STASHED
from tests.capabilities.samples import PC, saved
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.rig import mac, port_id
from tests.device.site import Site
from tests.hypervisor import Hypervisor

VIDEO = {"pc-i440fx-7.2": replace(PC, video=("vga", "none"))}


def offloaded(cloud: Cloud, **stored: Any) -> str:
    return cloud.add_instance(vm_state="shelved_offloaded", host=None, **{**STASHED, **stored})


def failing(cloud: Cloud, target: Path) -> list[dict[str, Any]]:
    words = ("audit", "-f", "json", "--all", "--check", "target", "--capabilities", str(target))
    found: list[dict[str, Any]] = novadev(cloud, *words).json
    return [item for item in found if item["severity"] == "failure"]


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
    target = saved(tmp_path, "target.json")
    before = failing(sqlite_cloud, target)
    named = " ".join(item["details"] for item in before)
    assert ("machine type pc-i440fx-6.2" in named) == (machine == "pc-i440fx-6.2")
    assert "rtl8139" in named
    run(sqlite_cloud, before)
    after = " ".join(item["details"] for item in failing(sqlite_cloud, target))
    assert "machine type" not in after
    assert "rtl8139" not in after
