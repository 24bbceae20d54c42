"""A device of a guest in libvirt's words: what Nova asks for, and what a host may lack.

This module imports nothing of Nova's records, so the processes of hosts can load it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SPICE_CHANNEL, AGENT_CHANNEL = "com.redhat.spice.0", "org.qemu.guest_agent.0"
WATCHDOG = "i6300esb"
"""The model of every watchdog (nova/virt/libvirt/config.py, LibvirtConfigGuestWatchdog)."""
FALLBACK_VIDEO = "virtio"
"""What Nova's driver leaves open its own class fills in (config.py, LibvirtConfigGuestVideo)."""


@dataclass(frozen=True)
class GuestDevice:
    """A device in libvirt's words, each None where nothing says it.

    ``subject`` is what people know it by. ``tag`` is libvirt's element; ``device`` the kind of a
    disk, of an input device or of a controller, the type of an interface, of graphics or of a
    channel, and the backend of a TPM; ``model`` the target of a serial port. ``serial_length`` is
    that of a disk's serial.
    """

    subject: str
    tag: str
    device: str | None = None
    bus: str | None = None
    model: str | None = None
    serial_length: int = 0


def inputs(pointer: str | None, keyboard: str | None) -> Iterator[GuestDevice]:
    """Yield Nova's input devices by their buses: a tablet, a keyboard; None is none of that kind.

    Source: nova/virt/libvirt/driver.py, _guest_add_pointer_device, _guest_add_keyboard_device.
    """
    for kind, bus in (("tablet", pointer), ("keyboard", keyboard)):
        if bus is not None:
            yield GuestDevice(f"input {kind} {bus}", "input", kind, bus)


def needs_usb(devices: Iterable[GuestDevice]) -> bool:
    """Return whether one of DEVICES is on USB (``driver.py`` _guest_needs_usb)."""
    return any(device.bus == "usb" and device.tag in ("disk", "input") for device in devices)


def usb_model(asked: str | None, is_needed: bool) -> str | None:
    """Return the model of the USB controller; None leaves it to libvirt, which then adds one.

    What is ASKED for counts only where USB is not needed; without either there is none.
    Source: nova/virt/libvirt/driver.py, _guest_add_usb_root_controller.
    """
    return None if is_needed else asked or "none"
