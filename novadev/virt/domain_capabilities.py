"""What libvirt says that the guests of a machine type can have (``virsh domcapabilities``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from novadev.errors import NotAsNeeded
from novadev.virt.binding import libvirt
from novadev.virt.host import Host
from novadev.virt.xml import parse

Values = tuple[str, ...] | None
"""The values that are there, in libvirt's order; None where this libvirt says nothing of it."""
NOT_TOLD = (
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
    bus say which kinds of disk it takes. ``cpu_usable`` are those of ``cpu_models`` that run on
    the host's processor, ``cpu_features`` what its ``host-model`` has beside its model;
    ``features`` are the supported ones of ``<features>`` and ``iothreads``. ``vcpu_max`` is the
    largest number of virtual processors.
    """

    channel: Values = None
    cpu_features: Values = None
    cpu_models: Values = None
    cpu_modes: Values = None
    cpu_usable: Values = None
    crypto: Values = None
    disk_bus: Values = None
    disk_device: Values = None
    features: Values = None
    filesystem: Values = None
    firmware: Values = None
    graphics: Values = None
    hyperv: Values = None
    launch_security: Values = None
    loader: Values = None
    memory_source: Values = None
    panic: Values = None
    redirdev: Values = None
    rng: Values = None
    tpm: Values = None
    tpm_backend: Values = None
    tpm_version: Values = None
    vcpu_max: int | None = None
    video: Values = None


_ENUMERATIONS = {
    "channel": ("devices/channel", "type"),
    "crypto": ("devices/crypto", "model"),
    "disk_bus": ("devices/disk", "bus"),
    "disk_device": ("devices/disk", "diskDevice"),
    "filesystem": ("devices/filesystem", "driverType"),
    "firmware": ("os", "firmware"),
    "graphics": ("devices/graphics", "type"),
    "hyperv": ("features/hyperv", "features"),
    "launch_security": ("features/launchSecurity", "sectype"),
    "memory_source": ("memoryBacking", "sourceType"),
    "panic": ("devices/panic", "model"),
    "redirdev": ("devices/redirdev", "bus"),
    "rng": ("devices/rng", "model"),
    "tpm": ("devices/tpm", "model"),
    "tpm_backend": ("devices/tpm", "backendModel"),
    "tpm_version": ("devices/tpm", "backendVersion"),
    "video": ("devices/video", "modelType"),
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


_DESCRIPTIONS = "/qemu/firmware/"
"""The folders of the descriptions of firmware, in what libvirt says of one that it cannot read."""
_MEND_DESCRIPTION = (
    "The host's libvirt cannot read this description of firmware, so it answers nothing. "
    "Correct or remove the file (for one in /usr/share, an empty file of the same name in "
    "/etc/qemu/firmware takes its place), and try again"
)


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
            if error.get_error_code() in NOT_TOLD:
                return None
            if _DESCRIPTIONS in (text := error.get_error_message() or ""):
                raise NotAsNeeded(f"host {host.name}: {text}. {_MEND_DESCRIPTION}") from error
            raise
    return parse(text, f"host {host.name}: the domain capabilities of {machine_type}")


def _domain_capabilities(root: etree._Element) -> DomainCapabilities:
    vcpu = root.find("vcpu")
    most = "" if vcpu is None else vcpu.get("max", "")
    return DomainCapabilities(
        **{field: _values(root.find(tag), name) for field, (tag, name) in _ENUMERATIONS.items()},
        **_processors(root.find("cpu")),
        features=_features(root),
        loader=_loaders(root.find("os/loader")),
        vcpu_max=int(most) if most.isdecimal() else None,
    )


def _processors(cpu: etree._Element | None) -> dict[str, Values]:
    """Return the modes and models of processors; models are those of the mode ``custom``."""
    if cpu is None:
        return {}
    modes = [str(item.get("name")) for item in cpu.iterfind("mode[@supported='yes']")]
    models = cpu.findall("mode[@name='custom']/model")
    usable = [item for item in models if item.get("usable") == "yes"]
    features = cpu.iterfind("mode[@name='host-model']/feature[@policy='require']")
    return {
        "cpu_modes": tuple(modes),
        "cpu_models": tuple(sorted(item.text or "" for item in models)),
        "cpu_usable": tuple(sorted(item.text or "" for item in usable)),
        "cpu_features": tuple(sorted(str(item.get("name")) for item in features)),
    }


def _features(root: etree._Element) -> Values:
    features = root.find("features")
    if features is None:
        return None
    found = [item for item in features if isinstance(item.tag, str)]
    found += root.findall("iothreads")
    return tuple(sorted(str(item.tag) for item in found if item.get("supported") == "yes"))


def _loaders(loader: etree._Element | None) -> Values:
    if loader is None:
        return None
    return tuple(item.text or "" for item in loader.iterfind("value"))


def _values(element: etree._Element | None, name: str) -> Values:
    """Return the values of an enumeration: none where the element is not supported at all."""
    if element is None:
        return None
    if element.get("supported") != "yes":
        return ()
    found = element.find(f"enum[@name='{name}']")
    return None if found is None else tuple(item.text or "" for item in found.iterfind("value"))
