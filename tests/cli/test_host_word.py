"""What a server's host says to new properties: by its capability file, or asked itself."""

from pathlib import Path
from typing import Any

import pytest

from tests import domains
from tests.capabilities.samples import saved
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.device.site import Site
from tests.hypervisor import Hypervisor

STORED = {"hw_machine_type": "pc-i440fx-7.2", "hw_disk_bus": "virtio", "hw_video_model": "virtio"}


def know(cloud: Cloud, **changes: Any) -> Path:
    """Have a capability file of cmp1."""
    folder = cloud.folder / "hosts"
    folder.mkdir(exist_ok=True)
    with cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\ncompute_config_dir = {folder}\n")
    return saved(folder, "cmp1.json", **changes)


def server(cloud: Cloud, **wanted: Any) -> str:
    uuid = cloud.add_instance(**{**STORED, **wanted})
    cloud.add_disk(uuid)
    return uuid


def set_(cloud: Cloud, wanted: str, *words: str) -> Result:
    command = ("image-property", "set", "--property", wanted, "--yes", "-f", "json", *words)
    return novadev(cloud, *command)


def test_a_value_that_the_host_cannot_give(sqlite_cloud: Cloud) -> None:
    file, uuid = know(sqlite_cloud), server(sqlite_cloud)
    result = set_(sqlite_cloud, "hw_vif_model=igb", uuid)
    assert result.code == 6
    (skip,) = result.json["skipped"]
    assert skip["reason"] == (
        f"instance {uuid}: hw_vif_model=igb: on cmp1 it would not start: the host's QEMU has no "
        f"device igb (capability file {file}) (--force overrides this check)"
    )
    assert "image_hw_vif_model" not in sqlite_cloud.system_metadata(uuid)
    forced = set_(sqlite_cloud, "hw_vif_model=igb", uuid, "--force")
    assert forced.code == 0
    assert "forced: hw_vif_model=igb: on cmp1 it would not start" in forced.json["plans"][0]["note"]


def test_a_value_that_the_host_has_is_no_word_about_the_host(sqlite_cloud: Cloud) -> None:
    know(sqlite_cloud)
    (plan,) = set_(sqlite_cloud, "hw_vif_model=e1000", server(sqlite_cloud)).json["plans"]
    assert "cmp1" not in (plan["note"] or "")


def test_what_was_so_before_does_not_count(sqlite_cloud: Cloud) -> None:
    """A guest that cannot start for another reason can be mended step by step."""
    know(sqlite_cloud)
    uuid = server(sqlite_cloud, hw_video_model="qxl")
    assert set_(sqlite_cloud, "hw_vif_model=e1000", uuid).code == 0


def test_what_the_file_does_not_tell_is_a_note(sqlite_cloud: Cloud) -> None:
    know(sqlite_cloud, devices=None)
    (plan,) = set_(sqlite_cloud, "hw_vif_model=igb", server(sqlite_cloud)).json["plans"]
    assert "hw_vif_model=igb: not checked on cmp1: the file has no list" in plan["note"]


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (
            "cmp1",
            "it is not known whether cmp1 has hw_vif_model=igb: there is no capability file of "
            "the host",
        ),
        (
            None,
            "it is not known whether a host has hw_vif_model=igb, because the server is on no host",
        ),
    ],
)
def test_nothing_known_is_a_note(sqlite_cloud: Cloud, host: str | None, told: str) -> None:
    state = "stopped" if host else "shelved_offloaded"
    uuid = server(sqlite_cloud, host=host, vm_state=state)
    (plan,) = set_(sqlite_cloud, "hw_vif_model=igb", uuid).json["plans"]
    assert told in plan["note"]
    (plan,) = set_(sqlite_cloud, "hw_vif_model=e1000", uuid).json["plans"]
    assert "not checked" not in (plan["note"] or "")


def test_a_bad_file_of_the_host_is_an_error(sqlite_cloud: Cloud) -> None:
    know(sqlite_cloud).write_text("{}")
    assert set_(sqlite_cloud, "hw_vif_model=igb", server(sqlite_cloud)).code == 4


def test_a_new_board_brings_its_own_needs(sqlite_cloud: Cloud) -> None:
    """Nova gives q35 a cdrom on SATA: this host's libvirt has no SATA there."""
    know(sqlite_cloud)
    uuid = server(sqlite_cloud, hw_machine_type="pc", columns={"config_drive": "True"})
    command = ("machine-type", "set", "pc-q35-7.2", uuid, "--yes", "-f", "json")
    result = novadev(sqlite_cloud, *command)
    assert result.code == 6
    assert "on cmp1 it cannot be defined: the host's libvirt has no bus sata" in result.out
    assert novadev(sqlite_cloud, *command, "--force").code == 0


@pytest.mark.slow
def test_the_host_is_asked_itself(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> None:
    """libvirt lists no network cards, but it lists video models."""
    site = Site.of(sqlite_cloud, hypervisor)
    uuid = site.add(domains.domain(disks=[domains.disk("vda")]), **STORED)
    good = set_(sqlite_cloud, "hw_video_model=vga", uuid, "--ask-hosts", "--dry-run")
    assert "not checked" not in (good.json["plans"][0]["note"] or "")
    bad = set_(sqlite_cloud, "hw_video_model=gop", uuid, "--ask-hosts", "--dry-run")
    assert bad.code == 6
    board = ("machine-type", "set", "q35", uuid, "--ask-hosts", "--dry-run", "--force")
    assert "num_pcie_ports is 0 on cmp1" in novadev(sqlite_cloud, *board).out
    hypervisor.kill()
    assert set_(sqlite_cloud, "hw_video_model=vga", uuid, "--ask-hosts", "--dry-run").code == 8
