"""`image-property set` and `undo` on a stopped server, and what Nova then starts."""

import pytest

from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

WANTED = ("hw_disk_bus=scsi", "hw_scsi_model=virtio-scsi", "hw_vif_model=e1000")
NODES = "ls /sys/block | grep -E '^(vd|sd)' | tr '\\n' ' '"


def test_nova_starts_what_was_set_and_what_undo_brings_back(server: Server) -> None:
    nova, before = server.nova, (server.disks(), server.models())
    assert before == ({"vda": "virtio", "vdb": "virtio"}, ["virtio"])
    server.stop()
    options = [word for pair in WANTED for word in ("--property", pair)]
    said = nova.novadev("image-property", "set", *options, "--yes", "-f", "json", server.uuid).json
    server.start()
    assert (server.disks(), server.models()) == ({"sda": "scsi", "sdb": "scsi"}, ["e1000"])
    assert server.guest.run(NODES).split() == ["sda", "sdb"]
    assert 'model="virtio-scsi"' in server.text.replace("'", '"')
    server.stop()
    nova.novadev("undo", str(said["run"]), "--yes")
    server.start()
    assert (server.disks(), server.models()) == before
    assert server.guest.run(NODES).split() == ["vda", "vdb"]
