"""What restore and drift make of a guest that has moved, and of a device that comes back."""

import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.rig import Rig
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow
FIRST, SECOND = "0000:81:00.0", "0000:82:00.0"


@pytest.fixture
def rig(sqlite_cloud: Cloud, hypervisors3: list[Hypervisor]) -> Rig:
    return Rig(sqlite_cloud, hypervisors3, 10)


def guest(uuid: str, *cards: str) -> str:
    disks = [domains.disk("vda", source=f"{domains.IMAGES}/{uuid}/disk")]
    return domains.domain(uuid, disks=disks, devices=[domains.pci(card) for card in cards])


def test_cards_that_another_host_names_otherwise_stay_where_they_are(rig: Rig) -> None:
    """Nova hands two cards out in the other order after a cold migration."""
    uuid = rig.cloud.add_instance(name="gpu", host="cmp1")
    for card in (FIRST, SECOND):
        rig.cloud.add_pci_device(uuid, card)
    rig.hosts[0].define(guest(uuid, FIRST, SECOND))
    for step in ("record", "pin"):
        assert rig.novadev("device", step, uuid).code == 0
    rig.hosts[0].connection.lookupByUUIDString(uuid).undefine()
    rig.hosts[1].define(guest(uuid, SECOND, FIRST))
    rig.cloud.update("instances", "cell1", {"uuid": uuid}, host="cmp2", node="cmp2")
    rig.cloud.delete("pci_devices", "cell1", instance_uuid=uuid)
    for card in (SECOND, FIRST):
        rig.cloud.add_pci_device(uuid, card)
    assert_nothing_to_do(rig, uuid)
    assert rig.novadev("device", "record", uuid).code == 0
    assert_nothing_to_do(rig, uuid)
    assert_nothing_to_do(rig, uuid, "--as-of", "1")


def assert_nothing_to_do(rig: Rig, uuid: str, *as_of: str) -> None:
    drift = rig.novadev("device", "drift", uuid, *as_of)
    assert drift.code == 0, drift.out
    restored = rig.novadev("device", "restore", uuid, *as_of, "--dry-run")
    assert "nothing to do" in restored.err, restored.out
