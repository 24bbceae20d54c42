"""A device of a guest in libvirt's words: what Nova asks for, and what a host may lack.

This module imports nothing of Nova's records, so the processes of hosts can load it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GuestDevice:
    """A device in libvirt's words, each None where nothing says it.

    ``subject`` is what people know it by. ``tag`` is libvirt's element; ``device`` the kind of a
    disk, of an input device or of a controller, the type of an interface, of graphics or of a
    channel, and the backend of a TPM; ``model`` the target of a serial port.
    """

    subject: str
    tag: str
    device: str | None = None
    bus: str | None = None
    model: str | None = None
