"""Record what hosts of other architectures have, from Debian's own packages of QEMU.

Run as ``.venv/bin/python -m tools.architecture_samples`` on Debian. The packages are downloaded
and unpacked into a temporary folder, and nothing is installed. The machine's libvirt asks each
QEMU what it has, under software emulation. It writes the newest machine types of each board to
tests/samples/capabilities/ARCHITECTURE.json.gz.
"""

import gzip
import multiprocessing
import os
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from novadev.capabilities import file
from novadev.capabilities.content import Capabilities, Versions
from novadev.config import DriverOptions
from novadev.rules.machine_types import FAMILIES, family_of, version_of
from novadev.virt.capabilities import MachineType, read_capabilities
from novadev.virt.domain_capabilities import read_domain_capabilities
from novadev.virt.emulator import devices_in
from novadev.virt.host import Host
from novadev.virt.scratch import give_up_root
from tests.templates import ROOT

PACKAGES = ("qemu-system-arm", "qemu-system-ppc", "qemu-system-misc")
EMULATORS = {
    "aarch64": "qemu-system-aarch64",
    "ppc64le": "qemu-system-ppc64",
    "riscv64": "qemu-system-riscv64",
    "s390x": "qemu-system-s390x",
}
FOLDER = ROOT / "tests" / "samples" / "capabilities"
NEWEST = 3
DATE = "2026-11-29T00:00:00Z"


def main() -> None:
    """Write a file for each architecture."""
    with tempfile.TemporaryDirectory(prefix="novadev-architectures-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        programs, root = unpacked(folder), folder / "libvirt"
        root.mkdir()
        os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(1, fork) as ordinary:
            texts = ordinary.submit(samples, root, programs).result()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for architecture, text in texts.items():
        path = FOLDER / f"{architecture}.json.gz"
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
        print(path, len(text), path.stat().st_size)


def samples(root: Path, programs: Path) -> dict[str, str]:
    """Return the text of each file; called in a process of its own, which gives up its rights."""
    give_up_root(str(root))
    host = Host("sample", f"qemu:///embed?root={root}")
    return {
        architecture: file.dumps(sample(host, architecture, programs / emulator))
        for architecture, emulator in EMULATORS.items()
    }


def unpacked(folder: Path) -> Path:
    """Return where the emulators of PACKAGES are, unpacked in FOLDER."""
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    programs = folder / "usr" / "bin"
    for program in programs.iterdir():  # libvirt would ask each of them
        if program.name not in EMULATORS.values() and program.name != "qemu-system-ppc64le":
            program.unlink()
    return programs


def sample(host: Host, architecture: str, emulator: Path) -> Capabilities:
    """Return what a host of ARCHITECTURE with this EMULATOR and the machine's libvirt has."""
    found = read_capabilities(host)
    machines = newest(architecture, found.machine_types[architecture])
    names = sorted({machine.canonical for machine in machines.values()})
    asked = [str(emulator), "-device", "help"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return Capabilities(
        host=f"sample-{architecture}",
        saved_on=f"sample-{architecture}",
        saved_at=DATE,
        novadev="0.1.0",
        architecture=architecture,
        versions=Versions(None, found.libvirt, 34, None, found.qemu),
        driver=DriverOptions(virt_type="qemu"),
        machine_types={architecture: machines},
        recommendations=None,
        domain_types={architecture: ("qemu",)},
        emulator=f"/usr/bin/{emulator.name}",
        domain_capabilities=read_domain_capabilities(host, architecture, names).by_machine_type,
        devices=devices_in(listed),
    )


def newest(architecture: str, machines: Mapping[str, MachineType]) -> dict[str, MachineType]:
    """Return the aliases and the NEWEST versions of the boards that novadev knows."""
    (family,) = FAMILIES.get(architecture, ("virt",))
    same = [name for name in machines if family_of(machines[name].canonical) == family]
    versions = sorted((version_of(name), name) for name in same if version_of(name))
    kept = {name for _, name in versions[-NEWEST:]}
    kept |= set(same) if not versions else set()
    return {name: item for name, item in machines.items() if item.canonical in kept}


if __name__ == "__main__":
    main()
