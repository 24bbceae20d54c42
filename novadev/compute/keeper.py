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
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

from novadev import config
from novadev.compute.records import Older, Records
from novadev.compute.report import Report
from novadev.device.redacted import difference
from novadev.errors import Busy, NotAsNeeded, NovadevError, Unreachable
from novadev.keep.definition import Kept, keep
from novadev.records.device import VmDevice
from novadev.state.keeping import HEARTBEAT, KEPT, SHOWN, Outcome, passed, unrecorded
from novadev.text import printable
from novadev.virt.domain import Domain

OWN_FILE = "/etc/novadev/novadev.conf"
_OPENING = 3.0
"""Seconds that the state database may take to open before the first question."""
_ENDING = 5.0
"""Seconds that what is still to be written may take when nova-compute is gone."""
_REMEMBERED = 64
"""Guests that are made anew at a time."""
_NAMED = 6
"""Devices that a line names."""
_QUESTIONS = 1024
"""Questions that wait for the answer to another one, at most."""
_TROUBLES = 32
"""Lines about what could not be written that wait for the next answer."""


def configured(
    files: Sequence[str], folders: Sequence[str]
) -> tuple[list[str], list[str], str | None]:
    """Return the files and folders to read: those that nova-compute was given, and novadev's own.

    Last comes what to say of novadev's own where this user, nova, cannot read it: it was not asked
    for, and a package installs it for root alone.
    """
    found, places = [*files], [*folders]
    if not files and not folders:
        found, places = config.usual_files()
    elif files and OWN_FILE not in files and os.path.exists(OWN_FILE):
        found.append(OWN_FILE)
    if OWN_FILE in files or OWN_FILE not in found or os.access(OWN_FILE, os.R_OK):
        return found, places, None
    found.remove(OWN_FILE)
    return found, places, f"{OWN_FILE} is not read: the user of nova-compute may not read it"


