"""A guest's devices as recorded: plain values, without the database that has them.

Imported where there is no database at all: in the processes that speak to hypervisors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

SpecParams = Mapping[str, str | int]
Pins = Mapping[str, str]
"""The pinned addresses of a guest, by device_id."""


@dataclass(frozen=True)
class VmDevice:
    """A device of a guest: a row of oVirt's ``vm_device`` (``create_tables.sql`` of ovirt-engine).

    ``address`` is oVirt's text (``{type=pci, slot=0x05, …}``), empty for a device that has none or
    is not plugged. ``spec_params`` has what there is of bus, model, target, serial, mac and
    lun_id. ``is_managed``: Nova knows its owner, or its kind counts as managed; ``is_optional``:
    the guest starts without it (libvirt's ``startupPolicy``). ``boot_order`` counts from 1, and
    ``logical_name`` is what the guest calls a disk. ``host`` is where this state was seen first.
    ``label`` is what people call the device.
    """

    device_id: str
    vm_id: str
    type: str
    device: str
    address: str = ""
    boot_order: int | None = None
    spec_params: SpecParams = field(default_factory=dict)
    is_managed: bool = False
    is_plugged: bool = True
    is_readonly: bool = False
    is_optional: bool = False
    alias: str = ""
    custom_properties: str = ""
    snapshot_id: str | None = None
    logical_name: str | None = None
    host: str = ""
    label: str = ""

    @property
    def bus(self) -> str | None:
        """The bus it is on, where it has one."""
        return self._spec("bus")

    @property
    def model(self) -> str | None:
        """Its model, where it has one."""
        return self._spec("model")

    def _spec(self, name: str) -> str | None:
        value = self.spec_params.get(name)
        return None if value is None else str(value)

    @property
    def unplugged(self) -> VmDevice:
        """The same device when its guest has it no longer."""
        return replace(self, is_plugged=False, address="", logical_name=None)


@dataclass(frozen=True)
class VmDynamic:
    """What is recorded of a guest as a whole: a row of ``vm_dynamic``.

    ``hash`` tells whether anything the guest sees has changed. ``fingerprint`` is the digest of
    the texts it was made from: while that is the same, so is the hash.
    """

    vm_id: str
    hash: str
    fingerprint: str
    host: str


@dataclass(frozen=True)
class AsOf:
    """A moment of the past: a record by its number, or a time in UTC; one of the two is given."""

    record: int | None = None
    time: datetime | None = None

    def __str__(self) -> str:
        """Return the moment as an operator types it."""
        if self.time is None:
            return f"record {self.record}"
        return self.time.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Merged:
    """What a record changes: the rows to write, and the devices to forget.

    ``is_held`` says that a pinned device is elsewhere now, and stays recorded where it is pinned.
    """

    written: tuple[VmDevice, ...]
    dropped: tuple[VmDevice, ...]
    is_held: bool = False


def merge(
    recorded: Sequence[VmDevice], seen: Sequence[VmDevice], pins: Pins | None = None
) -> Merged:
    """Return what to write so that SEEN becomes what is RECORDED, of one guest.

    As oVirt's ``VmDevicesMonitoring``: a managed device that is gone stays, unplugged and without
    an address; an unmanaged one is dropped. What no definition tells (custom properties, the
    snapshot) stays as recorded, and a device that only was on another host is not written. A
    device in PINS keeps the pinned address, and is not dropped.
    """
    pins = pins or {}
    before = {device.device_id: device for device in recorded}
    now = {device.device_id: _with_history(device, before, pins) for device in seen}
    gone = [device for key, device in before.items() if key not in now]
    kept = {device.device_id for device in gone if device.is_managed} | pins.keys()
    left = [device.unplugged for device in gone if device.device_id in kept]
    changed = [
        device
        for device in (*now.values(), *left)
        if device.device_id not in before or not _is_same(device, before[device.device_id])
    ]
    dropped = tuple(device for device in gone if device.device_id not in kept)
    is_held = any(device.address != now[device.device_id].address for device in seen)
    return Merged(tuple(changed), dropped, is_held)


def _with_history(device: VmDevice, before: Mapping[str, VmDevice], pins: Pins) -> VmDevice:
    known = before.get(device.device_id)
    if known is None:
        return device
    kept = replace(device, custom_properties=known.custom_properties, snapshot_id=known.snapshot_id)
    pinned = pins.get(device.device_id, device.address)
    return kept if pinned == device.address else replace(kept, address=pinned, label=known.label)


def _is_same(device: VmDevice, known: VmDevice) -> bool:
    return replace(device, host=known.host) == known
