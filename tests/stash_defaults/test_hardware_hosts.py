"""What libvirt and QEMU give a guest that names nothing, read from a real host."""

from collections.abc import Iterator

import pytest
from lxml import etree

from novadev.errors import NotFound
from novadev.stash_defaults.hardware import Hardware, read_hardware
from novadev.virt import writes
from novadev.virt.host import Host
from tests.domains import disk, domain
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
NIC = '<interface type="user"><mac address="fa:16:3e:00:00:01"/></interface>'
TABLET = '<input type="tablet"/>'
RNG = '<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'
FAMILIES = {"pc": "pc-i440fx-", "q35": "pc-q35-"}
QEMU_DEVICES = ("lsi", "rtl8139", "cirrus-vga", "usb-tablet", "virtio-rng-pci")


@pytest.fixture
def host(hypervisor: Hypervisor) -> Iterator[Host]:
    with Host(hypervisor.name, hypervisor.uri) as host:
        yield host


def that_names_nothing(machine: str, number: int = 1) -> str:
    """A guest with disks on SCSI; the bus of its tablet is left to libvirt too."""
    disks = [disk(f"sd{letter}", "scsi") for letter in "abcdefghi"[:number]]
    return domain(UUID, machine=machine, disks=disks, interfaces=[NIC], devices=[TABLET, RNG])


def expected(host: Host, machine: str) -> Hardware:
    os_type = host.persistent(UUID).root.find("os/type")
    assert os_type is not None
    canonical = os_type.get("machine", "")
    assert canonical.startswith(FAMILIES[machine])
    values = {
        **{"hw_machine_type": canonical, "hw_disk_bus": "scsi", "hw_scsi_model": "lsilogic"},
        **{"hw_vif_model": "rtl8139", "hw_video_model": "cirrus", "hw_rng_model": "virtio"},
        **{"hw_input_bus": "usb", "hw_pointer_model": "usbtablet"},
    }
    qemu = host.qemu_version()
    assert qemu is not None
    return Hardware(values, {}, "persistent", canonical, keyboard_would_appear=True, qemu=qemu)


def command_line(hypervisor: Hypervisor, name: str) -> str:
    """QEMU's arguments, as libvirt logs them."""
    (log,) = hypervisor.folder.glob(f"var/**/{name}.log")
    return log.read_text()


@pytest.mark.parametrize(("machine", "number"), [("pc", 1), ("q35", 1), ("pc", 9)])
def test_a_guest_that_names_nothing(
    hypervisor: Hypervisor, host: Host, machine: str, number: int
) -> None:
    defined = hypervisor.define(that_names_nothing(machine, number))
    given = expected(host, machine)
    assert read_hardware(host, UUID) == given
    hypervisor.start(UUID)
    assert read_hardware(host, UUID) == given
    log = command_line(hypervisor, defined.name())
    assert [name for name in QEMU_DEVICES if f'"driver":"{name}"' not in log] == []
    defined.undefine()
    of_transient = read_hardware(host, UUID)
    assert (of_transient.side, of_transient.values) == ("live", given.values)
    defined.destroy()
    with pytest.raises(NotFound):
        read_hardware(host, UUID)


def test_a_device_that_only_the_running_guest_has(hypervisor: Hypervisor, host: Host) -> None:
    defined = hypervisor.define(that_names_nothing("pc"))
    hypervisor.start(UUID)
    text = etree.fromstring(defined.XMLDesc(2))
    model = text.find("devices/interface/model")
    assert model is not None
    model.set("type", "e1000")
    hypervisor.connection.defineXML(etree.tostring(text).decode())
    found = read_hardware(host, UUID)
    assert found.doubts == {
        "hw_vif_model": "the running guest has rtl8139, but its persistent definition has e1000"
    }
    assert found.values == {
        name: value for name, value in expected(host, "pc").values.items() if name != "hw_vif_model"
    }


def test_a_controller_that_libvirt_leaves_behind(hypervisor: Hypervisor, host: Host) -> None:
    disks = [disk("vda"), disk("sda", "scsi")]
    hypervisor.define(domain(UUID, disks=disks))
    two_buses = read_hardware(host, UUID)
    assert two_buses.values["hw_scsi_model"] == "lsilogic"
    assert two_buses.doubts == {"hw_disk_bus": "disks have scsi and virtio"}
    assert read_hardware(host, UUID, "/dev/vda").values["hw_disk_bus"] == "virtio"
    scsi_disk = host.persistent(UUID).device("disk sda")
    writes.detach_xml(host, UUID, scsi_disk, writes.Affect.PERSISTENT)
    assert read_hardware(host, UUID).doubts == {
        "hw_scsi_model": "no disk uses the SCSI controller lsilogic, which libvirt may have added"
    }
