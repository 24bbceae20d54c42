"""novadev's own form of an export: JSON in an order that never changes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from novadev.errors import BadInput
from novadev.records.device import HIGHEST_BOOT_ORDER, VmDevice
from novadev.records.file_contents import (
    MAX_DEVICES,
    BrokenInstance,
    ExportedInstance,
    check_distinct,
    check_text,
    is_uuid,
    read_uuid,
)
from novadev.strict_json import Form, array_of, begins_with, form, form_of, parse, read, values_of
from novadev.virt.address_syntax import read_address

KIND = "device export"
VERSION = 1
"""The format. Another one is refused: what a newer novadev means by it is not known here."""


class _File(Form):
    novadev: str
    version: int
    instances: list[Any]


class _Instance(Form):
    instance: str
    name: str
    hash: str
    devices: list[Any]


_Device = form_of(VmDevice, vm_id=None, spec_params=dict[str, Any])
_WholeInstance = form("Instance", instance=str, name=str, hash=str, devices=array_of(_Device))
Export = form(
    "Export",
    novadev=Literal["device export"],
    version=Literal[1],
    instances=array_of(_WholeInstance),
)
"""The whole file, for its schema; it is read item by item, so that one may be broken."""


def dumps(instances: Sequence[ExportedInstance]) -> str:
    """Return INSTANCES as the text of a file: the same instances always give the same text."""
    data = {
        "novadev": KIND,
        "version": VERSION,
        "instances": [_encode(instance) for instance in instances],
    }
    return json.dumps(data, indent=2) + "\n"


def _encode(exported: ExportedInstance) -> dict[str, Any]:
    return {**vars(exported), "devices": [_encode_device(item) for item in exported.devices]}


def _encode_device(device: VmDevice) -> dict[str, Any]:
    values = {**asdict(device), "spec_params": dict(sorted(device.spec_params.items()))}
    del values["vm_id"]
    return values


def loads(text: str, name: str) -> tuple[ExportedInstance | BrokenInstance, ...]:
    """Return the instances that TEXT has, the content of the file NAME.

    Raises BadInput, naming the item, for what novadev did not write so: another version, a key
    too many or too few, a value of another type, an address that is none, an id twice. Where that
    is so of some of several instances only, each of these is a BrokenInstance.
    """
    try:
        data = parse(text)
    except ValueError as error:
        if begins_with(text, "novadev"):
            raise BadInput(
                f"{name} is a device export that is incomplete or was edited: {error}"
            ) from None
        raise BadInput(f"{name} is neither JSON nor an OVF: {error}") from None
    if not isinstance(data, dict) or data.get("novadev") != KIND:
        raise BadInput(f"{name} is not a device export written by novadev")
    version = data.get("version")
    if version != VERSION or isinstance(version, bool):
        raise BadInput(
            f"{name} has version {version!r:.40}, but this novadev reads version {VERSION}"
        )
    items = read(_File, data, name).instances
    found = tuple(
        _decode_or_broken(item, f"{name}: instance {number}")
        for number, item in enumerate(items, 1)
    )
    broken = [item.error for item in found if isinstance(item, BrokenInstance)]
    if broken and len(broken) == len(found):
        raise broken[0]
    _check_instances(found, name)
    return found


def _decode_or_broken(data: Any, what: str) -> ExportedInstance | BrokenInstance:
    try:
        return _decode(data, what)
    except BadInput as error:
        instance = data.get("instance") if isinstance(data, dict) else None
        if isinstance(instance, str) and is_uuid(instance):
            return BrokenInstance(instance.lower(), error)
        return BrokenInstance(None, error)


def _check_instances(found: Sequence[ExportedInstance | BrokenInstance], name: str) -> None:
    if not found:
        raise BadInput(f"{name} has no instance")
    told = Counter(item.instance for item in found if item.instance is not None)
    ((instance, times),) = told.most_common(1)
    if times > 1:
        raise BadInput(f"{name}: instance {instance} is there twice")


def _decode(data: Any, what: str) -> ExportedInstance:
    found = read(_Instance, data, what)
    instance = read_uuid(found.instance, what)
    if len(found.devices) > MAX_DEVICES:
        raise BadInput(f"{what} has {len(found.devices)} devices: more than {MAX_DEVICES}")
    devices = tuple(
        _decode_device(item, instance, f"{what}: device {number}")
        for number, item in enumerate(found.devices, 1)
    )
    check_distinct(devices, what)
    _check_texts({"name": found.name, "hash": found.hash}, what)
    return ExportedInstance(instance, found.name, found.hash, devices)


def _decode_device(data: Any, instance: str, what: str) -> VmDevice:
    if isinstance(data, dict) and isinstance(data.get("label"), str):
        what = f"{what} ({data['label']!r:.80})"
    found = values_of(read(_Device, data, what))
    _check_texts(found, what)
    _check_spec_params(found["spec_params"], f"{what}: spec_params")
    order, snapshot = found["boot_order"], found["snapshot_id"]
    if order is not None and not 1 <= order <= HIGHEST_BOOT_ORDER:
        raise BadInput(f"{what}: boot_order {order!s:.40} is not from 1 to {HIGHEST_BOOT_ORDER}")
    found["device_id"] = read_uuid(found["device_id"], f"{what}: device_id")
    found["snapshot_id"] = snapshot and read_uuid(snapshot, f"{what}: snapshot_id")
    found["address"] = read_address(found["address"], f"{what}: address")
    return VmDevice(vm_id=instance, **found)


def _check_texts(values: Mapping[str, Any], what: str) -> None:
    for name, value in values.items():
        if isinstance(value, str):
            check_text(value, f"{what}: {name}", name)


def _check_spec_params(values: Mapping[str, Any], what: str) -> None:
    for name, value in values.items():
        check_text(name, what)
        place = f"{what}: {name!r:.60}"
        if type(value) is not int:
            check_text(read(str, value, place), place)
