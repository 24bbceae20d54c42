"""What a host writes or starts beside QEMU for a guest: where it cannot, no shape is at fault.

A guest with such a part in the form that the host itself says it has shows whether it can. What the
host says it does not have is no part here: a shape that needs it is refused for good reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from novadev.errors import NotAsNeeded
from novadev.virt import xml
from novadev.virt.domain_capabilities import DomainCapabilities, read_domain_capabilities
from novadev.virt.host import Host

VARIABLES = "UEFI variables"
TPM = "an emulated TPM"
MEMORY = "memory in a file"
DBUS = "D-Bus graphics"
_PLACES: Mapping[str, tuple[str, ...]] = {
    VARIABLES: ("os[@firmware='efi']", "os/nvram", "os/loader[@type='pflash']"),
    TPM: ("devices/tpm/backend[@type='emulator']",),
    MEMORY: (
        *("memoryBacking/source[@type='file']", "memoryBacking/access"),
        "cpu/numa/cell[@memAccess]",
    ),
    DBUS: ("devices/graphics[@type='dbus']",),
}
"""What a guest with each has in its definition, at one of these paths.

libvirt writes the variables (``nvram/``) and the folder of the memory (``ram/``), swtpm the state
of the TPM (``swtpm/``), and dbus-daemon is started with a file of its own. The folders for the
sockets of VNC, SPICE, channels and the monitor are made for every guest, so the plainest one shows
them. Huge pages are reserved by the operator: a host without them is one that lacks them.
"""
_BOARDS = ("q35", "virt", "pseries", "s390-ccw-virtio", "pc")
"""Machine types on which a part is tried, those first that have most."""


@dataclass(frozen=True)
class OwnParts:
    """What a host says it has: parts of a definition by name, and the machine type for them."""

    machine_type: str
    xml: Mapping[str, str]


def parts_of(shape: str) -> tuple[str, ...]:
    """Return the names of the parts that the definition SHAPE has."""
    root = xml.parse(shape, "a shape")
    return tuple(
        name
        for name, paths in _PLACES.items()
        if any(root.find(path) is not None for path in paths)
    )


def own_parts(host: Host, architecture: str) -> OwnParts | None:
    """Return what HOST has for the guests of ARCHITECTURE; None where libvirt does not say."""
    told: Mapping[str, DomainCapabilities] = {}
    with suppress(NotAsNeeded):
        told = read_domain_capabilities(host, architecture, _BOARDS).by_machine_type
    boards = sorted(told, key=lambda name: "efi" not in (told[name].firmware or ()))
    return OwnParts(boards[0], _own(told[boards[0]])) if boards else None


def _own(told: DomainCapabilities) -> Mapping[str, str]:
    found: dict[str, str] = {}
    if "efi" in (told.firmware or ()):
        found[VARIABLES] = _VARIABLES
    if told.tpm is None:  # before libvirt 8.0 it says nothing of TPMs
        found[TPM] = _TPM.format("tpm-tis", "2.0")
    elif told.tpm and "emulator" in (told.tpm_backend or ()):
        version = (told.tpm_version or ("2.0",))[-1]
        found[TPM] = _TPM.format(told.tpm[0], version)
    if told.memory_source is None or "file" in told.memory_source:
        found[MEMORY] = _MEMORY
    if "dbus" in (told.graphics or ()):
        found[DBUS] = _DBUS
    return found


_VARIABLES = '<domain><os firmware="efi"/><features><acpi/></features></domain>'
_TPM = (
    '<domain><devices><tpm model="{}"><backend type="emulator" version="{}"/></tpm></devices>'
    "</domain>"
)
_MEMORY = '<domain><memoryBacking><source type="file"/></memoryBacking></domain>'
_DBUS = '<domain><devices><graphics type="dbus"/></devices></domain>'


def with_parts(shape: str, own: OwnParts, names: Sequence[str]) -> str:
    """Return the definition SHAPE on the machine type of OWN, with its parts called NAMES."""
    root = xml.parse(shape, "a shape")
    xml.child(xml.child(root, "os"), "type").set("machine", own.machine_type)
    for part in (part for name in names for part in xml.parse(own.xml[name])):
        place = xml.child(root, str(part.tag))
        place.attrib.update(part.attrib)
        place.extend(list(part))
    return xml.serialise(root)
