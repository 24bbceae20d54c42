"""Addresses, in libvirt's form, for people, and in oVirt's."""

import pytest
from lxml import etree

from novadev.errors import BadInput
from novadev.virt import xml
from novadev.virt.address import Address
from novadev.virt.address_syntax import checked_address
from novadev.virt.devices import device_of
from tests import domains


def address(xml: str) -> Address:
    found = Address.from_element(etree.fromstring(f"<address {xml}/>"))
    assert found
    return found


PCI = address("type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'")


@pytest.mark.parametrize(
    ("xml", "text", "ovirt"),
    [
        (
            "type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0' multifunction='on'",
            "0000:00:05.0",
            "{type=pci, slot=0x05, bus=0x00, domain=0x0000, function=0x0, multifunction=on}",
        ),
        (
            "type='drive' controller='0' bus='1' target='2' unit='3'",
            "0:1:2:3",
            "{type=drive, bus=1, controller=0, target=2, unit=3}",
        ),
        ("type='usb' bus='0' port='1.4'", "0:1.4", "{type=usb, bus=0, port=1.4}"),
        (
            "type='virtio-serial' controller='0' bus='0' port='1'",
            "0:0:1",
            "{type=virtio-serial, bus=0, controller=0, port=1}",
        ),
        (
            "type='ccw' cssid='0xfe' ssid='0x0' devno='0x0001'",
            "fe.0.0001",
            "{type=ccw, cssid=0xfe, devno=0x0001, ssid=0x0}",
        ),
        ("type='spapr-vio' reg='0x2000'", "0x2000", "{type=spapr-vio, reg=0x2000}"),
        ("type='isa' iobase='0x505'", "isa 0x505", "{type=isa, iobase=0x505}"),
        ("type='ccid' controller='0' slot='1'", "0:1", "{type=ccid, slot=1, controller=0}"),
        ("type='usb' bus='0'", "usb bus=0", "{type=usb, bus=0}"),
        ("type='virtio-mmio'", "virtio-mmio", "{type=virtio-mmio}"),
        ("type='pci' bus='what'", "pci bus=what", "{type=pci, bus=what}"),
        (
            "type='dimm' slot='0' base='0x100000000'",
            "dimm slot=0",  # QEMU chooses the base at each start
            "{type=dimm, slot=0}",
        ),
    ],
)
def test_forms(xml: str, text: str, ovirt: str) -> None:
    assert (str(address(xml)), address(xml).ovirt_text) == (text, ovirt)
    assert Address.from_ovirt(ovirt) == address(xml)


@pytest.mark.parametrize(
    "text",
    [
        "{type=pci, slot=0x05, bus=0x00, domain=0x0000, function=0x0}",
        "{bus=0x00,  domain=0x0000, type=pci,slot=0x05,   function=0x0}",
        " {function=0, slot=5, domain=0, bus=0, type=pci} ",
        "type=pci, slot=0x5, bus=0x0, domain=0x0000, function=0x0",
    ],
)
def test_ovirt_in_any_order_and_spelling(text: str) -> None:
    assert Address.from_ovirt(text) == PCI


@pytest.mark.parametrize("slot", ["0x1_0", "1_0", "٨", "+5", "0x", "0b101"])
def test_what_libvirt_takes_for_no_number_is_none(slot: str) -> None:
    """Python reads more as a number than libvirt does (``virStrToLong_uip``)."""
    text = f"{{type=pci, slot={slot}, bus=0x00, domain=0x0000, function=0x0}}"
    with pytest.raises(BadInput, match="slot is"):
        checked_address(text, "a file")


def test_ovirt_without_type_is_a_drive() -> None:
    found = Address.from_ovirt("{unit=2, bus=0, target=0, controller=0}")
    assert found == address("type='drive' controller='0' bus='0' target='0' unit='2'")


@pytest.mark.parametrize("text", ["", "{}", "  ", "{ }"])
def test_ovirt_none(text: str) -> None:
    assert Address.from_ovirt(text) is None


@pytest.mark.parametrize("text", ["{a=b=c}", "{=1}", "{type=pci, slot=0x10, slot=0x11}"])
def test_ovirt_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not an address as oVirt writes it"):
        Address.from_ovirt(text)


def test_zpci_is_a_part_of_the_address() -> None:
    """The guest of s390x finds a PCI device by its uid and fid; no other has them."""
    place = "type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'"
    one, other, none = (
        device_of(etree.fromstring(f"<rng><address {place}>{inside}</address></rng>"))
        for inside in ("<zpci uid='0x0001' fid='0x0'/>", "<zpci uid='0x0002' fid='0x1'/>", "")
    )
    assert one.address
    assert other.address
    assert one.address != other.address
    assert one.address.text == other.address.text == "0000:00:01.0"
    assert one.address.exact_text == one.address.ovirt_text
    assert one.address.ovirt_text.endswith("function=0x0, fid=0x0, uid=0x0001}")
    assert Address.from_ovirt(one.address.ovirt_text) == one.address
    assert one.address.full_text == "0000:00:01.0 uid=0x0001 fid=0x0"
    assert none.address
    assert none.address.with_zpci_of(one.address) == one.address
    assert other.address.with_zpci_of(one.address) == other.address
    for device in (other, none):
        device.address = one.address
        texts = (domains.text(item.element) for item in (device, one))
        assert len({xml.canonical(text) for text in texts}) == 1


def test_spellings_of_one_pci_address_are_equal() -> None:
    assert address("type='pci' domain='0' bus='0' slot='5' function='0x0'") == PCI
    assert Address.from_element(None) is None
