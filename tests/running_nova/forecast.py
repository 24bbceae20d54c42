"""What novadev says that a server's next power-on will bring, to be held against what comes."""

import re
from typing import Any

from tests.running_nova.nova import Server

PCI = re.compile(r"0000:00:[0-9a-f]{2}\.[0-9a-f]")
"""On the first bus: a guest numbers those behind bridges in its own way."""
FIELDS = ("address", "bus", "model", "target")
Devices = dict[str, dict[str, str | None]]
"""What novadev shows of each device, by its label."""


def devices(server: Server) -> Devices:
    """What the server has now."""
    shown = server.nova.novadev("device", "show", server.uuid, "-f", "json").json
    return {item["label"]: {name: item[name] for name in FIELDS} for item in shown}


def addresses(server: Server) -> dict[str, str]:
    """Where each device is that has an address."""
    return {label: str(has["address"]) for label, has in devices(server).items() if has["address"]}


def foretold(server: Server, after: str = "power-on") -> Devices:
    """What novadev says that the server will have.

    Where a host keeps addresses, it says nothing of controllers, and not where new and changed
    devices will be.
    """
    found = devices(server)
    words = ("device", "forecast", server.uuid, "--after", after, "-f", "json")
    told = server.nova.novadev(*words).json
    if server.nova.keeps:
        found = {label: has for label, has in found.items() if not _is_controller(label)}
        told = [item for item in told if not _is_controller(item["label"])]
        for label in {item["label"] for item in told}.intersection(found):
            del found[label]["address"]
    for item in told:
        label, field = item["label"], item["field"]
        if field == "device" and item["after"] is None:
            del found[label]
        elif field == "device":
            found.setdefault(label, {})
        elif field in FIELDS:
            found.setdefault(label, {})[field] = item["after"]
    return {_renamed(label, has): has for label, has in found.items()}


def _is_controller(label: str) -> bool:
    return label.startswith(("controller ", "hub "))  # a hub too is libvirt's


def _renamed(label: str, has: dict[str, str | None]) -> str:
    """The label of a disk ends with its target, of a video card its model, of an input its bus."""
    tag, *_, last = label.split(" ")
    part = {"disk": "target", "video": "model", "input": "bus"}.get(tag, "")
    return f"{label.removesuffix(last)}{has.get(part) or last}"


def compare(server: Server, expected: Devices) -> None:
    """What has come is what was foretold, and the guest has a PCI device at each address."""
    found = devices(server)
    known = {
        label: {name: found.get(label, {}).get(name) for name in has}
        for label, has in expected.items()
    }
    wrong = {label: (has, known[label]) for label, has in expected.items() if known[label] != has}
    more = set(found) - set(expected)
    if server.nova.keeps:
        more = {label for label in more if not _is_controller(label)}
    assert (wrong, more) == ({}, set())
    places = {address for address in addresses(server).values() if PCI.fullmatch(address)}
    assert places <= set(server.guest.pci())
    assert remaining(server) == []


def remaining(server: Server) -> list[Any]:
    """What novadev says that a further power-on would change."""
    return list(server.nova.novadev("device", "forecast", server.uuid, "-f", "json").json)
