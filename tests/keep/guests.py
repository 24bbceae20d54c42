"""Guests as Nova writes them, what libvirt makes of them, and what is recorded of that."""

from random import Random

from lxml import etree

from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import take_inventory
from novadev.keep.definition import Record
from novadev.records.addresses import why_not_typed
from novadev.records.on_host import seen_devices
from novadev.records.recognition import identified
from novadev.records.restore_layout import target_type
from novadev.virt.domain import Definitions, Domain
from novadev.virt.xml import canonical, serialise

LOSABLE = ("interface", "disk", "rng", "watchdog", "sound", "input", "channel", "hostdev")


def inventory_of(domain: Domain):  # type: ignore[no-untyped-def]
    definitions = Definitions(domain.uuid, domain.name, domain, None, False, ())
    return take_inventory(HostedInstance(domain.uuid, "", "cmp1"), definitions)


def record_of(text: str, before: Record | None = None) -> Record:
    """What is recorded of the guest that libvirt has with this definition."""
    seen = seen_devices(inventory_of(Domain.from_xml(text)), ())
    known = before.devices if before else ()
    return Record(identified([*seen.devices.values()], known, seen.owners))


def without(text: str, random: Random, share: float) -> str:
    """The definition without some of what may come and go, as Nova writes it later."""
    root = etree.fromstring(text)
    devices = root.find("devices")
    assert devices is not None
    for device in list(devices):
        if device.tag in LOSABLE and random.random() < share:
            devices.remove(device)
    return serialise(root)


def with_more(text: str, random: Random) -> str:
    """The definition with a few devices that nobody has recorded, among the others of their tag."""
    root = etree.fromstring(text)
    devices = root.find("devices")
    assert devices is not None
    for number in range(random.choice((0, 1, 2))):
        made = etree.fromstring(random.choice(_NEW).format(number, "yz"[number]))
        before = devices.find(made.tag)
        if before is not None and random.random() < 0.6:
            before.addprevious(made)
        else:
            devices.append(made)
    return serialise(root)


_NEW = (
    "<interface type='ethernet'><mac address='fa:16:3e:99:99:0{0}'/><model type='virtio'/>"
    "<target dev='tap9{0}'/></interface>",
    "<interface type='ethernet'><mac address='fa:16:3e:99:99:1{0}'/><model type='e1000'/>"
    "<target dev='tap8{0}'/></interface>",
    "<disk type='file' device='disk'><source file='/var/lib/nova/instances/new{0}'/>"
    "<target dev='vd{1}' bus='virtio'/><serial>new-{0}</serial></disk>",
    "<disk type='file' device='disk'><source file='/var/lib/nova/instances/new{0}'/>"
    "<target dev='sd{1}' bus='scsi'/><serial>new-scsi-{0}</serial></disk>",
    "<disk type='file' device='disk'><source file='/var/lib/nova/instances/new{0}'/>"
    "<target dev='sd{1}' bus='sata'/><serial>new-sata-{0}</serial></disk>",
    "<channel type='pty'><target type='virtio' name='new.{0}'/></channel>",
    "<sound model='ich6'/>",
    "<input type='keyboard' bus='virtio'/>",
)


def unfit(text: str) -> list[str]:
    """Why devices that libvirt has placed cannot be where they are, by the table of types."""
    whys = (
        device.address and why_not_typed(device, device.address, target_type(device))
        for device in Domain.from_xml(text).devices
    )
    return [why for why in whys if why]


def places_of(text: str) -> dict[str, str]:
    """The address of every device by its recorded id."""
    return {row.device_id: row.address for row in record_of(text).devices if row.address}


def as_nova(text: str) -> str:
    """The definition with what Nova always writes: a USB controller and a memory balloon."""
    root = etree.fromstring(text)
    devices = root.find("devices")
    assert devices is not None
    if devices.find("controller[@type='usb']") is None:
        etree.SubElement(devices, "controller", type="usb", index="0")
    if devices.find("memballoon") is None:
        etree.SubElement(devices, "memballoon", model="virtio")
    return serialise(root)


def bare(text: str) -> str:
    """The definition as Nova would write it: without addresses, and its ports without index."""
    root = etree.fromstring(text)
    for device in list(root.iterfind("devices/*")):
        address = device.find("address")
        if address is not None:
            device.remove(address)
        if device.get("type") == "pci" and device.tag == "controller":
            if device.get("model") in ("pcie-root-port", "pcie-root"):
                del device.attrib["index"]
            else:
                device.getparent().remove(device)
    return serialise(root)


def essence(text: str) -> bytes:
    """What may not differ from Nova's: all but addresses, aliases and PCI controllers."""
    root = etree.fromstring(text)
    for device in list(root.iterfind("devices/*")):
        for part in (*device.iterfind("address"), *device.iterfind("alias")):
            device.remove(part)
        kind = (device.tag, device.get("type"))
        if kind in (("controller", "pci"), ("controller", "virtio-serial"), ("controller", "scsi")):
            device.getparent().remove(device)
    for element in root.iter("*"):
        element.text, element.tail = (element.text or "").strip(), None
    return canonical(serialise(root))
