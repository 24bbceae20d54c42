"""Compares guests with their record: the work behind ``device drift``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from novadev.deployment import Deployment
from novadev.records.addresses import outdated_pins
from novadev.records.baseline import Baseline
from novadev.records.comparison import Look, NoteSink, ignored, iter_looks
from novadev.records.device import AsOf, Pins, VmDevice, as_pinned, is_hardware
from novadev.runs.plan import Skip
from novadev.selection import Selection
from novadev.virt.address import Address
from novadev.virt.address_syntax import completed_text, normal_text

COMPARED = ("type", "device", "bus", "model", "address", "logical_name")
"""Fields of a device that its guest sees."""


@dataclass(frozen=True)
class Drift:
    """What of a device is not as recorded.

    ``field`` is ``device`` where the whole device is new (``recorded`` is None) or has vanished
    (``found`` is None); addresses are in the short form people read. ``pinned`` says that the
    address of the device is pinned, ``unfit`` that the device cannot be there any more, because it
    or the machine is another one: only unpinning it helps. ``device_id`` is the
    recorded one; of a new device, that which a record would give it now.
    """

    instance: str
    label: str
    field: str
    recorded: str | None
    found: str | None
    pinned: bool = False
    unfit: bool = False
    device_id: str = ""


def find_drift(
    deployment: Deployment,
    selection: Selection,
    asks_guest: bool = False,
    as_of: AsOf | None = None,
    no_database: bool = False,
    note: NoteSink = ignored,
) -> Iterator[Drift | Skip]:
    """Yield what the selected guests have otherwise than recorded; nothing for an unchanged one.

    Than recorded last, or AS OF a moment. A guest of which nothing is recorded is a skip. NOTE gets
    the notes of each guest that was compared. Raises as
    :func:`novadev.records.comparison.iter_looks`.
    """
    baseline = Baseline.of(deployment, as_of)
    found = iter_looks(deployment, selection, asks_guest, as_of=as_of, no_database=no_database)
    for looks in found:
        guests = [look for look in looks if isinstance(look, Look)]
        for look in guests:
            if look.recorded is not None:
                note(look.notes)
        changed = [look for look in guests if look.is_changed]
        yield from (look for look in looks if isinstance(look, Skip))
        for look in changed:
            if look.recorded is None:
                uuid = look.instance.uuid
                yield Skip.of(uuid, baseline.why_none(uuid), selection.is_named)
            elif look.seen is not None:
                yield from compare(look.devices, look.seen.devices, look.pins)


def compare(
    recorded: Sequence[VmDevice], found: Sequence[VmDevice], pins: Pins | None = None
) -> Iterator[Drift]:
    """Yield in what the devices FOUND of a guest differ from those RECORDED of it.

    A device in PINS has vanished until it is there again, whatever was recorded since. What is no
    hardware of the guest is not compared: earlier releases of novadev recorded it.
    """
    pins = pins or {}
    plugged = (device for device in as_pinned(recorded, pins) if device.is_plugged)
    before = {device.device_id: device for device in filter(is_hardware, plugged)}
    now = {device.device_id: device for device in filter(is_hardware, found)}
    unfit = outdated_pins(recorded, now.values(), pins)
    for key, device in before.items():
        if key not in now:
            gone = Drift(device.vm_id, device.label, "device", device.label, None)
            yield replace(gone, pinned=key in pins, unfit=key in unfit, device_id=key)
    for key, device in now.items():
        if key in before:
            for item in _differences(before[key], device):
                yield replace(item, pinned=key in pins, unfit=key in unfit)
        else:
            yield Drift(device.vm_id, device.label, "device", None, device.label, device_id=key)


def _differences(recorded: VmDevice, found: VmDevice) -> Iterator[Drift]:
    for name in COMPARED:
        before, now = _value(recorded, name), _value(found, name)
        if name == "address" and before == now:
            known = completed_text(recorded.address, found.address)
            before, now = normal_text(known), normal_text(found.address)
        if before != now:
            yield Drift(found.vm_id, found.label, name, before, now, device_id=recorded.device_id)


def _value(device: VmDevice, name: str) -> str | None:
    if name == "address":
        return short_address(device)
    if name == "device" and device.kind.is_host_side:
        return None
    value = getattr(device, name)
    return None if value is None else str(value)


def short_address(device: VmDevice) -> str | None:
    """Return the recorded address in the form people read: ``0000:00:05.0``."""
    return short_place(device.address)


def full_address(device: VmDevice) -> str | None:
    """Return the short form and, on s390x, what the guest finds the device by."""
    address = Address.from_ovirt(normal_text(device.address))
    return address.full_text if address else None


def short_place(text: str) -> str | None:
    """Return oVirt's TEXT of an address in the form people read; None of an empty one."""
    address = Address.from_ovirt(normal_text(text))
    return address.text if address else None
