"""A shape as a domain that a host can be asked to define: with a name, a mark and null devices."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from novadev.rehearsal.devices import NULL
from novadev.virt import xml
from novadev.virt.trial import ELEMENT, NAMESPACE, PREFIX, Nature

if TYPE_CHECKING:
    from lxml import etree


@dataclass(frozen=True)
class Backends:
    """How a host takes null devices: ``/dev/null`` as a "block" device or a "file", and a network.

    libvirt before 8.0 takes no shared block device that is none; QEMU since 6.1 takes no file that
    is none. Red Hat's QEMU has no network of its own (``user``), and every one has ``udp``.
    """

    disk: Literal["block", "file"] = "block"
    network: Literal["user", "udp"] = "user"


ALL = (
    Backends("block", "user"),
    Backends("file", "user"),
    Backends("block", "udp"),
    Backends("file", "udp"),
)
"""In the order in which a host is asked for them."""


def definition(
    text: str, name: str, mark: Mapping[str, str], nature: Nature, backends: Backends
) -> str:
    """Return the domain of a shape's TEXT, called NAME, with a new UUID and MARK's attributes.

    No security driver of the host is to label its null devices.
    """
    root = xml.parse(text, "a shape")
    _name(root, name, str(uuid.uuid4()), mark)
    for disk in root.iterfind("devices/disk[source]"):
        _as_null(disk, nature, backends)
    for interface in root.iterfind("devices/interface") if backends.network == "udp" else ():
        _as_udp(interface)
    return xml.serialise(root)


LOCK = f"{PREFIX}lock"
"""The name of the domain that is on a host as long as a rehearsal goes on there."""


def lock(identity: str, mark: Mapping[str, str], nature: Nature) -> str:
    """Return the domain called LOCK, with the UUID IDENTITY and MARK's attributes."""
    root = xml.parse(
        f'<domain type="{nature.domain_type}"><memory unit="MiB">1</memory>'
        f'<os><type arch="{nature.architecture}">hvm</type></os></domain>'
    )
    _name(root, LOCK, identity, mark)
    return xml.serialise(root)


def _name(root: etree._Element, name: str, identity: str, mark: Mapping[str, str]) -> None:
    metadata = _new(root, "metadata")
    metadata.append(metadata.makeelement(f"{{{NAMESPACE}}}{ELEMENT}", dict(mark)))
    for tag, value in (("uuid", identity), ("name", name)):
        _new(root, tag).text = value


def _new(root: etree._Element, tag: str) -> etree._Element:
    element = root.makeelement(tag, {})
    root.insert(0, element)
    return element


def _as_null(disk: etree._Element, nature: Nature, backends: Backends) -> None:
    source = disk.find("source")
    assert source is not None
    disk.set("type", backends.disk)
    source.attrib.clear()
    source.set("dev" if backends.disk == "block" else "file", NULL)
    for model in nature.security_models:
        source.append(source.makeelement("seclabel", {"model": model, "relabel": "no"}))


def _as_udp(interface: etree._Element) -> None:
    """Give the card a socket on the loopback, at a port that the kernel chooses."""
    interface.set("type", "udp")
    source = interface.makeelement("source", {"address": "127.0.0.1", "port": "9"})
    source.append(source.makeelement("local", {"address": "127.0.0.1", "port": "0"}))
    interface.append(source)


def plainest(nature: Nature) -> str:
    """Return a shape that every host starts: what says whether it is the host that fails.

    It has two disks, since they must not lock each other out, and one network card.
    """
    disk = (
        '<disk type="block" device="disk"><driver name="qemu" type="raw" cache="writeback"/>'
        f'<source dev="{NULL}"/><target dev="vd{{}}" bus="virtio"/><shareable/></disk>'
    )
    return (
        f'<domain type="{nature.domain_type}"><memory unit="MiB">256</memory><vcpu>1</vcpu>'
        f'<os><type arch="{nature.architecture}">hvm</type></os><devices>'
        f"{disk.format('a')}{disk.format('b')}"
        '<interface type="user"><mac address="52:54:00:6e:ff:ff"/><model type="virtio"/>'
        "</interface></devices></domain>"
    )
