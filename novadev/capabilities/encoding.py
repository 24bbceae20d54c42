"""Converts the content of a capability file to the values of its JSON, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from novadev.capabilities.content import Capabilities
from novadev.config.options import DRIVER_OPTIONS
from novadev.errors import BadInput
from novadev.strict_json import read
from novadev.virt.domain_capabilities import DomainCapabilities
from novadev.virt.firmware import HostFirmware

_FIRST = ("host", "saved_on", "saved_at", "novadev", "example")
"""What a file begins with."""
SAME_AS = "same_as"
"""The one key of a machine type whose guests can have just what those of another one can."""
_SINCE_FORMAT_2 = ("num_pcie_ports", "mem_stats_period_seconds")


@dataclass(frozen=True)
class _Firmware:
    """The firmware as a file has it: the descriptions by the place they have, one on each line."""

    described: dict[str, dict[str, Any]]
    files: list[str]


@dataclass(frozen=True)
class _Otherwise:
    """What a file has in another form than Capabilities."""

    driver: dict[str, dict[str, Any]]
    osinfo: dict[str, dict[str, Any]] | None
    devices: dict[str, dict[str, Any]] | None = None
    domain_capabilities: dict[str, dict[str, Any]] | None = None
    firmware: _Firmware | None = None


def encode(found: Capabilities) -> dict[str, Any]:
    """Return FOUND as values for JSON; all but the version of the format and the sum."""
    values = asdict(found)
    ordered = {name: values[name] for name in (*_FIRST, *values)}
    recommendations = ordered.pop("recommendations")
    driver: dict[str, dict[str, Any]] = {}
    for field, (group, name) in DRIVER_OPTIONS.items():
        driver.setdefault(group, {})[name] = getattr(found.driver, field)
    if found.devices is not None:
        ordered["devices"] = {name: {"bus": bus} for name, bus in found.devices.items()}
    if found.domain_capabilities is not None:
        ordered["domain_capabilities"] = dict(_shared(found.domain_capabilities))
    if found.firmware is not None:
        ordered["firmware"] = _placed(found.firmware)
    return {**ordered, "driver": driver, "osinfo": recommendations}


def _placed(found: HostFirmware) -> dict[str, Any]:
    described = {str(place): asdict(item) for place, item in enumerate(found.described)}
    return {"described": described, "files": found.files}


def _shared(found: Mapping[str, DomainCapabilities]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the domain capabilities by machine type; equal ones are told once."""
    first: dict[DomainCapabilities, str] = {}
    for name in sorted(found):
        same = first.setdefault(found[name], name)
        yield name, asdict(found[name]) if same == name else {SAME_AS: same}


def decode(data: Mapping[str, Any], what: str) -> Capabilities:
    """Return the capabilities for the JSON values; values that format 1 lacks are None.

    Raises BadInput, which says where in WHAT something is wrong.
    """
    found = read(_Otherwise, data, what)
    values = {
        **data,
        "driver": dict(_options(found.driver, what)),
        "recommendations": found.osinfo,
        "devices": found.devices
        and {name: item.get("bus", ...) for name, item in found.devices.items()},
        "domain_capabilities": found.domain_capabilities
        and dict(_unshared(found.domain_capabilities, what)),
        "firmware": found.firmware and _in_order(found.firmware, what),
    }
    return read(Capabilities, values, what)


def _in_order(found: _Firmware, what: str) -> dict[str, Any]:
    try:
        places = sorted(found.described, key=int)
    except ValueError:
        raise BadInput(f"{what}: firmware.described has a place that is no number") from None
    return {"described": [found.described[place] for place in places], "files": found.files}


def _options(data: Mapping[str, Mapping[str, Any]], what: str) -> Iterator[tuple[str, Any]]:
    """Yield the options by their fields in DriverOptions."""
    for field, (group, name) in DRIVER_OPTIONS.items():
        if name in data.get(group, ()):
            yield field, data[group][name]
        elif field not in _SINCE_FORMAT_2:
            raise BadInput(f"{what}: driver.{group} has no {name}")


def _unshared(data: Mapping[str, Mapping[str, Any]], what: str) -> Iterator[tuple[str, Any]]:
    """Yield the domain capabilities; one that is the same as another names it, and no third."""
    for name, item in data.items():
        same = item.get(SAME_AS, name)
        if not isinstance(same, str) or SAME_AS in data.get(same, {SAME_AS: ""}):
            raise BadInput(f"{what}: domain_capabilities: {name!r:.60} is the same as no other")
        yield name, data[same]
