"""What is recorded of a guest, without any host: identity, hash, and what a record changes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novadev.config import SPECIAL_MANAGED_DEVICES
from novadev.device.inventory import Inventory
from novadev.device.managed import is_managed
from novadev.nova.attachments import Attachments
from novadev.records.device import HIGHEST_BOOT_ORDER, VmDevice, hash_of, merge
from novadev.records.drift import compare
from novadev.records.on_host import fingerprint, seen_devices
from novadev.records.recognition import identified
from novadev.virt.devices import Console
from novadev.virt.domain import Domain
from tests import domains
from tests.device import attached
from tests.device.rig import mac, port_id, volume_id

GUEST = "7b0c2f5e-5c39-4c1c-8f0e-0e8e6a4a1f10"
ATTACHED = Attachments(
    volumes=(attached.volume(volume_id(0)), attached.volume(volume_id(1))),
    local_disks=(attached.local("vda"),),
    ports=(attached.port(port_id(0), mac(0)),),
)


def seen(inventory: Inventory, recorded: Iterable[VmDevice] = ()) -> dict[str, VmDevice]:
    """The devices as they would be recorded, by label, where these are RECORDED already."""
    found = seen_devices(inventory, SPECIAL_MANAGED_DEVICES)
    devices = identified([*found.devices.values()], [*recorded], found.owners)
    return {device.label: device for device in devices}


def guest(*disks: str, devices: Sequence[str] = (), moved: bool = False) -> Inventory:
    """An inventory of a guest with these disks and a port."""
    text = domains.domain(
        GUEST,
        disks=disks,
        interfaces=[domains.interface(mac(0), port=port_id(0))],
        devices=devices,
    )
    local = Attachments(
        volumes=ATTACHED.volumes,
        local_disks=(attached.local("sda" if moved else "vda"),),
        ports=ATTACHED.ports,
    )
    return attached.inventory(text, local)


def ids(found: dict[str, VmDevice]) -> dict[str, str]:
    return {label: device.device_id for label, device in found.items()}


# Identity


def test_a_device_with_an_owner_has_its_uuid() -> None:
    found = seen(guest(domains.disk("vda"), domains.disk("vdb", serial=volume_id(0))))
    assert found["disk vdb"].device_id == volume_id(0)
    assert found[f"interface tap{port_id(0)[:11]}"].device_id == port_id(0)


def test_a_disk_of_the_instance_keeps_its_identity_on_another_bus() -> None:
    before = seen(guest(domains.disk("vda"), domains.disk("vdb", serial=volume_id(0))))
    after = seen(
        guest(domains.disk("sda", "sata"), domains.disk("vda", serial=volume_id(0)), moved=True)
    )
    assert before["disk vda"].device_id == after["disk sda"].device_id
    assert before["disk vdb"].device_id == after["disk vda"].device_id


def test_two_devices_never_share_an_identity() -> None:
    """Not even where a volume is there twice, or nothing tells two devices apart."""
    twice = domains.disk("vdb", serial=volume_id(0)), domains.disk("vdc", serial=volume_id(0))
    rng = '<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'
    inventory = guest(domains.disk("vda"), *twice, devices=[rng, rng])
    found = [device.device_id for device in seen(inventory).values()]
    there = [entry for entry in inventory.entries if entry.device is not None]
    assert len(found) == len(set(found)) == len(there)
    assert all(UUID(item) for item in found)


def test_an_identity_without_owner_is_the_guest_s_own_and_the_same_every_time() -> None:
    one, other = (seen(guest(domains.disk("vda"))) for _ in range(2))
    assert ids(one) == ids(other)
    text = domains.domain(str(uuid4()), disks=[domains.disk("vda")])
    elsewhere = seen(attached.inventory(text, ATTACHED))
    assert not set(ids(one).values()) & set(ids(elsewhere).values())


def test_how_the_host_connects_a_console_is_not_its_identity() -> None:
    serials = [
        f'<serial type="{kind}"><target type="isa-serial" port="0"/></serial>'
        for kind in ("pty", "null")
    ]
    one, other = (seen(guest(domains.disk("vda"), devices=[text])) for text in serials)
    assert one["serial 0"].device_id == other["serial 0"].device_id
    assert hash_of(one.values()) == hash_of(other.values())


def test_the_mediated_device_of_another_host_is_the_same_device() -> None:
    one, other = (seen(guest(devices=[domains.mdev(str(uuid4()))])) for _ in range(2))
    assert {item.device_id for item in one.values() if item.type == "hostdev"} == {
        item.device_id for item in other.values() if item.type == "hostdev"
    }


# What is kept of a device


def test_a_boot_order_is_one_that_every_database_takes() -> None:
    """libvirt takes 4,294,967,295, and Nova's own number counts from 0."""
    told = replace(attached.volume(volume_id(1)), boot_index=2**31 - 1)
    disks = [domains.disk(f"vd{name}", serial=volume_id(n)) for n, name in enumerate("ab")]
    disks[0] = disks[0].replace("</disk>", '<boot order="4294967295"/></disk>')
    volumes = (attached.volume(volume_id(0)), told)
    text = domains.domain(GUEST, disks=disks)
    found = seen(attached.inventory(text, Attachments(volumes=volumes)))
    orders = {label: row.boot_order for label, row in found.items() if row.boot_order}
    assert orders == dict.fromkeys(("disk vda", "disk vdb"), HIGHEST_BOOT_ORDER)


