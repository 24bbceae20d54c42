"""One-line runs of audit, and what came of them."""

from typing import Any

from tests.cloud import Cloud
from tests.command import novadev

STASHED = {
    "hw_machine_type": "pc-i440fx-7.2",
    "hw_cdrom_bus": "ide",
    "hw_disk_bus": "virtio",
    "hw_input_bus": None,
    "hw_pointer_model": None,
    "hw_video_model": "virtio",
    "hw_vif_model": "virtio",
}
"""What Nova registers of a guest; with it the checks of what is stored find nothing."""


def audit(cloud: Cloud, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    """The findings of a run, which must end with CODE."""
    result = novadev(cloud, "audit", "-f", "json", *(arguments or ("--all",)))
    assert result.code == code, result.out + result.err
    found: list[dict[str, Any]] = result.json
    return found


def checks(findings: list[dict[str, Any]]) -> list[str]:
    """Which checks found something, each as often as it did."""
    return sorted(item["check"] for item in findings)


def healthy(cloud: Cloud, **wanted: Any) -> str:
    """An instance with a disk, of which no check of the databases finds anything."""
    uuid = cloud.add_instance(**{**STASHED, **wanted})
    cloud.add_disk(uuid, disk_bus="virtio")
    return uuid
