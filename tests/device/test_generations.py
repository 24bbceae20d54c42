"""Recorded under one release of libvirt and QEMU, found under another: nothing has changed."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations
from pathlib import Path

import libvirt
import pytest

from novadev.config import SPECIAL_MANAGED_DEVICES
from novadev.records import json_file
from novadev.records.baseline import RecordedInstance
from novadev.records.device import VmDevice, VmDynamic, hash_of
from novadev.records.drift import compare
from novadev.records.file_contents import ExportedInstance
from novadev.records.import_ import plan_recorded
from novadev.records.on_host import seen_devices
from novadev.records.recognition import identified
from novadev.virt.host import PERSISTENT
from tests.cloud import Cloud
from tests.device import attached
from tests.device.restoring import TAP, A, guest, moves, record, restore, swap
from tests.device.site import Site
from tests.device.variety import guests
from tests.hypervisor import GENERATIONS, PRIVILEGED, Hypervisor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PRIVILEGED, reason="only root's host takes such devices"),
]

MIGRATABLE = PERSISTENT | libvirt.VIR_DOMAIN_XML_MIGRATABLE
FOLDER = Path("etc/libvirt/qemu")
ENOUGH = 150
Texts = Mapping[str, str]
"""Definitions by the UUID of their domain."""


@dataclass(frozen=True)
class Generation:
    """What a generation makes of the guests: what is recorded, for another release, on disk."""

    recorded: Mapping[str, tuple[VmDevice, ...]]
    migratable: Texts
    files: Path


@pytest.fixture(scope="module")
def defined(
    generations: dict[str, Hypervisor], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Generation]:
    """Every generation with all guests defined there once; the hosts are empty again."""
    return {
        name: _define_all(host, tmp_path_factory.mktemp(name)) for name, host in generations.items()
    }


def _define_all(host: Hypervisor, folder: Path) -> Generation:
    for text in guests():
        host.connection.defineXML(text)
    found = Generation(
        {uuid: seen(text) for uuid, text in texts(host).items()}, texts(host, MIGRATABLE), folder
    )
    for path in (host.folder / FOLDER).glob("*.xml"):
        shutil.copy(path, folder)
    host.empty()
    return found


def texts(host: Hypervisor, flags: int = PERSISTENT) -> dict[str, str]:
    return {item.UUIDString(): item.XMLDesc(flags) for item in host.connection.listAllDomains()}


def seen(text: str, recorded: tuple[VmDevice, ...] = ()) -> tuple[VmDevice, ...]:
    """The devices as they would be recorded, without Nova's databases."""
    found = seen_devices(attached.inventory(text, None), SPECIAL_MANAGED_DEVICES)
    return identified([*found.devices.values()], recorded, found.owners)


def drifted(recorded: Mapping[str, tuple[VmDevice, ...]], found: Texts) -> list[object]:
    """All in which the guests FOUND differ from what is RECORDED of them."""
    now = {uuid: seen(text, recorded[uuid]) for uuid, text in found.items()}
    told = [item for uuid, devices in now.items() for item in compare(recorded[uuid], devices)]
    assert told or all(hash_of(devices) == hash_of(recorded[uuid]) for uuid, devices in now.items())
    return told


@pytest.fixture
def emptied(generations: dict[str, Hypervisor]) -> Iterator[dict[str, Hypervisor]]:
    yield generations
    for host in generations.values():
        host.empty()


@pytest.mark.parametrize(("before", "after"), [*combinations_with_replacement(GENERATIONS, 2)])
def test_libvirt_is_upgraded(
    before: str, after: str, defined: dict[str, Generation], emptied: dict[str, Hypervisor]
) -> None:
    """The definitions on disk are what the new libvirtd reads, or the old one when it restarts."""
    old, host = defined[before], emptied[after]
    for path in old.files.iterdir():
        shutil.copy(path, host.folder / FOLDER)
    host.restart()
    found = texts(host)
    assert found.keys() == old.recorded.keys()
    assert len(found) >= ENOUGH
    assert drifted(old.recorded, found) == []


@pytest.mark.parametrize(("before", "after"), [*permutations(GENERATIONS, 2)])
def test_a_guest_comes_from_another_release(
    before: str, after: str, defined: dict[str, Generation], emptied: dict[str, Hypervisor]
) -> None:
    """The definition that a migration sends, to a newer release and to an older one."""
    for text in defined[before].migratable.values():
        emptied[after].connection.defineXML(text)
    found = texts(emptied[after])
    assert len(found) >= ENOUGH
    assert drifted(defined[before].recorded, found) == []


@pytest.mark.parametrize("name", GENERATIONS)
def test_what_is_recorded_can_be_imported(name: str, defined: dict[str, Generation]) -> None:
    """An export of any guest has nothing that an import of it would refuse, or change."""
    for uuid, devices in defined[name].recorded.items():
        target = RecordedInstance(uuid, "web-1", "", VmDynamic(uuid, "", "", "cmp1"), devices)
        text = json_file.dumps([ExportedInstance(uuid, "web-1", "", devices)])
        (exported,) = json_file.loads(text, "web-1.json")
        assert plan_recorded(exported, target).changes == ()


def test_every_writer_works(
    any_generation: Hypervisor, make_cloud: Callable[[str, str], Cloud]
) -> None:
    """alias-migrate, restore and its undo, detach."""
    site = Site.of(make_cloud("sqlite", "34"), any_generation)
    uuid = site.add(guest(), host=any_generation.name)
    record(site, uuid)
    site.migrate(uuid)
    assert site.aliases(uuid)["disk vdb"] == f"ua-{A}"
    record(site, uuid)
    before = site.persistent(uuid)
    moved = swap(site, uuid, "disk vdb", TAP)
    assert site.run("device", "drift", uuid).code == 3
    document = restore(site, uuid, "-f", "json").json
    assert set(moves(document)) == {"disk vdb", TAP}
    assert site.persistent(uuid).canonical == before.canonical
    assert site.run("device", "drift", uuid).code == 0
    assert site.run("undo", str(document["run"]), "--yes").code == 0
    assert site.persistent(uuid).canonical == moved.canonical
    assert site.run("device", "detach", uuid, "vdb", "--yes", "--force").code == 0
    assert "disk vdb" not in site.aliases(uuid)
