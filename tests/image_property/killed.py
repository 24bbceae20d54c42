"""novadev in a child process that kills itself (SIGKILL) at the Nth thing it does to a database.

Run as a process of its own by `Killer`: it reads {"at": N, "arguments": [...]} lines, forks a child
for each from what it has imported already, and answers [wait status, number of events]. Events are
every statement before it is executed, and every commit before and after it: between two of them
no database is touched. A text instead of N is how the statement begins that is not reached any
more. Production code knows nothing of all this.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import alembic.command
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from novadev import cli
from novadev.cli import history, image_property, report  # noqa: F401 - imported before the fork
from novadev.image_property import applying  # noqa: F401
from tests.mortal import MORTAL


@dataclass(frozen=True)
class End:
    """How a child ended: `signal` is 9 when it was killed, `events` counts those of a survivor."""

    signal: int
    code: int
    out: str
    events: int = 0

    @property
    def was_killed(self) -> bool:
        """Whether it met its event."""
        return self.signal == signal.SIGKILL


class Killer:
    """The parent of such children."""

    def __init__(self, folder: Path) -> None:
        self._out = folder / "killed.out"
        self._process = subprocess.Popen(
            [*MORTAL, sys.executable, "-m", "tests.image_property.killed", self._out],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, at: int | str, config_file: Path, *arguments: str) -> End:
        """Run `novadev ARGUMENTS` and kill it at event `at`; 0 lets it live."""
        assert self._process.stdin
        assert self._process.stdout
        command = ["--config-file", str(config_file), *arguments]
        self._process.stdin.write(json.dumps({"at": at, "arguments": command}) + "\n")
        self._process.stdin.flush()
        status, events = json.loads(self._process.stdout.readline())
        out = self._out.read_text()
        return End(os.WTERMSIG(status), os.WEXITSTATUS(status), out, events)

    def close(self) -> None:
        """End the parent."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


def main() -> None:
    """Serve requests until standard input ends."""
    assert alembic.command
    for line in sys.stdin:
        request = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _live_until(request["at"], request["arguments"], writer)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            events = int(pipe.read() or 0)
        _, status = os.waitpid(child, 0)
        print(json.dumps([status, events]), flush=True)


def _live_until(at: int | str, arguments: list[str], pipe: int) -> None:
    out = os.open(sys.argv[1], os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    count = 0

    def tick(*event: Any) -> None:
        nonlocal count
        count += 1
        if count == at or (isinstance(at, str) and event and event[2].startswith(at)):
            os.kill(os.getpid(), signal.SIGKILL)

    _watch(tick)
    code = 99
    try:
        code = cli.run(arguments)
        sys.stdout.flush()
        os.write(pipe, str(count).encode())
    finally:
        os._exit(code)


def _watch(tick: Callable[..., None]) -> None:
    sa.event.listen(sa.Engine, "before_cursor_execute", tick)
    setattr(DefaultDialect, "do_commit", _around(DefaultDialect.do_commit, tick))  # noqa: B010


def _around(function: Callable[..., None], tick: Callable[..., None]) -> Callable[..., None]:
    def around(dialect: DefaultDialect, connection: Any) -> None:
        tick()
        function(dialect, connection)
        tick()

    return around


if __name__ == "__main__":
    main()
