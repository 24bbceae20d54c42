"""What a plan says is what Nova builds and libvirt defines, and undo gives the guest back.

Random guests that Nova's own driver built and libvirt took on i440fx go to Q35. Each that got a
plan is built again from what is stored then. Each that was refused is built too, as the refused
plan would have left it: it fails.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from random import Random
from string import ascii_lowercase
from typing import Any

import libvirt
import libvirt_qemu
import pytest
from lxml import etree

from tests import domains
from tests.cloud import Cloud
from tests.command import novadev
from tests.forecast.drifting import Guest, config
from tests.hypervisor import Hypervisor
from tests.image_property.guests import stored
from tests.machine_type.fleet import Fleet, Machine, know, machine_types
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow

SIZE = (10, 30)
PORTS = re.compile(r"its devices take (\d+) ports, (\d+) more")
STARTED = 12
HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
Make = Callable[..., Fleet]


@pytest.fixture
def fleet(
    make_cloud: Callable[[str, str], Cloud],
    hypervisor: Hypervisor,
    nova: Callable[[Cloud], NovaProcess],
) -> Make:
    def make(family: str, seed: int, size: tuple[int, int] = SIZE) -> Fleet:
        cloud = make_cloud("sqlite", "34")
        return Fleet(cloud, hypervisor, nova(cloud), family, size, seed)

    return make


@pytest.mark.parametrize(("family", "wanted"), [("i440fx", "q35"), ("q35", "pc")])
def test_what_is_planned_is_what_nova_builds(fleet: Make, family: str, wanted: str) -> None:
    guests = fleet(family, 34)
    assert len(guests.guests) > 150
    before = {guest.uuid: stored(guests.cloud, guest.uuid) for guest in guests.guests}
    plans, skips = run(guests, wanted, "--all")
    assert len(plans) > 150, skips
    moved = 0
    for guest, built in built_again(guests):
        if guest.uuid in plans:
            old, new = Machine(guests.before[guest.uuid]), Machine(guests.define(built))
            assert new.xml, (plans[guest.uuid], built)
            assert_as_told(plans[guest.uuid], old, new, wanted)
            moved += old.disks != new.disks
    assert moved > 30
    if wanted == "q35":
        assert_refused_rightly(guests, skips)
    for number in ("2", "1") if skips else ("1",):
        assert novadev(guests.cloud, "undo", number, "--yes").code == 0
    assert {uuid: stored(guests.cloud, uuid) for uuid in before} == before


def run(guests: Fleet, wanted: str, *arguments: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Plans and reasons to skip, by instance."""
    command = ("machine-type", "set", wanted, *arguments, "--yes", "-f", "json")
    result = novadev(guests.cloud, *command)
    plans = {plan["instance"]: plan for plan in result.json["plans"]}
    assert {plan["state"] for plan in plans.values()} == {"applied"}
    return plans, {skip["instance"]: skip["reason"] for skip in result.json["skipped"]}


def built_again(guests: Fleet) -> Iterator[tuple[Guest, dict[str, Any]]]:
    """Each guest with what Nova makes of what is stored now."""
    for guest in guests.guests:
        guests.look_again(guest)
    yield from zip(guests.guests, guests.build(guests.guests), strict=True)


def assert_as_told(plan: dict[str, Any], old: Machine, new: Machine, wanted: str) -> None:
    """The machine, each disk, the free ports, and nothing else has changed."""
    assert ("q35" in new.machine_type) is (wanted == "q35")
    effects = {item["what"]: item for item in plan["effects"]}
    assert effects.pop("machine type")["after"].partition(" ")[0] == wanted
    effects.pop("new cdroms", None)
    assert old.disks == sorted(item["before"] for item in effects.values())
    assert new.disks == sorted(item["after"] for item in effects.values())
    assert new.models == old.models
    if wanted == "q35":
        assert ports_told(plan) == new.root_ports, (plan, new.xml)


def assert_refused_rightly(guests: Fleet, skips: dict[str, str]) -> None:
    """Forced all the same, a guest is refused by Nova or libvirt, or has lost a disk."""
    assert skips
    assert set(run(guests, "q35", *skips, "--force")[0]) == set(skips)
    for guest, built in built_again(guests):
        if guest.uuid in skips:
            new = Machine(guests.define(built))
            lost = new.xml and len(new.disks) < len(Machine(guests.before[guest.uuid]).disks)
            assert lost if "would be missing" in skips[guest.uuid] else not new.xml


def test_guests_start_on_the_new_machine(fleet: Make, hypervisor: Hypervisor) -> None:
    """All that start on the old one; and to each that runs as many disks fit as its plan said."""
    guests = fleet("i440fx", 7, size=(3, 7))
    started = list(those_that_start(guests, hypervisor))
    plans, _ = run(guests, "q35", *started)
    free = Counter[int]()
    for guest, built in built_again(guests):
        if guest.uuid in plans:
            hypervisor.define(with_own_files(built["xml"]))
            domain = hypervisor.start(guest.uuid)
            attached = attach_what_fits(hypervisor, domain)
            told = ports_told(plans[guest.uuid])[1]
            gone = sum("vnic_type" in vif for vif in guest.vifs)
            has_ports = guest.case["config"]["libvirt"]["num_pcie_ports"] > 0
            assert attached == told + (gone if has_ports else 0), plans[guest.uuid]
            free[told] += 1
            hypervisor.empty()
    assert free.total() > STARTED
    assert len(free) > 1


