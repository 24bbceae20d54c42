"""What a server's host says to new properties: by its capability file, or asked itself."""

from pathlib import Path
from typing import Any

import pytest

from tests import domains
from tests.capabilities.samples import SAMPLE, saved
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


def board(cloud: Cloud, wanted: str, uuid: str, *words: str) -> Result:
    command = ("machine-type", "set", wanted, uuid, "--yes", "-f", "json", "--dry-run", *words)
    return novadev(cloud, *command)


def test_of_a_machine_type_that_the_host_lacks_is_said_what_was_not_asked(
    sqlite_cloud: Cloud,
) -> None:
    """QEMU's list of devices is for every machine type; what libvirt lists is not."""
    file = know(sqlite_cloud, devices={**(SAMPLE.devices or {}), "ide-hd": "IDE"})
    uuid = server(sqlite_cloud, hw_machine_type="pc-i440fx-6.2")
    refused = set_(sqlite_cloud, "hw_vif_model=igb", uuid, "--dry-run")
    assert (refused.code, refused.json["plans"]) == (6, [])
    assert "the host's QEMU has no device igb" in refused.json["skipped"][0]["reason"]
    for wanted in ("hw_vif_model=e1000", "hw_video_model=vga", "hw_disk_bus=ide"):
        words = ("--update-disks", "all") if "disk" in wanted else ()
        (plan,) = set_(sqlite_cloud, wanted, uuid, "--dry-run", *words).json["plans"]
        (note,) = (line for line in plan["note"].splitlines() if "not checked" in line)
        assert note.startswith("disk " if words else f"{wanted}: ")
        assert note.endswith(
            "not checked on cmp1, because machine type pc-i440fx-6.2 cannot be defined there: the "
            "host has no machine type pc-i440fx-6.2, although it has older and newer ones of its "
            f"kind (capability file {file})"
        )


def test_a_machine_type_of_which_the_host_has_no_word(sqlite_cloud: Cloud) -> None:
    """The way back to one that it has is judged in full; forced to another, what is new is said."""
    know(sqlite_cloud)
    uuid = server(sqlite_cloud, hw_machine_type="pc-i440fx-6.2", hw_video_model="qxl")
    refused = board(sqlite_cloud, "pc-i440fx-7.2", uuid)
    assert refused.code == 6
    assert "hw_video_model=qxl: on cmp1 it cannot be defined" in refused.out
    with_drive = server(sqlite_cloud, columns={"config_drive": "True"})
    (plan,) = board(sqlite_cloud, "pc-q35-6.2", with_drive, "--force").json["plans"]
    assert "forced: pc-q35-6.2: cmp1 has no such machine type" in plan["note"]


def test_of_a_server_that_nova_would_not_build_the_new_value_is_asked_about(
    sqlite_cloud: Cloud,
) -> None:
    """It is mended step by step: neither silence about the new value nor a word about the old."""
    know(sqlite_cloud)
    uuid = server(
        sqlite_cloud, hw_cdrom_bus="uml", hw_video_model="qxl", columns={"config_drive": "True"}
    )
    igb = set_(sqlite_cloud, "hw_vif_model=igb", uuid, "--dry-run")
    assert igb.code == 6
    assert "the host's QEMU has no device igb" in igb.out
    assert "qxl" not in igb.out
    assert set_(sqlite_cloud, "hw_vif_model=e1000", uuid, "--dry-run").code == 0
    mended = set_(sqlite_cloud, "hw_cdrom_bus=ide", uuid, "--dry-run")
    assert (mended.code, "qxl" in mended.out) == (0, False)


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
