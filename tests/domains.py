"""Builders of the XML that Nova writes for a guest: devices, and domains made of them.

>>> domain(disks=[disk("vda"), disk("vdb", serial=VOLUME)], interfaces=[interface(MAC, port=PORT)])

Every builder returns text, so that a device can be attached just as well. Image files lie where
Nova has them, under /var/lib/nova: a simulated host (`tests.hypervisor`) makes them when the domain
is defined, and a guest of these devices really starts there, but for block and network disks and
host devices. On a host of an ordinary user only interfaces of the kind "user" start.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from lxml import etree

NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
IMAGES = "/var/lib/nova/instances"
VOLUMES = "/var/lib/nova/mnt"
PCIE_PORTS = 12

Element = etree._Element


def samples() -> list[Path]:
    """The sample domains, each with a comment on top that says what it shows."""
    return sorted(Path(__file__).with_name("samples").glob("*.xml"))


def domain(
    uuid: str | None = None,
    *,
    name: str | None = None,
    machine: str = "pc",
    disks: Iterable[str] = (),
    interfaces: Iterable[str] = (),
    devices: Iterable[str] = (),
    metadata: bool = True,
    ports: Sequence[str] | None = None,
    graphics_password: str | None = None,
) -> str:
    """A domain under software emulation.

    `devices` are devices of any other kind. The metadata name `ports`; without them, those that the
    interfaces name themselves.
    """
    uuid = uuid or str(uuid4())
    name = name or f"instance-{uuid[:8]}"
    inside = [_disk_with_source(text, uuid) for text in disks]
    inside += [etree.fromstring(text) for text in (*interfaces, *devices)]
    element = _e("domain", _e("name", name), _e("uuid", uuid), type="qemu")
    if metadata:
        named = [str(part.get("interfaceid")) for part in _parameters(inside)]
        element.append(_e("metadata", _nova_instance(name, named if ports is None else ports)))
    element.append(_e("memory", "64", unit="MiB"))
    if any(part.tag == "filesystem" for part in inside):
        backing = (_e("source", type="memfd"), _e("access", mode="shared"))
        element.append(_e("memoryBacking", *backing))
    element.extend((_e("vcpu", "1"), _os(machine)))
    element.append(_e("features", _e("acpi"), _e("apic")))
    element.append(_e("devices", *_controllers(machine), *inside, _graphics(graphics_password)))
    return text(element)


def disk(
    target: str = "vda",
    bus: str = "virtio",
    *,
    serial: str | None = None,
    alias: str | None = None,
    source: str | None = None,
    kind: str = "file",
    device: str = "disk",
    shareable: bool = False,
) -> str:
    """A disk: a volume in a file if it has a serial, else a local disk of the instance.

    `kind` is the type of the source: "file", "block" or "network" (an RBD image); for "network" a
    source is "pool/image".
    """
    if source is None and serial is not None:
        source = f"{VOLUMES}/volume-{serial}" if kind == "file" else f"volumes/volume-{serial}"
    element = _e(
        "disk", _e("driver", name="qemu", type="raw", cache="none"), type=kind, device=device
    )
    if source is not None:
        element.append(_source(kind, source))
    element.append(_e("target", dev=target, bus=bus))
    if device == "cdrom":
        element.append(_e("readonly"))
    if shareable:
        element.append(_e("shareable"))
    if serial is not None:
        element.append(_e("serial", serial))
    return text(_aliased(element, alias))


def interface(
    mac: str,
    *,
    port: str | None = None,
    kind: str = "ovs",
    model: str = "virtio",
    alias: str | None = None,
) -> str:
    """A network interface: "ovs" names its port, "bridge" and "ethernet" only by the tap's name.

    "user" names no port at all, and starts everywhere.
    """
    port = port or str(uuid4())
    element = _e("interface", _e("mac", address=mac), type="bridge" if kind == "ovs" else kind)
    if kind in ("ovs", "bridge"):
        element.append(_e("source", bridge="br-int"))
    if kind == "ovs":
        parameters = _e("parameters", interfaceid=port)
        element.append(_e("virtualport", parameters, type="openvswitch"))
    if kind != "user":
        element.append(_e("target", dev=f"tap{port[:11]}"))
    element.append(_e("model", type=model))
    return text(_aliased(element, alias))


def pci(address: str, *, alias: str | None = None) -> str:
    """A PCI device of the host, as "0000:81:00.1", given to the guest."""
    element = _e("hostdev", _e("driver", name="vfio"), mode="subsystem", type="pci", managed="yes")
    element.append(_e("source", _pci_address(address)))
    return text(_aliased(element, alias))


def sriov(mac: str, address: str, *, alias: str | None = None) -> str:
    """A virtual function at a PCI address, as a network interface of the type hostdev."""
    element = _e("interface", _e("mac", address=mac), type="hostdev", managed="yes")
    element.append(_e("source", _pci_address(address)))
    element.append(_e("vlan", _e("tag", id="100")))
    return text(_aliased(element, alias))


def mdev(uuid: str, *, alias: str | None = None) -> str:
    """A mediated device, such as a virtual GPU."""
    element = _e("hostdev", mode="subsystem", type="mdev", model="vfio-pci")
    element.append(_e("source", _e("address", uuid=uuid)))
    return text(_aliased(element, alias))


def share(share_id: str, *, alias: str | None = None) -> str:
    """A Manila share as virtiofs; a domain with one has shared memory, as libvirt demands."""
    element = _e("filesystem", _e("driver", type="virtiofs"), type="mount")
    element.extend((_e("source", dir=f"{VOLUMES}/{share_id}"), _e("target", dir=share_id)))
    return text(_aliased(element, alias))


def scsi_controller(model: str = "virtio-scsi") -> str:
    """The controller of the guest's SCSI disks."""
    return text(_e("controller", type="scsi", index="0", model=model))


