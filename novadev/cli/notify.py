"""Notifies systemd of the state of a service: sd_notify(3) on the socket that systemd names."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

_LONGEST = 1.0
"""Seconds that a message may take."""


class Notifier:
    """Notifies the service manager on ``NOTIFY_SOCKET``, and does nothing if that is not set.

    The name is taken out of the environment: what this process starts has nothing to tell.
    """

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")

    def tell(self, **values: object) -> None:
        """Send VALUES in the protocol's words: ``READY=1``, ``STATUS=…``.

        Never fails, and waits a moment at most for a listener that does not read.
        """
        if not self._address.startswith(("/", "@")):
            return
        address = self._address.replace("@", "\0", 1) if self._address[0] == "@" else self._address
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.settimeout(_LONGEST)
            client.sendto(text.encode(), address)
