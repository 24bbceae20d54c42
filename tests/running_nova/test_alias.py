"""`device alias-migrate` on a running guest, and Nova's detach of what now has an alias."""

import pytest

from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]


def test_nova_detaches_what_alias_migrate_has_named(server: Server) -> None:
    nova = server.nova
    nova.novadev("device", "alias-migrate", server.uuid, "--yes")
    (volume,) = server.volumes
    server.detach_volume(volume)
    server.detach_ports()
    assert server.disks() == {"vda": "virtio"}
    shown = nova.novadev("device", "show", server.uuid, "-f", "json").json
    assert [item["label"] for item in shown if item["owner_id"]] == []
