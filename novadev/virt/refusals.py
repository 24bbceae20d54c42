"""Translates libvirt's errors into novadev's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.virt.binding import libvirt

_NO_DEVICE_WITH_ALIAS = "no device found with alias"
"""Comes with VIR_ERR_INTERNAL_ERROR (``qemuDomainDetachDeviceAliasLiveAndConfig``)."""
_CLASSES: dict[int, type[NovadevError]] = {
    libvirt.VIR_ERR_NO_DOMAIN: NotFound,
    libvirt.VIR_ERR_DEVICE_MISSING: NotFound,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: Busy,
    **dict.fromkeys(
        (
            libvirt.VIR_ERR_NO_CONNECT,
            libvirt.VIR_ERR_INVALID_CONN,
            libvirt.VIR_ERR_OPERATION_DENIED,
            libvirt.VIR_ERR_ACCESS_DENIED,
            libvirt.VIR_ERR_AUTH_FAILED,
            libvirt.VIR_ERR_AUTH_CANCELLED,
            libvirt.VIR_ERR_AUTH_UNAVAILABLE,
        ),
        Unreachable,
    ),
    **dict.fromkeys(
        (
            libvirt.VIR_ERR_INVALID_ARG,
            libvirt.VIR_ERR_XML_ERROR,
            libvirt.VIR_ERR_XML_DETAIL,
            libvirt.VIR_ERR_XML_INVALID_SCHEMA,
            libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
            libvirt.VIR_ERR_OPERATION_FAILED,
            libvirt.VIR_ERR_OPERATION_INVALID,
            libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
            libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
            libvirt.VIR_ERR_NO_SUPPORT,
            libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
        ),
        NotAsNeeded,
    ),
}


@contextmanager
def translated(
    subject: str, is_alive: Callable[[], bool], stale: Collection[int] = ()
) -> Iterator[None]:
    """Turn libvirt's errors into ours, SUBJECT first: "host cmp1: domain 7c9e…".

    StalePlan for the codes in STALE, Unreachable once the connection is no longer alive, else
    NotFound, NotAsNeeded (libvirt refuses), Busy or Unreachable by the code, and NovadevError
    for a code that says nothing.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        code, text = error.get_error_code(), error.get_error_message() or "no reason given"
        kind = StalePlan if code in stale else _classify(code, text)
        is_lost = kind is not NotFound and not is_alive()
        if is_lost:
            kind = Unreachable
        raised = kind(f"{subject}: {text}")
        if isinstance(raised, Unreachable):
            host = subject.partition(": ")[0]
            raised.of_host = f"{host} was lost: {text}" if is_lost else f"{host}: {text}"
        raise raised from error


def of_host(error: NovadevError) -> NovadevError:
    """Return what ERROR, met with one guest, says of all others of its host: the same without it.

    That a guest hangs says nothing of others, and stays as it is.
    """
    if isinstance(error, Unreachable) and not isinstance(error, Busy) and error.of_host:
        return Unreachable(error.of_host)
    return error


def _classify(code: int, text: str) -> type[NovadevError]:
    if code == libvirt.VIR_ERR_INTERNAL_ERROR and _NO_DEVICE_WITH_ALIAS in text:
        return NotFound
    return _CLASSES.get(code, NovadevError)
