"""What really changes between two definitions, told without the code that forecasts it."""

from collections import Counter
from typing import Any

from lxml import etree

Key = tuple[str, str]
Changes = set[tuple[Key, str, str | None, str | None]]
LIBVIRTS = ("emulator", "console", "audio", "graphics", "serial", "hub", "panic")


def hardware(xml: str) -> dict[Key, dict[str, str | None]]:
    """Every device of a definition that a guest sees, by what stays the same of it."""
    root, numbers = etree.fromstring(xml), Counter[str]()
    found: dict[Key, dict[str, str | None]] = {}
    for element in root.iterfind("devices/*"):
        if not is_seen(element):
            continue
        numbers[element.tag] += 1
        found[element.tag, name(element, numbers[element.tag])] = {
            "address": _address(element.find("address")),
            "bus": _first(element, "target/@bus", "@bus"),
            "model": _first(element, "@model", "model/@type"),
            "target": _first(element, "target/@dev") if element.tag == "disk" else None,
        }
    found["machine", ""] = {"machine": _first(root, "os/type/@machine")}
    return found


def is_seen(element: Any) -> bool:
    """Whether the guest sees a device of its own in it, or libvirt makes it whatever Nova does."""
    is_libvirts = element.tag in LIBVIRTS or element.get("bus") == "ps2"
    return not is_libvirts and (element.tag, element.get("model")) != ("watchdog", "itco")


def _first(element: Any, *paths: str) -> str | None:
    found = [text for path in paths for text in element.xpath(path)]
    return str(found[0]) if found else None


def name(element: Any, number: int) -> str:
    """What stays the same of a device; NUMBER is its own among those of its tag."""
    if element.tag == "disk":
        source = _first(element, "source/@file", "source/@dev", "source/@name") or ""
        return element.findtext("serial") or source.rpartition("/")[2]
    if element.tag == "controller":
        return f"{element.get('type')} {element.get('index')}"
    if element.tag == "channel":
        return str(_first(element, "target/@name"))
    if element.tag == "input":
        return str(element.get("type"))
    return _first(element, "mac/@address") or str(number)


def _address(element: Any) -> str | None:
    if element is None:
        return None
    part = {
        name: int(value, 0)
        for name, value in element.items()
        if name not in ("type", "port", "multifunction")
    }
    match element.get("type"):
        case "pci":
            return "{domain:04x}:{bus:02x}:{slot:02x}.{function:x}".format(**part)
        case "drive":
            return "{controller}:{bus}:{target}:{unit}".format(**part)
        case "virtio-serial":
            return f"{part['controller']}:{part['bus']}:{element.get('port')}"
        case "usb":
            return f"{part['bus']}:{element.get('port')}"
    return f"{element.get('type')}"


def changes(before: str, after: str) -> Changes:
    """What changes: device by device, field by field."""
    was, now = hardware(before), hardware(after)
    found: Changes = set()
    for key in was.keys() | now.keys():
        if key not in now:
            found.add((key, "device", "present", None))
            continue
        if key not in was:
            found.add((key, "device", None, "present"))
        for field, value in now[key].items():
            old = was.get(key, {}).get(field)
            if old != value:
                found.add((key, field, old, value))
    return found


def present(field: str, now: str | None, after: str | None) -> tuple[str | None, str | None]:
    """What a record tells, a device's label in it as the judge says it."""
    if field != "device":
        return now, after
    return now and "present", after and "present"
