"""The micro guest: Debian's kernel, udev and guest agent, in an initramfs made once.

The packages are those of `packages.txt`, fetched by `tools/setup test`; they are unpacked, and
nothing of them is installed. The kernel is unpacked too: under software emulation that is most of
what it would do for seconds (QEMU starts the bare ELF file by its PVH note).
"""

import hashlib
import lzma
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.templates import CACHE, cached

HERE = Path(__file__).parent
PACKAGES = CACHE / "guest-packages"
LAYOUT = "1"
"""Raise it when the image is made in another way."""
PROGRAMS = (
    *("bin/busybox", "bin/udevadm", "usr/sbin/qemu-ga", "sbin/dmsetup"),
    *("lib/udev/scsi_id", "lib/udev/ata_id", "lib/udev/cdrom_id"),
)
RULES = (
    *("50-udev-default", "55-dm", "60-block", "60-cdrom_id", "60-persistent-storage"),
    *("60-persistent-storage-dm", "75-net-description", "80-net-setup-link", "95-dm-notify"),
)
"""Without them the agent finds neither serials nor its port, and a network card has no name by its
place."""
NAME_POLICY = Path("lib/systemd/network/99-default.link")
MODULES = (
    *("virtio_pci", "virtio_console", "virtio_blk", "virtio_scsi", "ahci", "sd_mod", "sr_mod"),
    *("virtio_net", "nvme", "dm-mod", "button", "evdev"),
)
MODULE_FOLDERS = (
    *("arch/x86/crypto", "block", "crypto", "drivers/acpi", "drivers/ata", "drivers/block"),
    *("drivers/cdrom", "drivers/char", "drivers/input", "drivers/md", "drivers/nvme"),
    *("drivers/net", "drivers/scsi", "drivers/virtio", "lib", "net/core"),
)
LIBRARY_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib/systemd", "usr/lib")
LOADER = Path("lib64/ld-linux-x86-64.so.2")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


class Image(NamedTuple):
    """What QEMU starts the micro guest from."""

    kernel: Path
    initramfs: Path


def micro_guest() -> Image:
    """The image, made when there is none of these packages yet."""
    if not (PACKAGES / "fetched").exists():
        raise FileNotFoundError("no packages of the micro guest; run tools/setup test")
    names = sorted(path.name for path in PACKAGES.glob("*.deb"))
    texts = [LAYOUT, *names, *(path.read_text() for path in (Path(__file__), HERE / "init.sh"))]
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
    folder = cached(f"guest-{key}", _make)
    return Image(folder / "vmlinux", folder / "initramfs")


def _make(folder: Path) -> None:
    unpacked, root = folder / "unpacked", folder / "root"
    for path in PACKAGES.glob("*.deb"):
        _unpack(path, unpacked)
    (folder / "vmlinux").write_bytes(_bare_kernel(next(unpacked.glob("boot/vmlinuz-*"))))
    for name in PROGRAMS:
        _copy(unpacked, root, Path(name))
    for name in RULES:
        _copy(unpacked, root, Path(f"lib/udev/rules.d/{name}.rules"))
    _copy(unpacked, root, NAME_POLICY)
    for library in sorted(set(_libraries(unpacked))):
        _copy(unpacked, root, library)
    modules = [path.relative_to(unpacked) for path in _modules(unpacked)]
    for module in modules:
        _copy(unpacked, root, module)
    (root / "modules.list").write_text("".join(f"/{module}\n" for module in modules))
    shutil.copy(HERE / "init.sh", root / "init")
    (root / "init").chmod(0o755)
    _archive(root, folder / "initramfs", unpacked / "bin/busybox")
    shutil.rmtree(unpacked)
    shutil.rmtree(root)


def _unpack(package: Path, folder: Path) -> None:
    """Unpack a package; of the kernel's only what may be needed, for it is large."""
    folder.mkdir(exist_ok=True)
    wanted = ["--wildcards", "./boot/vmlinuz-*"]
    wanted += [f"./lib/modules/*/kernel/{part}/*" for part in MODULE_FOLDERS]
    chosen = wanted if package.name.startswith("linux-image") else []
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as source:
        subprocess.run(["tar", "-x", "-C", str(folder), *chosen], stdin=source.stdout, check=True)


def _bare_kernel(packed: Path) -> bytes:
    """The ELF file in a bzImage (Linux: Documentation/x86/boot.rst, payload_offset)."""
    image = packed.read_bytes()
    setup_sectors = image[0x1F1]
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return lzma.LZMADecompressor().decompress(image[start : start + length])


def _copy(source: Path, root: Path, name: Path) -> None:
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / name, target)


def _libraries(unpacked: Path) -> Iterator[Path]:
    """Yield the shared libraries of the programs, as the guest's own loader finds them."""
    yield LOADER
    path = ":".join(str(unpacked / folder) for folder in LIBRARY_FOLDERS)
    loader = [str(unpacked / LOADER), "--inhibit-cache", "--library-path", path, "--list"]
    for program in PROGRAMS[1:]:
        result = subprocess.run(
            [*loader, str(unpacked / program)], capture_output=True, text=True, check=True
        )
        for name in re.findall(r"=> (/\S+)", result.stdout):
            yield Path(name).relative_to(unpacked)


def _modules(unpacked: Path) -> list[Path]:
    """The modules with all they depend on, each behind those it depends on."""
    known = {_plain(path.stem): path for path in unpacked.glob("lib/modules/**/*.ko")}
    found: dict[str, Path] = {}
    for name in MODULES:
        _add_module(_plain(name), known, found)
    return list(found.values())


def _add_module(name: str, known: Mapping[str, Path], found: dict[str, Path]) -> None:
    if name in found:
        return
    for needed in _needed(known[name]):
        _add_module(needed, known, found)
    found[name] = known[name]


def _needed(module: Path) -> Iterable[str]:
    stated = _DEPENDS.search(module.read_bytes())
    assert stated, module
    return [_plain(name) for name in stated[1].decode().split(",") if name]


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _archive(root: Path, target: Path, busybox: Path) -> None:
    """Write a cpio archive, unpacked: so the guest has it soonest."""
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with target.open("wb") as file:
        subprocess.run(
            [str(busybox), "cpio", "-o", "-H", "newc"],
            cwd=root,
            input=names.encode(),
            stdout=file,
            stderr=subprocess.DEVNULL,
            check=True,
        )
