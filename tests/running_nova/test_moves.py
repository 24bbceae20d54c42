"""What was set, through everything by which Nova makes a server's guest anew."""

from collections.abc import Callable

import pytest

from tests.running_nova.findings import findings, remedy
from tests.running_nova.nova import Nova, Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

WANTED = ("hw_disk_bus=sata", "hw_vif_model=e1000")
SET = ({"sata"}, ["e1000"])
"""The hardware of a guest with WANTED."""


def set_properties(server: Server, *pairs: str, more: tuple[str, ...] = ()) -> str:
    """Set properties of a server that is stopped or shelved; the plan's note comes back."""
    options = [word for pair in pairs for word in ("--property", pair)]
    said = server.nova.write("image-property", "set", *options, *more, server.uuid)
    return str(said["plans"][0]["note"])


def test_what_was_set_survives_every_move(make: Callable[..., Server]) -> None:
    server = make()
    server.wait_for_guest()
    server.stop()
    assert set_properties(server, *WANTED) == "None"
    server.resize("small")
    server.start()
    assert server.guest.hardware() == SET
    server.cold_migrate()
    assert server.guest.hardware() == SET
    server.live_migrate()
    assert server.guest.hardware() == SET
    server.shelve()
    server.unshelve()
    assert server.guest.hardware() == SET
    assert server.failures() == []


def test_a_shelved_server_comes_back_with_its_snapshot(make: Callable[..., Server]) -> None:
    server = make()
    server.wait_for_guest()
    server.stop()
    set_properties(server, *WANTED)
    server.shelve()
    server.offload()
    note = set_properties(server, "hw_vif_model=rtl8139")
    assert "openstack image set --property hw_vif_model=rtl8139" in note
    server.unshelve()
    assert server.guest.hardware() == SET
    server.reboot()
    assert server.guest.hardware() == ({"sata"}, ["rtl8139"])
    server.rescue()
    server.unrescue()
    assert server.guest.hardware() == ({"sata"}, ["rtl8139"])
    server.rebuild()  # the image's properties, its disks' buses
    assert server.guest.hardware() == ({"sata"}, ["virtio"])
    assert "hw_vif_model" in findings(server)["request-spec"]["details"]
    assert server.failures() == []


def test_a_spec_that_was_left_takes_it_back_until_it_is_synced(
    make: Callable[..., Server],
) -> None:
    server = make()
    server.wait_for_guest()
    server.stop()
    note = set_properties(server, "hw_vif_model=e1000", more=("--no-request-spec",))
    assert "a resize or cold migration builds the guest from its old values" in note
    server.start()
    assert server.guest.hardware() == ({"virtio"}, ["e1000"])
    server.cold_migrate()
    assert server.guest.hardware() == ({"virtio"}, ["virtio"])
    remedy(server, findings(server)["request-spec"])
    assert "request-spec" not in findings(server)
    server.cold_migrate()
    assert server.guest.hardware() == ({"virtio"}, ["e1000"])
    assert server.failures() == []


@pytest.mark.alone
def test_an_evacuation_keeps_it_and_leaves_a_domain_behind(make: Callable[..., Server]) -> None:
    server = make(host="cmp2")
    server.wait_for_guest()
    server.stop()
    set_properties(server, *WANTED)
    try:
        server.evacuate()
        assert server.uuid in unknown_domains(server.nova, "cmp2")
    finally:
        server.nova.revive("cmp2")
    assert server.uuid not in unknown_domains(server.nova, "cmp2")
    server.start()
    assert server.guest.hardware() == SET


def unknown_domains(nova: Nova, host: str) -> str:
    """What an audit says of the domains on a host that Nova does not have there."""
    words = ("audit", "--host", host, "--check", "unknown-domain", "-f", "json")
    return " ".join(item["details"] for item in nova.novadev(*words).json)
