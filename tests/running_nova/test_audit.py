"""`audit` of a server that nobody but Nova has touched."""

import pytest

from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

REAL = {"machine-type", "alias", "forecast"}
"""The kind `pc` moves with QEMU, ports have no alias, and what was attached live will move."""


def test_what_nova_made_has_only_real_risks(server: Server) -> None:
    found = server.nova.novadev("audit", server.uuid, "-f", "json").json
    assert {item["check"] for item in found} <= REAL
