"""Which consoles are devices: read where no XML is."""

from __future__ import annotations


def is_serial_target(target_type: object) -> bool:
    """Whether a console with this type of target is the serial port, and no device of its own.

    libvirt makes a serial port for such a one where there is none; virtio, sclp, sclplm, xen … are
    devices (``virDomainDefAddConsoleCompat``).
    """
    return target_type in (None, "serial")