def test_boot_order_comes_from_the_element_else_from_nova() -> None:
    volumes = (
        replace(attached.volume(volume_id(0)), boot_index=0),
        replace(attached.volume(volume_id(1)), boot_index=-1),
    )
    plain = [domains.disk(f"vd{name}", serial=volume_id(n)) for n, name in enumerate("ab")]
    with_element = plain[1].replace("</disk>", '<boot order="2"/></disk>')
    text = domains.domain(GUEST, disks=[plain[0], with_element])
    found = seen(attached.inventory(text, Attachments(volumes=volumes)))
    assert found["disk vda"].boot_order == 1
    assert found["disk vdb"].boot_order == 2
    text = domains.domain(GUEST, disks=plain)
    found = seen(attached.inventory(text, Attachments(volumes=volumes)))
    assert found["disk vdb"].boot_order is None


def test_a_lun_an_optional_cdrom_and_a_share() -> None:
    lun = domains.disk(
        "sda", "scsi", source="/dev/disk/by-id/dm-uuid-mpath-3600a098", kind="block", device="lun"
    )
    cdrom = domains.disk("sdb", "sata", source="/iso/tools.iso", device="cdrom").replace(
        '<source file="/iso/tools.iso"/>',
        '<source file="/iso/tools.iso" startupPolicy="optional"/>',
    )
    assert "startupPolicy" in cdrom
    found = seen(guest(lun, cdrom, devices=[domains.share("tag-1")]))
    assert found["disk sda"].spec_params == {
        "bus": "scsi",
        "target": "sda",
        "lun_id": "dm-uuid-mpath-3600a098",
    }
    assert (found["disk sdb"].is_optional, found["disk sdb"].is_readonly) == (True, True)
    assert (found["disk sda"].is_optional, found["disk sda"].is_readonly) == (False, False)
    share = next(item for item in found.values() if item.type == "filesystem")
    assert share.spec_params["target"] == "tag-1"


@pytest.mark.parametrize(
    ("special", "managed"),
    [
        (("rng:virtio",), True),
        (("rng:*",), True),
        (("*:virtio",), True),
        (("rng:egd",), False),
        ((), False),
        (SPECIAL_MANAGED_DEVICES, True),
    ],
)
def test_special_devices_count_as_managed(special: tuple[str, ...], managed: bool) -> None:
    rng = '<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'
    inventory = guest(domains.disk("vda"), devices=[rng])
    assert is_managed(attached.entry(inventory, "rng virtio"), special) is managed
    assert is_managed(attached.entry(inventory, "disk vda"), special) is True


# The hash


def test_the_hash_hears_what_the_guest_sees() -> None:
    device = VmDevice(
        device_id=volume_id(0),
        vm_id=GUEST,
        type="disk",
        device="disk",
        address="{type=pci, slot=0x05, bus=0x00, domain=0x0000, function=0x0}",
        spec_params={"bus": "virtio", "model": "virtio"},
    )
    heard = [
        replace(device, device_id=volume_id(1)),
        replace(device, device="cdrom"),
        replace(device, address="{type=pci, slot=0x06, bus=0x00, domain=0x0000, function=0x0}"),
        replace(device, spec_params={"bus": "scsi", "model": "virtio"}),
        replace(device, spec_params={"bus": "virtio", "model": "virtio-transitional"}),
        replace(device, logical_name="/dev/vdb"),
        replace(device, is_plugged=False),
    ]
    unheard = [
        replace(device, alias="ua-x"),
        replace(device, host="cmp2", label="disk vdz"),
        replace(device, spec_params={**device.spec_params, "target": "vdz"}),
        replace(device, is_managed=True, is_readonly=True, custom_properties="a=b"),
    ]
    hashes = [hash_of([item]) for item in heard]
    assert len({*hashes, hash_of([device])}) == len(heard) + 1
    assert {hash_of([item]) for item in unheard} == {hash_of([device])}


devices = st.builds(
    VmDevice,
    device_id=st.uuids().map(str),
    vm_id=st.just(GUEST),
    type=st.sampled_from(["disk", "interface", "rng"]),
    device=st.sampled_from(["disk", "bridge", "virtio"]),
    address=st.sampled_from(
        ["", "{type=pci, slot=0x05, bus=0x00}", "{type=pci, slot=0x06, bus=0x00}"]
    ),
    is_managed=st.booleans(),
    is_plugged=st.booleans(),
    custom_properties=st.sampled_from(["", "a=b"]),
    logical_name=st.sampled_from([None, "/dev/vda"]),
)
guests = st.lists(devices, max_size=6, unique_by=lambda device: device.device_id)


