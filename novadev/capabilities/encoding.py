"""What a capability file has, as the values of its JSON, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from novadev.capabilities.content import Capabilities, Example, Versions
from novadev.config import DRIVER_OPTIONS, DriverOptions
from novadev.rules.osinfo import Recommendation
from novadev.virt.capabilities import MachineType
from novadev.virt.domain_capabilities import DomainCapabilities, Values
from novadev.virt.firmware import Firmware, HostFirmware

_SAME_AS = "same_as"
"""The one key of a machine type whose guests can have just what those of another one can."""
_SINCE_FORMAT_2 = ("num_pcie_ports", "mem_stats_period_seconds")
_ENUMERATIONS = tuple(
    field.name for field in fields(DomainCapabilities) if field.name != "vcpu_max"
)
T = TypeVar("T")


def encode(found: Capabilities) -> dict[str, Any]:
    """Return FOUND as values for JSON; all but the version of the format and the sum."""
    return {
        "host": found.host,
        "saved_on": found.saved_on,
        "saved_at": found.saved_at,
        "novadev": found.novadev,
        "example": None if found.example is None else asdict(found.example),
        "architecture": found.architecture,
        "versions": asdict(found.versions),
        "driver": _driver(found.driver),
        "machine_types": {
            arch: {name: asdict(machine) for name, machine in machines.items()}
            for arch, machines in found.machine_types.items()
        },
        "domain_types": found.domain_types,
        "emulator": found.emulator,
        "domain_capabilities": None
        if found.domain_capabilities is None
        else dict(_shared(found.domain_capabilities)),
        "devices": None
        if found.devices is None
        else {name: {"bus": bus} for name, bus in found.devices.items()},
        "firmware": None if found.firmware is None else _firmware(found.firmware),
        "page_sizes": found.page_sizes,
        "processors": found.processors,
        "osinfo": None
        if found.recommendations is None
        else {name: asdict(told) for name, told in found.recommendations.items()},
    }


def _driver(options: DriverOptions) -> dict[str, dict[str, Any]]:
    """Return the options by group and name, as nova.conf has them."""
    data: dict[str, dict[str, Any]] = {}
    for field, (group, name) in DRIVER_OPTIONS.items():
        data.setdefault(group, {})[name] = getattr(options, field)
    return data


def _firmware(found: HostFirmware) -> dict[str, Any]:
    """Return the descriptions by the place they have, so that each stands on one line."""
    described = {str(place): asdict(item) for place, item in enumerate(found.described)}
    return {"described": described, "files": found.files}


def _shared(found: Mapping[str, DomainCapabilities]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the domain capabilities by machine type; equal ones are told once."""
    first: dict[DomainCapabilities, str] = {}
    for name in sorted(found):
        same = first.setdefault(found[name], name)
        yield name, asdict(found[name]) if same == name else {_SAME_AS: same}


def decode(data: Mapping[str, Any]) -> Capabilities:
    """Return what the values say; those that format 1 has not are None.

    Raises ValueError, KeyError, TypeError or AttributeError for what is no capability file.
    """
    return Capabilities(
        host=_of(str, data["host"]),
        saved_on=_of(str, data["saved_on"]),
        saved_at=_of(str, data["saved_at"]),
        novadev=_of(str, data["novadev"]),
        architecture=_of(str, data["architecture"]),
        versions=_versions(data["versions"]),
        driver=DriverOptions(**dict(_options(data["driver"]))),
        machine_types={
            arch: {name: _machine_type(item) for name, item in machines.items()}
            for arch, machines in data["machine_types"].items()
        },
        recommendations=_each(data["osinfo"], _recommendation),
        domain_types=_each(data.get("domain_types"), _texts),
        emulator=_maybe(str, data.get("emulator")),
        domain_capabilities=_unshared(data.get("domain_capabilities")),
        devices=_each(data.get("devices"), lambda item: _maybe(str, item["bus"])),
        example=_example(data.get("example")),
        firmware=_host_firmware(data.get("firmware")),
        page_sizes=_sizes(data.get("page_sizes")),
        processors=_values(data.get("processors")),
    )


def _each(data: Mapping[str, Any] | None, decode_one: Any) -> dict[str, Any] | None:
    return None if data is None else {name: decode_one(item) for name, item in data.items()}


def _of(kind: type[T], value: Any) -> T:
    """Return VALUE if it is of this very type; a bool is no int. Raises TypeError."""
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


def _maybe(kind: type[T], value: Any) -> T | None:
    return None if value is None else _of(kind, value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_of(str, item) for item in _of(list, value))


def _versions(data: Mapping[str, Any]) -> Versions:
    return Versions(
        libosinfo=_maybe(str, data["libosinfo"]),
        libvirt=_of(str, data["libvirt"]),
        nova=_maybe(int, data["nova"]),
        osinfo_db=_maybe(str, data["osinfo_db"]),
        qemu=_maybe(str, data["qemu"]),
    )


def _options(data: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the options, each of the type that its default has: a text where that is None."""
    for field, (group, name) in DRIVER_OPTIONS.items():
        default = getattr(DriverOptions, field)
        if field in _SINCE_FORMAT_2 and name not in data[group]:
            continue
        value = data[group][name]
        if isinstance(default, tuple):
            yield field, _texts(value)
        elif default is None or field == "pointer_model":
            yield field, _maybe(str, value)
        else:
            yield field, _of(type(default), value)


def _machine_type(data: Mapping[str, Any]) -> MachineType:
    return MachineType(_of(str, data["canonical"]), _of(bool, data["deprecated"]))


def _recommendation(data: Mapping[str, Any]) -> Recommendation:
    return Recommendation(_maybe(str, data["disk_bus"]), _maybe(str, data["vif_model"]))


def _unshared(data: Mapping[str, Any] | None) -> dict[str, DomainCapabilities] | None:
    """Return the domain capabilities; one that is the same as another names it, and no third."""
    if data is None:
        return None
    told = {name: _domain(item) for name, item in data.items() if _SAME_AS not in item}
    return {name: told[item.get(_SAME_AS, name)] for name, item in data.items()}


def _domain(data: Mapping[str, Any]) -> DomainCapabilities:
    told: dict[str, Any] = {name: _values(data.get(name)) for name in _ENUMERATIONS}
    return DomainCapabilities(**told, vcpu_max=_maybe(int, data.get("vcpu_max")))


def _values(value: Any) -> Values:
    return None if value is None else _texts(value)


def _host_firmware(data: Mapping[str, Any] | None) -> HostFirmware | None:
    if data is None:
        return None
    described = {int(place): item for place, item in data["described"].items()}
    return HostFirmware(
        described=tuple(_description(described[place]) for place in sorted(described)),
        files=_texts(data["files"]),
    )


def _description(data: Mapping[str, Any]) -> Firmware:
    return Firmware(
        interfaces=_texts(data["interfaces"]),
        targets=_texts(data["targets"]),
        features=_texts(data["features"]),
        executable=_of(str, data["executable"]),
        template=_maybe(str, data["template"]),
    )


def _sizes(value: Any) -> tuple[int, ...] | None:
    return None if value is None else tuple(_of(int, item) for item in _of(list, value))


def _example(data: Mapping[str, Any] | None) -> Example | None:
    if data is None:
        return None
    return Example(_of(str, data["source"]), _of(bool, data["has_every_machine_type"]))
