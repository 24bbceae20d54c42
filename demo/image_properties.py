"""The first part of the demo: image properties, in Nova's databases alone."""

from demo.shell import run

SET = "--property hw_disk_bus=scsi --property hw_scsi_model=virtio-scsi"


def walk() -> None:
    """Walk through listing, dry run, set, history and undo."""
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
