"""`device watch --guest`: a disk that comes to a real guest is recorded, and named by its agent."""

import pytest

from tests import domains
from tests.cloud import Cloud
from tests.device.rig import Rig, volume_id
from tests.device.site import record
from tests.guest.micro import MicroGuest
from tests.guest.test_record_guest import BOTH, TARGET, VOLUME, shown
from tests.watch.watching import watching

pytestmark = pytest.mark.slow

LABEL = f"disk {TARGET}"


def test_a_disk_that_comes_is_recorded_and_named(sqlite_cloud: Cloud, guest: MicroGuest) -> None:
    """Twice, with the same volume: vdsm leaves the second one without a name (its issue 396)."""
    record(sqlite_cloud, guest.text, vm_state="active")
    rig = Rig(sqlite_cloud, [guest.host], 20)
    rig.cloud.add_volume(guest.uuid, VOLUME, f"/dev/{TARGET}")
    disk = domains.disk(TARGET, serial=volume_id(9))
    with watching(sqlite_cloud, asks_guest=True) as watch:
        watch.wait(lambda: "disk vda" in watch.changes("logical_name"))
        for _ in range(2):
            watch.news.clear()
            rig.attach(guest.domain, disk, BOTH)
            watch.wait(lambda: watch.changes("logical_name").get(LABEL))
            assert watch.changes("device") == {LABEL: LABEL}
            assert watch.changes("logical_name") == {LABEL: shown(rig, guest)[LABEL]}
            guest.domain.detachDeviceFlags(disk, BOTH)
            watch.wait(lambda: watch.changes("device")[LABEL] is None)
