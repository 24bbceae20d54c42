"""Which device of a guest is which recorded one, whatever shakes the text of its definition."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from novadev.config import SPECIAL_MANAGED_DEVICES
from novadev.device.inventory import Inventory
from novadev.nova.attachments import Attachments
from novadev.records import recognition
from novadev.records.device import VmDevice, hash_of, is_hardware, merge
from novadev.records.drift import compare
from novadev.records.identity import made_id
from novadev.records.on_host import seen_devices
from novadev.records.recognition import identified, recognise
from tests import domains
from tests.device import attached
from tests.device.rig import mac, port_id, volume_id

GUEST = "7b0c2f5e-5c39-4c1c-8f0e-0e8e6a4a1f10"
NOTHING = Attachments()
EVERYTHING = Attachments(
    volumes=(attached.volume(volume_id(0), "/dev/vdd"),),
    local_disks=tuple(attached.local(name) for name in ("vda", "vdb", "vdc", "hdd")),
    ports=(attached.port(port_id(0), mac(0)),),
)


def own(target: str, name: str, slot: int, kind: str = "file") -> str:
    """A disk of the instance's own, in a file, on LVM (encrypted or not) or on rbd."""
    if kind == "encrypted":
        source = f"/dev/mapper/{GUEST}_{name}-dmcrypt"
        return at(domains.disk(target, source=source, kind="block"), slot)
    folder = {"file": f"{domains.IMAGES}/{GUEST}/", "block": f"/dev/vg/{GUEST}_"}
    source = folder.get(kind, f"vms/{GUEST}_") + name
    return at(domains.disk(target, source=source, kind=kind), slot)


def at(device: str, slot: int) -> str:
    """A device in a PCI slot."""
    element = etree.fromstring(device)
    place = {"domain": "0x0000", "bus": "0x00", "slot": f"0x{slot:02x}", "function": "0x0"}
    etree.SubElement(element, "address", {"type": "pci", **place})
    return domains.text(element)


def controller(kind: str, index: int, model: str = "virtio") -> str:
    return f'<controller type="{kind}" index="{index}" model="{model}"/>'


def inventory(
    devices: Iterable[str], attachments: Attachments | None = EVERYTHING, **state: object
) -> Inventory:
    found = list(devices)
    return attached.inventory(domains.domain(GUEST, devices=found), attachments, **state)


def seen(found: Inventory, recorded: Iterable[VmDevice] = ()) -> tuple[VmDevice, ...]:
    """The devices as they would be recorded."""
    devices = seen_devices(found, SPECIAL_MANAGED_DEVICES)
    return identified([*devices.devices.values()], [*recorded], devices.owners)


def differences(before: Inventory, after: Inventory) -> set[tuple[str, str]]:
    """The label and the field of everything in which the second has drifted from the first."""
    recorded = seen(before)
    return {(item.label, item.field) for item in compare(recorded, seen(after, recorded))}


def by_label(devices: Iterable[VmDevice]) -> dict[str, VmDevice]:
    return {device.label: device for device in devices}


# What is what


@pytest.mark.parametrize("kind", ["file", "block", "encrypted", "network"])
def test_own_disks_are_known_by_nova_s_file_names(kind: str) -> None:
    """A resize adds an ephemeral disk: swap moves behind it, and stays swap."""
    before = [own("vda", "disk", 4, kind), own("vdb", "disk.swap", 5, kind)]
    after = [before[0], own("vdb", "disk.eph0", 5, kind), own("vdc", "disk.swap", 6, kind)]
    assert differences(inventory(before), inventory(after)) == {
        ("disk vdb", "device"),
        ("disk vdc", "address"),
    }


def test_a_controller_is_its_type_and_index() -> None:
    """libvirt writes controllers in another order when it reads its own file again."""
    ports = [at(controller("virtio-serial", index), 10 + index) for index in (0, 4, 2)]
    assert differences(inventory(ports), inventory(reversed(ports))) == set()
    moved = [
        ports[0],
        at(controller("virtio-serial", 4), 12),
        at(controller("virtio-serial", 2), 14),
    ]
    assert differences(inventory(ports), inventory(moved)) == {
        ("controller virtio-serial 4", "address"),
        ("controller virtio-serial 2", "address"),
    }


