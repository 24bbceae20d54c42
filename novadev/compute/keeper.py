"""The process beside nova-compute that has the records: ``python -m novadev.compute.keeper``.

Its one argument beside configuration files is the number of a socket. Each line there is a
question in JSON, and each line back an answer. It ends when the socket is closed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from novadev import config
from novadev.compute.records import Records
from novadev.device.redacted import difference
from novadev.errors import NovadevError
from novadev.keep.definition import Kept, keep
from novadev.text import printable
from novadev.virt.domain import Domain

OWN_FILE = "/etc/novadev/novadev.conf"
_OPENING = 3.0
"""Seconds that the state database may take to open before the first question."""
_REMEMBERED = 64
"""Guests that are made anew at a time."""
_NAMED = 6
"""Devices that a line names."""


class Keeper:
    """Answers questions; what a guest was last seen with on this host is kept while it is made."""

    def __init__(self, files: Sequence[str], folders: Sequence[str]) -> None:
        self._files, self._folders = files, folders
        self._seen: OrderedDict[str, str] = OrderedDict()
        self._config: config.Config | None = None
        self._records: Records | None = None

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer to MESSAGE; None where it wants none."""
        match message["do"]:
            case "load":
                return self.load()
            case "seen":
                self._note(message["uuid"], message["xml"], message["host"])
            case "left":
                self._seen.pop(message["uuid"], None)
            case "keep":
                return self._keep(message["uuid"], message["xml"], message["again"])
        return None

    def load(self) -> dict[str, Any]:
        """Read the configuration; return what is to be done by it."""
        try:
            self._config = config.load(self._files, self._folders)
        except NovadevError as error:
            self._config = None
            return {"mode": "off", "told": f"keep_addresses is not read: {error}"}
        if self._records is None or self._records.url != self._config.state_connection:
            self._records = Records(self._config.state_connection)
        self._records.special = tuple(self._config.special_managed_devices)
        if self._config.keep_addresses != "off":
            self._records.open(_OPENING)
        return {"mode": self._config.keep_addresses}

    def _note(self, uuid: str, xml: str, host: str) -> None:
        self._seen[uuid] = xml
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        if self._records is not None:
            self._records.write(uuid, xml, host)

    def _keep(self, uuid: str, text: str, again: bool) -> dict[str, Any]:
        assert self._config is not None
        assert self._records is not None
        try:
            record = self._records.get(uuid, self._seen.get(uuid), again)
            kept = keep(text, record, self._config.keep_aliases)
        except Exception as error:
            return {"text": None, "told": [f"nothing is kept: {_why(error)}"]}
        if self._config.keep_addresses == "log":
            told = difference(Domain.from_xml(text), kept.text) or "nothing would differ"
            return {"text": None, "told": [f"keep_addresses = log: {told}"]}
        return {"text": kept.text, "told": [_told(kept)]}


def _why(error: Exception) -> str:
    """Return what to say of ERROR: of one that is not ours only where it was, and no values."""
    if isinstance(error, NovadevError):
        return printable(str(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"an unexpected {type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"


def _told(kept: Kept) -> str:
    text = f"{len(kept.addresses)} addresses and {len(kept.aliases)} aliases are kept"
    left = [*kept.left[:_NAMED], *(["…"] if len(kept.left) > _NAMED else [])]
    return printable("; ".join((text, *left)))


def main(arguments: Sequence[str]) -> None:
    """Answer what comes through the socket with the number that is the first of ARGUMENTS."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are for nova-compute
    channel = socket.socket(fileno=int(arguments[0]))
    channel.setblocking(True)
    named = list(zip(arguments[1::2], arguments[2::2], strict=True))
    files = [value for name, value in named if name == "--config-file"]
    folders = [value for name, value in named if name == "--config-dir"]
    if files and OWN_FILE not in files and Path(OWN_FILE).exists():
        files.append(OWN_FILE)
    keeper = Keeper(files, folders)
    _send(channel, keeper.load())
    for line in channel.makefile("rb"):
        answer = keeper.answer(json.loads(line))
        if answer is not None:
            _send(channel, answer)


def _send(channel: socket.socket, answer: dict[str, Any]) -> None:
    channel.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        os._exit(0)  # a database that hangs holds a thread
