"""Where devices can be, what addresses are spelled like, and definitions with other addresses."""

from collections.abc import Iterator

import pytest

from novadev.errors import BadInput, NotAsNeeded
from novadev.virt import writes
from novadev.virt.address import Address
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from novadev.virt.places import Places
from tests import domains
from tests.hypervisor import Hypervisor

EXACT = {
    "0000:00:04.0": "{type=pci, slot=0x04, bus=0x00, domain=0x0000, function=0x0}",
    "0:1:0:2": "{type=drive, bus=1, controller=0, target=0, unit=2}",
    "0:0:3": "{type=virtio-serial, bus=0, controller=0, port=3}",
    "1:2.4": "{type=usb, bus=1, port=2.4}",
}
WHOLE = (
    "{type=pci, slot=0x04, bus=0x00, domain=0x0000, function=0x0, multifunction=on}",
    "{type=drive, bus=0, unit=2}",
    "{type=pci, slot=0x04, bus=0x00, function=0x0}",
    "{type=ccid, slot=0, controller=1}",
    "{type=ccw, cssid=0xfe, devno=0x0000, ssid=0x0}",
    "{type=isa, iobase=0x505}",
)


@pytest.mark.parametrize("short", EXACT)
def test_a_short_form_that_says_everything(short: str) -> None:
    address = Address.from_ovirt(EXACT[short])
    assert address
    assert address.exact_text == short
    assert Address.from_text(short) == address
    assert address.ovirt_text == EXACT[short]


@pytest.mark.parametrize("text", WHOLE)
def test_what_the_short_form_does_not_say(text: str) -> None:
    address = Address.from_ovirt(text)
    assert address
    assert address.exact_text == text
    assert Address.from_text(text) == address


@pytest.mark.parametrize(
    "text", ["", "x", "0000:00:04.0.0", "1", "{}", "0:0:0:0:0", "disk vda", "{a=b=c}"]
)
def test_a_text_that_is_no_address(text: str) -> None:
    with pytest.raises(BadInput, match="is not an address"):
        Address.from_text(text)


def test_libvirts_own_spelling() -> None:
    places = Places(Domain.from_xml(domains.domain()))
    for given, spelled in {
        "{bus=0, slot=5, type=pci}": "0000:00:05.0",
        "{type=pci, bus=0x1A, slot=0X1f}": "0000:1a:1f.0",
        "{type=pci, slot=05}": None,
        "{type=pci, slot=0x5, multifunction=maybe}": None,
        "{unit=02}": "0:0:0:2",
        "{unit=-1}": None,
        "{type=usb, bus=00, port=1}": "0:1",
        "{type=usb, bus=0, port=0}": None,
        "{type=isa, iobase=0x505}": "{type=isa, iobase=0x505}",
        "{type=isa, iobase=\x00}": None,
    }.items():
        address = Address.from_ovirt(given)
        assert address
        if spelled is None:
            with pytest.raises(NotAsNeeded, match="is no address"):
                places.spelled(address)
        else:
            assert places.spelled(address).exact_text == spelled


def test_an_address_set_and_taken_out() -> None:
    """Only the direct child: the address in a source is the host's. Its children stay."""
    text = domains.domain(devices=[domains.pci("0000:81:00.1")]).replace(
        "</source></hostdev>",
        "</source><alias name='ua-1'/><address type='pci' domain='0x0000' bus='0x00' slot='0x05' "
        "function='0x0' multifunction='on'><zpci uid='0x0001'/></address></hostdev>",
    )
    domain = Domain.from_xml(text)
    (device,) = (item for item in domain.devices if item.element.tag == "hostdev")
    moved = Domain.from_xml(domain.with_addresses({device: Address.from_text("0000:00:09.0")}))
    was = "slot='0x05' function='0x0' multifunction='on'"
    assert (
        moved.canonical
        == Domain.from_xml(text.replace(was, "slot='0x09' function='0x0'")).canonical
    )
    bare = domain.without_addresses([device])
    (without,) = (item for item in bare.devices if item.element.tag == "hostdev")
    assert without.address is None
    back = bare.with_addresses({without: Address.from_text("0000:00:05.0")})
    assert [item.address for item in Domain.from_xml(back).devices if item.address] == [
        Address.from_text("0000:00:05.0")
    ]
    assert domain.text == Domain.from_xml(text).text
    with pytest.raises(ValueError, match="is not of Domain"):
        domain.with_addresses({without: Address.from_text("0000:00:05.0")})


def test_the_order_of_controllers_is_no_difference() -> None:
    text = domains.domain(machine="q35")
    first, second = (f'<controller type="pci" model="pcie-root-port" index="{n}"/>' for n in (2, 3))
    turned = text.replace(first, "X").replace(second, first).replace("X", second)
    assert turned != text
    assert Domain.from_xml(turned).canonical == Domain.from_xml(text).canonical
    other = text.replace(first, first.replace("root-port", "to-pci-bridge"))
    assert Domain.from_xml(other).canonical != Domain.from_xml(text).canonical


@pytest.fixture
def host(hypervisor: Hypervisor) -> Iterator[Host]:
    with Host(hypervisor.name, hypervisor.uri) as host:
        yield host


@pytest.mark.slow
def test_libvirt_reorders_controllers_once(hypervisor: Hypervisor, host: Host) -> None:
    """The first time that it reads its own XML of a q35 guest: that is nobody's change."""
    text = domains.domain(
        machine="q35",
        disks=[domains.disk("vda"), domains.disk("sda", "sata"), domains.disk("sdb", "scsi")],
        interfaces=[domains.interface("fa:16:3e:00:00:01", model="e1000")],
        devices=[domains.scsi_controller(), '<input type="tablet" bus="usb"/>'],
    )
    before = host.persistent(hypervisor.define(text).UUIDString())
    after = writes.redefine(host, before, before.text)
    assert [item.label for item in after.devices] != [item.label for item in before.devices]
    assert after.canonical == before.canonical
    assert writes.redefine(host, before, after.text).canonical == before.canonical
