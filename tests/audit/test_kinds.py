"""What is found once for all servers of a kind is what is found in each of them alone."""

import json
import uuid as uuidlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import Field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novadev.audit import examination
from novadev.audit.checks import CHECKS
from novadev.audit.examination import Examination
from novadev.audit.finding import Trouble
from novadev.audit.kinds import Kinds
from novadev.audit.target import Unchecked
from novadev.capabilities import file
from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.config import Config, load
from novadev.deployment import Deployment
from novadev.image_property.decisions import Decisions
from novadev.image_property.facts import Facts
from novadev.nova.block_devices import BlockDevice
from novadev.nova.image_properties import StoredProperty
from novadev.nova.instances import Instance
from novadev.nova.request_specs import RequestSpec
from novadev.rules.guest import Guest
from tests.audit.auditing import STASHED
from tests.audit.test_target import DEBIAN
from tests.rules.guests import image, row, swap, volume

WANTED = frozenset(check.name for check in CHECKS if check.needs == "databases")
VALUES: dict[str, tuple[str | None, ...]] = {
    "hw_disk_bus": ("virtio", "scsi", "ide", "xen", "IDE", "bogus"),
    "hw_scsi_model": ("virtio-scsi", "lsilogic", "bogus"),
    "hw_cdrom_bus": ("ide", "sata", "scsi"),
    "hw_machine_type": ("pc", "q35", "pc-i440fx-7.2", "pc-q35-7.2", "virt; reboot"),
    "hw_video_model": ("virtio", "cirrus", None, "none", "bogus"),
    "hw_vif_model": ("virtio", "e1000", "igb", "ne2k_isa"),
    "hw_input_bus": ("usb", "virtio", None),
    "hw_pointer_model": ("usbtablet", None, "ps2mouse"),
    "hw_rng_model": ("virtio", "other"),
    "hw_vif_multiqueue_enabled": ("true", "maybe"),
    "hw_architecture": ("x86_64", "aarch64"),
    "os_distro": ("windows", "ubuntu22.04"),
    "os_type": ("windows", "linux"),
    "disk_format": ("qcow2", "iso"),
}
HOSTS = (
    "debian-1",
    "debian-2",
    "debian-3",
    "plain",
    "plainer",
    "bad",
    "unknown-1",
    "unknown-2",
    "un known",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Two hosts alike, one whose QEMU has no devices, two with other options, one bad file."""
    folder = tmp_path_factory.mktemp("hosts")
    known = file.loads(Path(DEBIAN).read_text(), "")
    for name in ("debian-1", "debian-2"):
        (folder / f"{name}.json").write_text(file.dumps(replace(known, host=name)))
    bare = replace(known, host="debian-3", devices={}, domain_capabilities=None)
    (folder / "debian-3.json").write_text(file.dumps(bare))
    (folder / "plain.conf").write_text("[libvirt]\nvirt_type = qemu\n")
    (folder / "plainer.conf").write_text(
        "[libvirt]\nvirt_type = kvm\nhw_machine_type = x86_64=q35\n"
    )
    (folder / "bad.json").write_text("{")
    return replace(load([], []), compute_config_dir=str(folder))


def examined(config: Config, fleet: Sequence[Facts]) -> list[list[Trouble]]:
    """What the checks find in each server of a fleet."""
    hosts = ComputeHosts(config)
    one = Examination(
        *(config, hosts, ServerReleases(Deployment(config), hosts), WANTED),
        *((), Decisions(None), Unchecked(keeps_guests=False)),
    )
    return [list(one.troubles(facts, None)) for facts in fleet]


class Alone(Kinds):
    """No two servers are of one kind."""

    def troubles(self, facts: Facts) -> Iterable[Trouble]:
        return self._judge(facts)


def spec_text(properties: object, uuid: str = "") -> str:
    """A request spec with these image properties, written for a server."""
    held = {"nova_object.data": properties, "nova_object.changes": ["hw_disk_bus"]}
    image = {"nova_object.data": {"id": "image-1", "properties": held}}
    return json.dumps({"nova_object.data": {"instance_uuid": uuid, "image": image}})


ODD_SPECS = (
    *("", "{", spec_text([]), spec_text(None), spec_text({"hw_disk_bus": ["scsi"]})),
    '{"nova_object.data": {"image": null}}',
)
PROPERTIES = st.lists(
    st.sampled_from([(name, value) for name, values in VALUES.items() for value in values]),
    max_size=6,
).map(lambda items: {**STASHED, **dict(items)})
DISKS = st.sampled_from((image, volume, swap))
BUSES = st.sampled_from(("virtio", "scsi", "ide", "sata", "usb", "xen", None))
ROWS = st.lists(
    st.tuples(DISKS, BUSES, st.sampled_from(("disk", "cdrom", "lun", "floppy"))), max_size=3
)


KINDS = st.fixed_dictionaries(
    {
        "stored": PROPERTIES,
        "held": PROPERTIES | st.none(),
        "odd": st.none() | st.sampled_from(ODD_SPECS),
        "rows": ROWS,
        "without": st.frozensets(st.sampled_from(sorted(STASHED))),
        "vm_state": st.sampled_from(("active", "stopped", "shelved", "error")),
        "host": st.sampled_from(HOSTS),
        "release": st.sampled_from((28, 34)),
        "is_odd": st.booleans(),
    }
)
"""What servers of a kind have in common: see `made`."""


def made(number: int, kind: dict[str, Any]) -> Facts:
    """A server of the kind; every number is another one."""
    uuid, rows = str(uuidlib.UUID(int=number + 1)), enumerate(kind["rows"], number * 10)
    disks = tuple(of(place, disk_bus=bus, device_type=type_) for place, (of, bus, type_) in rows)
    disks = tuple(
        replace(disk, volume_id=str(uuidlib.UUID(int=disk.id)))
        if disk.volume_id and not kind["is_odd"]
        else disk
        for disk in disks
    )
    text = spec_text(kind["held"], uuid) if kind["odd"] is None else kind["odd"]
    spec = None if kind["held"] is None else RequestSpec(number, uuid, text)
    stored = {name: one for name, one in kind["stored"].items() if name not in kind["without"]}
    other = {name: kind[name] for name in ("host", "vm_state", "release")}
    return server(uuid, number, stored, disks, spec, **other)


def server(
    uuid: str,
    number: int,
    stored: dict[str, str | None],
    disks: tuple[BlockDevice, ...],
    spec: RequestSpec | None,
    host: str,
    vm_state: str = "active",
    release: int = 34,
) -> Facts:
    """What is stored of one server."""
    instance = Instance(
        *(number, uuid, f"web-{number}", host, vm_state, None, f"project-{number}"),
        *(f"user-{number}", "image-1", "/dev/vda", False, 0, "cell-1", stored, None),
    )
    guest = Guest(stored, disks, "/dev/vda", False, 0, 0, stored.get("disk_format"))
    return Facts(instance, guest, spec, release)


def assert_same(config: Config, fleet: Sequence[Facts]) -> None:
    """The servers of a fleet have the same troubles as each of them alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examination, "Kinds", Alone)
        alone = examined(config, fleet)
    assert examined(config, fleet) == alone


