"""Controllers: hosts that novadev runs on, where a command can meet a fault at its Nth event.

Each is a process of its own that forks a child for every command. It reads lines of JSON and
answers each with [wait status, number of events]. An event is the begin of a writing transaction,
each statement from then on, and each commit, before and after it; the first is the first one that
a command begins. Production code knows nothing of all this.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import alembic.command
import pymysql
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from novadev import cli, database
from novadev.cli import history, image_property, report  # noqa: F401 - imported before the fork
from novadev.image_property import applying
from novadev.runs import carry_out, spool, undo  # noqa: F401
from novadev.state import store  # noqa: F401
from tests.sqlite import wait_for_no_disk

FAULTS = ("kill", "interrupt", "lost", "lost for good", "stop")
"""SIGKILL; Ctrl-C; a database that is away once, or from then on; a process that sleeps."""


@dataclass(frozen=True)
class End:
    """How a command ended: its code, what it said, and whether SIGKILL ended it."""

    code: int
    said: str
    was_killed: bool
    events: int


class Controller:
    """A host with a configuration, which may sleep in the middle of a command."""

    def __init__(self, name: str, config_file: Path) -> None:
        self.name = name
        self._config_file = config_file
        self._said = config_file.parent / f"{name}.out"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.runs.controllers", name, self._said],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, batch: int = 1, fault: str = "", at: int | str = 0
    ) -> End | None:
        """Run `novadev ARGUMENTS` with FAULT at event `at`; None when it sleeps now.

        A text instead of a number is how the statement begins that is not reached.
        """
        command = ["--config-file", str(self._config_file), *arguments]
        return self._ask({"arguments": command, "batch": batch, "fault": fault, "at": at})

    def wake_up(self) -> End:
        """Let the command that sleeps go on, to its end."""
        end = self._ask({})
        assert end is not None
        return end

    def _ask(self, request: dict[str, Any]) -> End | None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        status, events = json.loads(self._process.stdout.readline())
        if os.WIFSTOPPED(status):
            return None
        code = -1 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return End(code, self._said.read_text(), os.WIFSIGNALED(status), events)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


def main() -> None:
    """Serve requests until standard input ends."""
    assert alembic.command
    child = reader = 0
    for line in sys.stdin:
        request = json.loads(line)
        if request:
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                _carry_out(request, writer)
            os.close(writer)
        else:
            os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, os.WUNTRACED)
        events = 0
        if not os.WIFSTOPPED(status):
            with os.fdopen(reader) as pipe:
                events = int(pipe.read() or 0)
        print(json.dumps([status, events]), flush=True)


def _carry_out(request: dict[str, Any], pipe: int) -> NoReturn:
    out = os.open(sys.argv[2], os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    setattr(socket, "gethostname", lambda: sys.argv[1])  # noqa: B010
    carry_out.BATCH = request["batch"]
    applying.ATTEMPTS = 1
    database.LOCK_WAIT = 1
    events = _Events(request["fault"], request["at"])
    events.watch()
    code = 99
    try:
        code = cli.run(request["arguments"])
        sys.stdout.flush()
        os.write(pipe, str(events.count).encode())
    finally:
        os._exit(code)


class _Events:
    """Counts what a command does to its databases, and lets the fault happen."""

    def __init__(self, fault: str, at: int | str) -> None:
        self._fault = fault
        self._at = at
        self._lost: sa.Engine | None = None
        self.count = 0

    def watch(self) -> None:
        """Be told of every event."""
        wait_for_no_disk()
        sa.event.listen(sa.Engine, "begin", self._begin)
        sa.event.listen(sa.Engine, "before_cursor_execute", self._execute)
        setattr(DefaultDialect, "do_commit", self._around(DefaultDialect.do_commit))  # noqa: B010

    def _begin(self, connection: sa.Connection) -> None:
        if self.count or connection.get_execution_options().get("novadev_writes"):
            self._happens(connection)

    def _execute(self, connection: sa.Connection, _cursor: Any, query: str, *_: Any) -> None:
        if self.count:
            self._happens(connection, query)

    def _around(self, function: Callable[..., None]) -> Callable[..., None]:
        def commit(dialect: DefaultDialect, connection: Any) -> None:
            self._happens(None)
            function(dialect, connection)
            self._happens(None)

        return commit

    def _happens(self, connection: sa.Connection | None, query: str = "") -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self.count += 1
        if self._lost is not None and connection is not None and connection.engine is self._lost:
            raise _away()
        if isinstance(self._at, str) and query.startswith(self._at):
            self._at = self.count
        if self.count != self._at:
            return
        match self._fault:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "lost for good":
                self._lost = connection.engine if connection is not None else None
                raise _away()
            case "lost":
                raise _away()


def _away() -> sa.exc.OperationalError:
    error = pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")
    return sa.exc.OperationalError(None, None, error)


if __name__ == "__main__":
    main()
