"""The JSON Schema of a capability file, made of the types of what is in it."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

from novadev.capabilities.content import Capabilities
from novadev.capabilities.encoding import SAME_AS
from novadev.config import DriverOptions
from novadev.config.options import DRIVER_OPTIONS
from novadev.strict_json import form, object_of, schema_of_type
from novadev.virt.domain_capabilities import DomainCapabilities
from novadev.virt.firmware import HostFirmware


def file_schema() -> dict[str, Any]:
    """Return the schema of the files that this novadev writes: every key, and further ones."""
    types = get_type_hints(Capabilities)
    types["osinfo"] = types.pop("recommendations")
    types |= {"driver": _driver(), "devices": _devices(), "firmware": _firmware()}
    kind = form("CapabilityFile", novadev_capabilities=int, **types, sha256=str)
    found = schema_of_type(kind)
    for item in found["$defs"].values():
        item.pop("additionalProperties", None)
        item["required"] = list(item["properties"])
        for value in item["properties"].values():
            value.pop("default", None)
        if "description" in item:
            item["description"] = item["description"].partition("\n")[0]
    _let_be_the_same(found["$defs"])
    return found


def _driver() -> Any:
    """Return the type of the options of the driver: by their groups and names in nova.conf."""
    types = get_type_hints(DriverOptions)
    groups: dict[str, dict[str, Any]] = {}
    for field, (group, name) in DRIVER_OPTIONS.items():
        groups.setdefault(group, {})[name] = types[field]
    return form("Driver", **{group: form(group, **names) for group, names in groups.items()})


def _devices() -> Any:
    return object_of(form("QemuDevice", bus=str | None)) | None


def _firmware() -> Any:
    types = get_type_hints(HostFirmware)
    (described, _) = get_args(types["described"])
    return form("HostFirmware", **types | {"described": object_of(described)}) | None


def _let_be_the_same(definitions: dict[str, Any]) -> None:
    """Let a machine type name another one whose guests can have the same."""
    same = {"type": "object", "properties": {SAME_AS: {"type": "string"}}, "required": [SAME_AS]}
    full = {"$ref": f"#/$defs/{DomainCapabilities.__name__}"}
    place = definitions["CapabilityFile"]["properties"]["domain_capabilities"]
    for choice in place["anyOf"]:
        if choice["type"] == "object":
            choice["additionalProperties"] = {"anyOf": [full, same]}
