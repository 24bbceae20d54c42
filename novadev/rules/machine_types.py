"""Machine types by their names: family and version, without a host to ask."""

from __future__ import annotations

import re

I440FX, Q35 = "i440fx", "q35"
FAMILIES = {
    "x86_64": (I440FX, Q35),
    "i686": (I440FX, Q35),
    "aarch64": ("virt",),
    "armv7l": ("virt",),
    "ppc64": ("pseries",),
    "ppc64le": ("pseries",),
    "s390": ("s390-ccw-virtio",),
    "s390x": ("s390-ccw-virtio",),
}
"""The families whose devices novadev knows, by the architecture of the guest."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What can be the name of a machine type."""
_NAMES = {
    Q35: re.compile(r".*q35.*"),
    I440FX: re.compile(r"pc|pc-i440fx-.+|pc-[01]\..+|rhel[0-9].*|ubuntu"),
    "virt": re.compile(r"virt(-.+)?"),
    "pseries": re.compile(r"pseries(-.+)?"),
    "s390-ccw-virtio": re.compile(r"s390-ccw-virtio(-.+)?"),
}
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+$")


def family_of(name: str) -> str:
    """Return the family of a machine type, ``i440fx`` or ``q35`` on x86; empty if unknown.

    Source: Q35 as Nova tells it, by the name (nova/virt/libvirt/driver.py, _guest_needs_pcie);
    the others from libvirt, src/qemu/qemu_domain.c, qemuDomainMachineIsI440FX and its like.
    """
    found = (family for family, names in _NAMES.items() if names.fullmatch(name))
    return next(found, "")


def version_of(name: str) -> tuple[int, ...]:
    """Return the version a machine type's name ends with; an empty one for an alias or codename."""
    match = _VERSION.search(name)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
