"""`device forecast` of a guest whose addresses have holes, and what the power-on brings."""

import re

import pytest

from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")


def addresses(server: Server) -> dict[str, str]:
    """Where each device is, by its label."""
    shown = server.nova.novadev("device", "show", server.uuid, "-f", "json").json
    return {item["label"]: item["address"] for item in shown if item["address"]}


def test_the_forecast_is_what_comes(server: Server) -> None:
    nova, (first,) = server.nova, server.volumes
    server.attach_volume()
    server.detach_volume(first)
    nova.novadev("device", "record", server.uuid)
    told = nova.novadev("device", "forecast", server.uuid, "-f", "json").json
    expected = addresses(server) | {
        item["label"]: item["after"] for item in told if item["field"] == "address"
    }
    server.stop()
    server.start()
    found = addresses(server)
    assert found == {label: address for label, address in expected.items() if address}
    seen = set(server.guest.run("ls /sys/bus/pci/devices").split())
    assert {address for address in found.values() if PCI.fullmatch(address)} <= seen
    assert nova.novadev("device", "forecast", server.uuid, "-f", "json").json == []


def test_restore_and_a_soft_reboot_bring_addresses_back(server: Server) -> None:
    nova, (first,) = server.nova, server.volumes
    server.attach_volume()
    server.detach_volume(first)
    nova.novadev("device", "record", server.uuid)
    before = addresses(server)
    server.stop()
    server.start()
    assert {k: v for k, v in addresses(server).items() if k in before} != before
    nova.novadev("device", "restore", server.uuid, "--yes")
    server.soft_reboot()
    assert {k: v for k, v in addresses(server).items() if k in before} == before
