"""`audit` of servers that nobody but Nova has touched, and its remedies."""

import pytest

from tests.running_nova.findings import findings, remedy
from tests.running_nova.forecast import remaining
from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

REAL = {"machine-type", "alias", "forecast"}
"""The kind `pc` moves with QEMU, ports have no alias, and what was attached live will move."""


def test_what_nova_made_has_only_real_risks_and_its_remedies_end_them(server: Server) -> None:
    found = findings(server)
    assert set(found) == REAL
    assert any(item["field"] == "address" for item in remaining(server))
    server.stop()
    remedy(server, found["machine-type"])
    server.start()
    assert set(findings(server)) == {"alias"}
    remedy(server, found["alias"])
    assert findings(server) == {}
    server.reboot("SOFT")
    assert findings(server) == {}
