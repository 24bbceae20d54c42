"""Real processes of novadev, several at a time."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.cloud import Cloud
from tests.command import heed_signals
from tests.mortal import MORTAL


@dataclass(frozen=True)
class Finished:
    """What a process ended with and said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)

    @property
    def states(self) -> dict[str, str]:
        """The state of each of its plans, by instance."""
        return {plan["instance"]: plan["state"] for plan in self.json["plans"]}


def start(
    cloud: Cloud, *arguments: str, lock_wait: int | None = None, stdout: int = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """Start `novadev ARGUMENTS`; `lock_wait` is the time limit of a row lock, 10 s if not given."""
    program = [*MORTAL, sys.executable]
    program += ["-m", "novadev"] if lock_wait is None else ["-c", SHORT.format(lock_wait)]
    command = [*program, "--config-file", str(cloud.config_file), *arguments]
    return subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals
    )


SHORT = "from novadev import cli, database; database.LOCK_WAIT = {}; cli.main()"


def finish(process: "subprocess.Popen[str]") -> Finished:
    """Wait for the end of a process."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return Finished(process.returncode, out or "", err)


def run(cloud: Cloud, *arguments: str, lock_wait: int | None = None) -> Finished:
    """Run `novadev ARGUMENTS` to its end."""
    return finish(start(cloud, *arguments, lock_wait=lock_wait))
