"""Whether a guest has the bus that an address is on."""

from __future__ import annotations

from collections.abc import Iterable

from novadev.records.device import VmDevice
from novadev.virt.address import Address
from novadev.virt.address_syntax import number_of

_NUMBERS = {"pci": "bus", "usb": "bus", "virtio-serial": "controller", "ccid": "controller"}
"""Types of addresses that are kinds of controllers, and which attribute is its index."""


class Buses:
    """The controllers of a guest, known by their recorded labels: "controller pci 3"."""

    def __init__(self, devices: Iterable[VmDevice]) -> None:
        self._indexes: dict[str, set[int]] = {}
        for device in devices:
            words = device.label.split()
            if device.type == "controller" and len(words) > 2 and words[2].isdecimal():
                self._indexes.setdefault(words[1], set()).add(int(words[2]))

    def why_not(self, device: VmDevice) -> str | None:
        """Return which controller DEVICE lacks for its address, None where it is there.

        None too where no controller of the kind is recorded at all.
        """
        address = Address.from_ovirt(device.address)
        if address is None or address.values.get("domain", "0x0000") != "0x0000":
            return None
        kind = device.bus if address.type == "drive" else address.type
        index = number_of(address.values.get(_NUMBERS.get(address.type, "controller"), "0"))
        known = self._indexes.get(kind or "")
        if not known or index in known:
            return None
        return f"the instance has no controller {kind} {index}"