class Keeper:
    """Answers questions.

    What a guest was last seen with on this host is kept, with Nova's request that it was seen by:
    for any other request the guest may have been elsewhere in between.
    """

    def __init__(self, files: Sequence[str], folders: Sequence[str]) -> None:
        self._files, self._folders = files, folders
        self._seen: OrderedDict[str, tuple[str | None, str]] = OrderedDict()
        self._troubles: deque[tuple[str, str]] = deque(maxlen=_TROUBLES)
        self._uncounted = ""
        self._given: dict[str, tuple[VmDevice, ...] | None] = {}
        self._config: config.Config | None = None
        self._records: Records | None = None
        self._report = Report()

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer to MESSAGE; None where it wants none."""
        for outcome, reason, number in message.get("missed", ()):
            self._report.count((outcome, reason), number)
        self._settle([(uuid, at, again) for uuid, at, again in message.get("lost", ())])
        match message["do"]:
            case "load":
                return self.load()
            case "nothing":
                return {}
            case "seen":
                self._note(message)
            case "left":
                self._seen.pop(message["uuid"], None)
            case "written":
                records = self._records
                return {
                    "is_written": records is None or records.database.is_written(message["uuid"])
                }
            case "count":
                self.report()
            case "keep" if self._is_off:
                return {"text": None, "told": []}
            case "keep":
                outcome, answer = self._keep(message)
                if outcome != KEPT:  # libvirt may refuse it
                    self._report.count(outcome)
                    self.report()
                return answer
        return None

    @property
    def _is_off(self) -> bool:
        return self._config is None or self._config.keep_addresses == "off"

    def _settle(self, lost: Sequence[tuple[str, float, bool]]) -> None:
        """Hold the layouts of guests that were LOST since the last message; others were given.

        With each comes the moment, by this machine's monotonic clock, and whether it was made again
        on the host it was on.
        """
        if self._records is None or self._config is None or self._config.keep_addresses != "on":
            return
        for uuid, moment, again in lost:
            self._records.lose(uuid, self._given.pop(uuid, None), moment, again)
        for uuid, rows in self._given.items():
            if rows is not None:  # else it is what the guest was seen with that it was given
                self._records.held.release(uuid)
        self._given.clear()

    def troubles(self) -> list[tuple[str, str]]:
        """Return what could not be written since the last answer: guests, and why."""
        found = []
        while self._troubles:
            found.append(self._troubles.popleft())
        return found

    def end(self) -> None:
        """Write what waits to be written, as far as that takes no longer than is useful."""
        if self._records is not None:
            self._records.database.end(_ENDING)

    def _failed(self, uuid: str, error: Exception) -> None:
        """Note what could not be written; called by the thread that writes."""
        if uuid:
            reason = "state-database" if isinstance(error, NovadevError) else "error"
            if not isinstance(error, Older):
                self._report.count(unrecorded(reason))
            self._troubles.append((uuid, f"what it has is not recorded: {_why(error)}"))
        elif (told := f"what is kept here is not written down: {_why(error)}") != self._uncounted:
            self._uncounted = told
            self._troubles.append(("", told))

    def report(self) -> None:
        """Have written what this nova-compute does, and what became of definitions."""
        found, records = self._config, self._records
        if found is not None and records is not None:
            mode, aliases = found.keep_addresses, found.keep_aliases
            self._report.send(records.database.later, found.host, mode, aliases)

    def _report_off(self) -> None:
        """Have written that nothing is kept any more, where the last configuration says."""
        if self._config is not None and self._records is not None:
            self._report.send(self._records.database.later, self._config.host, "off", aliases=False)

    def load(self) -> dict[str, Any]:
        """Read the configuration; return what is to be done by it."""
        files, folders, unread = configured(self._files, self._folders)
        try:
            self._config = config.load(files, folders)
        except NovadevError as error:
            self._report_off()
            self._config = None
            return {"mode": "off", "why": f"keep_addresses is not read: {error}"}
        if self._records is None or self._records.database.url != self._config.state_connection:
            self._records = Records(self._config.state_connection, self._failed)
            self._report = Report()
        self._records.special = tuple(self._config.special_managed_devices)
        self._records.host = self._config.host
        answer, told = {"mode": self._config.keep_addresses}, [unread] if unread else []
        if answer["mode"] != "on":
            self._records.held.clear()
        if answer["mode"] != "off" and (why := self._records.database.open(_OPENING)):
            told.append(f"nothing that is recorded is kept for now: {_why(why)}")
        if told:
            answer["why"] = "; ".join(told)
        self.report()
        return answer

    def _note(self, message: dict[str, Any]) -> None:
        if self._is_off:
            return
        uuid, xml = message["uuid"], message["xml"]
        self._seen[uuid] = message.get("request"), xml
        self._seen.move_to_end(uuid)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        if self._records is not None and self._config is not None:
            at = message.get("at") or time.monotonic()
            self._records.write(uuid, xml, self._config.host, at)

    def _keep(self, message: dict[str, Any]) -> tuple[Outcome, dict[str, Any]]:
        """Return what becomes of the definition in MESSAGE, and the answer that says so."""
        assert self._config is not None
        assert self._records is not None
        uuid, text, is_found = message["uuid"], message["xml"], False
        try:
            record = self._records.get(uuid, self._seen_by(message), message["again"])
            is_found = True
            kept = keep(text, record, self._config.keep_aliases)
        except Exception as error:
            reason = _reason(error, is_found)
            if reason in ("state-database", "error"):
                is_here = message["again"] or self._seen_by(message) is not None
                self._settle([(uuid, time.monotonic(), is_here)])
            return passed(reason), {"text": None, "told": [f"nothing is kept: {_why(error)}"]}
        if self._config.keep_addresses == "log":
            shown = _difference(text, kept) or "nothing would differ"
            return SHOWN, {"text": None, "told": [f"keep_addresses = log: {shown}"]}
        self._given[uuid] = record.devices if record.is_read else None
        outcome = passed("nothing-to-keep") if kept.text == text else KEPT
        told = [_told(kept)]
        if message.get("diff"):
            told.append(f"what differs from Nova's own definition: {_difference(text, kept)}")
        return outcome, {"text": kept.text, "told": told}

    def _seen_by(self, message: dict[str, Any]) -> str | None:
        """Return what the guest was seen with by the request that now makes it anew."""
        request, xml = self._seen.get(message["uuid"], (None, None))
        is_known = request is not None or message["again"]
        return xml if is_known and request == message.get("request") else None


def _difference(text: str, kept: Kept) -> str:
    return difference(Domain.from_xml(text), kept.text)


def _reason(error: Exception, is_found: bool) -> str:
    """Return for which of the reasons ERROR stands; IS_FOUND: the guest has a record."""
    if isinstance(error, Unreachable | Busy):
        return "state-database"
    if isinstance(error, NotAsNeeded):
        return "does-not-fit" if is_found else "not-recorded"
    return "error"


def _why(error: BaseException) -> str:
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
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for nova-compute, whose end ends this
    channel = socket.socket(fileno=int(arguments[0]))
    channel.setblocking(True)
    named = list(zip(arguments[1::2], arguments[2::2], strict=True))
    files = [value for name, value in named if name == "--config-file"]
    folders = [value for name, value in named if name == "--config-dir"]
    keeper = Keeper(files, folders)
    _send(channel, keeper.load())
    lines: Queue[bytes] = Queue(_QUESTIONS)
    Thread(target=_read, args=(channel, lines), daemon=True).start()
    Thread(target=_beat, args=(keeper,), daemon=True).start()
    try:
        while line := lines.get():
            message = json.loads(line)
            answer = keeper.answer(message)
            if answer is not None:
                told = {"number": message["number"], "troubles": keeper.troubles()}
                _send(channel, {**answer, **told})
    finally:
        keeper.end()


def _read(channel: socket.socket, lines: Queue[bytes]) -> None:
    """Put each question into LINES, and nothing at the end: nova-compute waits for nobody then."""
    with suppress(OSError):  # it is gone, and has not read the last answer
        for line in channel.makefile("rb"):
            if line.endswith(b"\n"):
                lines.put(line)
    lines.put(b"")


def _beat(keeper: Keeper) -> None:
    while True:
        time.sleep(HEARTBEAT)
        keeper.report()


def _send(channel: socket.socket, answer: dict[str, Any]) -> None:
    with suppress(OSError):  # nova-compute is gone; what it has told is still to be recorded
        channel.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    code = 1
    try:
        main(sys.argv[1:])
        code = 0
    except Exception as error:  # to where nova-compute writes its own errors
        sys.stderr.write(f"novadev: its process beside nova-compute ends: {_why(error)}\n")
        sys.stderr.flush()
    finally:
        os._exit(code)  # a database that hangs holds a thread
