"""novadev's own form of an export: JSON in an order that never changes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from novadev.errors import BadInput
from novadev.records.device import VmDevice
from novadev.records.exported import (
    MAX_DEVICES,
    BrokenInstance,
    ExportedInstance,
    check_distinct,
    check_text,
    is_uuid,
    read_uuid,
)
from novadev.virt.address_syntax import read_address

KIND = "device export"
VERSION = 1
"""The format. Another one is refused: what a newer novadev means by it is not known here."""
_HIGHEST_ORDER = 2**31 - 1
_DEVICE = tuple(item.name for item in fields(VmDevice) if item.name != "vm_id")
T = TypeVar("T")


def dumps(instances: Sequence[ExportedInstance]) -> str:
    """Return INSTANCES as the text of a file: the same instances always give the same text."""
    data = {
        "novadev": KIND,
        "version": VERSION,
        "instances": [_encode(instance) for instance in instances],
    }
    return json.dumps(data, indent=2) + "\n"


def _encode(exported: ExportedInstance) -> dict[str, Any]:
    return {
        "instance": exported.instance,
        "name": exported.name,
        "hash": exported.hash,
        "devices": [_encode_device(device) for device in exported.devices],
    }


def _encode_device(device: VmDevice) -> dict[str, Any]:
    values = {name: getattr(device, name) for name in _DEVICE}
    return {**values, "spec_params": dict(sorted(device.spec_params.items()))}


def loads(text: str, name: str) -> tuple[ExportedInstance | BrokenInstance, ...]:
    """Return the instances that TEXT has, the content of the file NAME.

    Raises BadInput, naming the item, for what novadev did not write so: another version, a key
    too many or too few, a value of another type, an address that is none, an id twice. Where that
    is so of some of several instances only, each of these is a BrokenInstance.
    """
    data = _parse(text, name)
    if not isinstance(data, dict) or data.get("novadev") != KIND:
        raise BadInput(f"{name} is not an export of devices that novadev wrote")
    version = data.get("version")
    if version != VERSION or isinstance(version, bool):
        raise BadInput(
            f"{name} is of version {version!r:.40}, and this novadev reads version {VERSION}"
        )
    _keys(data, ("novadev", "version", "instances"), name)
    found = tuple(
        _decode_or_broken(item, f"{name}: instance {number}")
        for number, item in enumerate(_of(list, data["instances"], f"{name}: instances"), 1)
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


def _parse(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except RecursionError:
        raise BadInput(f"{name} cannot be read: it is nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"{name} is no JSON, and no OVF either: {error}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return PAIRS as an object; raises ValueError where a key is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        ((name, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"a key twice: {name!r:.60}")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no value")


def _check_instances(found: Sequence[ExportedInstance | BrokenInstance], name: str) -> None:
    if not found:
        raise BadInput(f"{name} has no instance")
    told = Counter(item.instance for item in found if item.instance is not None)
    ((instance, times),) = told.most_common(1)
    if times > 1:
        raise BadInput(f"{name}: instance {instance} is there twice")


def _decode(data: Any, what: str) -> ExportedInstance:
    _keys(_of(dict, data, what), ("instance", "name", "hash", "devices"), what)
    instance = read_uuid(_text(data, "instance", what), what)
    items = _of(list, data["devices"], f"{what}: devices")
    if len(items) > MAX_DEVICES:
        raise BadInput(f"{what} has {len(items)} devices: more than {MAX_DEVICES}")
    devices = tuple(
        _device(item, instance, f"{what}: device {number}") for number, item in enumerate(items, 1)
    )
    check_distinct(devices, what)
    return ExportedInstance(instance, _text(data, "name", what), _text(data, "hash", what), devices)


def _device(data: Any, instance: str, what: str) -> VmDevice:
    if isinstance(data, dict) and isinstance(data.get("label"), str):
        what = f"{what} ({data['label']!r:.80})"
    _keys(_of(dict, data, what), _DEVICE, what)
    snapshot = _maybe(_text, data, "snapshot_id", what)
    return VmDevice(
        device_id=read_uuid(_text(data, "device_id", what), f"{what}: device_id"),
        vm_id=instance,
        type=_text(data, "type", what),
        device=_text(data, "device", what),
        address=read_address(_text(data, "address", what), f"{what}: address"),
        boot_order=_maybe(_order, data, "boot_order", what),
        spec_params=_spec_params(data, what),
        is_managed=_flag(data, "is_managed", what),
        is_plugged=_flag(data, "is_plugged", what),
        is_readonly=_flag(data, "is_readonly", what),
        is_optional=_flag(data, "is_optional", what),
        alias=_text(data, "alias", what),
        custom_properties=_text(data, "custom_properties", what),
        snapshot_id=snapshot and read_uuid(snapshot, f"{what}: snapshot_id"),
        logical_name=_maybe(_text, data, "logical_name", what),
        host=_text(data, "host", what),
        label=_text(data, "label", what),
    )


def _spec_params(data: Mapping[str, Any], what: str) -> dict[str, str | int]:
    what = f"{what}: spec_params"
    found = _of(dict, data["spec_params"], what)
    for name, value in found.items():
        check_text(name, what)
        if type(value) is not int:
            check_text(_of(str, value, f"{what}: {name!r:.60}"), f"{what}: {name!r:.60}")
    return dict(found)


def _keys(data: Mapping[str, Any], expected: Sequence[str], what: str) -> None:
    """Raise BadInput where DATA has not just the EXPECTED keys."""
    for name in expected:
        if name not in data:
            raise BadInput(f"{what} has no {name}")
    for name in data:
        if name not in expected:
            raise BadInput(f"{what} has a key that version {VERSION} has not: {name!r:.60}")


def _of(kind: type[T], value: Any, what: str) -> T:
    """Return VALUE if it is of this very type, of which a bool is no int; raises BadInput."""
    if type(value) is not kind:
        raise BadInput(f"{what} is no {_NAMES[kind]}")
    return value


_NAMES = {str: "text", bool: "true or false", int: "number", list: "array", dict: "object"}


def _text(data: Mapping[str, Any], field: str, what: str) -> str:
    return check_text(_of(str, data[field], f"{what}: {field}"), f"{what}: {field}", field)


def _flag(data: Mapping[str, Any], field: str, what: str) -> bool:
    return _of(bool, data[field], f"{what}: {field}")


def _order(data: Mapping[str, Any], field: str, what: str) -> int:
    value = _of(int, data[field], f"{what}: {field}")
    if not 1 <= value <= _HIGHEST_ORDER:
        raise BadInput(f"{what}: {field} {value} is not from 1 to {_HIGHEST_ORDER}")
    return value


def _maybe(
    read: Callable[[Mapping[str, Any], str, str], T], data: Mapping[str, Any], field: str, what: str
) -> T | None:
    return None if data[field] is None else read(data, field, what)
