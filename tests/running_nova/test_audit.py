"""`audit` of servers that nobody but Nova has touched, and its remedies."""

import pytest

from tests.running_nova.findings import findings, remedy
from tests.running_nova.forecast import remaining
from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

REAL = {"machine-type", "alias", "forecast"}
"""The kind `pc` moves with QEMU, ports have no alias, and what was attached live will move."""


def test_what_nova_made_has_only_real_risks_and_its_remedies_end_them(server: Server) -> None:
    found, keeps = findings(server), server.nova.keeps
    assert set(found) == (REAL - {"forecast"} if keeps else REAL)
    assert any(item["field"] == "address" for item in remaining(server)) is not keeps
    server.stop()
    remedy(server, found["machine-type"])
    server.start()
    if keeps:  # its port has an alias by now; the keyboard that Nova has added is not recorded
        assert set(findings(server)) == {"drift"}
        server.nova.novadev("device", "record", server.uuid)
    else:
        assert set(findings(server)) == {"alias"}
        remedy(server, found["alias"])
    assert findings(server) == {}
    server.reboot("SOFT")
    assert findings(server) == {}