def test_the_bus_is_a_part_of_what_an_input_device_is() -> None:
    usb, ps2 = ('<input type="keyboard" bus="usb"/>', '<input type="keyboard" bus="ps2"/>')
    assert differences(inventory([usb, ps2]), inventory([ps2, usb])) == set()
    assert differences(inventory([usb, ps2]), inventory([ps2])) == {
        ("input keyboard usb", "device")
    }


def test_of_two_alike_the_one_that_is_left_is_the_one_at_its_address() -> None:
    rng = '<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'
    first, second = at(rng, 8), at(rng, 9)
    assert differences(inventory([first, second]), inventory([second])) == {
        ("rng virtio at 0000:00:08.0", "device")
    }


def test_another_volume_or_card_at_the_same_place_is_another_device() -> None:
    before = [
        at(domains.disk("vdd", serial=volume_id(0)), 5),
        at(domains.interface(mac(0), port=port_id(0)), 6),
    ]
    after = [
        at(domains.disk("vdd", serial=volume_id(1)), 5),
        at(domains.interface(mac(1), port=port_id(1)), 6),
    ]
    for attachments in (EVERYTHING, NOTHING, None):
        told = differences(inventory(before), inventory(after, attachments))
        assert {field for _, field in told} == {"device"}
        assert len(told) == 3  # both disks are called vdd


# Ownership is an attribute


def full_guest() -> list[str]:
    return [
        *(own("vda", "disk", 4), own("vdb", "disk.eph0", 5), own("vdc", "disk.swap", 6)),
        domains.disk("hdd", "ide", source=f"{domains.IMAGES}/{GUEST}/disk.config", device="cdrom"),
        at(domains.disk("vdd", serial=volume_id(0)), 7),
        at(domains.interface(mac(0), port=port_id(0)), 8),
    ]


LACKING = {
    "everything": NOTHING,
    "the info cache": replace(EVERYTHING, ports=()),
    "the volume's row": replace(EVERYTHING, volumes=()),
    "the local rows": replace(EVERYTHING, local_disks=()),
    "every database": None,
}


@pytest.mark.parametrize("lacking", LACKING)
@pytest.mark.parametrize("is_later", [True, False])
def test_what_nova_says_of_a_minute_changes_nothing(lacking: str, is_later: bool) -> None:
    """Neither when it was there at the record and is gone, nor when it comes only now."""
    both = inventory(full_guest()), inventory(full_guest(), LACKING[lacking], has_config_drive=True)
    before, after = both if is_later else reversed(both)
    recorded = seen(before)
    now = seen(after, recorded)
    assert hash_of(now) == hash_of(recorded)
    assert list(compare(recorded, now)) == []
    attached_ones = [
        device for device in now if device.spec_params.get("bus") or "mac" in device.spec_params
    ]
    for device in attached_ones:
        was = by_label(recorded)[device.label]
        assert device.is_managed or not was.is_managed


def swapped(kind: str) -> tuple[list[str], Attachments, Attachments]:
    """Two devices of a kind, with whom Nova says they are, rightly and the wrong way round."""
    macs, ports, places = (
        (mac(0), mac(1)),
        (port_id(0), port_id(1)),
        ("0000:81:00.1", "0000:81:00.2"),
    )
    if kind == "lun":
        paths = tuple(f"/dev/disk/by-id/scsi-36001405{number}" for number in range(2))
        disks = [
            domains.disk(f"sd{'ab'[n]}", "scsi", device="lun", kind="block", source=paths[n])
            for n in (0, 1)
        ]
        of = [
            tuple(
                replace(
                    attached.volume(volume_id(n), f"sd{names[n]}", sources=(paths[n],)),
                    bus="scsi",
                    device_type="lun",
                )
                for n in (0, 1)
            )
            for names in ("ab", "ba")
        ]
        return disks, *(Attachments(volumes=volumes) for volumes in of)
    if kind == "pci":
        cards = [domains.pci(place) for place in places]
        of = [
            tuple(attached.port(ports[n], macs[n], pci_address=order[n]) for n in (0, 1))
            for order in (places, places[::-1])
        ]
    else:
        cards = [domains.interface(macs[n], port=ports[n], kind=kind) for n in (0, 1)]
        of = [
            tuple(attached.port(ports[n], order[n]) for n in (0, 1)) for order in (macs, macs[::-1])
        ]
    return cards, *(Attachments(ports=cached) for cached in of)


