"""libvirt-python, the extra ``libvirt``: a controller that only needs the databases has none.

Without it every module of ``virt/`` can be imported, and whoever asks a host gets one error.
"""

from __future__ import annotations

from typing import Any

from novadev.errors import Unreachable

__all__ = ["libvirt", "libvirt_qemu"]


class _NotInstalled:
    """Has libvirt's constants, which then are in nobody's way, and none of its calls."""

    libvirtError = type("libvirtError", (Exception,), {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("VIR_"):
            return 0
        raise Unreachable(
            "libvirt-python is not installed, so novadev cannot reach any host. Install novadev "
            "with its extra \"libvirt\" (pip install 'novadev[libvirt]')"
        )


try:
    import libvirt
    import libvirt_qemu
except ModuleNotFoundError:
    libvirt = libvirt_qemu = _NotInstalled()
