"""A definition tried on a host: defined, started paused, and taken away again.

Whatever is defined here carries a mark in its metadata and a name with a prefix. Only what has both
is ever removed. libvirt ends such a guest by itself when the connection closes
(``VIR_DOMAIN_START_AUTODESTROY``), so that a process that is killed leaves at most a definition.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from novadev.errors import NotFound, NovadevError, Unreachable
from novadev.virt import xml
from novadev.virt.binding import libvirt
from novadev.virt.capabilities import security_models
from novadev.virt.host import Host

LOG = logging.getLogger(__name__)
PREFIX = "novadev-rehearsal-"
NAMESPACE = "urn:novadev:rehearsal:1"
ELEMENT = "rehearsal"
"""The mark: this element of the namespace, in the metadata."""
Fate = Literal["started", "would not start", "cannot be defined"]
_OF_THE_DEFINITION = frozenset(
    (
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_XML_ERROR,
        libvirt.VIR_ERR_XML_DETAIL,
        libvirt.VIR_ERR_XML_INVALID_SCHEMA,
        libvirt.VIR_ERR_INVALID_ARG,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_OS_TYPE,
    )
)
"""Errors that are about what was asked for; others may be about the state of the host."""
_PAUSED = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY


@dataclass(frozen=True)
class Trial:
    """What became of a definition, in libvirt's and QEMU's own words if it did not start.

    ``is_certain`` is False where the words may be about the state of the host, such as its memory.
    ``errno`` is that of the call that the kernel refused libvirt, 0 where it was none.
    """

    fate: Fate
    message: str = ""
    is_certain: bool = True
    errno: int = 0


@dataclass(frozen=True)
class Marked:
    """A domain with the mark, and the mark's attributes."""

    uuid: str
    name: str
    mark: Mapping[str, str]


@dataclass(frozen=True)
class Domains:
    """The domains of a host: those with the mark, and the names of all others."""

    marked: tuple[Marked, ...]
    others: tuple[str, ...]


def list_all(host: Host) -> Domains:
    """Return the domains of HOST, running or not."""
    with host.translated():
        handles = host.connection.listAllDomains(0)
        marks = [(handle, _mark_of(handle)) for handle in handles]
        marked = [Marked(h.UUIDString(), h.name(), mark) for h, mark in marks if mark is not None]
        others = [handle.name() for handle, mark in marks if mark is None]
    return Domains(tuple(marked), tuple(others))


def _mark_of(handle: Any) -> Mapping[str, str] | None:
    """Return the attributes of the mark; None for a domain that is not ours to remove."""
    if not handle.name().startswith(PREFIX):
        return None
    try:
        text = handle.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (
            libvirt.VIR_ERR_NO_DOMAIN_METADATA,
            libvirt.VIR_ERR_NO_DOMAIN,
        ):
            return None
        raise
    root = xml.parse(text, "a mark")
    if xml.local_name(root) != ELEMENT:  # libvirt gives it without its namespace
        return None
    return {str(name): str(value) for name, value in root.attrib.items()}


def remove_marked(host: Host, uuids: Sequence[str]) -> dict[str, str]:
    """Remove those of the domains UUIDS that carry the mark.

    Return by name why libvirt could not remove one: it never ends a guest whose start it was
    making when it was killed, not even when it is restarted.
    """
    stuck = {}
    for item in list_all(host).marked:
        if item.uuid in uuids:
            try:
                with suppress(NotFound), host.translated(item.uuid):
                    _remove(host.connection.lookupByUUIDString(item.uuid))
            except Unreachable:
                raise
            except NovadevError as error:
                stuck[item.name] = str(error)
    return stuck


def define(host: Host, text: str) -> Trial | None:
    """Define or redefine the domain TEXT on HOST; return the failure, or None.

    libvirt refuses a name that a domain with another UUID has, also at the same moment.
    """
    with host.translated():
        try:
            host.connection.defineXML(text)
        except libvirt.libvirtError as error:
            return _failed(host, "cannot be defined", error)
    return None


def try_all(host: Host, definitions: Sequence[str]) -> list[Trial]:
    """Return what becomes of each of DEFINITIONS, all tried at the same time.

    Each has the mark, and a name and UUID that no domain of HOST has. Raises Unreachable where
    the host is lost meanwhile.
    """
    connection = host.connection
    with ThreadPoolExecutor(max(1, len(definitions))) as threads:
        tries = [threads.submit(_try, host, connection, text) for text in definitions]
        return [one.result() for one in tries]


def _try(host: Host, connection: Any, text: str) -> Trial:
    with host.translated():
        try:
            domain = connection.defineXML(text)
        except libvirt.libvirtError as error:
            return _failed(host, "cannot be defined", error)
        try:
            domain.createWithFlags(_PAUSED)
        except libvirt.libvirtError as error:
            return _failed(host, "would not start", error)
        finally:
            _remove(domain)
    return Trial("started")


def _failed(host: Host, fate: Fate, error: Any) -> Trial:
    """Return the failure; raises ERROR itself where the connection was lost."""
    if not host.is_alive():
        raise error
    code = error.get_error_code()
    errno = int(error.get_int1() or 0) if code == libvirt.VIR_ERR_SYSTEM_ERROR else 0
    message = error.get_error_message() or "no reason given"
    return Trial(fate, message, code in _OF_THE_DEFINITION, errno)


def _remove(domain: Any) -> None:
    """End the guest if it runs, and undefine it with its variables and the state of its TPM."""
    with suppress(libvirt.libvirtError):  # it does not run
        domain.destroy()
    try:
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise


@dataclass(frozen=True)
class Nature:
    """What a definition for a host is made by: its processor, accelerator, security drivers."""

    architecture: str
    domain_type: str
    security_models: tuple[str, ...]


def nature_of(host: Host) -> Nature:
    """Return the nature of HOST; the accelerator is QEMU's own emulation where it has that."""
    with host.translated():
        text = host.connection.getCapabilities()
    root = xml.parse(text, f"host {host.name}: its capabilities")
    architecture = root.findtext("host/cpu/arch") or ""
    types = {
        str(item.get("type"))
        for guest in root.iterfind("guest")
        if guest.findtext("os_type") == "hvm"
        for item in guest.iterfind(f"arch[@name='{architecture}']/domain")
    }
    if not types:
        raise NotFound(f"host {host.name}: its libvirt starts no guests of {architecture}")
    return Nature(architecture, "qemu" if "qemu" in types else min(types), security_models(root))
