"""`machine-type set` on a stopped server, and its undo."""

import pytest

from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]


def test_nova_starts_the_machine_that_was_set(server: Server) -> None:
    nova, before = server.nova, (server.machine(), server.disks())
    assert "i440fx" in before[0]
    server.stop()
    said = nova.novadev("machine-type", "set", "q35", server.uuid, "--yes", "-f", "json").json
    server.start()
    assert "q35" in server.machine()
    assert set(server.disks().values()) == {"virtio"}
    server.stop()
    nova.novadev("undo", str(said["run"]), "--yes")
    server.start()
    assert (server.machine(), server.disks()) == before