@given(guests, st.randoms())
def test_the_hash_does_not_depend_on_the_order(found: list[VmDevice], random: object) -> None:
    shuffled = sorted(found, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert hash_of(shuffled) == hash_of(found)


def test_the_fingerprint_is_that_of_the_devices() -> None:
    text = domains.domain(GUEST, disks=[domains.disk("vda")])
    ballooned = text.replace('<memory unit="MiB">64<', '<memory unit="MiB">48<')
    assert ballooned != text
    assert fingerprint(ballooned) == fingerprint(text)
    assert fingerprint(text.replace('dev="vda"', 'dev="vdb"')) != fingerprint(text)


# What a record changes


def recorded(before: Sequence[VmDevice], found: Sequence[VmDevice]) -> dict[str, VmDevice]:
    """What is there after a record."""
    merged = merge(before, found)
    rows = {device.device_id: device for device in before}
    for device in merged.dropped:
        del rows[device.device_id]
    return rows | {device.device_id: device for device in merged.written}


@given(guests, guests)
def test_a_record_makes_what_was_found_what_is_recorded(
    before: list[VmDevice], found: list[VmDevice]
) -> None:
    found = [replace(device, is_plugged=True) for device in found]
    after = recorded(before, found)
    plugged = [device for device in after.values() if device.is_plugged]
    assert hash_of(plugged) == hash_of(found)
    assert list(compare(list(after.values()), found)) == []
    kept = {device.device_id: device for device in before if device.is_managed}
    for key in kept.keys() - {device.device_id for device in found}:
        assert (after[key].is_plugged, after[key].address) == (False, "")
    assert merge(list(after.values()), found).written == ()
    assert merge(list(after.values()), found).dropped == ()


def test_what_no_definition_tells_stays_as_recorded() -> None:
    device = VmDevice(volume_id(0), GUEST, "disk", "disk", custom_properties="a=b")
    kept = replace(device, snapshot_id=volume_id(9))
    found = replace(device, custom_properties="", host="cmp2", address="{type=usb, port=1}")
    (after,) = recorded([kept], [found]).values()
    assert (after.custom_properties, after.snapshot_id) == ("a=b", volume_id(9))
    assert (after.address, after.host) == ("{type=usb, port=1}", "cmp2")


def test_another_host_alone_is_nothing_to_write() -> None:
    device = VmDevice(volume_id(0), GUEST, "disk", "disk", host="cmp1")
    assert merge([device], [replace(device, host="cmp2")]).written == ()


NIC = {"mac": mac(0)}


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize(
    ("kind", "before", "found", "label"),
    [
        ("disk", ("disk vdb", {"target": "vdb"}), ("disk vdc", {"target": "vdc"}), "disk vdc"),
        ("interface", ("interface tapa", NIC), ("interface tapb", NIC), "interface tapb"),
        ("interface", (f"interface {mac(0)}", NIC), ("interface tapb", NIC), "interface tapb"),
        ("interface", ("interface vnet0", NIC), ("interface vnet7", NIC), "interface vnet0"),
        ("interface", ("interface tapa", NIC), (f"interface {mac(0)}", NIC), "interface tapa"),
        ("rng", ("rng", {}), ("rng at 0000:00:09.0", {}), "rng"),
        ("rng", ("rng #2", {}), ("rng #1", {}), "rng #2"),
    ],
)
def test_a_label_is_that_of_now_where_the_name_has_changed(
    kind: str,
    before: tuple[str, dict[str, str]],
    found: tuple[str, dict[str, str]],
    label: str,
    pinned: bool,
) -> None:
    """It is written once, and is no drift; a stop, a start or a neighbour renames nothing."""
    places = [f"{{type=pci, slot={slot}, bus=0x00}}" for slot in ("0x05", "0x06")]
    rows = [
        VmDevice("a", GUEST, kind, kind, place, spec_params=params, label=name)
        for place, (name, params) in zip(places, (before, found), strict=True)
    ]
    row, device = rows[0], rows[1] if pinned else replace(rows[1], address=places[0])
    (device,) = identified([device], [row], set())
    pins = {"a": places[0]} if pinned else {}
    (after,) = (*merge([row], [device], pins).written, row)[:1]
    assert (after.label, after.address) == (label, places[0])
    assert hash_of([after]) == hash_of([row])
    assert list(compare([row], [after])) == []
    (again,) = identified([device], [after], set())
    assert merge([after], [again], pins).written == ()


def test_the_views_of_a_domain_agree() -> None:
    """Samples of odd guests: every device is recorded once, under one identity."""
    for path in domains.samples():
        devices = Domain.from_xml(path.read_text()).devices
        hardware = [item for item in devices if not isinstance(item, Console)]
        found = seen_devices(
            attached.inventory(path.read_text(), None), SPECIAL_MANAGED_DEVICES
        ).devices.values()
        assert len({device.device_id for device in found}) == len(found) == len(hardware), path.name
