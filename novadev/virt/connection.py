"""A connection to one host's libvirt: how it is opened, and when it is given up."""

from __future__ import annotations

import logging
import re
from typing import Any

from novadev.errors import Unreachable
from novadev.virt.binding import libvirt

LOG = logging.getLogger(__name__)
_UNANSWERED = 2
"""Keepalive messages without answer that end a connection."""
_CREDENTIALS = [
    libvirt.VIR_CRED_AUTHNAME,
    libvirt.VIR_CRED_ECHOPROMPT,
    libvirt.VIR_CRED_REALM,
    libvirt.VIR_CRED_PASSPHRASE,
    libvirt.VIR_CRED_NOECHOPROMPT,
    libvirt.VIR_CRED_EXTERNAL,
]
"""What libvirt may use of its ``auth.conf``, as in Nova (``virt/libvirt/host.py`` _connect)."""
_AUTH_FAILED = (libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_AUTH_CANCELLED)
_AUTH_HINT = ". libvirt takes credentials from LIBVIRT_AUTH_FILE or /etc/libvirt/auth.conf"
_WITHOUT_ITS_WORDS = re.compile(
    "Cannot write data: |.*client socket is closed|End of file while reading data: :"
)
"""What libvirt says of an ssh that ended before libvirt had read why."""
_OPENINGS = 5


def connect(name: str, uri: str, timeout: float) -> Any:
    """Return a connection of libvirt to the host NAME at URI; raises Unreachable.

    A host that stops answering is given up after three quarters of TIMEOUT seconds, but not while
    it is being opened.
    """
    for _ in range(_OPENINGS if "+ssh:" in uri else 1):
        try:
            connection = libvirt.openAuth(uri, [_CREDENTIALS, _ask_nobody, None], 0)
        except libvirt.libvirtError as error:
            failure = error
            if not _WITHOUT_ITS_WORDS.match(failure.get_error_message() or ""):
                break
        else:
            _keep_alive(connection, name, timeout)
            return connection
    reason = failure.get_error_message() or "no reason given"
    hint = _AUTH_HINT if failure.get_error_code() in _AUTH_FAILED else ""
    raise Unreachable(f"host {name} could not be reached: {reason}{hint}") from failure


def _keep_alive(connection: Any, name: str, timeout: float) -> None:
    interval = max(1, int(timeout * 0.75 / (_UNANSWERED + 1)))
    try:
        connection.setKeepAlive(interval, _UNANSWERED)
    except libvirt.libvirtError:
        LOG.info("host %s: its driver has no keepalive", name)


def _ask_nobody(credentials: list[Any], _opaque: object) -> int:
    """Give libvirt none of the CREDENTIALS that its ``auth.conf`` lacks."""
    return -1 if credentials else 0
