"""Guests with their hashes: the work behind ``device list``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from novadev.deployment import Deployment
from novadev.records.comparison import Look, NoteSink, ignored, iter_looks
from novadev.records.device import Pins, SpecParams, VmDevice
from novadev.records.drift import full_address
from novadev.records.store import VmDevices
from novadev.runs.plan import Skip
from novadev.selection import Selection


@dataclass(frozen=True)
class ListedGuest:
    """A guest with the hash of what it has and the one recorded; ``devices`` is their number.

    ``changed`` is true as well where nothing is recorded.
    """

    instance: str
    host: str
    hash: str
    recorded_hash: str | None
    changed: bool
    devices: int


@dataclass(frozen=True)
class ListedDevice:
    """A device of a guest as ``vm_device`` has it, read now.

    A pinned one that the guest has no longer is not ``present``, and has its pinned address.
    """

    instance: str
    host: str
    label: str
    device_id: str
    type: str
    device: str
    address: str | None
    boot_order: int | None
    spec_params: SpecParams
    managed: bool
    pinned: bool
    readonly: bool
    optional: bool
    alias: str | None
    logical_name: str | None
    present: bool


def list_guests(
    deployment: Deployment,
    selection: Selection,
    changed: bool = False,
    asks_guest: bool = False,
    no_database: bool = False,
    note: NoteSink = ignored,
) -> Iterator[ListedGuest | Skip]:
    """Yield the selected guests; only the CHANGED ones, if so.

    NOTE gets the notes of each of them, changed or not. Raises as
    :func:`novadev.records.comparison.iter_looks`.
    """
    for looks in iter_looks(deployment, selection, asks_guest, no_database=no_database):
        found = [look for look in looks if isinstance(look, Look)]
        counts = VmDevices(deployment.state).count([item.instance.uuid for item in found])
        yield from (look for look in looks if isinstance(look, Skip))
        for look in found:
            note(look.notes)
            if look.is_changed or not changed:
                yield _guest(look, counts)


def list_devices(
    deployment: Deployment,
    selection: Selection,
    changed: bool = False,
    asks_guest: bool = False,
    no_database: bool = False,
    note: NoteSink = ignored,
) -> Iterator[ListedDevice | Skip]:
    """Yield every device of the selected guests, or of the CHANGED ones among them.

    Only a changed guest is read in full when those alone are wanted. Raises as `list_guests`.
    """
    found = iter_looks(deployment, selection, asks_guest, not changed, no_database=no_database)
    for looks in found:
        for look in looks:
            if isinstance(look, Skip):
                yield look
                continue
            note(look.notes)
            if look.seen is not None and (look.is_changed or not changed):
                yield from (_device(item, look.pins) for item in look.seen.devices)
                yield from (_device(item, look.pins, present=False) for item in look.absent)


def _guest(look: Look, counts: Mapping[str, int]) -> ListedGuest:
    recorded = counts.get(look.instance.uuid, 0)
    return ListedGuest(
        instance=look.instance.uuid,
        host=str(look.instance.host),
        hash=look.hash,
        recorded_hash=look.recorded_hash,
        changed=look.is_changed,
        devices=recorded if look.seen is None else len(look.seen.devices),
    )


def _device(device: VmDevice, pins: Pins, present: bool = True) -> ListedDevice:
    return ListedDevice(
        instance=device.vm_id,
        host=device.host,
        label=device.label,
        device_id=device.device_id,
        type=device.type,
        device=device.device,
        address=full_address(device),
        boot_order=device.boot_order,
        spec_params=device.spec_params,
        managed=device.is_managed,
        pinned=device.device_id in pins,
        readonly=device.is_readonly,
        optional=device.is_optional,
        alias=device.alias or None,
        logical_name=device.logical_name,
        present=present,
    )
