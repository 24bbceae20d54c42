"""What libvirt says that the guests of a machine type can have (``virsh domcapabilities``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from novadev.virt.binding import libvirt
from novadev.virt.host import Host
from novadev.virt.xml import parse

Values = tuple[str, ...] | None
"""The values that are there, in libvirt's order; None where this libvirt says nothing of it."""
_NOT_TOLD = (
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_NO_SUPPORT,
)
"""How libvirt refuses: a machine type such as ``none``, an accelerator, a driver without it."""


@dataclass(frozen=True)
class DomainCapabilities:
    """What the guests of one machine type can have, in libvirt's words.

    Each field is an enumeration of ``src/conf/domain_capabilities.h``. None of them is for
    interfaces, SCSI controllers or input devices: libvirt reports no models of those. Nor does a
    bus say which kinds of disk it takes.
    """

    channel: Values = None
    disk_bus: Values = None
    disk_device: Values = None
    graphics: Values = None
    rng: Values = None
    tpm: Values = None
    tpm_backend: Values = None
    video: Values = None


_ENUMERATIONS = {
    "channel": ("channel", "type"),
    "disk_bus": ("disk", "bus"),
    "disk_device": ("disk", "diskDevice"),
    "graphics": ("graphics", "type"),
    "rng": ("rng", "model"),
    "tpm": ("tpm", "model"),
    "tpm_backend": ("tpm", "backendModel"),
    "video": ("video", "modelType"),
}
"""Element and name of the enumeration, by field."""


@dataclass(frozen=True)
class Emulated:
    """What a host has for the guests of one architecture.

    ``emulator`` is the path of the QEMU that libvirt starts them with, None where it says of no
    machine type what its guests can have. ``by_machine_type`` has those it does say it of.
    """

    emulator: str | None
    by_machine_type: dict[str, DomainCapabilities]


def read_domain_capabilities(
    host: Host, architecture: str, machine_types: Iterable[str]
) -> Emulated:
    """Return what the guests of ARCHITECTURE can have on HOST, for each of MACHINE_TYPES.

    Half a millisecond for each on the host itself. Equal ones are one object. Raises Unreachable,
    and BadInput for an XML that is none.
    """
    emulator, found = None, dict[str, DomainCapabilities]()
    shared: dict[DomainCapabilities, DomainCapabilities] = {}
    for name in machine_types:
        root = _ask(host, architecture, name)
        if root is not None:
            emulator = emulator or root.findtext("path")
            told = _domain_capabilities(root)
            found[name] = shared.setdefault(told, told)
    return Emulated(emulator, found)


def _ask(host: Host, architecture: str, machine_type: str) -> etree._Element | None:
    """Return libvirt's answer, for its best accelerator; None where it has none."""
    with host.translated():
        try:
            text = host.connection.getDomainCapabilities(None, architecture, machine_type, None, 0)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _NOT_TOLD:
                raise
            return None
    return parse(text, f"host {host.name}: the domain capabilities of {machine_type}")


def _domain_capabilities(root: etree._Element) -> DomainCapabilities:
    devices = root.find("devices")
    return DomainCapabilities(
        **{
            field: None if devices is None else _values(devices.find(tag), name)
            for field, (tag, name) in _ENUMERATIONS.items()
        }
    )


def _values(element: etree._Element | None, name: str) -> Values:
    """Return the values of an enumeration: none where the element is not supported at all."""
    if element is None:
        return None
    if element.get("supported") != "yes":
        return ()
    found = element.find(f"enum[@name='{name}']")
    return None if found is None else tuple(item.text or "" for item in found.iterfind("value"))
