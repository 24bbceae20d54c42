"""Which operating system a guest runs, as far as its image says."""

from __future__ import annotations

from novadev.rules.guest import Guest, property_value

_WINDOWS_NAMES = ("win", "mswin")
"""How libosinfo's short ids of Windows begin (``win10``), and what others call it."""
_WINDOWS_IDS = ("http://microsoft.com/win/", "https://microsoft.com/win/")
"""How libosinfo's ids of Windows begin; Nova takes those too (nova/virt/osinfo.py)."""


def is_windows(guest: Guest) -> bool:
    """Return whether the image says that the guest runs Windows: by os_type or by os_distro.

    Source: nova/virt/libvirt/driver.py, _get_guest_config, which goes by os_type alone;
    os_distro is libosinfo's short id or id, or ``vmware_ostype``.
    """
    os_type = (property_value(guest, "os_type") or "").lower()
    distro = (property_value(guest, "os_distro") or "").lower()
    return os_type == "windows" or distro.startswith((*_WINDOWS_NAMES, *_WINDOWS_IDS))