def those_that_start(guests: Fleet, hypervisor: Hypervisor) -> Iterator[str]:
    """Guests that Nova and libvirt bring up before anything has changed."""
    for guest, built in zip(guests.guests, guests.build(guests.guests), strict=True):
        with suppress(libvirt.libvirtError):
            hypervisor.define(with_own_files(built["xml"]))
            hypervisor.start(guest.uuid)
            yield guest.uuid
        hypervisor.empty()


def attach_what_fits(hypervisor: Hypervisor, domain: Any) -> int:
    """Attach virtio disks to a running guest until it takes no more; their number."""
    for number, letter in enumerate(ascii_lowercase):
        text = domains.disk(f"vdz{letter}", source=f"/var/lib/nova/mnt/more-{letter}")
        hypervisor.make_files(text)
        try:
            domain.attachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except libvirt.libvirtError as error:
            if "No more available PCI slots" not in str(error):
                raise
            return number
    raise AssertionError("it takes any number")


def ports_told(plan: dict[str, Any]) -> tuple[int, int]:
    """How many root ports a plan says are taken, and how many are left."""
    found = PORTS.search(plan["note"])
    assert found
    return int(found[1]), int(found[2])


def with_own_files(xml: str) -> str:
    """The definition with files for volumes, and without devices of the host."""
    root: Any = etree.fromstring(xml)
    for disk in root.iterfind("devices/disk[@type='network']"):
        disk.set("type", "file")
        source = disk.find("source")
        name = str(source.get("name")).rpartition("/")[2]
        source.clear()
        source.set("file", f"/var/lib/nova/mnt/{name}")
    for device in root.xpath("devices/interface[@type='hostdev'] | devices/hostdev"):
        device.getparent().remove(device)
    return str(etree.tostring(root, encoding="unicode"))


ASKED: tuple[dict[str, str], ...] = (
    {},
    {"hw_viommu_model": "intel"},
    {"hw:viommu_model": "auto"},
    {"hw_mem_encryption": "True"},
    {"hw:mem_encryption": "yes"},
    {"hw_mem_encryption": "False"},
    {"os_secure_boot": "required"},
    {"os:secure_boot": "required"},
    {"os_secure_boot": "optional"},
)


def test_what_only_q35_has_is_refused_as_nova_refuses_it(
    make_cloud: Callable[[str, str], Cloud], nova: Callable[[Cloud], NovaProcess]
) -> None:
    """By the image or by the flavor, in every pair; none is refused that Nova would start."""
    cloud = make_cloud("sqlite", "34")
    process, expected, seen = nova(cloud), set[str](), set[str]()
    for one, other in combinations(ASKED, 2):
        asked = {"hw_firmware_type": "uefi", **one, **other}
        if len({name.replace(":", "_") for name in asked}) < len(one) + len(other) + 1:
            continue  # the flavor and the image would ask for the same, or contradict each other
        image = {name: value for name, value in asked.items() if ":" not in name}
        flavor = {"extra_specs": {name: asked[name] for name in asked.keys() - image.keys()}}
        errors = []
        for machine in ("pc", "q35"):
            given = {**image, "hw_machine_type": machine}
            case = {"instance": {"flavor": flavor}, "image_properties": given}
            errors.append(set(process.call("machine_refusals_of", **case)))
        assert not errors[1]
        given = {**image, "hw_machine_type": "q35"}
        uuid = cloud.add_instance(image_properties=given, flavor=flavor)
        cloud.add_disk(uuid)
        expected |= {uuid} if errors[0] else set()
        seen |= errors[0]
    command = ("machine-type", "set", "pc", "--all", "--dry-run", "-f", "json")
    skipped = novadev(cloud, *command).json["skipped"]
    assert {skip["instance"] for skip in skipped} == expected
    assert len(seen) == 3, seen


@pytest.mark.parametrize("name", ["pc-q35-99.0", "q36", "virt-7.2", "isapc", "none"])
def test_a_machine_type_that_is_refused_is_one_that_libvirt_cannot_start(
    make_cloud: Callable[[str, str], Cloud], hypervisor: Hypervisor, name: str
) -> None:
    cloud = make_cloud("sqlite", "34")
    (cloud.folder / "hosts").mkdir()
    with cloud.config_file.open("a") as file:
        file.write(f"[novadev]\ncompute_config_dir = {cloud.folder / 'hosts'}\n")
    know(cloud, "cmp1", config(Random(1)), machine_types(hypervisor))
    uuid = cloud.add_instance(hw_machine_type="pc")
    cloud.add_disk(uuid)
    assert novadev(cloud, "machine-type", "set", name, uuid, "--dry-run").code == 6
    text = domains.domain(machine=name, disks=[domains.disk("vda")])
    with pytest.raises(libvirt.libvirtError):
        hypervisor.start(hypervisor.define(text).UUIDString())


@pytest.mark.parametrize(("machine", "device"), [("pc", "1af4:1001"), ("q35", "1af4:1042")])
def test_virtio_on_q35_has_no_older_interface(
    hypervisor: Hypervisor, machine: str, device: str
) -> None:
    """Which a plan warns of: QEMU gives it the id of virtio 1.0 there (1040 and the kind)."""
    text = domains.domain(machine=machine, disks=[domains.disk("vda")])
    domain = hypervisor.start(hypervisor.define(text).UUIDString())
    assert device in libvirt_qemu.qemuMonitorCommand(domain, "info qtree", HMP)
