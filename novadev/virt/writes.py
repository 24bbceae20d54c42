"""The calls that change a domain. libvirt has no compare-and-swap: each says how it guards.

`redefine` reads back what it wrote: libvirt drops what it does not like without an error. The
aliases of disks and interfaces have a module of their own, :mod:`novadev.virt.alias_writes`.
"""

from __future__ import annotations

import enum
import logging
from typing import Any

from novadev.errors import NotAsNeeded, StalePlan
from novadev.virt import xml
from novadev.virt.alias import Alias
from novadev.virt.binding import libvirt
from novadev.virt.device import Device
from novadev.virt.domain import Domain
from novadev.virt.events import Event, Watch
from novadev.virt.host import PERSISTENT, Host

LOG = logging.getLogger(__name__)
_UNKNOWN_FLAGS = (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED)
_LIFECYCLE = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
_DEFINED = libvirt.VIR_DOMAIN_EVENT_DEFINED
_EVENT_WAIT = 2.0
"""Seconds until the event of a definition must have come."""
_KEEP_NVRAM: int = libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
_KEEP_TPM: int = getattr(libvirt, "VIR_DOMAIN_UNDEFINE_KEEP_TPM", 0)
_KEEP_FILES = (_KEEP_NVRAM | _KEEP_TPM, _KEEP_NVRAM, 0)
"""How to undefine so that no file goes with it; each is for a host that knows fewer flags."""


class Affect(enum.Flag):
    """Which definition a detach is from (VIR_DOMAIN_AFFECT_…)."""

    LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
    PERSISTENT = libvirt.VIR_DOMAIN_AFFECT_CONFIG


def redefine(host: Host, before: Domain, text: str) -> Domain:
    """Replace the persistent definition BEFORE with TEXT; return what is read back.

    For what libvirt cannot change of a device alone. Raises StalePlan when the definition is no
    longer BEFORE, or another when read back; NotAsNeeded when libvirt refuses TEXT.
    A change by another between the comparison and the write, a millisecond, is lost. A domain
    undefined in that time is undefined again, its files kept, and StalePlan.
    """
    handle = host.handle(before.uuid)
    wanted = Domain.from_xml(text)
    with host.translated(before.uuid), host.watch(handle, _LIFECYCLE) as watch:
        _check_unchanged(host, handle, before)
        host.connection.defineXML(text)
        if watch.wait(_is_defined, _EVENT_WAIT) is None:
            LOG.warning("host %s tells no events: who else defined cannot be seen", host.name)
        written = host.persistent(before.uuid)
        _check_undisturbed(host, handle, watch)
    if written.canonical != wanted.canonical:
        raise StalePlan(f"host {host.name}: domain {before.uuid} does not have what was written")
    return written


def _check_unchanged(host: Host, handle: Any, before: Domain) -> None:
    """Raise StalePlan when the definition is no longer BEFORE.

    To parse takes longer than to write, so its text is compared once more after that.
    """
    seen = handle.XMLDesc(PERSISTENT)
    is_same = host.persistent(before.uuid).canonical == before.canonical
    if not is_same or handle.XMLDesc(PERSISTENT) != seen:
        raise StalePlan(f"host {host.name}: the definition of {before.uuid} has changed")


def _check_undisturbed(host: Host, handle: Any, watch: Watch) -> None:
    """Raise StalePlan when another undefined or defined the domain meanwhile.

    An UNDEFINED with nothing behind it but our own DEFINED means that we brought the domain back
    to life: that is taken back. It takes the time to be sure that no second DEFINED comes.
    """
    if _count(watch, libvirt.VIR_DOMAIN_EVENT_UNDEFINED):
        watch.wait_for(lambda: _count(watch, _DEFINED) > 1, _EVENT_WAIT)
        if _count(watch, _DEFINED) == 1 and _is_defined(watch.events[-1]):
            _undefine(handle)
        raise StalePlan(f"host {host.name}: domain {handle.UUIDString()} was undefined meanwhile")
    if _count(watch, _DEFINED) > 1:
        raise StalePlan(f"host {host.name}: domain {handle.UUIDString()} was redefined meanwhile")


def _undefine(handle: Any) -> None:
    for flags in _KEEP_FILES:
        try:
            handle.undefineFlags(flags)
            return
        except libvirt.libvirtError as error:
            if flags == _KEEP_FILES[-1] or error.get_error_code() not in _UNKNOWN_FLAGS:
                raise


def _count(watch: Watch, change: int) -> int:
    return sum(event.details[0] == change for event in watch.events)


def _is_defined(event: Event) -> bool:
    return bool(event.details[0] == _DEFINED)


def detach_alias(host: Host, uuid: str, alias: Alias, affect: Affect) -> None:
    """Ask for the device with ALIAS to be taken out; where live, the guest decides when.

    LIVE and PERSISTENT together want the alias in both, else nothing changes. Raises NotFound for
    an alias that is not there, NotAsNeeded when the guest is shut off or libvirt cannot do it.
    """
    handle = host.handle(uuid)
    with host.translated(uuid):
        handle.detachDeviceAlias(alias.name, affect.value)


def detach_xml(host: Host, uuid: str, device: Device, affect: Affect) -> None:
    """Ask for DEVICE, as its definition has it, to be taken out: for one without an alias.

    A disk is matched by its target alone, an interface by MAC and address. Raises as
    `detach_alias`.
    """
    handle = host.handle(uuid)
    with host.translated(uuid):
        handle.detachDeviceFlags(xml.serialise(device.element), affect.value)


def removals(host: Host, uuid: str) -> Watch:
    """Return a watch to detach inside, so that no event is missed; see `wait_removed`."""
    kinds = (
        libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
        libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
    )
    return host.watch(host.handle(uuid), *kinds)


def wait_removed(watch: Watch, alias: Alias, seconds: float) -> bool:
    """Return whether the guest let the device with this live alias go within SECONDS.

    Raises NotAsNeeded when it refuses to.
    """
    event = watch.wait(lambda event: event.details[0] == alias.name, seconds)
    if event and event.kind == libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED:
        raise NotAsNeeded(f"the guest refused to release {alias}")
    return event is not None
