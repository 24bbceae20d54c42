"""The firmware images of this machine: QEMU's descriptions of them, and the files that are there.

libvirt's domain capabilities list only the images that are described or built in, and take any
other file as well: so the files count. Source: QEMU, docs/interop/firmware.json; libvirt,
src/qemu/qemu_firmware.c.
"""

from __future__ import annotations

import fnmatch
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)
FOLDERS = ("usr/share/qemu/firmware", "etc/qemu/firmware")
"""A file in the later one replaces the one of its name (libvirt, qemuInteropFetchConfigs)."""
MAX_BYTES = 64 * 1024
_MOST_FILES = 1_000
_RAW = "raw"


@dataclass(frozen=True)
class Firmware:
    """One description: an image, and for which guests QEMU's package means it.

    ``interfaces`` are ``uefi`` or ``bios``; ``targets`` are architectures with patterns of machine
    types, ``x86_64 pc-q35-*``; ``template`` is what a guest's variables are copied from, None for
    an image that has none. The formats are ``raw`` or ``qcow2``, None in a file of an older
    novadev.
    """

    interfaces: tuple[str, ...]
    targets: tuple[str, ...]
    features: tuple[str, ...]
    executable: str
    template: str | None
    format: str | None = None
    template_format: str | None = None

    @property
    def is_qcow2(self) -> bool:
        """Whether the image or its template is not raw; where no format is known, by its name."""
        return self.image_format != _RAW or (
            self.template is not None and _format(self.template_format, self.template) != _RAW
        )

    @property
    def image_format(self) -> str:
        """The format of the image."""
        return _format(self.format, self.executable)

    @property
    def files(self) -> tuple[str, ...]:
        """The image, and the template if it has one."""
        return (self.executable,) if self.template is None else (self.executable, self.template)

    def is_for(self, architecture: str, machine_type: str) -> bool:
        """Return whether it is for guests of this architecture and versioned machine type."""
        for target in self.targets:
            arch, _, pattern = target.partition(" ")
            if arch == architecture and fnmatch.fnmatchcase(machine_type, pattern):
                return True
        return False


def _format(told: str | None, path: str) -> str:
    return told or (_RAW if path.rpartition(".")[2] != "qcow2" else "qcow2")


@dataclass(frozen=True)
class HostFirmware:
    """What a host has: descriptions by priority, and every file in the folders of its images."""

    described: tuple[Firmware, ...]
    files: tuple[str, ...]

    def has(self, path: str) -> bool | None:
        """Return whether the file PATH is there; None where its folder was not listed.

        The folders of described images were: one of which no file is known is empty or gone.
        """
        if path in self.files:
            return True
        described = (file for item in self.described for file in item.files)
        folders = {_folder(file) for file in (*self.files, *described)}
        is_listed = _folder(path) in folders and len(self.files) < _MOST_FILES
        return False if is_listed else None


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def read_firmware(listed: Iterable[str], root: Path = Path("/")) -> HostFirmware:
    """Return the firmware of the machine whose files are under ROOT.

    LISTED are the images that libvirt names in its domain capabilities. A description that cannot
    be read is left out, with a warning in the log.
    """
    described = tuple(_descriptions(root))
    images = {*listed, *(path for item in described for path in item.files)}
    folders = sorted({_folder(path) for path in images if path.startswith("/")})
    files = [name for folder in folders for name in _files(root, folder)]
    return HostFirmware(described, tuple(files[:_MOST_FILES]))


def _files(root: Path, folder: str) -> Iterator[str]:
    place = root / folder.lstrip("/")
    if place.is_dir():
        yield from (f"{folder}/{item.name}" for item in sorted(place.iterdir()) if item.is_file())


def _descriptions(root: Path) -> Iterator[Firmware]:
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        place = root / folder
        if place.is_dir():
            found |= {path.name: path for path in place.glob("*.json")}
    for name in sorted(found):
        path = found[name]
        try:
            if not path.is_file() or not 0 < path.stat().st_size <= MAX_BYTES:
                continue  # an empty file takes out one of the same name
            yield _firmware(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            LOG.warning("%s is no description of a firmware: %r", path, error)


def _firmware(data: Mapping[str, Any]) -> Firmware:
    mapping = data["mapping"]
    is_flash = mapping["device"] == "flash"
    template = mapping.get("nvram-template") if is_flash else None
    return Firmware(
        interfaces=tuple(str(item) for item in data["interface-types"]),
        targets=tuple(
            f"{target['architecture']} {pattern}"
            for target in data["targets"]
            for pattern in target["machines"]
        ),
        features=tuple(str(item) for item in data["features"]),
        executable=str(mapping["executable"]["filename"] if is_flash else mapping["filename"]),
        template=None if template is None else str(template["filename"]),
        format=str(mapping["executable"]["format"]) if is_flash else _RAW,
        template_format=None if template is None else str(template["format"]),
    )
