"""`machine-type set` on a stopped server, and its undo."""

import pytest

from tests.running_nova.forecast import compare, foretold
from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]


def test_nova_starts_the_machine_that_was_set(server: Server) -> None:
    nova, before = server.nova, (server.guest.machine(), server.guest.disks())
    assert "i440fx" in before[0]
    server.stop()
    run = nova.write("machine-type", "set", "q35", server.uuid)["run"]
    expected = foretold(server)
    server.start()
    assert "q35" in server.guest.machine()
    assert set(server.guest.disks().values()) == {"virtio"}
    compare(server, expected)
    server.stop()
    nova.write("undo", str(run))
    server.start()
    assert (server.guest.machine(), server.guest.disks()) == before
