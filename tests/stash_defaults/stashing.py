"""stash-defaults through the command line, on a cloud whose hosts have rules of their own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.cloud import Cloud
from tests.command import Result, novadev

BY_RULES = {
    "hw_machine_type": "pc",
    "hw_cdrom_bus": "ide",
    "hw_disk_bus": "virtio",
    "hw_pointer_model": "usbtablet",
    "hw_video_model": "virtio",
    "hw_vif_model": "virtio",
}
"""What a host with Nova's own defaults has recorded: hw_input_bus would add a keyboard."""
KVM = "[libvirt]\nvirt_type = kvm\n"


class Stash:
    """A cloud, and a folder with the rules of its hosts; no hypervisor is reached unless added."""

    def __init__(self, cloud: Cloud, **rules: str) -> None:
        self.cloud = cloud
        self.hosts = cloud.folder / "hosts"
        self.hosts.mkdir()
        self.configure(
            f"[novadev]\ncompute_config_dir = {self.hosts}\nhost_timeout = 3\n"
            f"libvirt_uri = qemu:///system?socket={cloud.folder}/{{host}}.sock\n"
        )
        for host, text in rules.items():
            self.know(host, text)

    def configure(self, text: str) -> None:
        """Add to novadev's nova.conf."""
        with self.cloud.config_file.open("a") as file:
            file.write(f"\n{text}")

    def know(self, host: str, text: str = KVM) -> Path:
        """Keep a host's nova.conf where novadev looks for it."""
        path = self.hosts / f"{host}.conf"
        path.write_text(text)
        return path

    def add(self, **wanted: Any) -> str:
        """Write an instance with a root disk on virtio; its UUID comes back."""
        uuid = self.cloud.add_instance(**wanted)
        self.cloud.add_disk(uuid)
        return uuid

    def run(self, *arguments: str, code: int = 0) -> Result:
        """Stash without a question, or only plan with --dry-run; it must end with CODE."""
        result = novadev(self.cloud, "stash-defaults", *arguments, "--yes", "-f", "json")
        assert result.code == code, result.out + result.err
        assert "Traceback" not in result.err
        return result

    def plan(self, *arguments: str, code: int = 0) -> Any:
        """The one plan of a dry run."""
        (plan,) = self.run(*arguments, "--dry-run", code=code).json["plans"]
        return plan

    def reasons(self, *arguments: str, code: int = 0) -> list[str]:
        """Why what is skipped is skipped, without the name of the instance."""
        skips = self.run(*arguments, "--dry-run", code=code).json["skipped"]
        return [skip["reason"].removeprefix(f"instance {skip['instance']}: ") for skip in skips]

    def undo(self, run: int = 1) -> None:
        """Take a run back."""
        result = novadev(self.cloud, "undo", str(run), "--yes")
        assert result.code == 0, result.out + result.err

    def stored(self, uuid: str) -> dict[str, str | None]:
        """The image properties in the cell, without those of every image."""
        metadata = self.cloud.system_metadata(uuid)
        names = (name.removeprefix("image_") for name in metadata if name.startswith("image_hw_"))
        return {name: metadata[f"image_{name}"] for name in names}


def changes(plan: Any, prefix: str = "") -> dict[str, Any]:
    """What a plan records in the cell; with a PREFIX of "request_spec ", in the spec."""
    return {
        item["what"].removeprefix(prefix): item["after"]
        for item in plan["changes"]
        if item["what"].startswith(prefix) and (prefix or " " not in item["what"])
    }


def notes(plan: Any) -> list[str]:
    """The notes of a plan."""
    text: str = plan["note"]
    return text.splitlines()


def none_with(words: str, texts: Iterable[str]) -> bool:
    """Whether no text has these words."""
    return not any(words in text for text in texts)
