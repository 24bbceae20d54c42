"""Whether a recorded device can have an address, and which addresses conflict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from novadev.records.device import Pins, VmDevice, is_built_otherwise, root_model
from novadev.virt.address import Address
from novadev.virt.address_syntax import normal_text, number_of
from novadev.virt.address_types import address_types
from novadev.virt.device import Device

_NO_PLACES = ("isa", "unassigned", "virtio-mmio", "virtio-s390")
_NUMBERS = {"pci": "bus", "usb": "bus", "virtio-serial": "controller", "ccid": "controller"}
"""Types of addresses that are kinds of controllers, and which attribute is its index."""


def place_of(device: VmDevice) -> tuple[str, str, str] | None:
    """Return what no two devices of a guest can share: the place that the address names.

    None of a device without an address, of an ISA device, whose ports are libvirt's choice, and of
    one whose address says no more than its type; nor is a USB address without a port a place. Nor
    has a device a place that cannot be at its address: it was pinned there, and is on another bus
    since.
    """
    address = Address.from_ovirt(normal_text(device.address))
    if why_unfit(replace(device, address=""), device.address):
        return None
    if address is None or not address.is_place or address.type in _NO_PLACES:
        return None
    bus = (device.bus or "") if address.type == "drive" else ""
    return address.type, bus, address.text


def why_unfit(device: VmDevice, text: str) -> str | None:
    """Return why the recorded DEVICE cannot be at the address TEXT, None where it can."""
    address, now = Address.from_ovirt(text), Address.from_ovirt(device.address)
    if address is None:
        return None
    if now is not None and now.type != address.type:
        return f"it is at a {now.type} address, {now}"
    target = device.spec_params.get("target_type")
    return why_not_typed(device, address, None if target is None else str(target))


def why_not_typed(
    device: VmDevice | Device, address: Address, target_type: str | None = None
) -> str | None:
    """Return why DEVICE, with that type of target, cannot have an ADDRESS of its type, or None."""
    possible = address_types(device.type, device.device, device.model, device.bus, target_type)
    if possible is None or address.type in possible:
        return None
    if device.type in ("disk", "input"):
        named = f"device of bus {device.bus}"
    elif device.model:
        named = f"{device.type} of model {device.model}"
    else:
        named = f"device of type {device.type}"
    return f"a {named} cannot have an address of type {address.type}"


def outdated_pins(
    recorded: Iterable[VmDevice], found: Iterable[VmDevice], pins: Pins
) -> frozenset[str]:
    """Return which devices of a guest cannot be at their PINS any more: only to unpin helps.

    That is a device FOUND whose address is of another type, or whose bus or model is another one
    than RECORDED, and every device on PCI, there or not, where the machine has another kind of bus
    0.
    """
    rows, now = {row.device_id: row for row in recorded}, list(found)
    then, root = root_model(rows.values()), root_model(now)
    is_other = None not in (then, root) and then != root

    def is_outdated(device: VmDevice, pin: str) -> bool:
        if normal_text(pin) == normal_text(device.address):
            return False
        row = rows.get(device.device_id)
        is_built = row is not None and is_built_otherwise(row, device)
        return is_built or (is_other and "type=pci" in pin) or why_unfit(device, pin) is not None

    pinned = ((item, pins[item.device_id]) for item in now if item.device_id in pins)
    outdated = {item.device_id for item, pin in pinned if is_outdated(item, pin)}
    gone = pins.keys() - {item.device_id for item in now} if is_other else ()
    return frozenset(outdated | {key for key in gone if "type=pci" in pins[key]})


def why_no_restore(
    recorded: Sequence[VmDevice], found: Iterable[VmDevice], pins: Pins
) -> Mapping[str, str]:
    """Return why ``device restore`` puts devices of a guest not at their PINS, by device_id.

    A device is not there where it could: it was FOUND to be gone, or is one of `outdated_pins`.
    """
    there = [item for item in found if item.is_plugged]
    outdated = outdated_pins(recorded, there, pins)
    gone = pins.keys() - {item.device_id for item in there}
    labels = {row.device_id: row.label for row in recorded}
    return {
        key: f"the guest no longer has {label}"
        if key in gone
        else f"{label} can no longer be at its pinned address"
        for key, label in labels.items()
        if key in gone | outdated
    }


class Buses:
    """The controllers of a guest, known by their recorded labels: "controller pci 3"."""

    def __init__(self, devices: Iterable[VmDevice]) -> None:
        self._indexes: dict[str, set[int]] = {}
        for device in devices:
            words = device.label.split()
            if device.type == "controller" and len(words) > 2 and words[2].isdecimal():
                self._indexes.setdefault(words[1], set()).add(int(words[2]))

    def why_not(self, device: VmDevice) -> str | None:
        """Return the controller that DEVICE lacks for its address, or None.

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
