"""The hash of a guest: whether anything that it sees has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from novadev.state.devices import VmDevice

HOST_SIDE = frozenset(("channel", "console", "graphics", "interface", "parallel", "serial"))
"""Types whose ``device`` says how the host connects them (bridge, pty), which no guest sees."""


def hash_of(devices: Iterable[VmDevice]) -> str:
    """Return the SHA-256 over the plugged DEVICES, in hexadecimal.

    Over what the guest sees, in any order: class, identity, bus, model, address, and the name it
    has for a disk itself. The same on every host and in every run; vdsm hashes the text of
    ``<devices>`` (``domain_descriptor.py``), ports and channel states included.
    """
    seen = sorted(_seen(device) for device in devices if device.is_plugged)
    return hashlib.sha256(json.dumps(seen, separators=(",", ":")).encode()).hexdigest()


def _seen(device: VmDevice) -> tuple[str, ...]:
    return (
        device.device_id,
        device.type,
        "" if device.type in HOST_SIDE else device.device,
        device.bus or "",
        device.model or "",
        device.address,
        device.logical_name or "",
    )
