"""What is recorded of instances, as the text of a file: the work behind ``device export``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from novadev.deployment import Deployment
from novadev.errors import BadInput
from novadev.records import json_file
from novadev.records.addresses import place_of
from novadev.records.baseline import get_recorded
from novadev.records.device import AsOf, Pins, VmDevice, as_pinned, hash_of
from novadev.records.file_contents import ExportedInstance
from novadev.records.ovf import writer


def export_json(deployment: Deployment, names: Iterable[str], as_of: AsOf | None = None) -> str:
    """Return the recorded devices of the instances NAMES, each once, as novadev's JSON.

    As they are recorded, or were AS OF a moment.

    Raises as :func:`novadev.records.baseline.get_recorded` for any of them.
    """
    found = (_export(deployment, name, as_of) for name in names)
    return json_file.dumps(list({item.instance: item for item in found}.values()))


def export_ovf(deployment: Deployment, names: Iterable[str], as_of: AsOf | None = None) -> str:
    """Return the recorded devices of the one instance NAMES has as an OVF of oVirt's.

    Raises as :func:`export_json`, and BadInput for several: an Envelope has one.
    """
    exported = (_export(deployment, name, as_of) for name in names)
    found = {item.instance: item for item in exported}
    if len(found) != 1:
        raise BadInput("an OVF holds only one instance: name one, or use --json")
    return writer.dumps(*found.values())


def _export(deployment: Deployment, name: str, as_of: AsOf | None) -> ExportedInstance:
    """Return what is recorded of an instance; a pinned device that is gone with its address."""
    found = get_recorded(deployment, name, as_of)
    pins = {} if as_of else found.pins
    devices = tuple(
        item if item.is_plugged else replace(item, address=pins.get(item.device_id, ""))
        for item in found.devices
    )
    devices = tuple(_each_place_once(devices, found.pins))
    return ExportedInstance(found.uuid, found.name, hash_of(as_pinned(devices, pins)), devices)


def _each_place_once(devices: Iterable[VmDevice], pins: Pins) -> Iterator[VmDevice]:
    """Yield DEVICES; one that was found where another is, or was, pinned has no address."""
    found = list(devices)
    holders: dict[object, str] = {}
    for item in sorted(found, key=lambda item: item.device_id not in pins):
        if item.is_plugged:
            holders.setdefault(place_of(item), item.device_id)
    for item in found:
        place = place_of(item)
        holder = holders.get(place) if item.is_plugged and place is not None else None
        is_taken = holder in pins and holder != item.device_id
        yield replace(item, address="") if is_taken else item
