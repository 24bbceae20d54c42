"""`device alias-migrate` on running guests: which aliases live on, and what Nova can detach."""

import pytest

from cloud.release import NOVA
from tests.running_nova.forecast import addresses
from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]


def given(*names: str) -> set[str]:
    """Of NAMES, aliases of volumes, those that Nova gives itself: it does so since release 29."""
    return set(names) if int(NOVA.number) >= 29 else set()


def expected(server: Server) -> dict[str, str]:
    """The alias of each device that has an owner, by the owner's type."""
    shown = server.nova.novadev("device", "show", server.uuid, "-f", "json").json
    return {item["owner_type"]: item["expected_alias"] for item in shown if item["expected_alias"]}


def test_aliases_live_as_long_as_the_notes_say(server: Server) -> None:
    nova, (first,) = server.nova, server.volumes
    wanted = expected(server)
    assert set(wanted) == {"volume", "port"}
    volume, both = given(wanted["volume"]), set(wanted.values())
    said = nova.write("device", "alias-migrate", server.uuid)
    assert "take effect at its next soft reboot" in said["plans"][0]["note"]
    assert server.guest.aliases() == volume
    server.reboot("SOFT")
    assert server.guest.aliases() == both
    before = addresses(server)
    server.rescue()
    server.unrescue()  # Nova starts the definition again that it has put aside
    assert (server.guest.aliases(), addresses(server)) == (both, before)
    server.live_migrate()  # Nova changes the disks of volumes in place, and makes its cards anew
    assert server.guest.aliases() == {wanted["volume"]}
    nova.write("device", "alias-migrate", server.uuid)
    server.reboot("SOFT")
    assert server.guest.aliases() == both
    second = server.attach_volume()
    server.detach_volume(first)
    server.detach_ports()
    assert server.guest.disks() == {"vda": "virtio", "vdc": "virtio"}
    server.reboot()
    assert server.guest.aliases() == given(f"ua-{second}")
    assert server.failures() == []


def test_a_start_and_a_cold_migration_give_volumes_theirs(server: Server) -> None:
    nova, wanted = server.nova, expected(server)
    left = set(wanted.values()) if nova.keeps else given(wanted["volume"])
    nova.write("device", "alias-migrate", server.uuid)
    server.stop()
    server.start()
    assert server.guest.aliases() == left
    nova.write("device", "alias-migrate", server.uuid)
    server.cold_migrate()
    assert server.guest.aliases() == left
    server.detach_volume(server.volumes[0])
    server.detach_ports()
    assert server.failures() == []
