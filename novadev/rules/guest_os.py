"""Which operating system a guest runs, as far as its image says."""

from __future__ import annotations

from novadev.rules.guest import Guest, property_value

_WINDOWS_NAMES = ("win", "mswin")
"""How libosinfo's short ids of Windows begin (``win10``), and what others call it."""
_WINDOWS_IDS = ("http://microsoft.com/win/", "https://microsoft.com/win/")
"""How libosinfo's ids of Windows begin; Nova takes those too (nova/virt/osinfo.py)."""


_LSILOGIC_DRIVERS = ("openbsd", "http://openbsd.org/", "netbsd", "http://netbsd.org/")
"""How libosinfo's short ids and ids begin of systems whose kernel drives QEMU's lsilogic (an LSI
53c895a): siop(4), in their GENERIC kernels. Most kernels of Linux for clouds have no sym53c8xx, and
Windows has none since Vista."""


def drives_lsilogic(guest: Guest) -> bool:
    """Return whether the image names a system that is known to have the driver for lsilogic."""
    distro = (property_value(guest, "os_distro") or "").lower()
    return distro.startswith(_LSILOGIC_DRIVERS)


def is_windows(guest: Guest) -> bool:
    """Return whether the image says that the guest runs Windows: by os_type or by os_distro.

    Source: nova/virt/libvirt/driver.py, _get_guest_config, which goes by os_type alone;
    os_distro is libosinfo's short id or id, or ``vmware_ostype``.
    """
    os_type = (property_value(guest, "os_type") or "").lower()
    distro = (property_value(guest, "os_distro") or "").lower()
    return os_type == "windows" or distro.startswith((*_WINDOWS_NAMES, *_WINDOWS_IDS))
