"""What single devices need of a host beside their kind, their bus and their model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from novadev.capabilities.unlisted import OTHER, Setting
from novadev.rules.machine_types import X86
from novadev.virt.address_types import address_types
from novadev.virt.device import Device
from novadev.virt.domain import Domain

if TYPE_CHECKING:
    from lxml import etree

_HAVE_HEADS = ("qxl", "virtio")
_LONGEST_VNC_PASSWORD = 8
ISA_PORTS = 4
"""The serial ports that QEMU's isa-serial has an address for (``hw/char/serial-isa.c``)."""
_OF_EVERY_ARCHITECTURE = ("ccid", "dimm", "drive", "isa", "pci", "usb", "virtio-serial")
"""Types of address that are not of some architectures alone."""
_PLAIN_HOLE = 32 * 1024**2
"""KiB: q35 of itself leaves this much room for the 64-bit memory of PCI devices (``hw/i386``)."""
_UNITS = {"KiB": 1, "MiB": 1024, "GiB": 1024**2}


def of_device(element: etree._Element) -> Iterator[Setting]:
    """Yield the settings of a device that a judge knows."""
    read = _READERS.get(str(element.tag))
    if read:
        yield from read(element)


def of_address(device: Device) -> Iterator[Setting]:
    """Yield the type of the device's address if not every host can have it there."""
    address, target = device.element.find("address"), device.element.find("target")
    kind = None if address is None else address.get("type")
    if kind is None or device.element.tag == "hostdev":
        return
    target_type = None if target is None else target.get("type")
    possible = address_types(device.type, device.device, device.model, device.bus, target_type)
    subject = f"{device.label} address type={kind}"
    if possible is not None and kind not in possible:
        yield Setting(subject, OTHER)
    elif kind not in _OF_EVERY_ARCHITECTURE:
        yield Setting(subject, "address type", kind)


def serial_ports(domain: Domain) -> Iterator[Setting]:
    """Yield the ports of isa-serial that are not among the first four.

    libvirt numbers those that name no port in their order.
    """
    is_x86 = domain.os_type("arch") in X86
    for number, serial in enumerate(domain.root.iterfind("devices/serial")):
        target = serial.find("target")
        kind, port = (None, None) if target is None else (target.get("type"), target.get("port"))
        port = str(number) if port is None else port
        is_isa = kind == "isa-serial" or (kind is None and is_x86)
        if is_isa and not (port.isdecimal() and int(port) < ISA_PORTS):
            yield Setting(f"serial port {port}", "isa serial port", kind or "")


def extended_interrupts(element: etree._Element) -> str:
    """Return "eim" where an IOMMU has that mode, "none" where it cannot have it, else nothing.

    ELEMENT is any child of the domain.
    """
    found = element.find("../devices/iommu")
    driver = None if found is None else found.find("driver")
    mode = None if driver is None else driver.get("eim")
    if mode == "on":
        return "eim"
    return "none" if found is not None and (mode or found.get("model") != "intel") else ""


def _iommu(element: etree._Element) -> Iterator[Setting]:
    """Yield that interrupts are remapped while QEMU does not have the I/O APIC."""
    driver, apic = element.find("driver"), element.find("../../features/ioapic")
    owner = "" if apic is None else apic.get("driver", "")
    if driver is not None and driver.get("intremap") == "on" and owner != "qemu":
        yield Setting("iommu intremap=on without ioapic driver=qemu", "own ioapic", owner)


def _controller(element: etree._Element) -> Iterator[Setting]:
    """Yield a window for PCI devices that may end beyond what a processor can address."""
    for hole in element.iterfind("pcihole64"):
        size, unit = (hole.text or "").strip(), hole.get("unit", "KiB")
        if not (size.isdecimal() and int(size) * _UNITS.get(unit, 1024**4) <= _PLAIN_HOLE):
            yield Setting(f"pcihole64 of {size} {unit}", OTHER)


def _memballoon(element: etree._Element) -> Iterator[Setting]:
    reporting = element.get("freePageReporting")
    if reporting is not None:
        subject = f"memballoon freePageReporting={reporting}"
        yield Setting(subject, "free page reporting", reporting)


def _sound(element: etree._Element) -> Iterator[Setting]:
    """Yield audio that is not there; libvirt adds number 1 where there is none at all."""
    there = {item.get("id") for item in element.iterfind("../audio")} or {"1"}
    for audio in element.iterfind("audio"):
        if audio.get("id") not in there:
            yield Setting(f"sound with audio {audio.get('id')}", "missing audio")


def _disk(element: etree._Element) -> Iterator[Setting]:
    driver = element.find("driver[@copy_on_read='on']")
    if driver is not None and element.find("readonly") is not None:
        yield Setting("read-only disk with copy_on_read", OTHER)
    for source in element.iter("source"):
        over = "nvme" if source.get("type") == "pci" else source.get("protocol")
        if over:
            yield Setting(f"disk over {over}", "block driver", over)


def _tpm(element: etree._Element) -> Iterator[Setting]:
    backend = element.find("backend[@version]")
    if backend is not None:
        version = backend.get("version", "")
        yield Setting(f"TPM {version}", "tpm version", f"{version} {element.get('model', '')}")


def _video(element: etree._Element) -> Iterator[Setting]:
    """Yield the number of heads where the model has just one."""
    for model in element.iterfind("model[@heads]"):
        kind, heads = model.get("type", ""), model.get("heads", "")
        if kind not in _HAVE_HEADS and heads != "1":
            yield Setting(f"video {kind} with {heads} heads", "video heads", heads)


def _graphics(element: etree._Element) -> Iterator[Setting]:
    """Yield what a console asks for; with ``autoport`` the other host chooses its ports anew."""
    if element.get("type") == "vnc":
        length = len(element.get("passwd", "").encode())
        if length > _LONGEST_VNC_PASSWORD:
            yield Setting(f"VNC password of {length} characters", "vnc password", str(length))
    has_own_ports = element.get("type") == "spice" and element.get("autoport") != "yes"
    if has_own_ports and element.get("tlsPort", "0") != "0":
        yield Setting("SPICE with a TLS port", "spice tls")


_READERS: Mapping[str, Callable[[etree._Element], Iterator[Setting]]] = {
    "controller": _controller,
    "iommu": _iommu,
    "disk": _disk,
    "graphics": _graphics,
    "memballoon": _memballoon,
    "sound": _sound,
    "tpm": _tpm,
    "video": _video,
}
