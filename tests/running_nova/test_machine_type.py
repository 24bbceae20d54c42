"""`machine-type set` on a stopped server, its undo, and a rescue that replaces what was set."""

import pytest

from tests.running_nova.findings import findings
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


def test_a_rescue_replaces_it_as_the_plan_says(server: Server) -> None:
    nova = server.nova
    server.stop()
    (plan,) = nova.write("machine-type", "set", "q35", server.uuid)["plans"]
    assert "a rescue by an image without hw_machine_type replaces it with pc" in plan["note"]
    server.start()
    server.rescue()
    server.unrescue()
    assert "q35" in server.guest.machine(), "Nova starts the definition that it has put aside"
    expected = foretold(server)
    server.reboot()
    assert "i440fx" in server.guest.machine()
    compare(server, expected)
    server.stop()
    found = findings(server)["request-spec"]
    assert found["remedy"] is None, "which of the two is wanted, the operator has to say"
    assert f"run novadev machine-type set --yes q35 {server.uuid}" in found["details"]
    nova.write("machine-type", "set", "q35", server.uuid)
    assert "request-spec" not in findings(server)
    server.start()
    assert "q35" in server.guest.machine()
    assert server.failures() == []
