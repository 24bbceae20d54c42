"""Machine types by their names: family, version, and whether a name stands for another one.

This module imports nothing of Nova's records, so the processes of hosts can load it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping

X86 = ("i686", "x86_64")
"""The x86 architectures in libvirt's words."""
POWER = ("ppc", "ppc64", "ppc64le")
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


def have_same_boards(one: str, other: str) -> bool:
    """Return whether a guest of ONE architecture can be on a host of the OTHER, by their boards."""
    return FAMILIES.get(one, (one,)) == FAMILIES.get(other, (other,))


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What can be the name of a machine type."""
_NAMES = {
    Q35: re.compile(r".*q35.*"),
    I440FX: re.compile(r"pc|pc-i440fx-.+|pc-[01]\..+|rhel[0-9].*|ubuntu"),
    "virt": re.compile(r"virt(-.+)?"),
    "pseries": re.compile(r"pseries(-.+)?"),
    "s390-ccw-virtio": re.compile(r"s390-ccw-virtio(-.+)?"),
    **{name: re.compile(name) for name in ("microvm", "isapc", "xenpv", "none")},
    "xenfv": re.compile(r"xenfv(-.+)?"),
}
_ALIASES = (
    *("pc", "q35", "ubuntu", "ubuntu-q35", "xenfv"),
    *("virt", "pseries", "powernv", "s390-ccw-virtio"),
)
"""The names that QEMU gives its newest machine type of a kind.

Source: QEMU, ``mc->alias`` in hw/i386/pc_piix.c, hw/i386/pc_q35.c, hw/arm/virt.c, hw/ppc/spapr.c,
hw/ppc/pnv.c and hw/s390x/s390-virtio-ccw.c; the two of Ubuntu are in its own patches. Every other
name is one machine type: ``isapc``, ``none``, ``microvm``, ``rhel6.6.0``.
"""
_VIRT_WITHOUT_VERSIONS = ("riscv32", "riscv64", "loongarch64")
"""Architectures whose ``virt`` is one machine type (QEMU, hw/riscv/virt.c, hw/loongarch/virt.c)."""
_WITHOUT_IDE = ("*q35*", "virt", "virt-*", "microvm*", "pseries*", "s390*")
"""Of these libvirt's qemuDomainHasBuiltinIDE has none; of others nothing is known here."""
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+$")


def family_of(name: str) -> str:
    """Return the family of a machine type, ``i440fx`` or ``q35`` on x86; empty if unknown.

    Source: Q35 as Nova tells it, by the name (nova/virt/libvirt/driver.py, _guest_needs_pcie);
    the others from libvirt, src/qemu/qemu_domain.c, qemuDomainMachineIsI440FX and its like.
    """
    found = (family for family, names in _NAMES.items() if names.fullmatch(name))
    return next(found, "")


def is_q35(name: str | None) -> bool:
    """Return whether Nova takes the machine type for Q35: by its name (``driver.py``)."""
    return "q35" in (name or "")


def has_pci_express(name: str | None) -> bool:
    """Return whether Nova writes PCI Express root ports (``driver.py`` _guest_needs_pcie)."""
    return is_q35(name) or family_of(name or "") == "virt"


def lacks_ide(name: str) -> bool:
    """Return whether the machine type is known to have no IDE controller."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _WITHOUT_IDE)


def is_alias(
    name: str, architecture: str | None = None, known: Mapping[str, str] | None = None
) -> bool:
    """Return whether NAME stands for another machine type, which changes with QEMU.

    KNOWN are the host's machine types with the name that each one stands for; a table tells of
    what is not among them. ARCHITECTURE is the guest's, None where it is not known.
    """
    if known and name in known:
        return known[name] != name
    if name == "virt" and architecture in _VIRT_WITHOUT_VERSIONS:
        return False
    return name in _ALIASES


def may_be(name: str, found: str, known: Mapping[str, str] | None = None) -> bool:
    """Return whether a guest that asks for NAME may have the machine type FOUND.

    Where KNOWN (as for `is_alias`) does not tell, an alias may be any of its family.
    """
    if known and name in known:
        return known[name] == found
    return name == found or (is_alias(name) and family_of(name) == family_of(found) != "")


def version_of(name: str) -> tuple[int, ...]:
    """Return the version a machine type's name ends with; an empty one for an alias or codename."""
    match = _VERSION.search(name)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
