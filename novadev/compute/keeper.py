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
import time
import traceback
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from novadev import config
from novadev.compute.records import Records
from novadev.compute.report import Report
from novadev.device.redacted import difference
from novadev.errors import Busy, NotAsNeeded, NovadevError, Unreachable
from novadev.keep.definition import Kept, keep
from novadev.state.keeping import HEARTBEAT, KEPT, SHOWN, Outcome, passed
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
        self._report = Report()

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer to MESSAGE; None where it wants none."""
        for reason, number in message.get("missed", {}).items():
            self._report.count(passed(reason), number)
        match message["do"]:
            case "load":
                return self.load()
            case "seen":
                self._note(message["uuid"], message["xml"])
            case "left":
                self._seen.pop(message["uuid"], None)
            case "keep":
                outcome, answer = self._keep(message)
                self._report.count(outcome)
                self.report()
                return answer
        return None

    def report(self) -> None:
        """Have written what this nova-compute does, and what became of definitions."""
        found, records = self._config, self._records
        if found is not None and records is not None:
            self._report.send(records.later, found.host, found.keep_addresses)

    def load(self) -> dict[str, Any]:
        """Read the configuration; return what is to be done by it."""
        try:
            self._config = config.load(self._files, self._folders)
        except NovadevError as error:
            self._config = None
            return {"mode": "off", "told": f"keep_addresses is not read: {error}"}
        if self._records is None or self._records.url != self._config.state_connection:
            self._records = Records(self._config.state_connection)
            self._report = Report()
        self._records.special = tuple(self._config.special_managed_devices)
        if self._config.keep_addresses != "off":
            self._records.open(_OPENING)
        self.report()
        return {"mode": self._config.keep_addresses}

    def _note(self, uuid: str, xml: str) -> None:
        self._seen[uuid] = xml
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        if self._records is not None and self._config is not None:
            self._records.write(uuid, xml, self._config.host)

    def _keep(self, message: dict[str, Any]) -> tuple[Outcome, dict[str, Any]]:
        """Return what becomes of the definition in MESSAGE, and the answer that says so."""
        assert self._config is not None
        assert self._records is not None
        uuid, text, is_found = message["uuid"], message["xml"], False
        try:
            record = self._records.get(uuid, self._seen.get(uuid), message["again"])
            is_found = True
            kept = keep(text, record, self._config.keep_aliases)
        except Exception as error:
            reason = _reason(error, is_found)
            return passed(reason), {"text": None, "told": [f"nothing is kept: {_why(error)}"]}
        if self._config.keep_addresses == "log":
            shown = _difference(text, kept) or "nothing would differ"
            return SHOWN, {"text": None, "told": [f"keep_addresses = log: {shown}"]}
        outcome = passed("nothing-to-keep") if kept.text == text else KEPT
        told = [_told(kept)]
        if message.get("diff"):
            told.append(f"what differs from Nova's own definition: {_difference(text, kept)}")
        return outcome, {"text": kept.text, "told": told}


def _difference(text: str, kept: Kept) -> str:
    return difference(Domain.from_xml(text), kept.text)


def _reason(error: Exception, is_found: bool) -> str:
    """Return for which of the reasons ERROR stands; IS_FOUND: the guest has a record."""
    if isinstance(error, Unreachable | Busy):
        return "state-database"
    if isinstance(error, NotAsNeeded):
        return "does-not-fit" if is_found else "not-recorded"
    return "error"


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
    Thread(target=_beat, args=(keeper,), daemon=True).start()
    for line in channel.makefile("rb"):
        message = json.loads(line)
        answer = keeper.answer(message)
        if answer is not None:
            _send(channel, {**answer, "number": message["number"]})


def _beat(keeper: Keeper) -> None:
    while True:
        time.sleep(HEARTBEAT)
        keeper.report()


def _send(channel: socket.socket, answer: dict[str, Any]) -> None:
    channel.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        os._exit(0)  # a database that hangs holds a thread
