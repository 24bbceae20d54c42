"""The kinds of devices: one table of what record, drift, import and restore do with each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SYSTEM = frozenset(("pci", "ccw", "virtio-mmio", "virtio-s390"))
"""Where virtio devices are, by architecture."""


@dataclass(frozen=True)
class Kind:
    """What is done with the devices of one type.

    Record stores a device if ``is_hardware``; the hash, drift, import and restore leave out what
    is none, which earlier releases stored (see :func:`novadev.records.device.is_hardware`).
    ``places`` are the types of addresses that import gives them, None where any will do: the bus of
    a disk or an input device decides. ``is_attached``: Nova attaches them, so one that was seen to
    be managed stays managed, and import finds it by its id alone in the same instance.
    ``is_host_side``: their ``device`` says how the host connects them (bridge, pty). No guest sees
    that, so neither the hash nor drift nor an id depends on it. ``is_one_sided``: libvirt adds them
    by itself, or they are a way into the guest, so import needs no partner for one. Restore moves
    every recorded device that has a place.
    """

    places: frozenset[str] | None = None
    is_hardware: bool = True
    is_attached: bool = False
    is_host_side: bool = False
    is_one_sided: bool = False


_PLAIN = Kind(SYSTEM)
_KINDS: Mapping[str, Kind] = {
    "audio": Kind(is_hardware=False, is_one_sided=True),
    "balloon": _PLAIN,
    "channel": Kind(frozenset(("virtio-serial",)), is_host_side=True, is_one_sided=True),
    "console": Kind(SYSTEM | {"virtio-serial", "spapr-vio"}, is_host_side=True, is_one_sided=True),
    "controller": Kind(SYSTEM | {"spapr-vio", "usb", "ccid"}, is_one_sided=True),
    "disk": Kind(is_attached=True),
    "filesystem": Kind(SYSTEM, is_attached=True),
    "graphics": Kind(is_host_side=True, is_one_sided=True),
    "hostdev": Kind(SYSTEM | {"usb", "drive", "unassigned"}, is_attached=True),
    "hub": Kind(frozenset(("usb",)), is_one_sided=True),
    "input": Kind(is_one_sided=True),
    "interface": Kind(SYSTEM | {"spapr-vio", "usb"}, is_attached=True, is_host_side=True),
    "iommu": _PLAIN,
    "memory": Kind(SYSTEM | {"dimm"}),
    "panic": Kind(is_one_sided=True),
    "parallel": Kind(is_host_side=True, is_one_sided=True),
    "redir": Kind(frozenset(("usb",)), is_one_sided=True),
    "rng": _PLAIN,
    "serial": Kind(SYSTEM | {"isa", "usb", "spapr-vio"}, is_host_side=True, is_one_sided=True),
    "shmem": _PLAIN,
    "smartcard": Kind(frozenset(("ccid", "usb")), is_one_sided=True),
    "sound": Kind(SYSTEM | {"usb"}),
    "tpm": Kind(),
    "video": _PLAIN,
    "vsock": _PLAIN,
    "watchdog": Kind(),
}
_UNKNOWN = Kind()


def kind_of(type_: str) -> Kind:
    """Return the kind of the devices of a type; any address will do for one not in the table."""
    return _KINDS.get(type_, _UNKNOWN)
