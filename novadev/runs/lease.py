"""Who carries a run out: a lease with a random token, renewed while the run is at work.

A process that has lost its lease (it slept while another took the run over) learns of it before
its next batch, and changes no state of the new owner's: every write of the journal names the token.
"""

from __future__ import annotations

import getpass
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from novadev.database import Database, now_of
from novadev.errors import NotAsNeeded, NovadevError, TakenOver
from novadev.state.tables import runs

LOG = logging.getLogger(__name__)
LEASE = timedelta(minutes=3)
"""How long a lease counts after it was last renewed."""
RENEWAL = 20.0
"""Seconds between two renewals."""
Fence = Callable[[], None]
"""Raises TakenOver where the run is no longer this process's."""


@dataclass(frozen=True)
class Holder:
    """A process that carries a run out.

    ``machine`` is the boot and the PID namespace in which ``pid`` means it; None in a journal of
    novadev 0.1, which did not tell them.
    """

    host: str
    pid: int
    pid_started: str
    machine: str | None

    @classmethod
    def of_this_process(cls) -> Holder:
        """Return this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _process_started(pid), _machine())

    @property
    def is_here(self) -> bool:
        """Whether its process number means anything to this process."""
        return self.host == socket.gethostname() and self.machine in (None, _machine())

    @property
    def is_running(self) -> bool:
        """Whether a process that is here still runs."""
        return bool(self.pid_started) and _process_started(self.pid) == self.pid_started


def refusal(holder: Holder, renewed: datetime, now: datetime, take_over: bool) -> str | None:
    """Return why the run of HOLDER cannot be taken over, None where it can.

    The lease of a process on another host, or in another container, counts until it has run out;
    then TAKE_OVER is needed, unless the host has the same name. A renewal that lies in the future
    is of a clock that was set back since.
    """
    process = f"process {holder.pid} on {holder.host}"
    if holder.is_here:
        return f"is being carried out by {process}" if holder.is_running else None
    until = renewed + LEASE
    if now < until and renewed <= now + LEASE:
        return f"is leased to {process} until {until:%Y-%m-%dT%H:%M:%SZ}"
    if take_over or holder.host == socket.gethostname():
        return None
    return (
        f"was left by {process}, whose lease expired at {until:%Y-%m-%dT%H:%M:%SZ}. If that "
        "process is dead, add --take-over"
    )


def new_token() -> str:
    """Return a token that no other process has."""
    return secrets.token_hex(16)


def taken(connection: sa.Connection) -> dict[str, object]:
    """Return the columns of a run that this process takes."""
    holder = Holder.of_this_process()
    return {**vars(holder), "lease": new_token(), "heartbeat": now_of(connection)}


def hold(connection: sa.Connection, run: int, token: str | None) -> None:
    """Renew the lease of RUN in this transaction, and keep others from taking it before its end.

    Raises TakenOver where TOKEN is no longer that of the run.
    """
    query = sa.update(runs).where(runs.c.id == run, runs.c.lease == token)
    if connection.execute(query.values(heartbeat=now_of(connection))).rowcount != 1:
        raise TakenOver(
            f"run {run} was taken over by another novadev: this process writes nothing more"
        )


@contextmanager
def renewing(database: Database, run: int, token: str | None) -> Iterator[Fence]:
    """Renew the lease of RUN in a thread until the end of the block; give what asks for it.

    The fence reads the journal: it is to be asked while the locks are held that a write needs.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(database, run, token, ended), daemon=True)
    thread.start()
    query = sa.select(runs.c.lease).where(runs.c.id == run)

    def fence() -> None:
        with database.reading() as connection:
            if connection.scalar(query) != token:
                raise TakenOver(f"run {run} was taken over by another novadev")

    try:
        yield fence
    finally:
        ended.set()
        thread.join()


def _renew(database: Database, run: int, token: str | None, ended: threading.Event) -> None:
    while not ended.wait(RENEWAL):
        try:
            with database.writing() as connection:
                hold(connection, run, token)
        except TakenOver:
            return
        except NovadevError as error:
            LOG.warning("the lease of run %s could not be renewed: %s", run, error)


class Left(NotAsNeeded):
    """A run on another host whose lease has run out: an operator decides whether it is dead."""


def check_free(
    run: int, holder: Holder, renewed: datetime, now: datetime, take_over: bool = False
) -> None:
    """Raise NotAsNeeded, with whose it is and until when, unless RUN may be taken over.

    It is a Left where ``--take-over`` would help.
    """
    reason = refusal(holder, renewed, now, take_over)
    if reason is None:
        return
    kind = NotAsNeeded if refusal(holder, renewed, now, take_over=True) else Left
    raise kind(f"run {run} {reason}")


def _process_started(pid: int) -> str:
    """Return when process PID started (clock ticks since boot), empty where there is none.

    A zombie counts as none: it only waits for its parent to notice.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] in ("Z", "X") else after_name[19]


def _machine() -> str:
    """Return the boot and the PID namespace of this process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return "unknown"
    return f"{boot} {namespace}"


def user() -> str:
    """Return who is at work: the name behind sudo, else the process's own, else ``uid 4711``."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