def text(element: Element) -> str:
    """An element as text."""
    return etree.tostring(element, encoding="unicode")


def _e(tag: str, /, *inside: Element | str, **attributes: str) -> Element:
    """An element; a tag with the prefix "nova:" is of Nova's namespace."""
    local = tag.removeprefix("nova:")
    made = (
        etree.Element(local, attributes)
        if local == tag
        else etree.Element(f"{{{NOVA}}}{local}", attributes, nsmap={"nova": NOVA})
    )
    for part in inside:
        if isinstance(part, str):
            made.text = part
        else:
            made.append(part)
    return made


def _parameters(devices: Iterable[Element]) -> Iterator[Element]:
    """What Open vSwitch is told of the interfaces among the devices."""
    for device in devices:
        yield from device.iterfind("virtualport/parameters")


def _aliased(element: Element, alias: str | None) -> Element:
    if alias is not None:
        element.append(_e("alias", name=alias))
    return element


def _disk_with_source(disk_text: str, uuid: str) -> Element:
    element = etree.fromstring(disk_text)
    if element.find("source") is None:
        target = element.find("target")
        assert target is not None
        element.insert(1, _source("file", f"{IMAGES}/{uuid}/{target.get('dev')}"))
    return element


def _source(kind: str, source: str) -> Element:
    if kind == "network":
        return _e("source", _e("host", name="192.0.2.10", port="6789"), protocol="rbd", name=source)
    return _e("source", **{"dev" if kind == "block" else "file": source})


def _pci_address(address: str) -> Element:
    domain_part, bus, rest = address.split(":")
    slot, function = rest.split(".")
    parts = {"domain": domain_part, "bus": bus, "slot": slot, "function": function}
    return _e("address", **{name: f"0x{value}" for name, value in parts.items()}, type="pci")


def _nova_instance(name: str, ports: Sequence[str]) -> Element:
    element = _e("nova:instance", _e("nova:package", version="32.0.0"), _e("nova:name", name))
    element.append(_e("nova:creationTime", "2026-01-15 10:00:00"))
    element.append(
        _e(
            "nova:flavor",
            _e("nova:memory", "64"),
            _e("nova:disk", "1"),
            _e("nova:vcpus", "1"),
            name="m1.tiny",
        )
    )
    element.append(_e("nova:ports", *(_e("nova:port", uuid=port) for port in ports)))
    return element


def _os(machine: str) -> Element:
    return _e("os", _e("type", "hvm", arch="x86_64", machine=machine), _e("boot", dev="hd"))


def _controllers(machine: str) -> list[Element]:
    """Nova adds root ports for hot-plugging, as configured by num_pcie_ports."""
    if "q35" not in machine:
        return []
    root = _e("controller", type="pci", index="0", model="pcie-root")
    port = {"type": "pci", "model": "pcie-root-port"}
    return [root, *(_e("controller", **port, index=str(index + 1)) for index in range(PCIE_PORTS))]


def _graphics(password: str | None) -> Element:
    element = _e("graphics", type="vnc", port="-1", autoport="yes", listen="127.0.0.1")
    if password is not None:
        element.set("passwd", password)
    return element
