"""novadev as an admin runs it, inside the test's process."""

import io
import json
import signal
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from novadev import cli
from tests import schemas
from tests.cloud import Cloud


@dataclass(frozen=True)
class Result:
    """What a command ended with and said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


def novadev(cloud: Cloud | None, *arguments: str, stdin: str = "") -> Result:
    """Run `novadev ARGUMENTS` on the cloud, without a terminal; JSON must be as its schema says."""
    config = ["--config-file", str(cloud.config_file)] if cloud else []
    with _captured(stdin) as (out, err):
        code = cli.run([*config, *arguments])
    schemas.check(arguments, out.getvalue())
    return Result(code, out.getvalue(), err.getvalue())


class _captured:
    def __init__(self, stdin: str) -> None:
        self._parts = (
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
            patch("sys.stdin", io.StringIO(stdin)),
        )

    def __enter__(self) -> Iterator[io.StringIO]:
        out, err, _ = (part.__enter__() for part in self._parts)
        return iter((out, err))

    def __exit__(self, *error: Any) -> None:
        for part in self._parts:
            part.__exit__(*error)


def heed_signals() -> None:
    """Let a process that is about to begin be ended by a signal, as one typed at a terminal is.

    What a shell starts in the background is deaf to SIGINT, what nohup starts to SIGHUP, and so is
    all that these start.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
