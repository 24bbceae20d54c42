"""What is kept of a record in a definition that Nova has just written; without any libvirt."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novadev.errors import BadInput, NotAsNeeded
from novadev.keep.definition import Record, keep
from novadev.records.device import VmDevice
from novadev.virt.domain import Domain
from tests import domains
from tests.keep.guests import as_nova, bare, essence, places_of, record_of

DRIFTED = (Path(__file__).parent.parent / "forecast" / "drifted.xml").read_text()
UUID = "3a1f0c5e-7b1d-4b5e-9a51-0c7d5a4a1e11"
VOLUME = "5d0cbfd3-2b6f-4b1c-9f0e-6f6f1b0c2a77"
MAC = "fa:16:3e:00:00:01"
CONTROLLER = (
    "<controller type='scsi' index='0' model='virtio-scsi'>"
    "<address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/></controller>"
)
SAMPLES = [path for path in domains.samples() if "mdev" not in path.name]
ADDRESSES = st.sampled_from(
    [
        "{type=pci, slot=0x02, bus=0x00, domain=0x0000, function=0x0}",
        "{type=pci, slot=0x05, bus=0x00, domain=0x0000, function=0x0}",
        "{type=pci, slot=0x05, bus=0x00, domain=0x0000, function=0x1}",
        "{type=pci, slot=0x00, bus=0x07, domain=0x0000, function=0x0}",
        "{type=pci, slot=0x01, bus=0x00, domain=0x0000, function=0x2}",
        "{type=pci, slot=0x40, bus=0xfff, domain=0x0001, function=0x9}",
        "{type=drive, controller=0, bus=0, target=0, unit=0}",
        "{type=drive, controller=9, bus=0, target=0, unit=1}",
        "{type=virtio-serial, controller=3, bus=0, port=1}",
        "{type=usb, bus=0, port=1.2}",
        "{type=usb, bus=0}",
        *("{type=ccw, cssid=0xfe}", "{slot=x}", "{a=b, a=c}", "no address", ""),
    ]
)


def test_every_recorded_address_is_in_the_definition() -> None:
    record = record_of(DRIFTED)
    kept = keep(bare(DRIFTED), record)
    fixed = "slot=0x01"  # the chipset's own, which libvirt gives by itself
    assert {item for item in places_of(DRIFTED).items() if fixed not in item[1]} <= set(
        places_of(kept.text).items()
    )
    assert kept.left == ()


def test_a_part_of_the_chipset_has_its_own_place_whatever_is_recorded() -> None:
    """libvirt would refuse the definition, and the guest would lose all that is kept."""
    record = record_of(DRIFTED)
    wrong = "{type=pci, slot=0x1e, bus=0x00, domain=0x0000, function=0x0}"
    rows = [
        replace(row, address=wrong) if row.label == "controller usb 0" else row
        for row in record.devices
    ]
    assert wrong in {row.address for row in rows}
    kept = keep(bare(DRIFTED), Record(tuple(rows)))
    assert kept.text == keep(bare(DRIFTED), record).text
    pinned = {row.device_id: wrong for row in rows if row.address == wrong}
    assert places_of(keep(bare(DRIFTED), Record(record.devices, pinned)).text) == places_of(
        kept.text
    )


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_nothing_else_of_a_definition_differs(path: Path) -> None:
    text = bare(as_nova(path.read_text()))
    record = record_of(path.read_text())
    kept = keep(text, record, aliases=True)
    assert essence(kept.text) == essence(text)
    assert keep(kept.text, record, aliases=True).text == kept.text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (domains.domain(machine="virt-7.2"), "machine type 'virt-7.2'"),
        (domains.domain(machine="microvm"), "machine type 'microvm'"),
        (domains.domain(machine="q35"), "has changed since the record"),
    ],
)
def test_another_machine_keeps_nothing(text: str, why: str) -> None:
    with pytest.raises(NotAsNeeded, match=why):
        keep(text, record_of(DRIFTED))


@pytest.mark.parametrize("text", ["", "<domain", "<other/>", "<!DOCTYPE a><domain/>"])
def test_a_text_that_is_no_definition(text: str) -> None:
    with pytest.raises(BadInput):
        keep(text, record_of(DRIFTED))


def test_no_controller_comes_for_a_place_that_no_longer_counts() -> None:
    """The volume was a SCSI disk when it was recorded, and is a virtio disk now."""
    there = "<address type='drive' controller='0' bus='0' target='0' unit='0'/>"
    was = domains.disk("sda", "scsi", serial=VOLUME).replace("</disk>", f"{there}</disk>")
    before = domains.domain(
        UUID, disks=[was], devices=[CONTROLLER], interfaces=[domains.interface(MAC)]
    )
    text = bare(domains.domain(UUID, disks=[domains.disk("vda", serial=VOLUME)]))
    kept = keep(text, record_of(before))
    assert essence(kept.text) == essence(text)
    assert "scsi" not in kept.text
    assert any("its bus was scsi" in why for why in kept.left)


def test_without_a_record_the_text_is_the_same() -> None:
    text = bare(DRIFTED)
    assert keep(text, Record(())).text == text


def test_the_record_of_another_guest_keeps_no_card_of_it() -> None:
    other = domains.domain(interfaces=[domains.interface("fa:16:3e:aa:aa:aa")])
    kept = keep(other, record_of(DRIFTED))
    assert not any(label.startswith("interface") for label in kept.addresses)


def test_two_devices_that_are_recorded_in_one_place_are_never_both_there() -> None:
    record = record_of(DRIFTED)
    cards = [row for row in record.devices if row.type == "interface"]
    same = replace(cards[0], address=cards[1].address)
    rows = tuple(same if row == cards[0] else row for row in record.devices)
    assert_apart(keep(bare(DRIFTED), Record(rows)).text)


def test_a_port_gets_its_alias_and_nobody_anothers() -> None:
    text = domains.domain(
        interfaces=[
            domains.interface("fa:16:3e:00:00:01", port="90270001-1111-4a01-8b01-000000000000"),
            domains.interface("fa:16:3e:00:00:02", port="90270002-1111-4a01-8b01-000000000000"),
        ]
    )
    kept = keep(text, Record(()), aliases=True)
    found = [str(device.alias) for device in Domain.from_xml(kept.text).devices if device.alias]
    assert found == [f"ua-9027000{number}-1111-4a01-8b01-000000000000" for number in (1, 2)]


def test_what_the_definition_does_not_show_has_the_alias_that_was_recorded() -> None:
    """A port and a mediated device are shown there; a PCI device, a share, an SR-IOV port not."""
    port, mdev, other = (f"9027000{number}-1111-4a01-8b01-000000000000" for number in (1, 2, 3))

    def text(alias: str | None = None) -> str:
        return domains.domain(
            UUID,
            interfaces=[
                domains.interface(MAC, port=port),
                domains.sriov("fa:16:3e:00:00:02", "0000:81:00.1", alias=alias and f"{alias}4"),
            ],
            devices=[
                domains.mdev(mdev),
                domains.pci("0000:82:00.0", alias=alias and f"{alias}5"),
                domains.share(VOLUME, alias=alias and f"{alias}6"),
            ],
        )

    def given(record: Record) -> list[str]:
        kept = keep(text(), record, aliases=True)
        return [str(item.alias) for item in Domain.from_xml(kept.text).devices if item.alias]

    shown = [f"ua-{port}", f"ua-{mdev}"]
    assert sorted(given(record_of(text()))) == shown
    recorded = [f"ua-{other[:-1]}{number}" for number in (4, 5, 6)]
    assert sorted(given(record_of(text(f"ua-{other[:-1]}")))) == sorted([*shown, *recorded])


@settings(max_examples=60)
@given(st.lists(ADDRESSES, min_size=20, max_size=20), st.data())
def test_whatever_is_recorded_no_two_devices_are_in_one_place(
    addresses: list[str], data: st.DataObject
) -> None:
    text = bare(as_nova(data.draw(st.sampled_from(SAMPLES)).read_text()))
    record = record_of(as_nova(text))
    rows = [replace(row, address=new) for row, new in zip(record.devices, addresses, strict=False)]
    try:
        kept = keep(text, Record((*rows, _root(text))), aliases=True)
    except (NotAsNeeded, BadInput):
        return
    assert essence(kept.text) == essence(text)
    assert_apart(kept.text)


def _root(text: str) -> VmDevice:
    """Bus 0, which libvirt adds to what Nova writes."""
    model = "pcie-root" if "q35" in (Domain.from_xml(text).os_type("machine") or "") else "pci-root"
    spec = {"model": model, "index": "0"}
    return VmDevice("root", "", "controller", "pci", spec_params=spec, label="controller pci 0")


def assert_apart(text: str) -> None:
    devices = Domain.from_xml(text).devices
    places = [
        (device.bus if device.address.type == "drive" else "", device.address.text)
        for device in devices
        if device.address
    ]
    assert len(places) == len(set(places)), sorted(places)