@settings(max_examples=20)
@given(KINDS, KINDS)
def test_two_kinds_and_those_between(
    config: Config, first: dict[str, Any], second: dict[str, Any]
) -> None:
    kinds = [first, second, *(first | {name: second[name]} for name in first)]
    kinds += [first | {"held": first["stored"], "odd": None}]
    assert_same(config, [made(number, kind) for number, kind in enumerate(kinds * 2)])


@settings(max_examples=20)
@given(KINDS, st.permutations(HOSTS))
def test_one_kind_on_every_host(config: Config, kind: dict[str, Any], hosts: list[str]) -> None:
    kinds = [kind | {"host": host} for host in hosts]
    assert_same(config, [made(number, kind) for number, kind in enumerate(kinds * 2)])


@settings(max_examples=50)
@given(PROPERTIES, st.sampled_from(HOSTS), st.sampled_from(sorted(VALUES)), st.data())
def test_one_value_makes_another_kind(
    config: Config, stored: dict[str, str | None], host: str, name: str, data: st.DataObject
) -> None:
    """In the cell, in the request spec, or in both."""
    other = {**stored, name: data.draw(st.sampled_from(VALUES[name]))}
    both = [(one, two) for one in (stored, other) for two in (stored, other)]
    fleet = [
        server(uuid, number, one, (image(number),), RequestSpec(1, uuid, spec_text(two)), host)
        for number, (one, two) in enumerate(both)
        for uuid in [str(uuidlib.UUID(int=number + 1))]
    ]
    assert_same(config, fleet)


