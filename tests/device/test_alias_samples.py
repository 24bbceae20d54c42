"""Every odd kind of definition: nothing but aliases differs afterwards, and undo leaves nothing."""

import pytest

from novadev.virt.devices import Disk
from novadev.virt.domain import Domain
from tests import domains
from tests.cloud import Cloud
from tests.device.site import Site, aliases, changes
from tests.hypervisor import PRIVILEGED, Hypervisor

pytestmark = pytest.mark.slow


def test_samples_differ_in_aliases_alone(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> None:
    site = Site.of(sqlite_cloud, hypervisor)
    samples = [path for path in domains.samples() if PRIVILEGED or path.stem != "share"]
    uuids = {path.stem: site.add(path.read_text(), name=path.stem) for path in samples}
    before = {name: site.persistent(uuid) for name, uuid in uuids.items()}
    result = site.migrate("--all", "--whole-definition", "-f", "json")
    assert {plan["state"] for plan in result.json["plans"]} == {"applied"}
    planned = {plan["instance"]: changes(plan) for plan in result.json["plans"]}
    for name, uuid in uuids.items():
        after = site.persistent(uuid)
        assert after.canonical_without_aliases == before[name].canonical_without_aliases, name
        assert aliases(after) == aliases(before[name]) | planned.get(uuid, {}), name
        _check_local_disks(before[name], after)
    again = site.plan("--all", "--whole-definition")
    assert again["plans"] == []
    assert len(planned) > len(uuids) / 2
    assert site.run("undo", "1", "--yes").code == 0
    for name, uuid in uuids.items():
        assert site.persistent(uuid).canonical == before[name].canonical, name


def _check_local_disks(before: Domain, after: Domain) -> None:
    """No disk of the instance itself gets an alias: Nova takes what has one for a volume."""
    for disk in before.of_class(Disk):
        if not disk.serial and "volume" not in (disk.source or ""):
            assert after.device(disk.label).alias == disk.alias