@pytest.mark.parametrize("kind", ["ovs", "bridge", "lun", "pci"])
@pytest.mark.parametrize("is_later", [True, False])
def test_a_wrong_owner_of_a_minute_moves_nothing(kind: str, is_later: bool) -> None:
    """Nova's rows or its cache name the owners the wrong way round for a moment."""
    devices, right, wrong = swapped(kind)
    placed = [at(device, 5 + number) for number, device in enumerate(devices)]
    both = inventory(placed, right), inventory(placed, wrong)
    before, after = both if is_later else reversed(both)
    assert differences(before, after) == set()
    assert differences(after, before) == set()


@pytest.mark.parametrize("kind", ["ovs", "bridge", "lun"])
def test_a_move_is_told_whoever_seems_to_own_the_devices(kind: str) -> None:
    devices, right, wrong = swapped(kind)
    before = inventory([at(devices[0], 5), at(devices[1], 6)], right)
    for attachments in (right, wrong, NOTHING):
        after = inventory([at(devices[0], 5), at(devices[1], 7)], attachments)
        ((label, field),) = differences(before, after)
        assert (label, field) == (seen(before)[1].label, "address")


@pytest.mark.parametrize("lacking", [False, True])
def test_two_cards_of_one_mac_are_told_by_their_ports(lacking: bool) -> None:
    """The definition names the port; with and without the cache they are seen to change places."""
    cards = [domains.interface(mac(0), port=port_id(number)) for number in (0, 1)]
    cached = Attachments(ports=tuple(attached.port(port_id(number), mac(0)) for number in (0, 1)))
    before = inventory([at(cards[0], 5), at(cards[1], 6)], cached)
    after = inventory([at(cards[0], 6), at(cards[1], 5)], NOTHING if lacking else cached)
    assert {field for _, field in differences(before, after)} == {"address"}
    assert len(differences(before, after)) == 2


def test_what_is_gone_is_gone_whatever_nova_says() -> None:
    recorded = seen(inventory(full_guest()))
    left = seen(inventory(full_guest()[:-1], NOTHING), recorded)
    (gone,) = compare(recorded, left)
    assert (gone.label, gone.found) == (f"interface tap{port_id(0)[:11]}", None)
    assert merge(recorded, left).dropped == ()


def test_attributes_that_no_guest_sees_are_brought_up_to_date() -> None:
    """One write, and no drift; a stop or a start alone writes nothing."""
    plain = full_guest()
    recorded = seen(inventory(plain))
    started = [text.replace("</disk>", '<alias name="virtio-disk3"/></disk>') for text in plain]
    assert merge(recorded, seen(inventory(started), recorded)).written == ()
    alias = f'<alias name="ua-{volume_id(0)}"/><readonly/></disk>'
    named = [*plain[:4], plain[4].replace("</disk>", alias), plain[5]]
    now = seen(inventory(named), recorded)
    (written,) = merge(recorded, now).written
    assert (written.alias, written.is_readonly) == (f"ua-{volume_id(0)}", True)
    assert hash_of(now) == hash_of(recorded)
    assert list(compare(recorded, now)) == []
    assert merge(now, seen(inventory(named), now)).written == ()


# What libvirt writes of itself, and what an earlier novadev recorded


ITSELF = (
    '<audio id="1" type="none"/>',
    '<watchdog model="itco" action="reset"/>',
    '<console type="pty"><target type="serial" port="0"/></console>',
)