# Each field of what a check is given: a check that tells it is right for two servers that differ
# in nothing else.


class Told:
    """A check that tells what it reads, and how often it was asked."""

    def __init__(self, read: Callable[[Facts], object]) -> None:
        self.read, self.asked = read, 0

    def __call__(self, facts: Facts) -> Iterator[Trouble]:
        self.asked += 1
        yield Trouble("combination", "warning", f"it is {self.read(facts)}", remedy="do")


def uuid_of(number: int) -> str:
    return str(uuidlib.UUID(int=number))


FIRST = server(
    uuid_of(1),
    1,
    {"hw_disk_bus": "scsi"},
    (image(1), replace(volume(2), volume_id=uuid_of(22)), row(3, volume_id=uuid_of(11))),
    RequestSpec(1, uuid_of(1), spec_text({"hw_disk_bus": "scsi"}, uuid_of(1))),
    "unknown-1",
)


def another(item: "Field[Any]", value: object) -> object:
    """Another value for a field of a record."""
    if item.name == "hidden_rows":
        return {"hw_disk_bus": (StoredProperty(1, "image_hw_disk_bus", "ide"),)}
    if isinstance(value, bool) or value is None:
        return not value if isinstance(value, bool) else "other"
    if isinstance(value, int):
        return value + 1
    return {"other": "value"} if isinstance(value, dict) else uuid_of(77)


def changed(kind: type[Any], name: str) -> Facts:
    """FIRST with another value in one field of its instance, its guest, a disk or itself."""
    (item,) = (one for one in fields(kind) if one.name == name)

    def with_other(record: Any) -> Any:
        return replace(record, **{name: another(item, getattr(record, name))})

    if kind is Facts:
        return with_other(FIRST)  # type: ignore[no-any-return]
    if kind is BlockDevice:
        disks = (*FIRST.guest.block_devices[:1], with_other(FIRST.guest.block_devices[1]))
        return replace(FIRST, guest=replace(FIRST.guest, block_devices=disks))
    part = {Instance: "instance", Guest: "guest"}[kind]
    found: Facts = replace(FIRST, **{part: with_other(getattr(FIRST, part))})
    return found


OF_PARTS = [
    (kind, item.name)
    for kind in (Facts, Instance, Guest, BlockDevice)
    for item in fields(kind)
    if (kind, item.name) not in ((Facts, "instance"), (Facts, "guest"), (Facts, "spec"))
    and (kind, item.name) != (Guest, "block_devices")
]
READS: dict[type[Any], Callable[[Facts], object]] = {
    Facts: lambda facts: facts,
    Instance: lambda facts: facts.instance,
    Guest: lambda facts: facts.guest,
    BlockDevice: lambda facts: facts.guest.block_devices[1],
}


@pytest.mark.parametrize(("kind", "name"), OF_PARTS)
def test_what_a_check_tells_is_the_servers_own(config: Config, kind: type[Any], name: str) -> None:
    check = Told(lambda facts: getattr(READS[kind](facts), name))
    told = Kinds(check, ComputeHosts(config))
    for facts in (FIRST, changed(kind, name), FIRST):
        assert list(told.troubles(facts)) == list(check(facts))


