"""What a host's libvirt can do: its versions and its machine types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from novadev.errors import BadInput
from novadev.virt.host import Host
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
    architecture that the host has or emulates.
    """

    architecture: str
    libvirt: str
    qemu: str | None
    machine_types: Mapping[str, Mapping[str, MachineType]]


def read_capabilities(host: Host) -> HostCapabilities:
    """Return what HOST can do; raises Unreachable, and BadInput for an XML that is none.

    The same call as ``virsh capabilities``.
    """
    with host.translated():
        text = host.connection.getCapabilities()
        libvirt = host.connection.getLibVersion()
        qemu = host.connection.getVersion() if host.connection.getType() == "QEMU" else None
    what = f"host {host.name}: its capabilities"
    root = parse(text, what)
    return HostCapabilities(
        architecture=_architecture(root, what),
        libvirt=_version(libvirt),
        qemu=None if qemu is None else _version(qemu),
        machine_types=_machine_types(root),
    )


def _architecture(root: etree._Element, what: str) -> str:
    name = root.findtext("host/cpu/arch")
    if not name:
        raise BadInput(f"{what} name no architecture")
    return name


def _machine_types(root: etree._Element) -> dict[str, dict[str, MachineType]]:
    """Return the machine types of full virtualisation, sorted."""
    found: dict[str, dict[str, MachineType]] = {}
    for guest in root.iterfind("guest"):
        if guest.findtext("os_type") != "hvm":
            continue
        for arch in guest.iterfind("arch[@name]"):
            of_arch = found.setdefault(str(arch.get("name")), {})
            for name, machine in _machines(arch):
                of_arch.setdefault(name, machine)
    return {name: dict(sorted(found[name].items())) for name in sorted(found)}


def _machines(arch: etree._Element) -> Iterator[tuple[str, MachineType]]:
    """Yield the machine types of the architecture, then those of single accelerators."""
    for element in (*arch.iterfind("machine"), *arch.iterfind("domain/machine")):
        name = (element.text or "").strip()
        if name:
            canonical = str(element.get("canonical") or name)
            yield name, MachineType(canonical, element.get("deprecated") == "yes")


def _version(number: int) -> str:
    """Return the version that libvirt writes as 1000000 * major + 1000 * minor + micro."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
