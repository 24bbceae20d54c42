"""The places of a definition: where libvirt and QEMU would take a device that it has.

libvirt refuses some addresses, makes others true by adding controllers, and takes some that QEMU
then dies of. Here only what its controllers already give is a place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from novadev.errors import NotAsNeeded
from novadev.virt.address import ZPCI, Address
from novadev.virt.device import Device
from novadev.virt.devices import Controller
from novadev.virt.domain import Domain
from novadev.virt.pci import PciBuses

_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,4}|0|[1-9][0-9]{0,4}")
_DECIMAL = re.compile(r"[0-9]{1,5}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,8}")
_PLAIN = re.compile(r"[A-Za-z0-9.-]+")
_PORT = re.compile(r"[1-9][0-9]{0,2}(\.[1-9][0-9]{0,2}){0,3}")
_SPELLINGS: Mapping[str, Mapping[str, re.Pattern[str]]] = {
    "pci": dict.fromkeys(("domain", "bus", "slot", "function"), _NUMBER)
    | {"multifunction": re.compile("on|off"), **dict.fromkeys(ZPCI, _HEXADECIMAL)},
    "drive": dict.fromkeys(("controller", "bus", "target", "unit"), _DECIMAL),
    "virtio-serial": dict.fromkeys(("controller", "bus", "port"), _DECIMAL),
    "usb": {"bus": _DECIMAL, "port": _PORT},
}
"""The attributes of an address; of other types than these any are taken that are plain."""
_OPTIONAL = {"multifunction", *ZPCI}
_HUB_PORTS = 8
"""``VIR_DOMAIN_USB_HUB_PORTS``."""
_USB_PORTS: Mapping[str, int] = {
    **dict.fromkeys(("piix3-uhci", "piix4-uhci", "vt82c686b-uhci"), 2),
    **dict.fromkeys(("ehci", "ich9-ehci1"), 6),
    **dict.fromkeys(("nec-xhci", "qemu-xhci"), 4),
    "pci-ohci": 3,
}
"""``virDomainUSBAddressControllerModelToPorts``; the companions of ich9-ehci1 have none."""
_VIRTIO_SERIAL_PORTS = 31
"""``VIR_DOMAIN_DEFAULT_VIRTIO_SERIAL_PORTS``."""


class _Units(NamedTuple):
    """How many buses a controller of drives has, targets a bus, and units a target."""

    buses: int
    targets: int
    units: int


_UNITS: Mapping[str, _Units] = {
    "ide": _Units(2, 1, 2),
    "sata": _Units(1, 1, 6),
    "fdc": _Units(1, 1, 2),
    "virtio-scsi": _Units(1, 256, 16384),
    "lsilogic": _Units(1, 1, 7),
}
_OTHER_SCSI = _Units(1, 8, 7)
"""libvirt gives disks seven units of the first target, whatever the model."""
_SCSI = "lsilogic"
"""What libvirt takes where no model is named and QEMU has it: it has the fewest places
(``qemuDomainGetSCSIControllerModel``)."""


class Places:
    """The places that the controllers of one definition give."""

    def __init__(self, domain: Domain) -> None:
        self.pci = PciBuses(domain)
        self._controllers: dict[tuple[str, str], list[Controller]] = {}
        for item in domain.of_class(Controller):
            self._controllers.setdefault((item.kind or "", item.index or ""), []).append(item)

    def spelled(self, address: Address) -> Address:
        """Return ADDRESS as libvirt would write it; raises NotAsNeeded for what is no place."""
        wanted = _SPELLINGS.get(address.type) or dict.fromkeys(address.values, _PLAIN)
        values = {**dict.fromkeys(set(wanted) - _OPTIONAL, "0"), **address.values}
        for name, value in values.items():
            if name not in wanted or not wanted[name].fullmatch(value):
                raise NotAsNeeded(f"{address.ovirt_text:.200} is no address")
        plain = {name: str(int(values[name])) for name in values if wanted[name] is _DECIMAL}
        return Address.of({**values, **plain}, address.type)

    def place(self, device: Device, address: Address) -> Hashable:
        """Return what two devices cannot both have: ADDRESS as DEVICE has it."""
        parts = [item for item in address.attributes if item[0] not in _OPTIONAL]
        return address.type, _drive_kind(device) if address.type == "drive" else None, *parts

    def why_not(
        self, device: Device, address: Address, layout: Mapping[Device, Address]
    ) -> str | None:
        """Return why DEVICE, wherever it is now, cannot be at ADDRESS; None if it can.

        LAYOUT is where all devices would be. Whether another one is at ADDRESS is not looked at.
        """
        if not address.is_place:
            return None
        if address.type == "pci":
            return self.pci.why_not(device, address)
        check = self._CHECKS.get(address.type)
        return check(self, device, address.values, layout) if check else None

    def alike(self, device: Device, address: Address) -> Iterator[Address]:
        """Yield places like ADDRESS, where DEVICE is: on its controller, or on such a PCI bus.

        Of a drive they are those of the first target. Whether DEVICE can be there, and whether
        another device is there, is not looked at.
        """
        values = address.values
        if address.type == "pci":
            yield from self.pci.slots_alike(address)
        elif address.type == "drive":
            yield from self._units_alike(device, values.get("controller", "0"))
        elif address.type == "virtio-serial":
            for port in range(_VIRTIO_SERIAL_PORTS):
                yield Address.of({**values, "port": str(port)}, address.type)
        elif address.type == "usb":
            for port in range(1, 1 + self._ports_of_bus(values.get("bus", "0"))):
                yield Address.of({**values, "port": str(port)}, address.type)

    def _units_alike(self, device: Device, index: str) -> Iterator[Address]:
        kind = _drive_kind(device)
        for controller in self._controllers.get((kind, index), ())[:1]:
            buses, _targets, units = _units_of(kind, controller)
            for bus, unit in product(range(buses), range(units)):
                values = {"controller": index, "bus": str(bus), "target": "0", "unit": str(unit)}
                yield Address.of(values, "drive")

    def _ports_of_bus(self, bus: str) -> int:
        """Return how many ports the controllers of a USB BUS have themselves."""
        return max(map(_usb_ports, self._controllers.get(("usb", bus), ())), default=0)

    def _why_not_drive(
        self, device: Device, values: Mapping[str, str], _: Mapping[Device, Address]
    ) -> str | None:
        kind, index = _drive_kind(device), values["controller"]
        found = self._controllers.get((kind, index))
        if found is None:
            return _missing(kind, index)
        numbers = (int(values[name]) for name in ("bus", "target", "unit"))
        most = _units_of(kind, found[0])
        if all(number < limit for number, limit in zip(numbers, most, strict=True)):
            return None
        return f"{kind} controller {index} has no such unit"

    def _why_not_serial(
        self, device: Device, values: Mapping[str, str], _: Mapping[Device, Address]
    ) -> str | None:
        index, port = values["controller"], int(values["port"])
        found = self._controllers.get(("virtio-serial", index))
        if found is None:
            return _missing("virtio-serial", index)
        first = 0 if device.element.tag == "console" else 1
        ports = int(found[0].element.get("ports") or _VIRTIO_SERIAL_PORTS)
        if values["bus"] == "0" and first <= port < ports:
            return None
        return f"virtio-serial controller {index} has no such port"

    def _why_not_usb(
        self, _: Device, values: Mapping[str, str], layout: Mapping[Device, Address]
    ) -> str | None:
        bus = values["bus"]
        found = self._controllers.get(("usb", bus))
        if found is None:
            return _missing("usb", bus)
        hub, _dot, port = values["port"].rpartition(".")
        ports = self._ports_of_bus(bus)
        if hub:
            ports = _HUB_PORTS if _is_hub(layout, bus, hub) else 0
        return None if int(port) <= ports else f"USB bus {bus} has no such port"

    _CHECKS: Mapping[str, Callable[..., str | None]] = {
        "drive": _why_not_drive,
        "virtio-serial": _why_not_serial,
        "usb": _why_not_usb,
    }


def _drive_kind(device: Device) -> str:
    """Return the type of controller that a drive is at: of a disk its bus, of a LUN SCSI."""
    return "scsi" if device.element.tag == "hostdev" else device.bus or ""


def _units_of(kind: str, controller: Controller) -> _Units:
    return _UNITS.get(kind) or _UNITS.get(controller.model or _SCSI, _OTHER_SCSI)


def _missing(kind: str, index: str) -> str:
    return f"there is no {kind} controller {index} in the definition"


def _usb_ports(controller: Controller) -> int:
    own = controller.element.get("ports", "")
    return int(own) if own.isdecimal() else usb_ports(controller.model)


def usb_ports(model: str | None) -> int:
    """Return how many ports a USB controller of MODEL has; none where that is not known."""
    return _USB_PORTS.get(model or "", 0)


def _is_hub(layout: Mapping[Device, Address], bus: str, port: str) -> bool:
    wanted = Address.of({"bus": bus, "port": port}, "usb")
    return any(
        device.element.tag == "hub" and address == wanted for device, address in layout.items()
    )