OWN = [
    lambda facts: facts.instance.uuid,
    lambda facts: facts.guest.block_devices[1].volume_id,
    lambda facts: facts.guest.block_devices[2].volume_id,
    lambda facts: facts.spec.instance,
    lambda facts: facts.spec.image_properties,
    lambda facts: facts.instance.host,
    lambda facts: facts.instance.uuid[:20],
    lambda facts: facts.instance.name,
    lambda facts: facts.instance.updated_at,
    lambda facts: facts.instance.updated_at and facts.instance.updated_at.year,
    lambda facts: sorted(str(disk.volume_id) for disk in facts.guest.block_devices[1:]),
]


@pytest.mark.parametrize("read", OWN)
def test_two_servers_of_a_kind_have_texts_of_their_own(
    config: Config, read: Callable[[Any], object]
) -> None:
    check = Told(read)
    told = Kinds(check, ComputeHosts(config))
    for facts in (FIRST, *(twin(number) for number in range(5, 9))):
        assert list(told.troubles(facts)) == list(check(facts))


def twin(number: int) -> Facts:
    """Another server of the kind of FIRST; the order of its volumes changes with the number."""
    ids = (uuid_of(number * 100), uuid_of(number * 100 + (-1) ** number))
    disks = tuple(
        replace(disk, id=number * 10 + place, volume_id=ids[place - 1] if place else None)
        for place, disk in enumerate(FIRST.guest.block_devices)
    )
    text = spec_text({"hw_disk_bus": "scsi"}, uuid_of(number))
    spec = RequestSpec(number, uuid_of(number), text)
    stored = dict(FIRST.instance.image_properties)
    made = server(uuid_of(number), number, stored, disks, spec, f"unknown-{number}")
    last = datetime(2026, 1, number, tzinfo=timezone.utc)
    return replace(made, instance=replace(made.instance, updated_at=last))


def test_a_kind_is_looked_at_once(config: Config) -> None:
    """Servers on other hosts that are known as well, too; on a host of its own rules, again."""
    check = Told(lambda facts: facts.instance.uuid)
    told = Kinds(check, ComputeHosts(config))
    alike = [twin(number) for number in (2, 4, 6, 8)]
    for facts in alike:
        list(told.troubles(facts))
    assert check.asked == 1
    for host in ("debian-1", "debian-2", "plain", "plainer"):
        list(told.troubles(replace(FIRST, instance=replace(FIRST.instance, host=host))))
    assert check.asked == 4


def test_where_all_servers_differ_few_are_compared(config: Config) -> None:
    """Until two are alike again: then each is compared."""
    seen: list[str] = []

    def check(facts: Facts) -> list[Trouble]:
        seen.append(facts.instance.uuid)
        return []

    def look(numbers: Iterable[int], own: bool) -> int:
        """How many of the servers were looked at by themselves."""
        seen.clear()
        for number in numbers:
            stored = {**STASHED, "instance_uuid": uuid_of(number if own else 0)}
            told.troubles(server(uuid_of(number), number, stored, (), None, "unknown-1"))
        return len({uuid_of(number) for number in numbers} & set(seen))

    told = Kinds(check, ComputeHosts(config))
    assert look(range(500), own=True) == 0
    assert look(range(500, 1300), own=True) == 700
    assert look(range(1300, 1324), own=False) <= 14
    assert (look(range(1324, 1400), own=False), seen) == (0, [])


def test_a_host_is_told_by_its_own_name_and_file(config: Config) -> None:
    hosts = ComputeHosts(config)
    told = Kinds(lambda facts: by_host(hosts, facts), hosts)
    for host in HOSTS[:5]:
        facts = replace(FIRST, instance=replace(FIRST.instance, host=host))
        assert list(told.troubles(facts)) == list(by_host(hosts, facts))


def by_host(hosts: ComputeHosts, facts: Facts) -> Iterator[Trouble]:
    """Tell what is known of a server's host."""
    known = hosts.find(facts.instance.host)
    assert known is not None
    devices = known.capabilities and known.capabilities.devices
    details = f"{known.host} has {len(devices or ())} devices by {known.origin}"
    yield Trouble("combination", "warning", details)
