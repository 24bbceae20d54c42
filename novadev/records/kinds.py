"""The kinds of devices: one table of what record, drift, import and restore do with each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What is done with the devices of one type.

    Record stores a device if ``is_hardware``; the hash, drift, import and restore leave out what
    is none, which earlier releases stored (see :func:`novadev.records.device.is_hardware`).
    ``is_attached``: Nova attaches them, so one that was seen to be managed stays managed, and
    import finds it by its id alone in the same instance.
    ``is_host_side``: their ``device`` says how the host connects them (bridge, pty). No guest sees
    that, so neither the hash nor drift nor an id depends on it. ``is_one_sided``: libvirt adds them
    by itself, or they are a way into the guest, so import needs no partner for one. Restore moves
    every recorded device that has a place.
    """

    is_hardware: bool = True
    is_attached: bool = False
    is_host_side: bool = False
    is_one_sided: bool = False


_KINDS: Mapping[str, Kind] = {
    "audio": Kind(is_hardware=False, is_one_sided=True),
    "channel": Kind(is_host_side=True, is_one_sided=True),
    "console": Kind(is_host_side=True, is_one_sided=True),
    "controller": Kind(is_one_sided=True),
    "disk": Kind(is_attached=True),
    "filesystem": Kind(is_attached=True),
    "graphics": Kind(is_host_side=True, is_one_sided=True),
    "hostdev": Kind(is_attached=True),
    "hub": Kind(is_one_sided=True),
    "input": Kind(is_one_sided=True),
    "interface": Kind(is_attached=True, is_host_side=True),
    "panic": Kind(is_one_sided=True),
    "parallel": Kind(is_host_side=True, is_one_sided=True),
    "redir": Kind(is_one_sided=True),
    "serial": Kind(is_host_side=True, is_one_sided=True),
    "smartcard": Kind(is_one_sided=True),
}
_OTHER = Kind()


def kind_of(type_: str) -> Kind:
    """Return the kind of the devices of a type; of one not in the table nothing special is done."""
    return _KINDS.get(type_, _OTHER)
