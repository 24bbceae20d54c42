"""The PCI buses of a definition: where on them a device can be.

What ``virDomainPCIAddressBusSetModel`` and ``qemu_domain_address.c`` of libvirt allow an address
that is given, less what libvirt would make up for it: a bus that is not there, it adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from novadev.virt.address import Address
from novadev.virt.device import Device
from novadev.virt.devices import Controller
from novadev.virt.domain import Domain

Slot = tuple[int, int]
"""A bus, and a slot on it."""
_ONE = range(1)
_BUT_THE_FIRST = range(1, 32)
SLOTS: Mapping[str, range] = {
    "pci-root": _BUT_THE_FIRST,
    "pci-bridge": _BUT_THE_FIRST,
    "dmi-to-pci-bridge": _BUT_THE_FIRST,
    "pcie-root": _BUT_THE_FIRST,
    "pcie-to-pci-bridge": _BUT_THE_FIRST,
    "pcie-root-port": _ONE,
    "pcie-switch-downstream-port": _ONE,
}
"""The slots for devices that each model of bus has."""
_CONVENTIONAL = ("pci-root", "pci-bridge", "dmi-to-pci-bridge", "pcie-to-pci-bridge")
_UPSTREAM: Mapping[str, tuple[str, ...]] = {
    "pcie-root-port": ("pcie-root",),
    "dmi-to-pci-bridge": ("pcie-root",),
    "pcie-to-pci-bridge": ("pcie-root-port", "pcie-switch-downstream-port"),
    "pci-bridge": _CONVENTIONAL,
}
"""The models of bus that each model of bridge or port can be on
(``virDomainPCIControllerModelToConnectType``)."""
_X86 = ("x86_64", "i686")
_PIIX3, _ICH9 = (0, 0x01), (0, 0x1F)
"""Where the chipset of i440fx has its IDE and USB, and that of q35 its SATA controller."""


class PciBuses:
    """The buses that the PCI controllers of a definition are."""

    def __init__(self, domain: Domain) -> None:
        self._models = {
            int(controller.index): controller.model or ""
            for controller in domain.of_class(Controller)
            if controller.kind == "pci" and controller.index and controller.index.isdecimal()
        }
        self._chipset = _chipset(domain, self.root_model)

    @property
    def root_model(self) -> str | None:
        """The model of bus 0: ``pci-root``, ``pcie-root``; None where there is none."""
        return self._models.get(0)

    def is_chipset(self, address: Address) -> bool:
        """Whether it is in the slot of the chipset, some functions of which no definition tells."""
        return slot_of(address) == self._chipset

    def slots_alike(self, address: Address) -> Iterator[Address]:
        """Yield the first function of each slot on buses of the model of that of ADDRESS.

        Those of its own bus come first.
        """
        own = slot_of(address)[0]
        model = self._models.get(own, "")
        buses = [bus for bus, other in sorted(self._models.items()) if other == model]
        for bus in sorted(buses, key=lambda bus: bus != own):
            for slot in SLOTS.get(model, range(0)):
                values = {"bus": hex(bus), "slot": hex(slot), "domain": "0", "function": "0"}
                yield Address.of(values, "pci").with_zpci_of(address)

    def why_not(self, device: Device, address: Address) -> str | None:
        """Return why DEVICE, wherever it is now, cannot be at ADDRESS; None if it can."""
        if _part(address, "domain") != 0:
            return "there is only PCI domain 0"
        bus, slot = slot_of(address)
        if bus not in self._models:
            return f"there is no PCI bus {bus}: the definition has no such controller"
        slots = SLOTS.get(self._models[bus], range(0))
        if slot not in slots or not 0 <= _part(address, "function") < 8:
            return f"PCI bus {bus} ({self._models[bus]}) has no such slot"
        if any(place and self.is_chipset(place) for place in (address, device.address)):
            return "the chipset has its own devices there"
        if self._is_of_chipset(device):
            return "it is a part of the chipset, which has its own place"
        if isinstance(device, Controller) and device.kind == "pci":
            return self._why_not_bridge(device, bus)
        return None

    def _is_of_chipset(self, device: Device) -> bool:
        """Whether DEVICE is a function of the chipset, where it may have no address yet.

        ``qemuDomainValidateDevicePCISlotsPIIX3`` and ``...Q35`` know no other place for these.
        """
        if not isinstance(device, Controller) or device.index != "0":
            return False
        if self._chipset == _PIIX3:
            is_usb = device.kind == "usb" and device.model in (None, "piix3-uhci")
            return is_usb or device.kind == "ide"
        return self._chipset == _ICH9 and device.kind == "sata"

    def _why_not_bridge(self, controller: Controller, bus: int) -> str | None:
        """Return why a bridge or port cannot be on BUS: only on one like that it is on now.

        One that is nowhere yet can be on any that its model can be on.
        """
        if controller.address is None:
            likely: tuple[str | None, ...] = _UPSTREAM.get(controller.model or "", ())
        else:
            likely = (self._models.get(slot_of(controller.address)[0]),)
        if self._models[bus] not in likely or not bus < int(controller.index or 0):
            return f"a {controller.model} cannot be on PCI bus {bus} ({self._models[bus]})"
        return None


def slot_of(address: Address) -> Slot:
    """Return the bus and the slot of a PCI address."""
    return _part(address, "bus"), _part(address, "slot")


def function_of(address: Address) -> int:
    """Return the function of a PCI address."""
    return _part(address, "function")


def _part(address: Address, name: str) -> int:
    return int(address.values.get(name, "0"), 0)


def _chipset(domain: Domain, root_model: str | None) -> Slot | None:
    """Return the slot of the chipset (``qemuDomainValidateDevicePCISlotsChipsets``)."""
    if domain.os_type("arch") not in _X86:
        return None
    if root_model == "pci-root":
        return _PIIX3
    return _ICH9 if "q35" in (domain.os_type("machine") or "") else None
