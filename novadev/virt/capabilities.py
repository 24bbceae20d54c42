"""What a host's libvirt can do: its versions, its machine types and what their guests can have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from novadev.errors import BadInput
from novadev.virt.binding import libvirt
from novadev.virt.domain_capabilities import (
    NOT_TOLD,
    DomainCapabilities,
    read_domain_capabilities,
)
from novadev.virt.host import Host, version_text
from novadev.virt.xml import parse


@dataclass(frozen=True)
class MachineType:
    """A machine type: what its name stands for (itself, unless an alias), and if it is to go."""

    canonical: str
    deprecated: bool = False


@dataclass(frozen=True)
class HostCapabilities:
    """What libvirt says of a host.

    ``qemu`` is None where the hypervisor is another one. ``machine_types`` are by name, for each
    architecture that the host has or emulates, as are the ``domain_types`` (``kvm``, ``qemu``).
    ``emulator`` and ``domain_capabilities``, by machine type and without the aliases, are for the
    host's own architecture. ``page_sizes`` are those of its memory, in KiB;
    ``processors`` the models that libvirt knows, whether QEMU has them or not;
    ``security_models`` its security drivers (``selinux``, ``dac``).
    """

    architecture: str
    libvirt: str
    qemu: str | None
    machine_types: Mapping[str, Mapping[str, MachineType]]
    domain_types: Mapping[str, tuple[str, ...]]
    emulator: str | None
    domain_capabilities: Mapping[str, DomainCapabilities]
    page_sizes: tuple[int, ...] = ()
    processors: tuple[str, ...] | None = None
    security_models: tuple[str, ...] = ()


def has_same_machine_types(qemu: str, other: str) -> bool:
    """Whether two versions of QEMU have the same machine types: they come with its releases."""
    return qemu.split(".")[:2] == other.split(".")[:2]


def read_capabilities(host: Host) -> HostCapabilities:
    """Return what HOST can do; raises Unreachable, and BadInput for an XML that is none.

    The same calls as ``virsh capabilities`` and, for each machine type, ``virsh domcapabilities``.
    """
    with host.translated():
        text = host.connection.getCapabilities()
        version = host.connection.getLibVersion()
        qemu = host.connection.getVersion() if host.connection.getType() == "QEMU" else None
    what = f"host {host.name}: its capabilities"
    root = parse(text, what)
    architecture, machine_types = _architecture(root, what), _machine_types(root)
    names = {machine.canonical for machine in machine_types.get(architecture, {}).values()}
    emulated = read_domain_capabilities(host, architecture, sorted(names))
    return HostCapabilities(
        architecture=architecture,
        libvirt=version_text(version),
        qemu=None if qemu is None else version_text(qemu),
        machine_types=machine_types,
        domain_types=_domain_types(root),
        emulator=emulated.emulator,
        domain_capabilities=emulated.by_machine_type,
        page_sizes=tuple(_page_sizes(root)),
        processors=_processors(host, architecture),
        security_models=security_models(root),
    )


def _processors(host: Host, architecture: str) -> tuple[str, ...] | None:
    """Return the models of processors that libvirt itself knows; None where it has no such list."""
    with host.translated():
        try:
            found = host.connection.getCPUModelNames(architecture)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in NOT_TOLD:
                raise
            return None
    return tuple(sorted(found))


def security_models(root: etree._Element) -> tuple[str, ...]:
    """Return the security drivers in ROOT, the capabilities of a host, in libvirt's order."""
    return tuple(item.text or "" for item in root.iterfind("host/secmodel/model"))


def _page_sizes(root: etree._Element) -> Iterator[int]:
    for pages in root.iterfind("host/cpu/pages[@unit='KiB']"):
        size = pages.get("size", "")
        if size.isdecimal():
            yield int(size)


def _architecture(root: etree._Element, what: str) -> str:
    name = root.findtext("host/cpu/arch")
    if not name:
        raise BadInput(f"{what} name no architecture")
    return name


def _machine_types(root: etree._Element) -> dict[str, dict[str, MachineType]]:
    """Return the machine types of full virtualisation, sorted."""
    found: dict[str, dict[str, MachineType]] = {}
    for arch in _architectures(root):
        of_arch = found.setdefault(str(arch.get("name")), {})
        for name, machine in _machines(arch):
            of_arch.setdefault(name, machine)
    return {name: dict(sorted(found[name].items())) for name in sorted(found)}


def _domain_types(root: etree._Element) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for arch in _architectures(root):
        types = (element.get("type") for element in arch.iterfind("domain"))
        found.setdefault(str(arch.get("name")), set()).update(name for name in types if name)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _architectures(root: etree._Element) -> Iterator[etree._Element]:
    for guest in root.iterfind("guest"):
        if guest.findtext("os_type") == "hvm":
            yield from guest.iterfind("arch[@name]")


def _machines(arch: etree._Element) -> Iterator[tuple[str, MachineType]]:
    """Yield the machine types of the architecture, then those of single accelerators."""
    for element in (*arch.iterfind("machine"), *arch.iterfind("domain/machine")):
        name = (element.text or "").strip()
        if name:
            canonical = str(element.get("canonical") or name)
            yield name, MachineType(canonical, element.get("deprecated") == "yes")