def test_what_libvirt_writes_of_itself_is_not_recorded() -> None:
    serial = '<serial type="pty"><target type="isa-serial" port="0"/></serial>'
    plain = seen(inventory([*full_guest(), serial]))
    assert seen(inventory([*full_guest(), serial, *ITSELF])) == plain
    place = '<address type="virtio-serial" controller="0" bus="0" port="0"/>'
    virtio = f'<console type="pty"><target type="virtio" port="0"/>{place}</console>'
    dog = '<watchdog model="i6300esb" action="reset"/>'
    assert len(seen(inventory([*full_guest(), serial, virtio, dog]))) == len(plain) + 2


@pytest.mark.parametrize("kind", ["virtio", "sclp"])
def test_every_console_of_its_own_is_recorded_with_an_address_or_without(kind: str) -> None:
    """libvirt 9.0 writes none for them; one that is taken out is gone.

    Before libvirt 11 their ports shift by one at a restart of libvirtd.
    """
    serial = '<serial type="pty"><target type="isa-serial" port="0"/></serial>'
    zero, one, two = (
        f'<console type="pty"><target type="{kind}" port="{port}"/></console>' for port in range(3)
    )
    before = inventory([serial, ITSELF[-1], one, two])
    assert differences(before, before) == set()
    assert differences(before, inventory([serial, ITSELF[-1], zero, one])) == set()
    gone = {(f"console {kind} #2", "device")}
    assert differences(before, inventory([serial, ITSELF[-1], two])) == gone
    other = '<console type="pty"><target type="sclplm" port="3"/></console>'
    added = inventory([serial, ITSELF[-1], zero, one, other])
    assert differences(before, added) == {("console sclplm", "device")}


def test_a_console_is_the_one_that_was_recorded_with_its_port() -> None:
    console = '<console type="pty"><target type="virtio" port="0"/></console>'
    (row,) = (row for row in seen(inventory([console])) if row.type == "console")
    params = {**row.spec_params, "target": "1"}
    old = replace(row, device_id=volume_id(7), label="console 0 #2", spec_params=params)
    assert volume_id(7) in {item.device_id for item in seen(inventory([console]), [old])}


def test_companions_of_one_index_are_known_by_their_models() -> None:
    usb = [controller("usb", 0, f"ich9-{model}") for model in ("ehci1", "uhci1", "uhci2")]
    assert differences(inventory(usb), inventory(usb[::-1])) == set()
    gone = {("controller usb 0 #1", "device")}
    assert differences(inventory(usb), inventory(usb[1:])) == gone
    both = attached.inventory(
        domains.domain(GUEST, devices=usb), NOTHING, domains.domain(GUEST, devices=usb[::-1])
    )
    assert {entry.persistent.model == entry.live.model for entry in both.entries} == {True}


def test_a_record_of_an_earlier_release_stays_one() -> None:
    """Its ids by ordinals are kept; what it recorded of libvirt's own is dropped without a word."""
    ports = [at(controller("virtio-serial", index), 10 + index) for index in (0, 4)]
    devices = [*full_guest(), *ports, '<input type="mouse" bus="ps2"/>']
    recorded = [
        replace(
            device,
            device_id=str(UUID(int=number + 1)),
            spec_params={
                key: value
                for key, value in device.spec_params.items()
                if key not in ("file", "index", "source")
                and (key, device.type) != ("target", "channel")
            },
        )
        for number, device in enumerate(seen(inventory(devices)))
    ]
    extra = VmDevice(str(UUID(int=99)), GUEST, "audio", "none", label="audio none")
    console = replace(extra, device_id=str(UUID(int=98)), type="console", device="console")
    before = [*recorded, extra, replace(console, is_managed=True)]
    now = seen(inventory([*reversed(devices), *ITSELF]), before)
    assert sorted(device.device_id for device in now) == sorted(item.device_id for item in recorded)
    assert list(compare(before, now)) == []
    assert hash_of(before) == hash_of(now)
    after = merge(before, now)
    assert {device.type for device in after.dropped} >= {"audio"}
    assert all(is_hardware(device) for device in now)


