"""Build the demo deployment and walk through novadev's main job on it.

Every command is printed before its output, so that it can be typed again.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo.deployment import Deployment  # noqa: E402 - the path is set above

FOLDER = ROOT / ".demo"
SET = "--property hw_disk_bus=scsi --property hw_scsi_model=virtio-scsi"
VIRTIO = (("vda", "virtio", "disk"), ("vdb", "virtio", "disk"))
Q35 = {"hw_machine_type": "q35", "hw_cdrom_bus": "sata"}


def build() -> Path:
    """Make the deployment anew and return its nova.conf."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(mode=0o700)
    cloud = Deployment(FOLDER)
    cloud.add_instance("web-1", VIRTIO, hw_disk_bus="virtio", hw_machine_type="pc")
    cloud.add_instance("web-2", VIRTIO, hw_video_model=None, **Q35)
    cloud.add_instance("mail-1", VIRTIO[:1], cell=3, host="cmp7", hw_vif_model="virtio")
    cloud.add_instance(
        "db-1", VIRTIO, cell=3, host="cmp7", hw_disk_bus="virtio", in_spec={"hw_disk_bus": "ide"}
    )
    cloud.add_instance("busy-1", VIRTIO, vm_state="active", hw_disk_bus="virtio")
    cloud.add_instance("attic-1", VIRTIO[:1], vm_state="shelved_offloaded", host=None)
    return cloud.config_file


def run(command: str, code: int = 0, why: str = "") -> None:
    """Print COMMAND, run it, and stop the demo when it does not end with CODE."""
    print(f"\n\033[1m$ {command}\033[0m" if sys.stdout.isatty() else f"\n$ {command}", flush=True)
    found = subprocess.run(shlex.split(command), check=False).returncode
    if found != code:
        sys.exit(f"the demo stopped: exit code {found} instead of {code}")
    if why:
        print(f"# exit code {code}: {why}", flush=True)


def main() -> None:
    """Walk through listing, dry run, set, history and undo."""
    config_file = build()
    os.environ["NOVADEV_CONFIG_FILE"] = str(config_file)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    print("An embedded deployment: two cells, six instances. To go on by yourself, first type:\n")
    print(f"$ export NOVADEV_CONFIG_FILE={config_file}")
    print(f"$ export PATH={Path(sys.executable).parent}:$PATH")
    run("novadev image-property list web-1 db-1")
    run(f"novadev image-property set {SET} --dry-run web-1")
    run(f"novadev image-property set {SET} --yes web-1")
    run("novadev image-property list web-1")
    run("novadev image-property show web-1 hw_disk_bus -f value -c value")
    run("novadev history")
    run("novadev history 1")
    run("novadev undo 1 --yes")
    run("novadev image-property list web-1")
    run("novadev image-property set --property hw_vif_model=e1000e --all --yes -f json")
    run("novadev image-property set --property hw_disk_bus=scssi --yes web-1", 6, "no such value")
    run("novadev image-property set --property hw_video_model=vga --yes busy-1", 3, "not stopped")
    print(f"\nThe deployment stays in {FOLDER}. Go on typing.")


if __name__ == "__main__":
    main()
