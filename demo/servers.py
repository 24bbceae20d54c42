"""The servers of the demo, as Nova's databases have them."""

import shutil
from pathlib import Path

from demo.deployment import Deployment

VIRTIO = (("vda", "virtio", "disk"), ("vdb", "virtio", "disk"))
Q35 = {"hw_machine_type": "q35", "hw_cdrom_bus": "sata"}
OFFLOADED = {"vm_state": "shelved_offloaded", "host": None, "shelved_host": "cmp1"}


def build(folder: Path) -> Deployment:
    """Make the deployment in FOLDER anew: two cells, seven servers."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    cloud = Deployment(folder)
    cloud.add_instance("web-1", VIRTIO, hw_disk_bus="virtio", hw_machine_type="pc")
    cloud.add_instance("web-2", VIRTIO, hw_video_model=None, **Q35)
    cloud.add_instance("mail-1", VIRTIO[:1], cell=3, host="cmp7", hw_vif_model="virtio")
    cloud.add_instance(
        "db-1", VIRTIO, cell=3, host="cmp7", hw_disk_bus="virtio", in_spec={"hw_disk_bus": "ide"}
    )
    cloud.add_instance("busy-1", VIRTIO, vm_state="active", hw_disk_bus="virtio")
    cloud.add_instance("attic-1", VIRTIO[:1], os_distro="win10", **OFFLOADED)
    cloud.add_instance("shop-1", VIRTIO, vm_state="active", host="cmp2", hw_disk_bus="virtio")
    return cloud
