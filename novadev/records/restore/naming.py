"""Names that devices keep when they move: in those of a plan no address can be."""

from __future__ import annotations

from collections import Counter

from novadev.virt.devices import Device
from novadev.virt.domain import Domain


def named(domain: Domain) -> dict[str, Device]:
    """Return the devices of DOMAIN by names: "disk vdb", and "rng virtio #2" of several.

    A label tells devices of one name apart by the address. Here they are numbered, in the order of
    the definition, which an address does not change.
    """
    number = Counter(device.plain_label for device in domain.devices)
    seen: Counter[str] = Counter()
    found = {}
    for device in domain.devices:
        name = device.plain_label
        seen[name] += 1
        found[f"{name} #{seen[name]}" if number[name] > 1 else name] = device
    return found