def test_the_twin_of_a_device_that_is_gone_is_itself_when_it_moves() -> None:
    """It has the made id that the other one had, and nothing else tells the two apart."""

    def source(slot: int) -> str:
        return at('<rng model="virtio"><backend model="random">/dev/random</backend></rng>', slot)

    both = seen(inventory([source(5), source(6)]))
    second = next(item for item in both if "slot=0x06" in item.address)
    one = seen(inventory([source(6)]), both)
    assert [item.device_id for item in one if item.type == "rng"] == [second.device_id]
    merged = merge(both, one)
    recorded = {item.device_id: item for item in both} | {x.device_id: x for x in merged.written}
    for gone in merged.dropped:
        del recorded[gone.device_id]
    moved = seen(inventory([source(9)]), recorded.values())
    assert [item.device_id for item in moved if item.type == "rng"] == [second.device_id]
    back = seen(inventory([source(9), source(5)]), recorded.values())
    assert {item.device_id for item in back if item.type == "rng"} == {
        item.device_id for item in both if item.type == "rng"
    }


# For any guests


def rows(ids: st.SearchStrategy[str]) -> st.SearchStrategy[list[VmDevice]]:
    device = st.builds(
        VmDevice,
        device_id=ids,
        vm_id=st.just(GUEST),
        type=st.sampled_from(["disk", "interface", "rng", "controller"]),
        device=st.sampled_from(["disk", "cdrom", "virtio"]),
        address=st.sampled_from(["", "{type=pci, slot=0x05}", "{type=pci, slot=0x06}"]),
        spec_params=st.dictionaries(
            st.sampled_from(["serial", "mac", "file", "target"]), st.sampled_from("ab")
        ),
        is_managed=st.booleans(),
        is_plugged=st.booleans(),
        label=st.sampled_from(["controller usb 0", "controller usb 1", "x"]),
    )
    return st.lists(device, max_size=6, unique_by=lambda item: item.device_id)


few = st.sampled_from([str(UUID(int=number)) for number in range(8)])


@given(rows(few), rows(few), st.sets(few))
def test_every_device_has_one_id_and_keeps_it(
    found: list[VmDevice], recorded: list[VmDevice], owners: set[str]
) -> None:
    ids = recognise(found, recorded, owners)
    assert ids.keys() == {device.device_id for device in found}
    assert len(set(ids.values())) == len(found)
    now = identified(found, recorded, owners)
    known = {row.device_id: row for row in recorded}
    assert all(
        device.type == known[device.device_id].type for device in now if device.device_id in known
    )
    again = recognise(now, now, owners)
    assert all(one == other for one, other in again.items())


def with_own_names(device: VmDevice) -> VmDevice:
    """Without the MAC address of what is no network interface."""
    names = device.spec_params.items()
    known = {name: text for name, text in names if name != "mac" or device.type == "interface"}
    return replace(device, spec_params=known)


@given(rows(few), rows(few))
def test_candidates_lack_none_that_may_be_the_device(
    found: list[VmDevice], recorded: list[VmDevice]
) -> None:
    found, recorded = [*map(with_own_names, found)], [*map(with_own_names, recorded)]
    candidates = recognition._Candidates(recorded)
    for device in found:
        there = candidates.of(device)
        fitting = [row for row in recorded if recognition._may_be(device, row)]
        assert [row for row in there if row in fitting] == fitting


@pytest.mark.parametrize("name", ["serial", "mac"])
def test_thousands_of_other_devices_are_not_compared_one_by_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that lost 2,000 volumes or cards and got as many others."""
    kind = "disk" if name == "serial" else "interface"

    def some(tag: str) -> list[VmDevice]:
        return [
            VmDevice(
                made_id(GUEST, f"{tag}{i}"), GUEST, kind, kind, spec_params={name: f"{tag}{i}"}
            )
            for i in range(2000)
        ]

    asked: list[object] = []
    may_be = recognition._may_be
    monkeypatch.setattr(
        recognition,
        "_may_be",
        lambda *pair: asked.append(pair) or may_be(*pair),  # type: ignore[func-returns-value]
    )
    new, old = some("new"), some("old")
    assert recognise(new, old, frozenset()) == {item.device_id: item.device_id for item in new}
    assert len(asked) < 10 * len(new)
