"""`device record`, `forecast` and `restore` of a guest whose addresses have holes."""

import pytest

from tests.running_nova.forecast import addresses, compare, devices, foretold
from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]


def test_what_is_kept_comes_as_the_forecast_says(server: Server) -> None:
    nova, (first,) = server.nova, server.volumes
    if not nova.keeps:
        pytest.skip("the hosts of this cloud keep no addresses")
    server.attach_volume()
    server.detach_volume(first)
    before, expected = addresses(server), foretold(server)
    server.stop()
    server.start()
    compare(server, expected)
    compare_places(server, before)


def test_the_forecast_comes_and_restore_brings_addresses_back(server: Server) -> None:
    nova, (first,) = server.nova, server.volumes
    if nova.keeps:
        pytest.skip("the hosts of this cloud keep addresses: there is nothing to bring back")
    server.attach_volume()
    server.detach_volume(first)
    nova.novadev("device", "record", server.uuid)
    before, expected = addresses(server), foretold(server)
    assert expected != devices(server)
    server.stop()
    server.start()
    compare(server, expected)
    assert addresses(server) != before
    assert "address" in drifted(server)
    nova.write("device", "restore", server.uuid)
    expected = foretold(server, "soft-reboot")
    server.reboot("SOFT")
    compare_places(server, before)
    assert devices(server) == expected
    assert drifted(server) == {"device"}  # Nova adds a USB keyboard at the second power-on


def compare_places(server: Server, recorded: dict[str, str]) -> None:
    """Every recorded device is back at its address."""
    found = addresses(server)
    assert {label: found.get(label) for label in recorded} == recorded


def drifted(server: Server) -> set[str]:
    """In what the server is not as recorded."""
    told = server.nova.novadev("device", "drift", server.uuid, "-f", "json", code=3).json
    return {item["field"] for item in told}
